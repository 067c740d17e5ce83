"""Help that shows the usual flags, and errors that name the nearest right word."""

import pytest

from pretrain.__main__ import main
from pretrain.common.parser import Parser


def parser(**more):
    made = Parser(prog="gpuaug cut", **more)
    made.add_argument("--out", help="where to")
    made.add_argument("--form", choices=["hdf5", "numpy"], help="of files")
    return made


def test_the_help_shows_the_usual_flags_and_help_all_every_one(capsys):
    made = parser(usual=["out"], usage="--out FILE", description="Cuts.\n\nMore\nof it.", examples=["--out a b"])
    for _ in range(2):  # the texts come back
        short, long = made.format_help(), made.format_help(everything=True)
        assert short.startswith("usage: gpuaug cut [-h | --help-all] --out FILE [flag …]\n\nCuts.\n\nMore of it.\n")
        assert [word in short for word in ("--out", "where to", "show every flag", "--form")] == [True] * 3 + [False]
        assert [word in long for word in ("--out", "--form", "of files")] == [True] * 3
        assert short.endswith("\nexamples:\n  gpuaug cut --out a b\n")
    with pytest.raises(SystemExit) as end:
        made.parse_args(["--help-all"])
    assert end.value.code == 0
    assert capsys.readouterr().out == long
    assert vars(made.parse_args([])) == {"out": None, "form": None}


def test_without_usual_flags_the_help_is_whole():
    made = parser()
    assert made.format_help() == made.format_help(everything=True)
    assert "--form" in made.format_help()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fram", "numpy"], "there is no flag --fram; did you mean --form?"),
        (["--forms=numpy"], "there is no flag --forms; did you mean --form?"),
        (["--zzz"], "unrecognized arguments: --zzz"),
        (
            ["--form", "nunpy"],
            "argument --form: invalid choice: 'nunpy' (choose from 'hdf5', 'numpy'); did you mean numpy?",
        ),
    ],
)
def test_the_nearest_word_is_named(words, message, capsys):
    with pytest.raises(SystemExit) as end:
        parser().parse_args(words)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("gpuaug cut: error: ")
    assert error.endswith(f"{message}\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["train", "--task", "bsp", "--tensorbord"], "there is no flag --tensorbord; did you mean --tensorboard?"),
        (["train", "--task", "bps"], "did you mean bsp?"),
        (["evaluate", "detection", "--thruth", "x"], "there is no flag --thruth; did you mean --truth?"),
        (["evaluate", "detections"], "did you mean detection?"),
        (["toy", "--ouy", "x", "--out", "y"], "there is no flag --ouy; did you mean --out?"),
    ],
)
def test_commands_name_the_nearest_word_in_one_line(words, hint, capsys):
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert hint in line


@pytest.mark.parametrize("command", ["train", "preview", "extract", "localize"])
def test_helps_are_short_and_have_examples(command, capsys):
    assert main([command, "--help"]) == 0
    short = capsys.readouterr().out
    assert main([command, "--help-all"]) == 0
    assert len(short.splitlines()) < 0.8 * len(capsys.readouterr().out.splitlines())
    assert f"examples:\n  python -m pretrain {command} --" in short
