"""docs/fidelity.md: made from the recipes, and every command line of it parses, and runs."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from pretrain.__main__ import main
from pretrain.models.encoders import encoder
from pretrain.tasks.recipes import RECIPES
from pretrain.training.settings import parse
from support.papers import page

PAGE = Path(__file__).parents[3] / "docs" / "fidelity.md"
LINES = re.findall(r"^python -m pretrain train (.+)$", PAGE.read_text(encoding="utf-8"), re.M)
SMALL = {
    "bsp": "--size 32 --batch 4 --bank-size 38 160",
    "pal": "--size 16 --batch 2 --queue 16",
    "tsp": "--size 16 --batch 4 --bank-size 18 24",
}
NAMES = [line.split()[1] for line in LINES]


def teachers(line):
    return re.findall(r" runs/(\S+)", line.split(" --out ")[0])  # which other lines make


TEACHERS = {name for line in LINES for name in teachers(line)}


def test_the_page_is_made_from_the_recipes():
    text = PAGE.read_text(encoding="utf-8")
    assert page.put(text) == text, "it is written by `make fidelity-page`"
    assert page.put(text.replace("| `--batch` | 128 |", "| `--batch` | 64 |")) == text, "negative control"


def test_every_recipe_has_a_line_and_every_line_parses_without_a_deviation():
    assert list(RECIPES) == NAMES
    for line in LINES:
        settings = parse(line.split(), prog="train")[0]
        assert settings.deviations == (), line


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.parametrize("line", LINES, ids=NAMES)
def test_every_line_runs_two_steps(line, toy, runs, capsys):
    for teacher in teachers(line):
        if not (runs / teacher).exists():
            two_steps(LINES[NAMES.index(teacher)], toy, runs, capsys)
    two_steps(line, toy, runs, capsys)
    name = line.split()[1]
    if name not in TEACHERS:
        shutil.rmtree(runs / name)  # networks of the published size: 8 GB for all


def two_steps(line, toy, runs, capsys):
    name = line.split()[1]
    task = RECIPES[name].task
    settings = parse(line.split(), prog="train")[0]
    weights = runs / f"{settings.encoder.encoder}.pth"
    if not weights.exists():
        torch.save(encoder(settings.encoder.encoder, frames=8, size=32).net.state_dict(), weights)
    places = {"kinetics": toy / "kinetics", "anet/train": toy / "untrimmed", "anet/val": toy / "untrimmed"}
    places |= {"thumos/val": toy / "untrimmed", "thumos/test": toy / "untrimmed", "WEIGHTS.pth": weights}
    places |= {"gvf.h5": toy / "gvf.h5", "train.csv": toy / "train.csv", "test.csv": toy / "val.csv", "runs": runs}
    places |= {"val.csv": toy / ("train.csv" if "thumos" in name else "val.csv")}
    words = []
    for word in line.split():
        place = next((key for key in places if word == key or word.startswith(f"{key}/")), None)
        words.append(word if place is None else str(places[place]) + word.removeprefix(place))
    small = f"{SMALL[task]} --steps 2 --val-batches 1 --threads 1 --quiet --cache {runs}/probed.sqlite3"
    assert main(["train", *words, *small.split()]) == 0, capsys.readouterr().err
    assert (runs / name / "checkpoint.pt").exists()
    assert f"deviation from {name}: --size " in capsys.readouterr().err + (runs / name / "config.json").read_text()
