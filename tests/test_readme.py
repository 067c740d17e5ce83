"""The commands that README and the guides show have the flags that they are given."""

import contextlib
import re
from pathlib import Path

import pytest

from pretrain.__main__ import LIBRARY, main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^    (?:.* )?gpuaug (\w+)", README, re.M)))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_help(command, capsys):
    try:
        status = main([command, "--help"])
    except SystemExit as end:
        status = end.code
    assert status in (0, None)
    assert "usage" in capsys.readouterr().out


def test_every_flag_in_the_readme_exists(capsys):
    """Each command line's flags are among those that its help names."""
    lines = re.findall(r"^    (?:.* )?gpuaug (\w+)([^\n|`#]*)", README, re.M)
    assert len(lines) > 8
    for command, rest in lines:
        task = re.search(r"--task (\w+)", rest)
        arguments = [command, *(["--task", task[1]] if task else []), "--help" if command in LIBRARY else "--help-all"]
        kind = re.match(r" (detection|proposals|grounding|steps)", rest)
        if kind:
            arguments.insert(1, kind[1])
        with contextlib.suppress(SystemExit):
            main(arguments)
        shown = capsys.readouterr().out
        for flag in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", rest):
            assert re.search(rf"(?<![\w-]){flag}\b", shown), f"{command} has no {flag}"
