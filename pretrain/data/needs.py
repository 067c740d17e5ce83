"""What a task needs of labels, said in words before anything is decoded, with the flags that help.

Used by training; imports dataset.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from .dataset import Dataset

LABELS = "put the videos of a class into a folder of its own, or give a CSV with path,label"


@dataclass(frozen=True)
class Needs:
    """What samples show together; "" where nothing is needed.

    Attributes:
        label: what needs labels, as "--mode action".
        two_classes: what needs videos of two classes.
        same_class: what needs two videos of one class.
        background: what needs segments without an action beside those with one.
        otherwise: how to do without, as "give --boundaries ds ss".
        given_by: how labels are given.
        any_held_out: held-out videos may have other classes than those of training.
    """

    label: str = ""
    two_classes: str = ""
    same_class: str = ""
    background: str = ""
    otherwise: str = ""
    given_by: str = LABELS
    any_held_out: bool = False


def lacking(dataset: Dataset, needs: Needs, flag: str = "--videos") -> str:
    """Why a data set does not serve, in one line that names the flags that help; "" if it does.

    Args:
        flag: what gave the data set, as "--val-videos".

    >>> from gpuaug import Video
    >>> from .dataset import Segment
    >>> flat = Dataset([Segment("a", 0.0, 1.0, -1, 0)], [], [Video("a")])
    >>> lacking(flat, Needs(two_classes="dc", otherwise="give --boundaries ds ss"))[:63]
    '--videos must have labels for dc, the 1 video has none: put the'
    """
    videos: dict[int, set[int]] = defaultdict(set)
    for segment in dataset.segments:
        videos[segment.label].add(segment.video)
    background = bool(videos.pop(-1, None))
    classes = [dataset.classes[label] for label in sorted(videos)]
    helps = f"{needs.given_by}{f', or {needs.otherwise}' if needs.otherwise else ''}"
    count = len(dataset.videos)
    have = f"the {count} video{'s' if count != 1 else ''} ha{'ve' if count != 1 else 's'}"
    wanted = [each for each in (needs.label, needs.two_classes, needs.same_class, needs.background) if each]
    if wanted and not classes:
        return f"{flag} must have labels for {' and '.join(dict.fromkeys(wanted))}, {have} none: {helps}"
    if needs.two_classes and len(classes) < 2:
        return f"{flag} must have videos of two classes for {needs.two_classes}, {have} only {classes[0]!r}: {helps}"
    if needs.same_class and not any(len(own) > 1 for own in videos.values()):
        most = Counter({label: len(own) for label, own in videos.items()}).most_common(1)[0][1]
        return f"{flag} must have two videos of a class for {needs.same_class}, {have} {most} of each: {helps}"
    if needs.background and not background:
        otherwise = f", or {needs.otherwise}" if needs.otherwise else ""
        return (
            f"{flag} must have background beside actions for {needs.background}, {have} none: --annotations says where "
            f"actions start and end{otherwise}"
        )
    return ""
