"""Settings: flags, help texts, ranges and what config.json holds, all from the fields of dataclasses."""

import argparse
import json
from dataclasses import FrozenInstanceError, dataclass
from typing import Literal

import pytest

from pretrain.common.cli import Parser, add_config, add_flags, make, parse, read, read_config
from pretrain.common.settings import BadSetting, Default, check, deviations, renamed, required, saved, setting


@dataclass(frozen=True, kw_only=True)
class First:
    count: int = required("how many, no more than 100 %", least=1)
    rates: tuple[float, ...] = setting((1.0, 2.0), "of a kind", above=0)
    span: tuple[int, int] | None = setting(None, "of a kind; without it all", least=0)
    mode: Literal["a", "b"] = setting("a", "which")
    sync: bool = setting(True, "together")
    path: str = setting("", "a file", metavar="FILE", short="-p", old="file")
    plain: int = 7  # no flag

    def __post_init__(self):
        check(self)


@dataclass(frozen=True, kw_only=True)
class Second:
    count: int = required("the same", least=0, most=9)
    share: float | None = setting(None, "of something", least=0, most=1, later=True)
    resume: bool = setting(False, "go on", saved=False)

    def __post_init__(self):
        check(self)


KINDS = {"first": First, "second": Second}
RECIPE = {"count": Default(3, "[P] 4 % more"), "mode": Default("b", "[C]"), "share": Default(0.5)}


def parser(recipes=None):
    made = Parser(prog="prog")
    add_config(made)
    add_flags(made, KINDS, recipes)
    return made


def given(words="", recipe=RECIPE, config=None):
    words = [*words.split(), *(["--config", str(config)] if config else [])]
    values = parse(parser(), words, KINDS, recipe)
    return make(First, values), make(Second, values)


def test_values_come_from_flags_then_the_recipe_then_the_fields():
    assert given() == (First(count=3, mode="b"), Second(count=3))  # share is filled in later
    words = "--rates 0.5 4 --span 1 2 --mode a --no-sync -p x --count 7 --share 0.25 --resume"
    first = First(count=7, rates=(0.5, 4.0), span=(1, 2), sync=False, path="x")
    assert given(words) == (first, Second(count=7, share=0.25, resume=True))
    with pytest.raises(FrozenInstanceError):
        first.count = 8
    with pytest.raises(BadSetting, match="count must be given") as error:
        given(recipe={})
    assert error.value.flag.startswith("--count must be given")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("count", 0, "≥ 1"),
        ("rates", (1.0, 0.0), "> 0"),
        ("rates", (float("nan"),), "finite"),
        ("rates", (float("inf"),), "finite"),
        ("span", (0, -1), "≥ 0"),
        ("mode", "c", "one of a, b"),
    ],
)
def test_values_out_of_range_are_refused_in_one_line(name, value, rule):
    with pytest.raises(BadSetting) as error:
        First(**{"count": 1, name: value})
    assert str(error.value) == f"{name} must be {rule}, got {name}={value}"
    assert error.value.flag == f"--{name} must be {rule}, got {value}"
    with pytest.raises(BadSetting, match=r"share must be in \[0, 1\], got share=2"):
        Second(count=1, share=2.0)


def test_wrong_usage_is_one_line_and_status_2(capsys):
    for words in ("--mode c", "--count x", "--cou 3", "--span 1"):
        with pytest.raises(SystemExit, match="2"):
            given(words)
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error.startswith("prog: error: ")


def helped(recipes=None):
    return " ".join(parser(recipes).format_help().split())


def test_help_says_the_true_defaults_and_where_they_come_from():
    text = helped({"one": RECIPE})
    assert "--count COUNT how many, no more than 100 % (default 3 [P] 4 % more)" in text
    assert "-p FILE, --path FILE a file " in text
    assert "of a kind (default 1 2)" in text
    assert "together (default yes)" in text
    assert "of something (default 0.5)" in text
    assert "go on second" not in text
    assert text.count("--count") == 2  # in the usage, and once more
    assert "how many, no more than 100 % (required)" in helped()


def test_help_says_where_the_tasks_differ():
    text = helped({"one": RECIPE, "two": {"count": Default(4, "[D]"), "mode": Default("b", "[C]")}})
    assert "(default one 3 [P] 4 % more, two 4 [D])" in text
    assert "which (default b [C])" in text
    assert "of something (default one 0.5)" in text


def test_an_old_name_is_taken_with_a_word(capsys):
    assert given("--file x")[0].path == given("--file=x")[0].path == "x"
    line = "--file is called --path now; the old name will go in the next version\n"
    assert capsys.readouterr().err == 2 * line
    assert given("--path x")[0].path == "x"
    assert capsys.readouterr().err == ""
    assert renamed({"file": 1, "count": 2}, KINDS.values()) == {"path": 1, "count": 2}


def written(folder, content):
    file = folder / "config.json"
    file.write_text(json.dumps(content))
    return file


def test_what_is_saved_is_read_back_and_flags_override_it(tmp_path, capsys):
    made = given(
        "--rates 1e-07 4 --span 1 2 --mode a --no-sync -p --odd=x --count 7 --share 0.1 --resume".replace(
            "-p --odd=x", "--path=--odd=x"
        )
    )
    flags = saved(*made)
    assert flags == {
        **{"count": 7, "rates": [1e-07, 4.0], "span": [1, 2], "mode": "a", "sync": False, "path": "--odd=x"},
        "share": 0.1,
    }
    for content in ({"flags": flags, "more": 1}, flags):
        first, second = given(config=written(tmp_path, content))
        assert first == made[0]
        assert second == Second(count=7, share=0.1)
    first, _ = given("--sync --count 8", config=written(tmp_path, {**flags, "span": None, "resume": True}))
    assert (first.sync, first.count, first.span, first.mode) == (True, 8, None, "a")
    assert given(config=written(tmp_path, {"count": 5, "file": "x"}))[0].path == "x"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"flags": {"count": 3, "speed": 1}}, "there is no setting speed"),
        ({"count": "x"}, "argument --count: invalid int value: 'x'"),
        ({"sync": "yes"}, "sync must be true or false, got 'yes'"),
        ({"span": 3}, "argument --span: expected 2 arguments"),
        ({"mode": "c"}, "argument --mode: invalid choice"),
        ({"help": True}, "there is no setting help"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(content, message, tmp_path, capsys):
    file = written(tmp_path, content)
    with pytest.raises(SystemExit, match="2"):
        given(config=file)
    error = capsys.readouterr().err
    assert error.startswith(f"prog: error: --config {file}: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[1]", '{"flags": 3}', None])
def test_a_config_that_is_none_is_refused(text, tmp_path):
    file = tmp_path / "config.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=r"--config must be a run's config.json or a JSON object of flags, .*config"):
        read_config(file)


def test_only_types_that_a_flag_can_have():
    @dataclass(frozen=True)
    class Odd:
        table: dict[str, int] | None = setting(None, "of numbers")

    with pytest.raises(TypeError, match="settings must be int, float, bool, str, Path, Literal"):
        add_flags(argparse.ArgumentParser(), {"odd": Odd})


@dataclass(frozen=True, kw_only=True)
class Listed:
    once: tuple[str, ...] = setting(("x",), "words")
    often: tuple[str, ...] = setting((), "words", repeats=True)
    share: float = setting(0.5, "between", least=0, most=1)
    above: float = setting(1.0, "more", above=0)

    def __post_init__(self):
        check(self)


def test_only_flags_that_say_so_add_up():
    (found,) = read(
        ["--once", "a", "b", "--often", "a", "--once", "c", "--often", "b", "c"], {"listed": Listed}, prog="p"
    )
    assert found == Listed(once=("c",), often=("a", "b", "c"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--share 1.5", "--share must be in [0, 1], got 1.5"),
        ("--share -0.5", "--share must be in [0, 1], got -0.5"),
        ("--above 0", "--above must be > 0, got 0.0"),
        ("--above nan", "--above must be finite, got nan"),
    ],
)
def test_bad_words_of_a_command_name_the_flag(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        read(words.split(), {"listed": Listed}, prog="p")
    assert capsys.readouterr().err == f"p: error: {message}\n"
    assert read(["--share", "1", "--above", "0.5"], {"listed": Listed}, prog="p")[0] == Listed(share=1.0, above=0.5)


def test_deviations_from_a_recipe_in_words():
    recipe = {"rates": Default((0.5, 2.0), "[P]"), "path": Default(""), "span": Default(None, "[C]")}
    recipe["lr"] = Default(0.1)
    values = {"rates": (1.0, 4.0, 1e-5), "path": "a", "span": (1, 2), "lr": 0.1, "other": 3}
    told = ["--rates 1 4 1e-05, not 0.5 2 [P]", "--path a, not none", "--span 1 2, not none [C]"]
    assert deviations(values, recipe) == told
    assert deviations({"rates": (), "span": [3]}, recipe) == ["--rates none, not 0.5 2 [P]", "--span 3, not none [C]"]
    assert deviations({}, recipe) == []


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [("share", 0.0, True), ("share", 1.0, True), ("share", -0.01, False), ("share", 1.01, False), ("count", 0, True),
     ("count", 9, True), ("count", 10, False), ("count", -1, False), ("share", None, True)],
)  # fmt: skip
def test_bounds_belong_to_what_is_allowed(name, value, allowed):
    if allowed:
        assert getattr(Second(**{"count": 1, name: value}), name) == value
        return
    rule = r"\[0, 1\]" if name == "share" else r"\[0, 9\]"
    with pytest.raises(BadSetting, match=f"^{name} must be in {rule}, got {name}={value}$"):
        Second(**{"count": 1, name: value})
