"""Settings: frozen dataclasses, each beside the code that it steers, from whose fields all else about them is made.

A field states its default, its help text and its range once, with `setting`; from that come the flag, the check, and
what a config.json says and --config reads. Fields of one name in several dataclasses are one flag. Used by whatever has
settings; imports nothing of pretrain.
"""

from __future__ import annotations

import argparse
import json
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    S = TypeVar("S", bound=DataclassInstance)
T = TypeVar("T")
Kinds = Mapping[str, "type[DataclassInstance]"]  # title of a group of flags → its dataclass


@dataclass(frozen=True)
class Default:
    """A default that a recipe gives to a setting, and where it comes from, such as "[P] figures"."""

    value: Any
    source: str = ""


Recipe = Mapping[str, Default]  # by the name of a field


class BadSetting(ValueError):
    """A value out of its range. `flag` says it to those who gave a flag."""

    def __init__(self, name: str, rule: str, value: Any) -> None:
        super().__init__(f"{name} must be {rule}, got {name}={value}")
        self.flag = f"{option(name)} must be {rule}, got {value}"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line; it begins with `origin`, where the words that it reads come from."""

    origin = ""

    def error(self, message: str) -> typing.NoReturn:
        self.exit(2, f"{self.prog}: error: {self.origin}{message}\n")


def setting(
    default: T,
    text: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    metavar: Any = None,
    short: str = "",
    old: str = "",
    later: bool = False,
    saved: bool = True,
) -> T:
    """A field of a dataclass of settings that is a flag.

    Args:
        default: MISSING where a flag or a recipe has to give a value.
        text: for --help: what it is and its unit; where the default is None, what that means.
        least, most: the smallest and the greatest value allowed. above: what it has to exceed, in place of both.
        metavar: what --help shows for the value. short: a second spelling, "-o".
        old: the name in the last version, which is still taken, with a word.
        later: a recipe's value is not filled in here, since it depends on more than flags.
        saved: written to a config.json.
    """
    about = {"help": text, "least": least, "above": above, "most": most, "metavar": metavar}
    return field(default=default, metadata={**about, "short": short, "old": old, "later": later, "saved": saved})


def required(text: str, **rule: Any) -> Any:
    """The same without a default."""
    return setting(MISSING, text, **rule)


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


def flags_of(kind: type[DataclassInstance] | DataclassInstance) -> list[Field[Any]]:
    """The fields that are flags."""
    return [each for each in fields(kind) if "help" in each.metadata]


def check(settings: DataclassInstance) -> None:
    """BadSetting where a value is not what its field allows; to be called when the settings are made."""
    types_of = typing.get_type_hints(type(settings))
    for each in flags_of(settings):
        value, about = getattr(settings, each.name), each.metadata
        for kind in (types_of[each.name], *typing.get_args(types_of[each.name])):
            if typing.get_origin(kind) is Literal and value is not None and value not in typing.get_args(kind):
                raise BadSetting(each.name, f"one of {', '.join(map(str, typing.get_args(kind)))}", value)
        least, above, most = about["least"], about["above"], about["most"]
        rule = f"> {above}" if least is None else f"≥ {least}" if most is None else f"in [{least}, {most}]"
        for one in value if isinstance(value, tuple) else (value,):
            if one is None or (least is None and above is None):
                continue
            if not (one > above if least is None else least <= one <= (one if most is None else most)):
                raise BadSetting(each.name, rule, value)


def make(kind: type[S], values: Mapping[str, Any]) -> S:
    """Settings of this kind from the values of their fields among others."""
    for each in fields(kind):
        if each.default is MISSING and each.name not in values:
            raise BadSetting(each.name, "given", "nothing")
    return kind(**{each.name: values[each.name] for each in fields(kind) if each.name in values})


def saved(*settings: DataclassInstance) -> dict[str, Any]:
    """What a config.json says of them: name → value, tuples as lists; `parse` takes it back."""
    found = {each.name: getattr(s, each.name) for s in settings for each in flags_of(s) if each.metadata["saved"]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def renamed(flags: Mapping[str, Any], kinds: Iterable[type[DataclassInstance]]) -> dict[str, Any]:
    """The flags of a config.json, also one of the last version, by their names of today."""
    new = {each.metadata["old"]: each.name for kind in kinds for each in flags_of(kind) if each.metadata["old"]}
    return {new.get(name, name): value for name, value in flags.items()}


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
            words = [word for word in (each.metadata["short"], option(each.name)) if word]
            text = f"{each.metadata['help']}{_default_text(each, recipes or {})}".replace("%", "%%")
            how = _parsing(types_of[each.name], each.default)
            if each.metadata["metavar"]:
                how["metavar"] = each.metadata["metavar"]
            group.add_argument(*words, dest=each.name, default=argparse.SUPPRESS, help=text, **how)


def parse(
    parser: Parser, argv: Sequence[str] | None, kinds: Kinds, recipe: Recipe | None = None, config: str | None = None
) -> dict[str, Any]:
    """Name → value: of the flags, else of the file `config`, else of the recipe. (Else a field has its own default.)

    Wrong usage ends the program with status 2 and one line, as argparse does.
    """
    values = {name: default.value for name, default in (recipe or {}).items()}
    for each in (each for kind in kinds.values() for each in flags_of(kind)):
        if each.metadata["later"]:
            values.pop(each.name, None)
    if config:
        parser.origin = f"--config {config}: "
        values |= vars(parser.parse_args(_words(parser, read_config(config), kinds)))
        parser.origin = ""
    values |= vars(parser.parse_args(_without_old_names(sys.argv[1:] if argv is None else argv, kinds)))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def read_config(path: str | Path) -> dict[str, Any]:
    """The flags that a run's config.json holds, or those of a plain JSON object of flags.

    Errors (ValueError): no such file, or it is neither.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"--config must be a run's config.json or a JSON object of flags, {path}: {error}") from None
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
        if name not in known or name in ("config", "help"):
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
    """The arguments of `add_argument` for a field's type: int, float, bool, str, Literal, tuples of them, or None."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        repeated = ("*" if default == () else "+") if parts[1:] == (Ellipsis,) else len(parts)
        return {**_parsing(parts[0], None), "nargs": repeated}
    if origin is Literal:
        return {"choices": parts, "type": type(parts[0])}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind not in (int, float, str):
        raise TypeError(f"settings must be int, float, bool, str, Literal, tuples of them or None, got {kind}")
    return {"type": kind}


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
