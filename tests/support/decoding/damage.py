"""Damaged variants of real videos, decoded here and from first to last packet: a seeded run that can be resumed.

    PYTHONPATH=tests python -m support.decoding.damage --variants 10000 --out damage.jsonl [--seed 0] [--data FOLDER]
    PYTHONPATH=tests python -m support.decoding.damage --table damage.jsonl

A variant is a file of FOLDER/decode with one of KINDS done to it. It is right where it is refused, where all frames are
those of the sequential decode by PyAV's FFmpeg on one thread, or where the frames that are not were counted as damaged.
Where FFmpeg shows what its memory held before, and so something else in a second decode, nothing can be compared.
Whether there is an error at all is what ffmpeg (the program) says. Each runs in a worker process that may die or hang.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from gpuaug import probe
from gpuaug.video.backends.pyav import read_frames
from gpuaug.video.demux import Unusable, one_line, videos
from support.assets import ffmpeg_program
from support.decoding.sequential import by_packet, digest, index_of

HANGS_AFTER = 60.0  # seconds
# What may become of a variant.
RIGHT = {"refused", "nothing to show", "equal", "equal but for what is not shown", "part refused", "counted"}
RIGHT |= {"FFmpeg differs from itself"}
LARGEST = 60_000_000  # pixels of all frames of a source, unless no other file has its container and codec


def _bits(rng: np.random.Generator, data: bytearray, first: int, last: int, count: int) -> None:
    for at in rng.integers(first, last, count).tolist():
        data[at] ^= 1 << int(rng.integers(8))


def _block(rng: np.random.Generator, data: bytearray) -> tuple[int, int]:
    size = int(min(len(data) // 4 + 1, rng.choice([16, 188, 1024, 8192])))
    start = int(rng.integers(len(data) - size + 1))
    return start, start + size


def damage(kind: str, rng: np.random.Generator, data: bytearray) -> bytearray:
    """The bytes of a file with this done to them."""
    if kind.startswith("bits"):
        _bits(rng, data, 0, len(data), int(kind.split()[1]))
    elif kind == "header bits":
        _bits(rng, data, 0, min(len(data), 2048), int(rng.choice([1, 4, 16])))
    elif kind == "tail bits":
        _bits(rng, data, max(0, len(data) - 4096), len(data), int(rng.choice([1, 4, 16])))
    elif kind == "cut":
        del data[int(rng.integers(1, len(data))) :]
    else:
        start, stop = _block(rng, data)
        if kind == "zeros":
            data[start:stop] = bytes(stop - start)
        elif kind == "noise":
            data[start:stop] = rng.bytes(stop - start)
        elif kind == "removed":
            del data[start:stop]
        elif kind == "inserted":
            data[start:start] = rng.bytes(stop - start)
        elif kind == "doubled":
            data[start:start] = data[start:stop]
        elif kind == "moved":
            other, _ = _block(rng, data)
            block = data[start:stop]
            del data[start:stop]
            data[other:other] = block
        else:
            raise ValueError(f"kind must be one of KINDS, got {kind!r}")
    return data


KINDS = [
    "bits 1",
    "bits 10",
    "bits 100",
    "header bits",
    "tail bits",
    "cut",
    "zeros",
    "noise",
    "removed",
    "inserted",
    "doubled",
    "moved",
]


def sources(folder: Path) -> list[Path]:
    """Files of every container and codec, the small ones of each."""
    small: list[Path] = []
    least: dict[tuple[str, str], tuple[int, Path]] = {}
    for video in probe(folder, cache=False, progress=False).usable:
        path = Path(video.path)
        size, key = video.frames * video.width * video.height, (path.suffix, video.codec)
        if size <= LARGEST:
            small.append(path)
        if key not in least or size < least[key][0]:
            least[key] = size, path
    return sorted({*small, *(path for _, path in least.values())})


def make(source: Path, seed: int, number: int, folder: Path) -> tuple[Path, str]:
    """(file, kind) of a variant."""
    rng = np.random.default_rng((seed, number))
    kind = KINDS[int(rng.integers(len(KINDS)))]
    target = folder / f"{number}{source.suffix}"
    target.write_bytes(damage(kind, rng, bytearray(source.read_bytes())))
    return target, kind


def examine(path: Path, seed: int) -> dict[str, Any]:
    """What became of a file: "verdict" is refused, equal, part refused, counted or WRONG.

    Nothing to show: refused, and the sequential decode gives nothing either. Equal but for what is not shown: what is
    refused of it are frames that the sequential decode does not give.
    """
    (video,) = probe(path, cache=False, progress=False).videos
    errors = subprocess.run(
        [ffmpeg_program(), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v", "-f", "null", "-"],
        capture_output=True,
        check=False,
        timeout=HANGS_AFTER,
    )
    row: dict[str, Any] = {"ffmpeg error": bool(errors.stderr) or errors.returncode != 0, "reason": video.error}
    if video.error is not None:
        return row | {"verdict": "refused" if row["ffmpeg error"] or _shown(path) else "nothing to show"}
    try:
        index = index_of(path)
    except (Unusable, OSError, MemoryError) as error:
        return row | {"verdict": "refused", "reason": one_line(error)}
    expected = by_packet(path, index.stream)
    count, damaged = len(index.stamp_N), set[int]()
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, count, 3).tolist()
    asked = [np.arange(count), *(np.arange(s, min(s + 4, count)) for s in starts)]
    seen: dict[int, str] = {}
    wrong, lost = set[int](), set[int]()
    for positions in asked:
        left = set(positions.tolist())
        try:
            for i, frame in read_frames(index, positions, damaged):
                left.discard(i)
                picture = digest(frame)
                if seen.setdefault(i, picture) != picture or expected.get(int(index.packet_N[i])) != picture:
                    wrong.add(i)
        except (Unusable, OSError, MemoryError):
            lost |= left
    silent = wrong - damaged
    if silent or (wrong and not row["ffmpeg error"]):
        again = by_packet(path, index.stream, keep=True)
        changing = {i for i in wrong if again.get(int(index.packet_N[i])) != expected.get(int(index.packet_N[i]))}
        silent = set() if changing else silent  # what is shown then depends on it in other frames, too
        row |= {"changing": len(changing)}
    absent = {i for i in lost if int(index.packet_N[i]) not in expected}
    row |= {"frames": count, "damaged": len(damaged), "lost": len(lost), "absent": len(absent)}
    row |= {"unlike": len(wrong), "silent": len(silent)}
    if silent:
        return row | {"verdict": "WRONG", "where": sorted(silent)[:8]}
    if row.get("changing"):
        return row | {"verdict": "FFmpeg differs from itself"}
    if wrong or lost > absent:
        return row | {"verdict": "counted" if wrong else "part refused"}
    return row | {"verdict": "equal but for what is not shown" if absent else "equal"}


def _shown(path: Path) -> int:
    """How many pictures the sequential decode gives of the stream that ffmpeg chooses."""
    try:
        with av.open(str(path), metadata_errors="ignore") as file:
            index = videos(file)[0].index
        return len(by_packet(path, index))
    except (av.FFmpegError, Unusable):
        return 0


def _work(jobs: Any, results: Any) -> None:
    while (job := jobs.get()) is not None:
        source, seed, number = job
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            path, kind = make(source, seed, number, Path(folder))
            try:
                row = examine(path, number)
            except Exception as error:  # a traceback is what is looked for
                row = {"verdict": "traceback", "reason": f"{type(error).__name__}: {error}"}
        seconds = round(time.monotonic() - started, 2)
        results.put({"number": number, "source": source.name, "kind": kind, "seconds": seconds} | row)


def run(folder: Path, seed: int, numbers: list[int]) -> Iterator[dict[str, Any]]:
    """The rows of these variants; a worker that dies or hangs is replaced."""
    files, context = sources(folder), multiprocessing.get_context("spawn")
    worker = jobs = results = None
    for number in numbers:
        source = files[number % len(files)]
        if worker is None or not worker.is_alive():
            jobs, results = context.SimpleQueue(), context.Queue()
            worker = context.Process(target=_work, args=(jobs, results), daemon=True)
            worker.start()
        jobs.put((source, seed, number))
        until, row = time.monotonic() + 3 * HANGS_AFTER, None
        while row is None and time.monotonic() < until and worker.is_alive():
            try:
                row = results.get(timeout=1)
            except Exception:  # queue.Empty
                continue
        if row is None:
            verdict = "hang" if worker.is_alive() else f"crash ({worker.exitcode})"
            row = {"number": number, "source": source.name, "verdict": verdict}
            worker.kill()
            worker.join()
        yield row
    if worker is not None:
        jobs.put(None)
        worker.join(10)


def table(rows: list[dict[str, Any]]) -> str:
    """How many variants ended how, by whether ffmpeg finds an error."""
    count = Counter((row["verdict"], row.get("ffmpeg error")) for row in rows)
    lines = ["| verdict | ffmpeg finds an error | it finds none |", "|---|---|---|"]
    for verdict in sorted({verdict for verdict, _ in count}):
        others = count[verdict, None]
        lines.append(f"| {verdict} | {count[verdict, True] + others} | {count[verdict, False]} |")
    return "\n".join([*lines, f"| all {len(rows)} | | |"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--variants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("damage.jsonl"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GPUAUG_DATA", "../shared/data")))
    parser.add_argument("--table", type=Path, help="print the figures of an earlier run")
    given = parser.parse_args(argv)
    if given.table:
        print(table([json.loads(line) for line in given.table.read_text().splitlines()]))
        return 0
    done = {json.loads(line)["number"] for line in given.out.read_text().splitlines()} if given.out.exists() else set()
    with given.out.open("a") as out:
        for row in run(given.data / "decode", given.seed, [n for n in range(given.variants) if n not in done]):
            out.write(json.dumps(row) + "\n")
            out.flush()
    rows = [json.loads(line) for line in given.out.read_text().splitlines()]
    print(table(rows))
    bad = ("WRONG", "traceback", "hang", "crash")
    return int(any(row["verdict"].startswith(bad) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
