"""`python -m pretrain extract`: features of whole videos from sliding clips, for localisers and for TSP's GVF.

A clip has FRAMES frames at FPS frames per second; the next one starts STRIDE frames later. A video gives one row of F
features per clip, floor((frames - clip) / stride) + 1 in all. The JSON file written beside the features says so, with
the model, and names what could not be done. A run that was stopped is finished by the same command.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from tqdm import tqdm

import gpuaug

from ..common.cli import few
from ..common.distributed import Group, pick_device
from ..common.files import readable, write_json
from ..common.lock import FolderLock
from ..common.settings import saved
from ..data import overlap
from .extraction_plan import ExtractionPlan, extraction_settings, metadata, plan_extraction
from .extractor import Extractor, trained, untrained
from .grid import Grid, rescale
from .settings import ExtractSettings
from .sliding import Decode, VideoClips, sliding
from .store import Store

PRECISION = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
PLACES = {1: (0.5,), 3: (0.0, 0.5, 1.0)}


@dataclass
class Tally:
    """What one process did: names of finished videos, {path: reason} of failed ones, clips, time, and time waiting."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, int] = field(default_factory=dict)  # path → frames with errors that its features show
    clips: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0


def extract(args: ExtractSettings, group: Group) -> int:
    """The command, after its arguments were checked; returns the exit status."""
    device = pick_device(args.device)
    init = None if args.init == "none" else args.init
    loaded = [trained(path) for path in args.checkpoint or ()]
    loaded = loaded or [untrained(args.encoder or "", init, frames=args.frames, size=args.size, seed=args.seed)]
    encoders, models, usual = zip(*loaded)
    clip = args.frames or _same("frames", [net.frames for net in encoders])
    fit = args.fit or _same("fit", [each["fit"] for each in usual])
    wanted = args.fps or _same("fps", [each["fps"] for each in usual])
    native = wanted == "native"
    fps = 1.0 if wanted == "native" else wanted
    if fps is None:
        raise ValueError(f"fps must be given for encoder {encoders[0].name}, which has no usual rate")
    grid = Grid(fps, clip, args.stride or clip)
    short = args.short_side or round(max(net.size for net in encoders) / args.crop_share)
    view = {"crops": args.crops, "crop_share": args.crop_share, "fit": fit, "short_side": short}
    view |= {"precision": args.precision, "too_short": args.too_short, "names": args.names}
    settings = extraction_settings(grid, native, models, pool=args.pool, rescale=args.rescale, **view)
    store = Store(args.out, args.format)
    trained_on = [video for weights in (*(args.checkpoint or ()), init) for video in overlap.of_run(weights)]
    precision, places = PRECISION[args.precision], PLACES[args.crops]
    extractor = Extractor(encoders, device=device, places=places, scale=args.crop_share, precision=precision)

    how: dict[str, Any] = {"size": short, "fit": "short"}
    if fit == "stretch":  # TSP: 128 × 171 [C]
        how = {"size": (short, round(short * 4 / 3)), "fit": "stretch"}

    def frame_bytes(video: gpuaug.Video) -> int:
        return 3 * math.prod(decoder.output_size(video.height, video.width))

    held = ExitStack()

    def prepare() -> ExtractionPlan:  # in the first process only
        tell = functools.partial(print, file=sys.stderr)
        held.enter_context(FolderLock(store.folder, f"--out {store.out}", tell, file=False))
        store.sweep()
        plan = plan_extraction(
            args.videos, store, settings, frame_bytes=frame_bytes, names=args.names, too_short=args.too_short
        )
        content = metadata(settings, plan, plan.finished, {}, store, trained_on)
        write_json(store.settings_file, content | {"flags": saved(args)})
        return plan

    def conclude() -> int:
        failed = {path: reason for t in tallies for path, reason in t.failed.items()}
        lost = store.merge(settings)
        stored, done = store.finished(clips.name for clips in plan.videos), {name for t in tallies for name in t.done}
        for clips in plan.videos:
            if clips.name in done | plan.finished.keys() and clips.name not in stored:
                failed[clips.video.path] = lost.get(store.key(clips.name), f"its features are not in {store.out}")
        content = metadata(settings, plan, stored, failed, store, trained_on)
        content |= {"flags": saved(args), "last_run": speed(tallies, device)}
        for tally in tallies:
            content["damaged_frames"] |= tally.damaged
        write_json(store.settings_file, content)
        return report(len(done & stored.keys()), len(plan.finished.keys() & stored.keys()), content, store)

    with held:
        with gpuaug.Decoder(device, **how, backend=args.backend, threads=args.threads, cache=None) as decoder:
            plan = _once(prepare, group)
            tally = run(
                plan.shard(group.world)[group.rank], extractor, decoder.decode, store, args, quiet=not group.main
            )
            tally.damaged = decoder.damaged_frames
        tallies = group.gather(tally)
        return _once(conclude, group)


def run(
    videos: list[VideoClips], extractor: Extractor, decode: Decode, store: Store, args: ExtractSettings, *, quiet: bool
) -> Tally:
    """Extract and store the features of `videos`."""
    tally = Tally()
    rows: dict[str, list[NDArray[np.float32]]] = {clips.name: [] for clips in videos}
    begin = waiting = time.perf_counter()
    with tqdm(total=sum(clips.rows for clips in videos), desc="extract", unit="clip", disable=quiet or None) as bar:
        for chunks in sliding(videos, decode, memory_bytes=args.memory << 20):
            tally.wait_seconds += time.perf_counter() - waiting
            good = [chunk for chunk in chunks if not chunk.error]
            for chunk, values in zip(good, extractor.encode(good, args.batch)):
                rows[chunk.clips.name].append(values)
                tally.clips += len(values)
                bar.update(len(values))
            for chunk in chunks:
                clips = chunk.clips
                if chunk.error:
                    tally.failed[clips.video.path] = chunk.error
                    bar.total -= clips.rows - sum(map(len, rows.pop(clips.name)))
                elif chunk.last:
                    rows_TF = np.concatenate(rows.pop(clips.name))
                    try:
                        store.write(clips.name, finish(clips, rows_TF, args.pool, args.rescale))
                        tally.done.append(clips.name)
                    except ValueError as error:  # of its name
                        tally.failed[clips.video.path] = str(error)
            bar.set_postfix(videos=len(tally.done), failed=len(tally.failed), refresh=False)
            del chunks, good
            waiting = time.perf_counter()
    tally.seconds = time.perf_counter() - begin
    return tally


def finish(
    clips: VideoClips, rows_TF: NDArray[np.float32], pool: str | None, length: int | None
) -> NDArray[np.float32]:
    """What is stored of a video: its rows, the same rescaled to `length`, or pooled to one vector (TSP's GVF)."""
    if pool:
        return rows_TF.max(0) if pool == "max" else rows_TF.mean(0, dtype=np.float64).astype(np.float32)
    if length:
        return rescale(rows_TF, clips.grid.center_seconds(clips.rows), clips.video.duration_seconds, length)
    return rows_TF


def speed(tallies: list[Tally], device: torch.device) -> dict[str, Any]:
    """How fast it was, and what limited it."""
    clips, seconds = sum(t.clips for t in tallies), max(t.seconds for t in tallies)
    waiting = max(t.wait_seconds for t in tallies) / max(seconds, 1e-9)
    return {
        "device": str(device),
        "processes": len(tallies),
        "videos": sum(len(t.done) for t in tallies),
        "clips": clips,
        "seconds": seconds,
        "clips_per_second": clips / max(seconds, 1e-9),
        "waiting_share": waiting,
        "limited_by": "decoding" if waiting > 0.5 else "the encoder",
    }


def report(done: int, before: int, content: dict[str, Any], store: Store) -> int:
    """Print how many videos' features are stored, `before` by earlier runs, and what is not; 1 if there are none."""
    parts = [f"{done} videos extracted"] + [f"{before} were there"] * bool(before)
    lists = {"padded": content["padded"], "too short and skipped": content["skipped"], "failed": content["failed"]}
    lists["with damaged frames"] = content["damaged_frames"]
    parts += [f"{len(names)} {what}" for what, names in lists.items() if names]
    print(f"{store.out}: {', '.join(parts)}")
    lines = [f"{what}: {path}: {reason}" for what in ("failed", "skipped") for path, reason in content[what].items()]
    lines += [
        f"damaged: {path}: its features show {frames} frames with errors, as FFmpeg gives them"
        for path, frames in content["damaged_frames"].items()
    ]
    for line in few(lines):
        print(readable(f"  {line}"), file=sys.stderr)
    if len(lines) > len(few(lines)):
        print(f"  all are named in {store.settings_file}", file=sys.stderr)
    if not done and not before:
        print(f"extract: videos must include a usable file, got none in {len(content['failed'])}", file=sys.stderr)
        return 1
    fast = content["last_run"]
    if fast["clips"]:
        line = f"  {fast['clips']} clips in {fast['seconds']:.1f} s, {fast['clips_per_second']:.1f} clips/s, limited by"
        print(f"{line} {fast['limited_by']} ({100 * fast['waiting_share']:.0f} % of the time spent waiting for frames)")
    return 0


def _once(work: Callable[[], Any], group: Group) -> Any:
    """What `work` returns, or raises, in the main process; in all processes."""
    result: list[Any] = [None, None]
    if group.main:
        try:
            result[0] = work()
        except (ValueError, OSError) as error:
            if group.world == 1:
                raise
            result[1] = ValueError(str(error))
    if group.world > 1:
        dist.broadcast_object_list(result)
    if result[1] is not None:
        raise result[1]
    return result[0]


def _same(name: str, values: list[Any]) -> Any:
    if len(set(values)) > 1:
        raise ValueError(f"{name} must be given where the checkpoints' differ, they have {values}")
    return values[0]
