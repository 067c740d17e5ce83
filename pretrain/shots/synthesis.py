"""A folder of edited videos with their labels, made by any number of processes on any number of machines.

A video's JSON is written last and is its done-marker. Who makes a video holds a lock on its byte of the file .claims,
which ends with the process. Used by the command synthesise; imports edits, footage and common.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

import gpuaug

from ..common.cli import Failed
from ..common.files import atomic, new_text, sweep, write_json
from ..common.settings import saved
from .edits import Edit, EditSettings, Source, draw
from .footage import Footage, Unreadable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Encoders, the preferred one first: H.264 is what most video that people edit is delivered in. Each takes a constant
# quality on the scale of H.264's rate factor, from 0 (best) to 51.
CODECS: dict[str, Callable[[int], dict[str, str]]] = {
    "libx264": lambda crf: {"crf": str(crf), "preset": "veryfast"},
    "libopenh264": lambda crf: {"rc_mode": "quality", "qmin": str(crf), "qmax": str(crf)},
    "libvpx-vp9": lambda crf: {"crf": str(crf), "b": "0", "deadline": "realtime", "cpu-used": "6"},
    "libsvtav1": lambda crf: {"crf": str(crf), "preset": "10"},
    "mpeg4": lambda crf: {"flags": "+qscale", "global_quality": str(118 * max(2, crf // 3))},
}
COLUMNS = ("first", "last", "kind", "family", "new", "first_seconds", "last_seconds")
FOLDER = 1000  # videos in one
ALONE = 1 << 40  # the byte of .claims for what all videos share


@dataclass
class Progress:
    """What became of a shard's videos: made now, there already, in the hands of another process."""

    made: int = 0
    there: int = 0
    others: int = 0


def usual_codec() -> str:
    """The first encoder of CODECS that this FFmpeg has."""
    for name in CODECS:
        if has_codec(name):
            return name
    raise Failed(f"this FFmpeg has none of the encoders {', '.join(CODECS)}")


def has_codec(name: str) -> bool:
    """Whether FFmpeg can encode by it here."""
    try:
        av.Codec(name, "w")
    except ValueError:
        return False
    return True


class Collection:
    """A folder of edited videos of one seed, and of the same sources and settings for all who work on it.

    Errors (ValueError): the folder was begun with others.
    """

    def __init__(
        self,
        out: str | Path,
        sources: Sequence[Source],
        settings: EditSettings,
        *,
        seed: int,
        codec: str,
        quality: tuple[int, int],
        say: Callable[[str], None],
    ) -> None:
        self.out, self.sources, self.settings, self.seed = Path(out), sources, settings, seed
        self.codec, self.quality, self.say = codec, quality, say
        self.unreadable: dict[str, str] = {}  # path → reason, of sources that failed here
        listed = json.dumps([[s.name, s.label, s.frames, *s.size] for s in sources])
        about: dict[str, Any] = {"seed": seed, **saved(settings), "codec": codec, "quality": list(quality)}
        about |= {"sources": len(sources), "of": hashlib.sha256(listed.encode()).hexdigest()}
        self.out.mkdir(parents=True, exist_ok=True)
        self._claims = os.open(self.out / ".claims", os.O_RDWR | os.O_CREAT, 0o666)
        self._locks = fcntl is not None
        self._begin(about)

    def make(self, numbers: Iterable[int], *, progress: Callable[[], object] = lambda: None) -> Progress:
        """Make the videos that are not there; what another process has in hand is left to it."""
        found = Progress()
        with Footage(self.settings) as footage:
            for number in numbers:
                if self.marker(number).exists():
                    found.there += 1
                elif not self._lock(number):
                    found.others += 1
                else:
                    if self.marker(number).exists():  # since
                        found.there += 1
                    else:
                        self._make(number, footage)
                        found.made += 1
                    self._let_go(number)
                progress()
        for path, count in footage.damaged.items():
            self.say(f"{path}: {count} of its frames are shown although they are damaged")
        return found

    def marker(self, number: int) -> Path:
        """The JSON of a video, which is there when all of the video is."""
        return self.out / f"{number // FOLDER:03d}" / f"{number:06d}.json"

    def write_lists(self) -> int:
        """Write clipshots.json and boundaries.csv of all that is done; returns how many videos that are."""
        with self._alone():
            done = sorted(self._markers())
            shots: dict[str, Any] = {}
            for name in ("boundaries.csv", "clipshots.json"):
                sweep(self.out / name)
            with new_text(self.out / "boundaries.csv") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(("video", "first", "last", "type"))
                for path in done:
                    told = json.loads(path.read_text(encoding="utf-8"))
                    shots[told["video"]] = _clipshots(told)
                    name = told["video"].removesuffix(".mp4")
                    writer.writerows((name, row["first"], row["last"], row["kind"]) for row in told["boundaries"])
            write_json(self.out / "clipshots.json", shots)
        return len(done)

    def close(self) -> None:
        os.close(self._claims)

    def _begin(self, about: dict[str, Any]) -> None:
        """Write what is made here, or compare: the first who comes decides."""
        path = self.out / "made_of.json"
        with self._alone():
            sweep(path)
            if not path.exists():
                write_json(path, about)
        there = json.loads(path.read_text(encoding="utf-8"))
        differ = [name for name in {**about, **there} if about.get(name) != there.get(name)]
        if differ:
            name = differ[0]
            what = "other sources" if name == "of" else f"{name} {there.get(name)}, not {about.get(name)}"
            raise ValueError(f"{self.out} was begun with {what}: give another folder, or the same flags and videos")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process is in such a block."""
        self._lock(ALONE, wait=True)
        try:
            yield
        finally:
            self._let_go(ALONE)

    def _lock(self, number: int, *, wait: bool = False) -> bool:
        """Whether this process now holds the lock of a byte; True where there are no locks."""
        if self._locks:
            try:
                fcntl.lockf(self._claims, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, number)
            except (BlockingIOError, PermissionError):
                return False
            except OSError as error:
                self._locks = False
                self.say(f"{self.out} has no locks ({error.strerror}): let every process have a --shard of its own")
        return True

    def _let_go(self, number: int) -> None:
        if self._locks:
            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, number)

    def _make(self, number: int, footage: Footage) -> None:
        marker = self.marker(number)
        without: list[str] = []
        video = marker.with_suffix(".mp4")
        for path in (video, video.with_suffix(".csv"), marker):
            sweep(path)
        while True:
            edit = draw(self.seed, number, self.sources, self.settings, without=without)
            crf = int(np.random.default_rng([self.seed, number, 1]).integers(self.quality[0], self.quality[1] + 1))
            try:
                with atomic(video) as part:
                    gpuaug.write_video(
                        part,
                        footage.frames(edit),
                        self.settings.rate,
                        self.codec,
                        options=CODECS[self.codec](crf),
                        container="mp4",
                        reproducible=True,
                    )
                break
            except Unreadable as error:
                without.append(error.name)
                if error.path not in self.unreadable:
                    self.unreadable[error.path] = error.reason
                    self.say(f"{error}; left out")
        told = self._told(number, edit, crf)
        with new_text(video.with_suffix(".csv")) as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(told["boundaries"])
        write_json(marker, told)

    def _told(self, number: int, edit: Edit, crf: int) -> dict[str, Any]:
        fps = self.settings.fps
        boundaries = edit.boundaries()
        for row in boundaries:
            row |= {f"{end}_seconds": round(row[end] / fps, 6) for end in ("first", "last")}
        shots = [
            {"source": clip.source.name, "label": clip.source.label, "start_seconds": round(clip.start_seconds, 6),
             "source_frames": clip.frames, "first": clip.first, "last": clip.last, "time": clip.edit}
            for clip in edit.clips
        ]  # fmt: skip
        name = self.marker(number).with_suffix(".mp4").relative_to(self.out).as_posix()
        about = {"video": name, "frames": edit.plan.shape[1], "fps": fps, "size": list(self.settings.size)}
        return {**about, "seed": self.seed, "number": number, "quality": crf, "boundaries": boundaries, "shots": shots}

    def _markers(self) -> Iterator[Path]:
        for folder in self.out.iterdir():
            if folder.is_dir() and folder.name.isdecimal():
                yield from (path for path in folder.glob("*.json") if path.stem.isdecimal())


def _clipshots(told: dict[str, Any]) -> dict[str, Any]:
    """A video in ClipShots' form: transitions as [last frame before, first frame after]; jumps are told apart."""
    pairs: dict[bool, list[list[int]]] = {True: [], False: []}
    for row in told["boundaries"]:
        pairs[row["kind"] == "jump"].append([row["first"] - 1, row["new"]])
    return {"transitions": pairs[False], "jumps": pairs[True], "frame_num": told["frames"]}
