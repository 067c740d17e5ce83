"""python -m gpuaug doctor | probe"""

from __future__ import annotations

import argparse
import os
import sys

COMMANDS = {
    "probe": "what is in a folder of videos, as a CSV",
    "doctor": "what this machine has, and what would make it faster",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 (done), 1 (failed) or 2 (wrong usage)."""
    listing = "\n".join(f"  {name:<8} {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m gpuaug",
        description="GPU-native, on-the-fly video augmentation.",
        epilog=f"commands:\n{listing}\n\npython -m gpuaug COMMAND --help tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="…", help="what the command takes")
    try:
        given = parser.parse_args(argv)
        if given.command == "probe":
            return _probe(given.arguments)
        from . import doctor

        return doctor.main(given.arguments)
    except SystemExit as end:  # argparse: 0 after --help, 2 for wrong usage
        return end.code if isinstance(end.code, int) else 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _probe(argv: list[str]) -> int:
    from .video.manifest import probe

    parser = argparse.ArgumentParser(
        prog="python -m gpuaug probe",
        description="Reads the containers of video files and writes a CSV with label, duration_seconds, fps, frames, "
        "display size, rotation, codec and, for unusable files, the reason (column error).",
    )
    meaning = "video file, folder (FOLDER/CLASS/video gives labels), or CSV with columns path and label"
    parser.add_argument("paths", nargs="+", metavar="PATH", help=meaning)
    parser.add_argument("-o", "--out", metavar="CSV", help="write the manifest here; default: only the summary")
    parser.add_argument("--cache", metavar="FILE", help="remember results here; default: the user's cache folder")
    parser.add_argument("--no-cache", action="store_true", help="read every file again")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="files read at the same time; default: 4 for each core"
    )
    given = parser.parse_args(argv)
    if given.workers is not None and given.workers < 1:
        parser.error(f"--workers must be >= 1, got {given.workers}")
    if given.out and not os.path.isdir(os.path.dirname(os.path.abspath(given.out))):
        parser.error(f"--out: no such folder: {os.path.dirname(given.out)}")
    manifest = probe(given.paths, cache=False if given.no_cache else given.cache, workers=given.workers)
    if given.out:
        manifest.save(given.out)
    usable, failed = manifest.usable, manifest.failed
    hours = sum(video.duration_seconds for video in usable) / 3600
    labels = {video.label for video in usable} - {None}
    print(f"{len(usable)} usable videos, {hours:.2f} hours, {len(labels)} classes; {len(failed)} unusable")
    for video in failed:
        print(f"  {video.path}: {video.error}", file=sys.stderr)
    if given.out:
        print(f"written to {given.out}")
    return 0 if usable else 1


if __name__ == "__main__":
    sys.exit(main())
