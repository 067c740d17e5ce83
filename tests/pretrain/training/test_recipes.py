"""Published recipes: data that the settings take over, and what deviates from them is said."""

import json

import pytest

from pretrain.common.settings import flags_of
from pretrain.tasks.recipes import RECIPES
from pretrain.tasks.task import load
from pretrain.training.optimizer import peak_rates
from pretrain.training.settings import KINDS, check_files, parse

NEEDED = ["--videos", "x", "--out", "y"]
TEACHERS = ["--teacher-action", "a", "--teacher-boundary", "b"]


def told(*words):
    return parse([*NEEDED, *map(str, words)], prog="train")[0]


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_of_a_recipe_is_a_flag_with_a_source_and_arrives(name):
    row = RECIPES[name]
    known = {each.name for kind in (*KINDS.values(), load(row.task).Settings) for each in flags_of(kind)}
    assert {*row.flags, *row.needs, *row.grid} <= known
    assert [flag for flag, default in row.flags.items() if default.source[:1] != "["] == []
    settings = told("--recipe", name)
    values = settings.saved()
    for flag, default in row.flags.items():
        if flag != "lr" and flag != "lr_head":
            assert values[flag] == (list(default.value) if isinstance(default.value, tuple) else default.value), flag
    assert (settings.task, settings.recipe) == (row.task, name)
    assert values["reuse_max"] == 1, "published recipes show every window once"
    rates = peak_rates(settings.optim, settings.defaults, settings.optim.batch)
    assert {flag: getattr(rates, flag) for flag in ("lr", "lr_head") if flag in row.flags} == {
        flag: row.flags[flag].value for flag in ("lr", "lr_head") if flag in row.flags
    }
    assert all(" none, not " in each for each in settings.deviations), "nothing but what has to be brought is missing"


def test_flags_beside_a_recipe_override_it_and_are_named():
    settings = told("--recipe", "bsp", "--batch", 64, "--init", "weights.pth", "--lr", 0.01)
    assert settings.optim.batch == settings.feed.batch == 64
    assert settings.deviations == ("--batch 64, not 128 [C]", "--lr 0.01, not 0.02 [C] at batch 128")
    assert told("--recipe", "bsp", "--init", "w", "--batch", 128).deviations == (), "the published value is none"
    (lack,) = told("--recipe", "tsp-anet", "--init", "w").deviations
    assert lack.startswith("--gvf none, not the element-wise maximum")
    assert told("--task", "bsp", "--batch", 64).deviations == ()
    heads = [told("--recipe", "tac-anet", "--init", "w", "--lr-head", rate).deviations for rate in (0.006, 0.007)]
    assert heads == [(), ("--lr-head 0.007, not 0.002 [C] on ActivityNet; .004 on THUMOS14",)], "one of the grid"


def test_init_none_is_what_extract_takes_it_for(tmp_path):
    """Random weights: told of where a recipe begins with others, and no file is looked for."""
    row = ["--recipe", "tsp-anet", "--videos", tmp_path, "--gvf", tmp_path]
    settings = told(*row, "--init", "none")
    assert settings.encoder.init is None
    assert [each.partition(",")[0] for each in settings.deviations] == ["--init none"]
    check_files(settings)
    with pytest.raises(ValueError, match="--init must be a file or folder that exists, there is no nothing"):
        check_files(told(*row, "--init", "nothing"))


def test_a_config_keeps_its_recipe(tmp_path):
    file = tmp_path / "config.json"
    before = told("--recipe", "pal-dense", "--batch", 4)
    file.write_text(json.dumps({"flags": before.saved()}))
    after = told("--config", file)
    assert after == before
    assert after.deviations == ("--batch 4, not 8 [P] 512 on 64 GPUs",)
    assert told("--config", file, "--recipe", "pal").recipe == "pal"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--recipe nothing", "argument --recipe: invalid choice: 'nothing'"),
        ("--recipe bsp --task pal", "--recipe bsp is of the task bsp, got --task pal"),
    ],
)
def test_wrong_recipes_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        told(*words.split())
    assert message in capsys.readouterr().err


def test_help_shows_a_recipes_defaults(capsys):
    with pytest.raises(SystemExit, match="0"):
        parse(["--recipe", "bsp", "--help-all"], prog="train")
    text = " ".join(capsys.readouterr().out.split())
    assert "(default whole [P] 3.2, frames are sampled uniformly from each video)" in text
    assert "bsp-two-head" in text
