"""Which parts of which videos to train on: from folders, lists and annotation files to segments."""

from __future__ import annotations

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

import gpuaug
from gpuaug import Segment, Video

from .annotations import Entry, read_published
from .formats import BadFile
from .overlap import Named, identity, keys, one_label
from .segments import CLIP_SECONDS, Background, Segments, cut


@dataclass
class Dataset:
    """Segments to draw from, and what was left out on the way to them.

    Attributes:
        segments: in the order of `videos`, whose indices their `video` is; labels are indices into `classes`.
        classes: names of the labels, sorted.
        videos: the usable videos, each with at least one segment.
        skipped: (file or video id, reason) of all that could not be used.
        counts: what became of annotated rows, as `pretrain.data.segments.cut` counts; empty without annotations.
        ids: of the videos in their annotations, "" where a path stands for the id; empty without annotations.
    """

    segments: list[Segment]
    classes: list[str]
    videos: list[Video]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)

    @property
    def named(self) -> list[Named]:
        """What each video is known by."""
        return [Named(video.path, name) for video, name in zip(self.videos, self.ids or [""] * len(self.videos))]

    def take(self, videos: Iterable[int]) -> Dataset:
        """The data set of these videos alone, renumbered in the order given; nothing skipped, nothing counted."""
        new = {old: k for k, old in enumerate(videos)}
        segments = [
            Segment(s.path, s.start_seconds, s.end_seconds, s.label, new[s.video])
            for s in self.segments
            if s.video in new
        ]
        segments.sort(key=lambda s: s.video)
        ids = [self.ids[old] for old in new] if self.ids else []
        return Dataset(segments, self.classes, [self.videos[old] for old in new], ids=ids)

    @property
    def empty_classes(self) -> list[str]:
        """Classes without a segment."""
        used = {segment.label for segment in self.segments}
        return [name for k, name in enumerate(self.classes) if k not in used]

    def __str__(self) -> str:
        actions = sum(segment.label >= 0 for segment in self.segments)
        used, empty = len(self.classes) - len(self.empty_classes), bool(self.empty_classes)
        classes = f", {used}{f' of {len(self.classes)}' * empty} classes" if self.classes else ""
        parts, others = [f"{len(self.videos)} videos{classes}"], len(self.segments) - actions
        mixed = f"{actions} labelled and {others} other segments"
        parts.append(
            mixed if actions and others else f"{len(self.segments)} segments, {'all' if actions else 'none'} labelled"
        )
        parts += [f"{self.counts[name]} {name}" for name in sorted(self.counts) if name not in ("action", "background")]
        return "; ".join([*parts, f"{len(self.skipped)} skipped"] if self.skipped else parts)


def read_videos(
    source: Any, *, cache: str | Path | Literal[False] | None = None, progress: bool | None = None
) -> Dataset:
    """One segment per usable video, from its first frame to its last.

    Args:
        source: what `gpuaug.probe` takes: files, folders (class folders give labels), a CSV with path,label, or a list.
        cache: manifest file; a second start reads it instead of the videos that have not changed.
        progress: passed to `gpuaug.probe`.

    Errors (ValueError): no usable video; one file, under whatever names, with two labels.
    """
    manifest = one_label(gpuaug.probe(source, cache=cache, progress=progress))
    videos, skipped = manifest.usable, [(video.path, str(video.error)) for video in manifest.failed]
    if not videos:
        first = f", for example {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise ValueError(f"videos must include at least one usable file, got {source}: {len(skipped)} unusable{first}")
    classes = sorted({video.label for video in videos if video.label is not None})
    number = {name: k for k, name in enumerate(classes)}
    segments = []
    for k, video in enumerate(videos):
        label = -1 if video.label is None else number[video.label]
        segments.append(Segment(video.path, 0.0, video.duration_seconds, label, k))
    return Dataset(segments, classes, videos, skipped)


def read_annotations(
    file: str | Path,
    videos_dir: str | Path | None = None,
    *,
    subset: str | None = None,
    classes: Sequence[str] | None = None,
    clip_seconds: float = CLIP_SECONDS,
    background: Background = "complement",
    cache: str | Path | Literal[False] | None = None,
    progress: bool | None = None,
) -> Dataset:
    """Actions and background of annotated videos; durations, rates and frame counts come from the files themselves.

    Args:
        file: ActivityNet JSON, THUMOS14 (JSON or text), Kinetics' CSV, TSP's or ours; plain or gzipped.
        videos_dir: folder of the videos, searched with its subfolders. A video is found by its path or file name, or by
            its id, with or without ActivityNet's "v_" before it, whatever the suffix. None: the folder of `file`.
        subset: only videos of this subset ("training", …), where the file has subsets.
        classes: names in the order of the labels; None: all labels of the file (of every subset), sorted.
        clip_seconds: segments shorter than this are dropped and counted. TSP: 16 frames at 15 per second [C].
        background: "complement": what no action covers [P]; "file": the published rows of TSP's CSV or ours; "none".
        cache, progress: as in `read_videos`.

    Overlapping labels are kept as published. One warning says where the file contradicts the videos (their own values
    are used). `skipped` names annotated videos without a usable file, files without an annotation, and videos in which
    no action is annotated: withheld labels must not turn into background.

    Errors (ValueError): a file that breaks its format, a label not in `classes`, no usable segment.
    """
    file = Path(file)
    folder = Path(videos_dir) if videos_dir is not None else file if file.is_dir() else file.parent
    if not folder.is_dir():
        raise ValueError(f"videos_dir must be a folder, got {folder}")
    published = read_published(file)
    entries, names = published.videos, published.classes
    if classes is not None and (unknown := [name for name in names if name not in classes]):
        raise ValueError(f"{file}: labels must be among the {len(classes)} classes given, got {unknown[0]!r}")
    if subset is not None and not any(entry.subset == subset for entry in entries.values()):
        have = sorted({str(entry.subset) for entry in entries.values()})
        raise ValueError(f"{file}: subset must be one of {', '.join(have)}, got {subset!r}")
    if background == "file" and published.segments.label.all():
        raise ValueError(f"{file}: background must be 'complement' where no background rows are published, got 'file'")
    number = {name: k for k, name in enumerate(names if classes is None else classes)}

    named = {name: str(folder / (entry.filename or name)) for name, entry in entries.items()}
    sources = [path for path in named.values() if os.path.isfile(path)]
    if videos_dir is not None or any(entry.filename != name for name, entry in entries.items()):
        sources.append(str(folder))  # not if every entry is a path, as in our CSV: there may lie much else beside it
    manifest = gpuaug.probe(sources, cache=cache, progress=progress)
    found, skipped = _match(entries, named, manifest.videos, folder)
    wanted = {name: entry for name, entry in entries.items() if subset is None or entry.subset == subset}
    skipped = [(name, reason) for name, reason in skipped if name in wanted or name not in entries]
    annotated = published.segments.by_video()
    videos: list[Video] = []
    ids: list[str] = []
    segments: list[Segment] = []
    counts: Counter[str] = Counter()
    contradictions: list[str] = []
    for name, entry in wanted.items():
        if (video := found.get(name)) is None:
            continue
        if video.error is not None:
            skipped.append((video.path, video.error))
            continue
        if name not in annotated:
            skipped.append((video.path, "no action is annotated"))
            continue
        if entry.trimmed:
            kept = Segments.of([(name, 0.0, video.duration_seconds, annotated[name].label[0])])
            count = Counter({"action": 1})
        else:
            contradictions += _contradiction(entry, video)
            kept, count = cut(annotated[name], video.duration_seconds, clip_seconds=clip_seconds, background=background)
        counts += count
        if not len(kept):
            skipped.append((video.path, f"no segment of at least {clip_seconds:.3g} s"))
            continue
        for (start, end), label in zip(kept.segment.tolist(), kept.label.tolist()):
            segments.append(Segment(video.path, start, end, number[label] if label else -1, len(videos)))
        videos.append(video)
        ids.append("" if entry.filename == name else name)  # in our CSV a path is the name
    if contradictions:
        more = f" (and {len(contradictions) - 1} more)" if len(contradictions) > 1 else ""
        text = f"{file} contradicts the videos, whose own values are used: {contradictions[0]}{more}"
        warnings.warn(text, stacklevel=2)
    if not segments:
        first = f", for example {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise ValueError(f"{file}: at least one annotated video in {folder} must be usable, got none{first}")
    return Dataset(segments, list(number), videos, skipped, counts, ids)


def split(dataset: Dataset, *, holdout: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """(training, held-out) data sets without a common video, with `holdout` of the videos of each class held out.

    A video counts for its most frequent label. Each class gives its share rounded down or up, so that the whole comes
    out right; each side gets one video at least. The same files and seed give the same split in whatever order and
    folder they lie. Several names of one file, links, count as one video and stay together.

    Args:
        holdout: fraction in (0, 1).

    Errors (ValueError): holdout out of range, or less than two videos.
    """
    if not 0 < holdout < 1:
        raise ValueError(f"holdout must be in (0, 1), got holdout={holdout}")
    first_of = _first_names(dataset)
    if (total := len(set(first_of))) < 2:
        raise ValueError(
            f"videos must be two at least, so that --holdout can keep one back, got {total}: give more, others with "
            "--val-videos, or --val-batches 0"
        )
    labels: list[Counter[int]] = [Counter() for _ in dataset.videos]
    for segment in dataset.segments:
        labels[segment.video].update([segment.label] * (segment.label >= 0))
    by_class: dict[int, list[int]] = defaultdict(list)
    for video in sorted(set(first_of), key=lambda k: dataset.videos[k].path):
        by_class[min(labels[video], key=lambda k: (-labels[video][k], k), default=-1)].append(video)
    rng = np.random.default_rng(seed)
    order = [video for label in sorted(by_class) for video in rng.permutation(by_class[label]).tolist()]
    share = min(max(holdout, 1 / total), 1 - 1 / total)
    ends = np.floor(np.arange(total + 1) * share + rng.uniform() + 1e-9)  # one more held out wherever this grows
    chosen = {video for video, grows in zip(order, np.diff(ends)) if grows}
    parts = [[k for k, first in enumerate(first_of) if (first in chosen) == held] for held in (False, True)]
    rest, held_out = map(dataset.take, parts)
    rest.skipped = dataset.skipped  # reported once, with the larger part
    return rest, held_out


def _first_names(dataset: Dataset) -> list[int]:
    """For every video the first one, in the order of paths, that is the same video: itself, or one of the same file."""
    named, known, first_of = dataset.named, dict[Any, int](), list(range(len(dataset.videos)))
    for video in sorted(first_of, key=lambda k: dataset.videos[k].path):
        own = list(keys(named[video]))
        first_of[video] = next((known[key] for key in own if key in known), video)
        known |= {key: first_of[video] for key in own if key not in known}
    return first_of


def _match(
    entries: Mapping[str, Entry], named: dict[str, str], videos: Sequence[Video], folder: Path
) -> tuple[dict[str, Video], list[tuple[str, str]]]:
    """The video of each entry, and what is left over on either side. `named`: the path that an entry states."""
    by_path = {os.path.abspath(video.path): video for video in videos}
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in by_path:
        by_name[os.path.basename(path)].append(path)
        by_name[Path(path).stem].append(path)
    found: dict[str, Video] = {}
    owned: set[str] = set()
    first: dict[Any, str] = {}  # name of a file, links included; for a second one its actions would be background
    skipped = []
    for video, entry in entries.items():
        stated = os.path.abspath(named[video])
        match = [stated] if stated in by_path else []
        if entry.filename != video:  # in our CSV a path means that very file
            bare = video.removeprefix("v_")
            for name in (os.path.basename(stated), Path(entry.filename or "").stem, video, f"v_{video}", bare):
                match = match or by_name.get(name, [])
        if len(match) == 1:
            found[video] = by_path[match[0]]
            owned.add(match[0])
            if (other := first.setdefault(identity(match[0]), video)) != video:
                raise BadFile(match[0], "", f"must be annotated under one name, got {other!r} and {video!r}")
        elif match:
            skipped.append((video, f"{len(match)} files have this name: {match[0]}, {match[1]} …"))
        else:
            skipped.append((video, f"annotated, but no such file in {folder}"))
    return found, skipped + [(v.path, v.error or "not annotated") for path, v in by_path.items() if path not in owned]


def _contradiction(entry: Entry, video: Video) -> list[str]:
    """What an entry states about its video that the file does not bear out (beyond rounding)."""
    stated = (
        ("fps", entry.fps, video.fps, 0.01),
        ("frames", entry.frames, video.frames, 0.5),
        ("seconds", entry.duration_seconds, video.duration_seconds, 0.5),
    )
    wrong = [
        f"{real:.6g} {unit}, not {said:.6g}" for unit, said, real, most in stated if said and abs(said - real) > most
    ]
    return [f"{video.path} has {', '.join(wrong)}"] if wrong else []
