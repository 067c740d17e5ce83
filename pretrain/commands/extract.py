"""Features of whole videos from sliding clips, for localisers and for TSP's GVF.

A clip has CLIP frames at FPS frames per second; the next one starts STRIDE frames later. A video gives one row of F
features per clip, floor((frames - clip) / stride) + 1 in all. The JSON file written beside the features says so, with
the model, and names what could not be done. A run that was stopped is finished by the same command.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import get_args

import gpuaug

from ..common.cli import command, prog
from ..common.distributed import DEVICES, start
from ..features.extract import PLACES, PRECISION, extract
from ..features.store import HDF5, SUFFIX


@command("extract")
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 done, with a report; 1 nothing could be done; 2 wrong usage."""
    parser = _parser()
    args = parser.parse_args(argv)
    _check(parser, args)
    # gloo on GPUs too: only lists of names are exchanged; and processes may take very different times
    group = start("cpu", timeout=timedelta(days=30))
    try:
        return extract(args, group)
    finally:
        group.close()


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse what does not fit together, with exit status 2."""
    single = Path(args.out).suffix in HDF5
    if bool(args.checkpoint) == bool(args.encoder):
        parser.error("either --checkpoint or --encoder must be given")
    if args.encoder and not args.init:
        parser.error("--encoder needs --init FILE, or --init none for random weights")
    if args.checkpoint and (args.init or args.size):
        parser.error("--init and --size belong to --encoder; a checkpoint has its own")
    if args.pool and args.rescale:
        parser.error("--pool and --rescale cannot be had together")
    if single and args.format != "npy":
        parser.error("--format is for a folder; --out names an HDF5 file")
    if args.pool and args.format == "csv":
        parser.error("--pool gives one vector per video: use npy, pickle or an HDF5 file")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog("extract"), description=__doc__.partition("\n\n")[2])
    group = parser.add_argument_group("input and output").add_argument
    group("--videos", nargs="+", required=True, metavar="PATH", help="files, folders, or CSVs with a column path")
    group("--out", required=True, metavar="DIR|FILE.h5", help="folder for one file per video, or one HDF5 file")
    group(
        "--format", choices=SUFFIX, default="npy", help="of a folder's files: npy (default), pickle (TSP's .pkl), csv"
    )
    group("--names", choices=("stem", "path", "file"), default="stem", help="stem (default), with folders, and suffix")
    group("--pool", choices=("max", "mean"), help="one vector per video over all its clips: TSP's GVF (max [P])")
    group("--rescale", type=_count, metavar="ROWS", help="as many rows for every video (BMN, G-TAD: 100)")
    group("--too-short", choices=("pad", "skip"), default="pad", help="videos below one clip: repeat the last frame")
    group = parser.add_argument_group("model").add_argument
    group(
        "--checkpoint",
        action="append",
        metavar="RUN",
        help="folder or file of `train`; twice: features side by side (two-stream)",
    )
    group("--encoder", metavar="NAME", help="without a checkpoint: e.g. r2plus1d_34, tsm_resnet50, hf:videomae")
    group("--init", metavar="FILE|none", help="weights of --encoder (torchvision, TSM, TSP); none: random, of --seed")
    group("--seed", type=int, default=0, help="of random weights (default %(default)s)")
    group("--size", type=_count, help="of --encoder's clips in pixels (default: its usual size)")
    group = parser.add_argument_group("clips").add_argument
    group("--fps", type=_rate, metavar="RATE|native", help="frames/s; native: each video's own (default: the model's)")
    group("--clip", type=_count, metavar="FRAMES", help="length of a clip (default: the model's)")
    group("--stride", type=_count, metavar="FRAMES", help="from clip to clip (default: CLIP; TSP on THUMOS14: 1 [C])")
    group("--crops", type=int, choices=PLACES, default=1, help="1 in the centre, or 3 along the longer side, averaged")
    group("--crop-share", type=_share, default=0.875, help="of the short side (default %(default)s: 224 of 256 [C])")
    group("--short-side", type=_count, metavar="PIXELS", help="of decoded frames (default: SIZE / CROP_SHARE)")
    group(
        "--fit", choices=("inside", "stretch"), help="keep the aspect, or 3:4 (TSP: 128 x 171 [C]); default: as trained"
    )
    group = parser.add_argument_group("machine (torchrun shares the videos among processes)").add_argument
    group("--device", default="auto", help=DEVICES)
    group("--backend", choices=get_args(gpuaug.Decoder.Backend), default="auto", help="of decoding")
    group("--threads", type=_count, help="of decoding (default: one per core)")
    group("--batch", type=_count, default=32, metavar="CLIPS", help="default %(default)s")
    group("--precision", choices=PRECISION, default="fp32", help="of the encoder (default %(default)s)")
    group("--memory", type=_count, default=512, metavar="MIB", help="for decoded frames (default %(default)s)")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be ≥ 1, got {text}")
    return value


def _rate(text: str) -> float | str:
    if text != "native" and not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0 or native, got {text}")
    return text if text == "native" else float(text)


def _share(text: str) -> float:
    if not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError(f"must be in (0, 1], got {text}")
    return float(text)
