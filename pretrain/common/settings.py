"""Settings: frozen dataclasses, each beside the code that it steers, from whose fields all else about them is made.

A field states its default, its help text and its range once, with `setting`; from that come the flag, the check, and
what a config.json says and --config reads (cli.py). Fields of one name in several dataclasses are one flag. Used by
whatever has settings; imports nothing of pretrain.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
T = TypeVar("T")
Kinds = Mapping[str, "type[DataclassInstance]"]  # title of a group of flags → its dataclass


@dataclass(frozen=True)
class Default:
    """A default that a recipe gives to a setting, and where it comes from, such as "[P] figures".

    `follows` names a setting in proportion to which these pixels grow and shrink: where another `size` is given than
    the recipe's, its pictures in the bank are of another size too.
    """

    value: Any
    source: str = ""
    follows: str = ""


Recipe = Mapping[str, Default]  # by the name of a field


def deviations(values: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """In words, what of these values by name is not as in the recipe; a value that is missing is the recipe's.

    >>> deviations({"batch": 64, "size": 224}, {"batch": Default(128, "[C]"), "size": Default(224), "lr": Default(0.1)})
    ['--batch 64, not 128 [C]']
    """
    found = []
    for name, default in recipe.items():
        if name in values and values[name] != default.value:
            given, wanted = (_words(value) for value in (values[name], default.value))
            found.append(f"{option(name)} {given}, not {wanted} {default.source}".rstrip())
    return found


def _words(value: Any) -> str:
    if value is None or value == "" or value == ():
        return "none"
    values = value if isinstance(value, tuple | list) else (value,)
    return " ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in values)


class BadSetting(ValueError):
    """A value out of its range. `flag` says it to those who gave a flag."""

    def __init__(self, name: str, rule: str, value: Any) -> None:
        super().__init__(f"{name} must be {rule}, got {name}={value}")
        self.flag = f"{option(name)} must be {rule}, got {value}"


def setting(
    default: T,
    text: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    metavar: Any = None,
    title: str = "",
    short: str = "",
    old: str = "",
    repeats: bool = False,
    instead_of: tuple[str, ...] = (),
    later: bool = False,
    saved: bool = True,
) -> T:
    """A field of a dataclass of settings that is a flag.

    Args:
        default: MISSING where a flag or a recipe has to give a value.
        text: for --help: what it is and its unit; where the default is None, what that means.
        least, most: the smallest and the greatest value allowed. above: what it has to exceed, in place of `least`.
        metavar: what --help shows for the value. title: begins a new group of flags there.
        short: a second spelling, "-o". old: the name in the last version, which is still taken, with a word.
        repeats: of a tuple: the flag may be given several times. instead_of: settings of --config that it replaces.
        later: a recipe's value is not filled in here, since it depends on more than flags.
        saved: written to a config.json.
    """
    about: dict[str, Any] = {"help": text, "least": least, "above": above, "most": most, "metavar": metavar}
    about |= {"title": title, "short": short, "old": old, "repeats": repeats, "instead_of": instead_of}
    return field(default=default, metadata={**about, "later": later, "saved": saved})


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
            choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
            if choices and isinstance(value, type(choices[0])) and value not in choices:
                raise BadSetting(each.name, f"one of {', '.join(map(str, choices))}", value)
        least, above, most = about["least"], about["above"], about["most"]
        low = f"> {above}" if least is None else f"≥ {least}"
        rule = low if most is None else f"in {f'({above}' if least is None else f'[{least}'}, {most}]"
        for one in value if isinstance(value, tuple) else (value,):
            if not isinstance(one, int | float):
                continue
            if not math.isfinite(one):
                raise BadSetting(each.name, "finite", value)
            enough = (least is None or one >= least) and (above is None or one > above)
            if not (enough and (most is None or one <= most)):
                raise BadSetting(each.name, rule, value)


def saved(*settings: DataclassInstance) -> dict[str, Any]:
    """What a config.json says of them: name → value, tuples as lists, paths as text; `parse` takes it back."""
    found = {each.name: getattr(s, each.name) for s in settings for each in flags_of(s) if each.metadata["saved"]}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in found.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def renamed(flags: Mapping[str, Any], kinds: Iterable[type[DataclassInstance]]) -> dict[str, Any]:
    """The flags of a config.json, also one of the last version, by their names of today."""
    new = {each.metadata["old"]: each.name for kind in kinds for each in flags_of(kind) if each.metadata["old"]}
    return {new.get(name, name): value for name, value in flags.items()}
