"""The commands that README and the guides show have the flags that they are given."""

import contextlib
import re
from pathlib import Path

import pytest

from pretrain.__main__ import LIBRARY, main
from pretrain.commands.demo import expected

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = "\n".join(page.read_text(encoding="utf-8").replace("\\\n", " ") for page in PAGES)
SHOWN = SHOWN.replace("python -m pretrain", "gpuaug")
LINES = re.findall(r"^    (?:.* )?gpuaug (\w+)([^\n|`#]*)", SHOWN, re.M)
COMMANDS = sorted({command for command, _ in LINES})


def test_the_demos_range_is_the_measured_one():
    least, most, count = expected()
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"here {least:.3f} to {most:.3f} of the held-out samples were right over {count} seeds" in text


def test_readme_is_read_in_one_sitting():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_help(command, capsys):
    try:
        status = main([command, "--help"])
    except SystemExit as end:
        status = end.code
    assert status in (0, None)
    assert "usage" in capsys.readouterr().out


def test_every_flag_that_is_shown_exists(capsys):
    """Each command line's flags are among those that its help names."""
    assert len(LINES) > 30
    for command, rest in LINES:
        task = re.search(r"--(?:task|recipe) [\w-]+", rest)
        arguments = [command, *(task[0].split() if task else []), "--help" if command in LIBRARY else "--help-all"]
        kind = re.match(r" (detection|proposals|grounding|steps)", rest)
        if kind:
            arguments.insert(1, kind[1])
        with contextlib.suppress(SystemExit):
            main(arguments)
        shown = capsys.readouterr().out
        for flag in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", rest):
            assert re.search(rf"(?<![\w-]){flag}\b", shown), f"{command} has no {flag}"


def test_no_flag_that_is_required_is_missing(capsys):
    """What a command says that it lacks, given nothing, stands in every line that shows it."""
    asked = 0
    for command, rest in LINES:
        if "--dry-run" in rest or "--resume" in rest:
            continue
        kind = re.match(r" (detection|proposals|grounding|steps)", rest)
        with contextlib.suppress(SystemExit):
            main([command, *([kind[1]] if kind else [])])
        said = capsys.readouterr().err
        found = re.search(r"arguments are required: (.*)", said)
        words = found[1].split(", ") if found else re.findall(r"error: (--[\w-]+) must be", said)
        for flag in (word for word in words if word.startswith("-")):
            asked += 1
            names = {"--task": ["--task", "--recipe", "--config"]}.get(flag, flag.split("/"))  # -o/--out
            assert any(re.search(rf"(?<!\S){name}(?=[\s=]|$)", rest) for name in names), f"{command}{rest} lacks {flag}"
    assert asked > 20
