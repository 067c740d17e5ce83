"""Commands: dispatch, exit statuses, one-line errors. (Flags: test_settings.py.)"""

import sys

import pytest

import gpuaug
import gpuaug.__main__ as library
from pretrain.__main__ import COMMANDS, LIBRARY, main
from pretrain.common.cli import Failed, command, prog


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
    assert "there is no command 'train' here" in capsys.readouterr().err


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


def test_what_goes_on_says_so(capsys):
    @command("x", goes_on=True)
    def broken(argv=None):
        raise KeyboardInterrupt

    assert broken() == 1
    assert capsys.readouterr().err == "x: interrupted; the same command goes on with what is left\n"


def test_bugs_keep_their_traceback():
    @command("x")
    def broken(argv=None):
        raise IndexError("a bug")

    with pytest.raises(IndexError):
        broken()
