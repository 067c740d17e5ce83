"""What annotations come to without a look at a video: `train --dry-run`.

Used by training; imports annotations, segments.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .annotations import read_published
from .segments import Background, cut


def counted(
    file: str | Path, *, subset: str | None, background: Background, clip_seconds: float
) -> tuple[str, Counter[str]]:
    """A line on a file's rows and the segments that they make, and its numbers.

    Durations are those that the file states; where it states none, a video ends with its last row.

    Args:
        subset: None: all. background: as in `segments.cut`. clip_seconds: of a segment at least.
    """
    published = read_published(file)
    videos = {name: entry for name, entry in published.videos.items() if subset is None or entry.subset == subset}
    counts, unknown = Counter[str](), 0
    for name, own in published.segments.by_video().items():
        if name not in videos:
            continue
        actions = int((own.label != "").sum())
        counts += Counter({"rows": len(own), "rows of actions": actions, "rows of background": len(own) - actions})
        duration = videos[name].duration_seconds
        unknown += duration is None
        _, found = cut(own, duration or float(own.segment.max()), clip_seconds=clip_seconds, background=background)
        counts += found
    counts["videos"] = len(videos)
    used = counts["action"] + counts["background"]
    text = (
        f"{file}: {counts['rows']:,} rows of {len(videos):,} videos, {counts['rows of actions']:,} of actions and "
        f"{counts['rows of background']:,} of background; {used:,} segments, {counts['action']:,} of actions and "
        f"{counts['background']:,} of background ({background}), of at least {clip_seconds:.3g} s"
    )
    left = [
        f"{counts[name]:,} {name}"
        for name in ("action too short", "background too short", "outside the video", "clipped to the video")
        if counts[name]
    ]
    left += [f"{unknown:,} durations not stated"] * bool(unknown)
    return "; ".join([text, *left]), counts
