"""Writes the tables of docs/fidelity.md that follow from the recipes (`make fidelity-page`); the rest is prose."""

from __future__ import annotations

import sys
from pathlib import Path

from pretrain.common.settings import Default, option
from pretrain.tasks.recipes import RECIPES
from pretrain.tasks.task import load, recipe

BEGIN, END = "<!-- recipes -->", "<!-- end of recipes -->"
NEEDS = {
    "init": "WEIGHTS.pth",
    "gvf": "gvf.h5",
    "teacher_action": "runs/bsp-vanilla",
    "teacher_boundary": "runs/bsp-r18",
}
DATA = {
    "bsp": "--videos kinetics/train --val-videos kinetics/val",
    "pal": "--videos kinetics/train --val-videos kinetics/val",
    "thumos": "--videos thumos/val --annotations val.csv --val-videos thumos/test --val-annotations test.csv",
    "tsp": "--videos anet/train --annotations train.csv --val-videos anet/val --val-annotations val.csv",
}


def command(name: str) -> str:
    """The command line of a recipe."""
    row = RECIPES[name]
    needs = [f"{option(flag)} {NEEDS[flag]}" for flag in row.needs]
    data = DATA["thumos" if "thumos" in name else row.task]
    return " ".join(["python -m pretrain train --recipe", name, data, *needs, f"--out runs/{name}"])


def tables() -> str:
    """Per task: values with their sources, then a row and a command line per recipe."""
    parts = []
    for task in dict.fromkeys(row.task for row in RECIPES.values()):
        own = {name: row for name, row in RECIPES.items() if row.task == task}
        first = next(iter(own.values()))
        parts += [f"#### {task}: what every recipe has", "", "| flag | value | source |", "|---|---|---|"]
        for flag, default in {**recipe(load(task)), **first.flags}.items():
            if default.source:
                parts.append(f"| `{option(flag)}` | {shown(default)} | {default.source} |")
        parts += ["", f"#### {task}: rows of the tables", "", "| recipe | row | differs in |", "|---|---|---|"]
        for name, row in own.items():
            differs = [f"`{option(f)} {shown(d)}`" for f, d in row.flags.items() if first.flags.get(f) != d]
            grid = [f"`{option(f)}` best of {', '.join(f'{v:g}' for v in values)}" for f, values in row.grid.items()]
            parts.append(f"| `{name}` | {row.row} | {'; '.join([*differs, *grid]) or '–'} |")
        parts += ["", "```sh", *(command(name) for name in own), "```", ""]
    return "\n".join(parts)


def shown(default: Default) -> str:
    value = default.value
    values = value if isinstance(value, tuple) else (value,)
    return " ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in values)


def put(text: str) -> str:
    """The page with its tables as they are to be."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(put(page.read_text(encoding="utf-8")), encoding="utf-8")
