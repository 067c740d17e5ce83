"""What all commands share: exit statuses, one-line errors, and flags made from the options of functions."""

from __future__ import annotations

import argparse
import functools
import inspect
import io
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

Main = Callable[[Sequence[str] | None], int]


class Failed(Exception):
    """A run that went wrong in a way the user should read in one line."""


def prog(command: str = "") -> str:
    """How the user called this program and that command, for help texts: `gpuaug train`, `python -m pretrain train`."""
    program = "gpuaug" if Path(sys.argv[0]).stem == "gpuaug" else "python -m pretrain"
    return f"{program} {command}".rstrip()


def command(name: str) -> Callable[[Callable[[Sequence[str] | None], int | None]], Main]:
    """Decorator of a `main(argv=None)`: exit status 0 done, 1 failed, 2 wrong usage; bad input prints one line.

    Errors of the program itself keep their traceback; so does everything where GPUAUG_TRACEBACK is set.
    """

    def decorate(main: Callable[[Sequence[str] | None], int | None]) -> Main:
        @functools.wraps(main)
        def guarded(argv: Sequence[str] | None = None) -> int:
            import gpuaug  # here, so that a list of the commands does not wait for torch

            if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may hold bytes that are no text
                sys.stdout.reconfigure(errors="backslashreplace")
            try:
                return main(argv) or 0
            except SystemExit as end:  # argparse
                return end.code if isinstance(end.code, int) else int(end.code is not None)
            except (ValueError, OSError, Failed, gpuaug.Starved) as error:
                if os.environ.get("GPUAUG_TRACEBACK"):
                    raise
                from .files import readable  # here: NumPy

                message = readable(" ".join(str(error).split())) or type(error).__name__
            except KeyboardInterrupt:
                message = "interrupted"
            print(f"{name}: {message}", file=sys.stderr)
            return 1

        return guarded

    return decorate


def add_options(group: Any, functions: Iterable[Callable[..., Any]], taken: Iterable[str] = ()) -> None:
    """Add a flag per keyword-only parameter of the functions, with the help text of its line under "Args:".

    Parameters of one name become one flag. Types: int, float, bool, str, Literal, tuples of them, or None.

    Args:
        group: a parser or a group of one.
        functions: functions or classes.
        taken: names that other flags have already.
    """
    seen = set(taken)
    for function in functions:
        kinds = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
        notes = _notes(function)
        for name, parameter in _options(function).items():
            if name in seen:
                continue
            seen.add(name)
            text = notes.get(name, "").replace("%", "%%")
            group.add_argument(
                "--" + name.replace("_", "-"),
                default=parameter.default,
                help=f"{text} (default {_shown(parameter.default)})",
                **_parsing(kinds[name]),
            )


def take_options(function: Callable[..., Any], args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of a function among parsed flags; lists as tuples."""
    found = {name: getattr(args, name) for name in _options(function) if hasattr(args, name)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _notes(function: Callable[..., Any]) -> dict[str, str]:
    """name → text of the section "Args:" of the docstring; a line that begins further in continues an entry."""
    lines = (inspect.getdoc(function) or "").split("\n")
    if "Args:" not in lines:
        return {}
    notes: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index("Args:") + 1 :]:
        if line and not line.startswith("    "):
            break
        entry = re.match(r"    (\w+(?:, \w+)*): (.*)", line)
        if entry:
            names = entry[1].split(", ")
            notes.update((name, entry[2]) for name in names)
        elif line.strip():
            notes.update((name, f"{notes[name]} {line.strip()}") for name in names)
    return notes


def _parsing(kind: Any) -> dict[str, Any]:
    """The arguments of `add_argument` for a parameter's type."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        repeated = len(parts) == 2 and parts[1] is Ellipsis
        return {**_parsing(parts[0]), "nargs": "+" if repeated else len(parts)}
    if origin is Literal:
        return {"choices": parts, "type": type(parts[0])}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind not in (int, float, str):
        raise TypeError(f"options must be int, float, bool, str, Literal, tuples of them or None, got {kind}")
    return {"type": kind}


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return "none" if value is None or value == "" else str(value)
