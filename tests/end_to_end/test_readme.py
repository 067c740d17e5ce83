"""What the README shows runs: its Python examples as they stand, and its commands as far as their help."""

import contextlib
import importlib
import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.S)
COMMANDS = sorted(set(re.findall(r"python -m (gpuaug|pretrain) (\w+)", README)))


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(example, capsys):
    exec(compile(example, "README.md", "exec"), {})


@pytest.mark.parametrize(("package", "command"), COMMANDS)
def test_commands_have_help(package, command, capsys):
    main = importlib.import_module(f"{package}.__main__").main
    try:
        status = main([command, "--help"])
    except SystemExit as end:
        status = end.code
    assert status in (0, None)
    assert "usage" in capsys.readouterr().out


def test_every_flag_in_the_readme_exists(capsys):
    """Each command line's flags are among those that its help names."""
    for package, command, rest in re.findall(r"-m (gpuaug|pretrain) (\w+)([^\n|`#]*)", README):
        main = importlib.import_module(f"{package}.__main__").main
        task = re.search(r"--task (\w+)", rest)
        arguments = [command, *(["--task", task[1]] if task else []), "--help"]
        kind = re.match(r" (detection|proposals|grounding|steps)", rest)
        if kind:
            arguments.insert(1, kind[1])
        with contextlib.suppress(SystemExit):
            main(arguments)
        shown = capsys.readouterr().out
        for flag in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", rest):
            assert re.search(rf"(?<![\w-]){flag}\b", shown), f"{package} {command} has no {flag}"
