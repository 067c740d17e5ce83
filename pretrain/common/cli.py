"""What all commands share: exit statuses, one-line errors, and flags made from dataclasses of settings."""

from __future__ import annotations

import argparse
import functools
import io
import json
import os
import shlex
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .parser import Parser
from .settings import BadSetting, Default, Kinds, Recipe, flags_of, option, renamed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    S = TypeVar("S", bound=DataclassInstance)
Main = Callable[[Sequence[str] | None], int]


class Failed(Exception):
    """A run that went wrong in a way the user should read in one line."""


def prog(command: str = "") -> str:
    """How the user called this program and that command, for help texts: `gpuaug train`, `python -m pretrain train`."""
    program = "gpuaug" if Path(sys.argv[0]).stem == "gpuaug" else "python -m pretrain"
    return f"{program} {command}".rstrip()


def next_step(name: str, *words: object) -> None:
    """Tell, on standard error, the command that would come next; capitals are for the user to fill in."""
    print(f"next: {prog(name)} {shlex.join(map(str, words))}", file=sys.stderr)


def few(lines: Iterable[str], most: int = 10) -> list[str]:
    """The first lines, and how many more there are.

    >>> few(["a", "b", "c"], 1)
    ['a', 'and 2 more']
    """
    found = list(lines)
    return found[:most] + [f"and {len(found) - most:,} more"] * (len(found) > most)


def command(name: str, *, goes_on: bool = False) -> Callable[[Callable[[Sequence[str] | None], int | None]], Main]:
    """Decorator of a `main(argv=None)`: exit status 0 done, 1 failed, 2 wrong usage; bad input prints one line.

    Errors of the program itself keep their traceback; so does everything where GPUAUG_TRACEBACK is set.

    Args:
        goes_on: the same command, given again, keeps what was done; told after ^C.
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
            except (ValueError, OSError, Failed, gpuaug.Starved, gpuaug.NoSegmentLeft) as error:
                if os.environ.get("GPUAUG_TRACEBACK"):
                    raise
                from .files import readable  # here: NumPy

                message = readable(" ".join(str(error).split())) or type(error).__name__
            except KeyboardInterrupt:
                message = "interrupted" + "; the same command goes on with what is left" * goes_on
            print(f"{name}: {message}", file=sys.stderr)
            return 1

        return guarded

    return decorate


def add_flags(parser: argparse.ArgumentParser, kinds: Kinds, recipes: Mapping[str, Recipe] | None = None) -> None:
    """Add a group of flags for each dataclass. Flags that are not given leave no trace in the namespace.

    Args:
        kinds: the first one has the say about a name that several have.
        recipes: name of a task → its defaults, told in the help texts; where there are several, all that differ.
    """
    taken: set[str] = set()
    for title, kind in kinds.items():
        group, types_of = parser.add_argument_group(title), typing.get_type_hints(kind)
        for each in flags_of(kind):
            if each.name in taken:
                continue
            taken.add(each.name)
            if each.metadata["title"]:
                group = parser.add_argument_group(each.metadata["title"])
            words = [word for word in (each.metadata["short"], option(each.name)) if word]
            text = f"{each.metadata['help']}{_default_text(each, recipes or {})}".replace("%", "%%")
            how = _parsing(types_of[each.name], each.default)
            if each.metadata["metavar"]:
                how["metavar"] = each.metadata["metavar"]
            if each.metadata["repeats"]:
                how["action"] = "extend"
            group.add_argument(*words, dest=each.name, default=argparse.SUPPRESS, help=text, **how)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config, which `parse` follows."""
    text = (
        "what a run wrote of its flags (its config.json), or flags by name in JSON; those given beside it override it"
    )
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=text)


def parse(parser: Parser, argv: Sequence[str] | None, kinds: Kinds, recipe: Recipe | None = None) -> dict[str, Any]:
    """Name → value: of the flags, else of the file --config, else of the recipe. (Else a field has its own default.)

    Wrong usage ends the program with status 2 and one line, as argparse does.
    """
    later = {each.name for kind in kinds.values() for each in flags_of(kind) if each.metadata["later"]}
    recipe = {name: default for name, default in (recipe or {}).items() if name not in later}
    values = {name: default.value for name, default in recipe.items()}
    configured: dict[str, Any] = {}
    given = vars(parser.parse_args(_without_old_names(sys.argv[1:] if argv is None else argv, kinds)))
    if config := given.pop("config", None):
        parser.origin = f"--config {config}: "
        configured = vars(parser.parse_args(_words(parser, read_config(config), kinds)))
        parser.origin = ""
    values |= configured
    for each in (each for kind in kinds.values() for each in flags_of(kind) if each.name in given):
        values = {name: value for name, value in values.items() if name not in each.metadata["instead_of"]}
    values |= given
    for name, default in recipe.items():
        if default.follows and name not in given:
            before = {default.follows: recipe[default.follows].value, **(configured if name in configured else {})}
            scale = values[default.follows] / (before[default.follows] or 1)  # 0 is refused where settings are made
            values[name] = tuple(round(pixels * scale) for pixels in values[name])
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def read(argv: Sequence[str] | None, kinds: Kinds, **about: Any) -> list[Any]:
    """The settings, one of each kind, that the words of a command make. `about`: of its `Parser`."""
    parser = Parser(**about)
    add_config(parser)
    add_flags(parser, kinds)
    values = parse(parser, argv, kinds)
    try:
        return [make(kind, values) for kind in kinds.values()]
    except ValueError as error:
        parser.error(getattr(error, "flag", str(error)))


def make(kind: type[S], values: Mapping[str, Any]) -> S:
    """Settings of this kind from the values of their fields among others."""
    for each in fields(kind):
        if each.default is MISSING and each.name not in values:
            raise BadSetting(each.name, "given", "nothing")
    return kind(**{each.name: values[each.name] for each in fields(kind) if each.name in values})


def read_config(path: str | Path) -> dict[str, Any]:
    """The flags that a run's config.json holds, or those of a plain JSON object of flags.

    Errors (ValueError): no such file, or it is neither.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"--config must be a run's config.json or a JSON object of flags, {path}: {why}") from None
    flags = content.get("flags", content) if isinstance(content, dict) else None
    if not isinstance(flags, dict):
        raise ValueError(f"--config must be a run's config.json or a JSON object of flags, {path} is neither")
    return flags


def _words(parser: Parser, flags: Mapping[str, Any], kinds: Kinds) -> list[str]:
    """The words that would give these flags; null gives none."""
    known = {action.dest: action for action in parser._actions}
    unsaved = {each.name for kind in kinds.values() for each in flags_of(kind) if not each.metadata["saved"]}
    words: list[str] = []
    for name, value in renamed(flags, kinds.values()).items():
        if name not in known or name in ("config", "help", "help_all"):
            parser.error(f"there is no setting {name}")
        if value is None or name in unsaved:
            continue
        if isinstance(known[name], argparse.BooleanOptionalAction):
            if not isinstance(value, bool):
                parser.error(f"{name} must be true or false, got {value!r}")
            words.append(option(name) if value else "--no-" + option(name)[2:])
        elif isinstance(value, list):
            words += [option(name), *map(str, value)]
        else:
            words.append(f"{option(name)}={value}")
    return words


def _without_old_names(argv: Sequence[str], kinds: Kinds) -> list[str]:
    """The words with flags of the last version in their new names, and a line for each on standard error."""
    names = [each for kind in kinds.values() for each in flags_of(kind) if each.metadata["old"]]
    new = {option(each.metadata["old"]): option(each.name) for each in names}
    words = []
    for word in argv:
        name, equals, value = word.partition("=")
        if name in new:
            print(f"{name} is called {new[name]} now; the old name will go in the next version", file=sys.stderr)
        words.append(f"{new.get(name, name)}{equals}{value}")
    return words


def _parsing(kind: Any, default: Any) -> dict[str, Any]:
    """The arguments of `add_argument` for a field's type: number, bool, str, Path, Literal, tuples of them, or None."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind, *words = (part for part in typing.get_args(kind) if part is not type(None))
        if words:  # a number, or one of some words
            return {"type": _number_or_word(kind, typing.get_args(words[0]))}
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        repeated = ("*" if default == () else "+") if parts[1:] == (Ellipsis,) else len(parts)
        return {**_parsing(parts[0], None), "nargs": repeated}
    if origin is Literal:
        return {"choices": parts, "type": type(parts[0])}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind not in (int, float, str, Path):
        raise TypeError(f"settings must be int, float, bool, str, Path, Literal, tuples of them or None, got {kind}")
    return {"type": kind}


def _number_or_word(kind: type, words: Sequence[str]) -> Callable[[str], Any]:
    def parsed(text: str) -> Any:
        return text if text in words else kind(text)

    parsed.__name__ = " or ".join((kind.__name__, *words))  # for argparse's errors
    return parsed


def _default_text(each: Field[Any], recipes: Mapping[str, Recipe]) -> str:
    """ " (default 128 [C])", or of each task where they differ; nothing where the help text has it."""
    usual = Default(each.default)
    own = {name: recipe.get(each.name, usual) for name, recipe in recipes.items()} or {"": usual}
    first, *others = own.values()
    if all(one == first for one in others):
        return f" (default {shown})" if (shown := _shown(first)) else " (required)" * (each.default is MISSING)
    return f" (default {', '.join(f'{name} {_shown(one)}'.rstrip() for name, one in own.items() if _shown(one))})"


def _shown(default: Default) -> str:
    value = default.value
    if value is MISSING or value is None or value is False or value == "" or value == ():
        return ""
    if value is True:
        value = "yes"
    values = value if isinstance(value, tuple) else (value,)
    text = " ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in values)
    return f"{text} {default.source}".rstrip()
