"""`python -m gpuaug doctor | probe`, the library's own commands; `gpuaug --help` lists those of training too."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import __version__, probe
from .values import nearest

DOCTOR = "what this machine has, and what would make it faster"
PROBE = "what is in a folder of videos, as a CSV"
COMMANDS = ("doctor", "probe")
SHOWN = 10  # unusable files that are told of


def main(argv: Sequence[str] | None = None, prog: str = "python -m gpuaug") -> int:
    """Run one command; returns 0 (done), 1 (failed) or 2 (wrong usage). `prog` is the program's name in help texts."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        near = nearest(words[0], COMMANDS)
        hint = f"did you mean {near!r}?" if near else f"{prog} --help lists them; those of training: gpuaug --help"
        print(f"{prog}: there is no command {words[0]!r} here; {hint}", file=sys.stderr)
        return 2
    given = argparse.Namespace()
    try:
        given = _parser(prog).parse_args(argv)
        status: int = given.run(given)
        return status
    except SystemExit as end:  # argparse: 0 after --help, 2 for wrong usage
        return end.code if isinstance(end.code, int) else 2
    except KeyboardInterrupt:
        kept = "; what was read is remembered" if getattr(given, "no_cache", True) is False else ""
        print(f"stopped{kept}", file=sys.stderr)
        return 1
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


class Parser(argparse.ArgumentParser):
    """One whose errors are one line, with the nearest flag where one is misspelt, and which takes no shortened ones."""

    def __init__(self, **how: Any) -> None:
        super().__init__(allow_abbrev=False, **how)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, rest = super().parse_known_args(args, namespace)
        if rest and self._defaults:  # that of a command, which knows its flags
            word, flag = rest[0].partition("=")[0], rest[0].startswith("-")
            near = nearest(word, self._option_string_actions) if flag else ""
            what = f"there is no flag {word}" if flag else f"nothing is known of {word}"
            self.error(f"{what}; did you mean {near}?" if near else what)
        return found, rest

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=prog,
        description="GPU-native, on-the-fly video augmentation.",
        epilog="The program gpuaug has these commands and those of training.",
    )
    parser.add_argument("--version", action="version", version=f"gpuaug {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("doctor", help=DOCTOR, description=f"Shows {DOCTOR}.").set_defaults(run=_doctor)
    command = commands.add_parser(
        "probe",
        help=PROBE,
        description="Reads the containers of video files and writes a CSV with label, duration_seconds, fps, frames, "
        "display size, rotation, codec and, for unusable files, the reason (column error).",
    )
    add = command.add_argument
    meaning = "video file, folder (FOLDER/CLASS/video gives labels), or CSV with columns path and label"
    add("paths", nargs="+", metavar="PATH", help=meaning)
    add("-o", "--out", metavar="CSV", help="write the manifest here; default: only the summary")
    add("--cache", metavar="FILE", help="remember results here; default: the user's cache folder")
    add("--no-cache", action="store_true", help="read every file again")
    add("--workers", type=int, metavar="N", help="files read at the same time; default: 4 for each core")
    command.set_defaults(run=functools.partial(_probe, command))
    return parser


def _doctor(given: argparse.Namespace) -> int:
    from . import doctor

    return doctor.report()


def _probe(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    if given.workers is not None and given.workers < 1:
        parser.error(f"--workers must be >= 1, got {given.workers}")
    if given.out:
        folder = os.path.dirname(os.path.abspath(given.out))
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            parser.error(f"--out {given.out}: {folder} cannot be made ({error.strerror})")
    manifest = probe(given.paths, cache=False if given.no_cache else given.cache, workers=given.workers)
    if given.out:
        manifest.save(given.out)
    usable, failed = manifest.usable, manifest.failed
    hours = sum(video.duration_seconds for video in usable) / 3600
    labels = {video.label for video in usable} - {None}
    print(f"{len(usable)} usable videos, {hours:.2f} hours, {len(labels)} classes; {len(failed)} unusable")
    for video in failed[:SHOWN]:
        print(f"  {video.path}: {video.error}", file=sys.stderr)
    if len(failed) > SHOWN:
        print(f"  and {len(failed) - SHOWN} more; --out writes them all, column error", file=sys.stderr)
    if given.out:
        print(f"written to {given.out}")
    return 0 if usable else 1


if __name__ == "__main__":
    sys.exit(main())
