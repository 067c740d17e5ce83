"""Commands: dispatch, exit statuses, one-line errors, and flags made from functions."""

import argparse
import sys
from typing import Literal

import pytest

import gpuaug
import gpuaug.__main__ as library
from pretrain.__main__ import COMMANDS, LIBRARY, main
from pretrain.common.cli import Failed, add_options, command, prog, take_options


def options(
    rng: int,
    *,
    count: int = 3,
    rates: tuple[float, ...] = (1.0, 2.0),
    span: tuple[int, int] | None = None,
    mode: Literal["a", "b"] = "a",
    sync: bool = True,
    path: str = "",
) -> None:
    """A function.

    Args:
        rng: not an option.
        count: how many, ≥ 1
            and no more than 100 %.
        rates, span: two of
            a kind.

    Errors: none: nothing here.
    """


class Thing:
    """A class.

    Args:
        count: taken from the function before.
        size: in pixels.
    """

    def __init__(self, features: int, *, count: int = 3, size: int = 5) -> None:
        pass


def parser():
    made = argparse.ArgumentParser()
    add_options(made, (options, Thing))
    return made


def test_flags_have_the_types_and_defaults_of_the_parameters():
    args = parser().parse_args([])
    assert take_options(options, args) == {
        "count": 3,
        "rates": (1.0, 2.0),
        "span": None,
        "mode": "a",
        "sync": True,
        "path": "",
    }
    words = ["--rates", "0.5", "4", "8", "--span", "1", "2", "--mode", "b", "--no-sync", "--path", "x", "--count", "7"]
    args = parser().parse_args([*words, "--size", "9"])
    assert take_options(options, args) == {
        "count": 7,
        "rates": (0.5, 4.0, 8.0),
        "span": (1, 2),
        "mode": "b",
        "sync": False,
        "path": "x",
    }
    assert take_options(Thing, args) == {"count": 7, "size": 9}


def test_help_comes_from_the_docstring():
    text = " ".join(parser().format_help().split())
    assert "how many, ≥ 1 and no more than 100 %. (default 3)" in text
    assert text.count("two of a kind.") == 2
    assert "nothing here" not in text
    with pytest.raises(SystemExit):
        parser().parse_args(["--mode", "c"])


def test_dispatch(capsys):
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert "train" in capsys.readouterr().out
    assert main(["tarin"]) == 2
    assert "there is no command 'tarin'; did you mean 'train'?" in capsys.readouterr().err
    assert main(["xyz"]) == 2
    assert "there is no command 'xyz'; python -m pretrain --help lists them" in capsys.readouterr().err
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gpuaug {gpuaug.__version__}\n"


@pytest.mark.parametrize(
    ("program", "called"),
    [
        ("/env/bin/gpuaug", "gpuaug"),
        ("C:/env/Scripts/gpuaug.exe", "gpuaug"),
        ("/site/pretrain/__main__.py", "python -m pretrain"),
    ],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_program_as_it_was_called(program, called, name, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program])
    assert prog(name) == f"{called} {name}"
    assert main([name, "--help"]) == 0
    assert " ".join(capsys.readouterr().out.split()).startswith(f"usage: {called} {name} [")
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: {called} COMMAND")
    assert f"\n  {name:<10}  {COMMANDS[name]}\n" in out


def test_the_librarys_own_program_has_its_commands(capsys):
    assert library.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert [line.split(None, 1) for line in out.splitlines() if line.startswith("    ")] == [
        [name, text] for name, text in LIBRARY.items()
    ]
    assert library.main(["train"]) == 2
    assert "invalid choice: 'train'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("size must be ≥ 1,\n got size=0"), "x: size must be ≥ 1, got size=0"),
        (Failed("it broke"), "x: it broke"),
        (FileNotFoundError(2, "No such file", "a"), "x: [Errno 2] No such file: 'a'"),
        (KeyboardInterrupt(), "x: interrupted"),
    ],
)
def test_bad_input_is_one_line_and_status_1(error, text, capsys, monkeypatch):
    @command("x")
    def broken(argv=None):
        raise error

    monkeypatch.delenv("GPUAUG_TRACEBACK", raising=False)
    assert broken() == 1
    assert capsys.readouterr().err == text + "\n"


def test_bugs_keep_their_traceback():
    @command("x")
    def broken(argv=None):
        raise IndexError("a bug")

    with pytest.raises(IndexError):
        broken()
