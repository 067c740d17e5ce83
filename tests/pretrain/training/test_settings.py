"""The settings of a run: flags, true defaults with their sources, old names, --config."""

import json
from dataclasses import asdict, dataclass, fields, replace

import pytest

from pretrain.__main__ import main
from pretrain.common.settings import check, flags_of, setting
from pretrain.tasks.task import TASKS, load, recipe
from pretrain.training.optimizer import USUAL_LR, peak_rates
from pretrain.training.settings import KINDS, check_files, parse

NEEDED = {"encoder", "size", "fps", "window_frames", "batch", "epochs", "optimizer"}


def told(*words, task="bsp"):
    return parse(["--task", task, "--videos", "x", "--out", "y", *map(str, words)], prog="train")[0]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_option_has_a_help_text_and_every_default_of_a_recipe_a_source(name, capsys):
    assert main(["train", "--task", name, "--help"]) == 0
    assert f"options of {name}:" in capsys.readouterr().out
    task = load(name)
    kinds = (*KINDS.values(), task.Settings)
    assert [each.name for kind in kinds for each in flags_of(kind) if not each.metadata["help"]] == []
    names = {each.name for kind in KINDS.values() for each in flags_of(kind)}
    assert NEEDED <= set(task.RECIPE) <= names
    assert [name for name, default in task.RECIPE.items() if "[" not in default.source] == []


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_run_without_flags_has_the_recipes_values(name):
    settings, task = told(task=name), load(name)
    found = {key: value for each in fields(settings) if each.name not in ("task", "options")
             if hasattr(getattr(settings, each.name), "__dataclass_fields__")
             for key, value in asdict(getattr(settings, each.name)).items()}  # fmt: skip
    rates = ("lr", "lr_head", "lr_stem")
    for key, default in recipe(task).items():
        if key in found and key not in rates:
            assert found[key] == default.value, key
            assert type(found[key]) is type(default.value), key
    assert [found[key] for key in rates] == [None] * 3
    assert settings.options == task.Settings()
    assert settings.encoder.frames == task.Settings().frames
    assert settings.feed.batch == settings.optim.batch
    assert settings.feed.size == settings.encoder.size


def test_help_without_a_task_says_where_they_differ(capsys):
    assert main(["train", "--help-all"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "(default bsp 128 [C], pal 8 [P] 512 on 64 GPUs, shots 16 [T], tsp 32 [P, C] per GPU)" in text
    assert "frames of a clip (default bsp 8, pal 8, shots 100, tsp 16)" in text
    assert "--recipe NAME a row of a paper as published" in text
    assert "--preset {small} small: other defaults" in text
    assert main(["train", "--task", "tsp", "--help"]) == 0
    assert "(default 32 [P, C] per GPU)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("", "--task must be one of bsp, pal, shots, tsp, got none"),
        ("--task bsp", "--videos must be given"),
        ("--task xyz --videos a --out b", "argument --task: invalid choice: 'xyz'"),
        ("--task bsp --videos a --out b --batch 0", "--batch must be ≥ 1, got 0"),
        ("--task tsp --videos a --out b --size 0", "--size must be ≥ 1, got 0"),
        ("--task bsp --videos a --out b --lr -1", "--lr must be > 0, got -1.0"),
        ("--task bsp --videos a --out b --steps 3 --minutes 1", "--steps and --minutes cannot both"),
        ("--task bsp --videos a --out b --val-subset v", "--val-subset needs --annotations"),
        ("--task bsp --videos a --out b --mode magic", "argument --mode: invalid choice: 'magic'"),
        ("--task bsp --videos a --out b --epsilon 3 9", "--epsilon must be a lowest and a highest number in [0, 4]"),
        ("--task pal --videos a --out b --opacity 1 0.5", "--opacity must be 0 ≤ low ≤ high ≤ 1, got (1.0, 0.5)"),
        (
            "--task bsp --videos a --out b --window-frames 16",
            "--window-frames must be ≥ 26, the frames that samples reach over, got 16",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(flags, message, capsys):
    assert main(["train", *flags.split()]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"train: error: {message}" in error


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--window 40", "--window-frames 40"),
        ("--windows 3", "--windows-per-segment 3"),
        ("--clip 2.5", "--grad-clip 2.5"),
        ("--place spread", "--window-placement spread"),
    ],
)
def test_names_of_the_last_version(old, new, tmp_path, capsys):
    wanted = told(*new.split())
    assert told(*old.split()) == wanted
    assert f"{old.split()[0]} is called {new.split()[0]} now" in capsys.readouterr().err
    file = tmp_path / "config.json"
    value = json.loads(old.split()[1]) if "place" not in old else "spread"
    file.write_text(json.dumps({"flags": {old.split()[0][2:]: value}}))
    assert told("--config", file) == wanted


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_config_gives_the_settings_back(task, tmp_path):
    words = {"bsp": "--epsilon 1 2 --rates 2 --no-sync-bn --threads 2", "pal": "--batch-statistics --gamma 0.3"}
    words["shots"] = "--dense 0.2 --traps 0 --bank-size 5 6"
    settings = told(*words.get(task, "--no-balance --milestones --bank-size 5 6").split(), task=task)
    settings_json = tmp_path / "config.json"
    settings_json.write_text(json.dumps({"task": task, "flags": settings.saved()}))
    assert parse(["--config", str(settings_json)], prog="train")[0] == settings
    changed = parse(["--config", str(settings_json), "--batch", "5", "--out", "z"], prog="train")[0]
    assert changed.saved() == {**settings.saved(), "batch": 5, "out": "z"}


@pytest.mark.parametrize(
    ("task", "size", "bank"),
    [
        ("--task tsp", 32, (37, 49)),
        ("--task tsp --preset small", 32, (36, 49)),
        ("--task tsp", 224, (256, 342)),
        ("--task shots", 72, (80, 80)),
        ("--recipe bsp", 112, (166, 662)),
        ("--task bsp", 32, None),
        ("--task tsp --bank-size 40 50", 32, (40, 50)),
        ("--task tsp --bank-size 128 171", 100, (128, 171)),
    ],
)
def test_pictures_of_the_bank_follow_the_size(task, size, bank, tmp_path):
    """In proportion to the recipe's, unless they are given; a config's to those of the config."""
    file = tmp_path / "config.json"
    words = [*task.split(), "--videos", "x", "--out", "y"]
    settings = parse([*words, "--size", str(size)], prog="train")[0]
    assert settings.feed.bank_size == bank
    file.write_text(json.dumps({"task": settings.task, "flags": settings.saved()}))
    again, half = (parse(["--config", str(file), *more], prog="train")[0] for more in ([], ["--size", str(size // 2)]))
    assert again == replace(settings, preset="", defaults=again.defaults, deviations=again.deviations)
    assert half.feed.bank_size == (bank and tuple(round(pixels / 2) for pixels in bank))
    file.write_text(json.dumps({"size": size}))
    assert parse([*words, "--config", str(file)], prog="train")[0].feed.bank_size == bank, "of the config, or a flag"


@pytest.mark.parametrize("old", ["--steps 3", "--minutes 2", "--epochs 5"])
@pytest.mark.parametrize("new", ["--steps 7", "--minutes 8", "--epochs 9"])
def test_another_length_replaces_that_of_a_config(old, new, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"flags": told(*old.split()).saved()}))
    run, name, wanted = told("--config", file, *new.split()).run, new.split()[0][2:], float(new.split()[1])
    assert getattr(run, name) == wanted
    assert [getattr(run, other) for other in ("steps", "minutes") if other != name] == [None] * (2 - (name != "epochs"))


def test_a_config_of_another_task_is_refused(tmp_path, capsys):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"flags": told().saved()}))
    with pytest.raises(SystemExit, match="2"):
        told("--config", file, task="tsp")
    assert f"--config {file}: there is no setting mode" in capsys.readouterr().err


def rates(*words, task="bsp", whole_batch=128):
    settings = peak_rates(told(*words, task=task).optim, load(task).RECIPE, whole_batch)
    return settings.lr, settings.lr_head, settings.lr_stem


def test_rates_that_were_not_given():
    assert rates() == (0.02, 0.1, None)
    assert rates(whole_batch=32) == (0.005, 0.025, None)  # SGD's go with the whole batch
    assert rates("--lr", 3, whole_batch=32) == (3, pytest.approx(15), None)  # and the head's with the encoder's
    assert rates("--optimizer", "adamw") == (USUAL_LR["adamw"], None, None)
    assert rates(task="tsp", whole_batch=64) == (2e-4, 0.004, 0)
    assert rates("--lr-head", 1, task="tsp", whole_batch=32) == (1e-4, 1, 0)
    assert rates(task="pal", whole_batch=512) == (1e-4, None, None)  # not Adam's


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a command has beside the settings of a run."""

    samples: int = setting(4, "to show", least=1)
    sheet: str = setting("", "where to")

    def __post_init__(self):
        check(self)


def test_settings_of_a_command_are_checked_as_those_of_a_run(capsys):
    line = ["--task", "bsp", "--videos", "x", "--out", "y"]
    values = parse([*line, "--samples", "7"], prog="preview", extra={"what is shown": Shown})[2]
    assert (values["samples"], values["videos"]) == (7, ("x",))
    assert "samples" not in parse(line, prog="preview", extra={"what is shown": Shown})[2]
    with pytest.raises(SystemExit, match="2"):
        parse([*line, "--samples", "0"], prog="preview", extra={"what is shown": Shown})
    assert capsys.readouterr().err == "preview: error: --samples must be ≥ 1, got 0\n"
    with pytest.raises(SystemExit, match="0"):
        parse(["--help"], prog="preview", extra={"what is shown": Shown}, usual=("out",))
    told = capsys.readouterr().out
    assert "what is shown:" in told
    assert {"--samples", "--sheet", "--out"} <= set(told.split())
    assert "--videos" not in told.split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--task bsp --preset small --recipe bsp-r18", "--preset small and --recipe bsp-r18 cannot both be given"),
        ("--task pal --recipe bsp-r18", "--recipe bsp-r18 is of the task bsp, got --task pal"),
        ("--task bsp --resume --overwrite", "--resume and --overwrite cannot both be given"),
        ("--task bsp --val-annotations a.csv", "--val-annotations needs --annotations"),
        ("--task bsp --subset a", "--subset needs --annotations"),
        ("--task bsp --window-frames 25", "--window-frames must be ≥ 26"),
        (
            "--task bsp --fit short --bank-size 9 8",
            "--bank-size must be a short and a long side for --fit short, got (9, 8)",
        ),
        ("--task bsp --window-placement whole --windows-per-segment 2", "--windows-per-segment must be 1 where"),
    ],
)
def test_what_does_not_go_together_is_named(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse([*words.split(), "--videos", "x", "--out", "y"], prog="train")
    assert f"train: error: {message}" in capsys.readouterr().err


def test_a_recipes_name_is_its_task_and_comes_back_from_its_config(tmp_path):
    line = ["--videos", "x", "--out", "y"]
    settings = parse(["--recipe", "bsp-r18", *line], prog="train")[0]
    assert (settings.task, settings.recipe, settings.preset) == ("bsp", "bsp-r18", "")
    assert settings.saved()["recipe"] == "bsp-r18"
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"task": "bsp", "flags": settings.saved()}))
    assert parse(["--config", str(file)], prog="train")[0] == settings
    assert parse(["--config", str(file), "--task", "bsp"], prog="train")[0].recipe == "bsp-r18"
    assert "recipe" not in told().saved()
    small = told("--preset", "small")
    assert (small.preset, small.recipe, small.deviations) == ("small", "", ())


def test_weights_none_are_random_ones_and_a_dry_run_needs_no_video():
    assert told("--init", "none").encoder.init is None
    assert told("--init", "a.pth").encoder.init == "a.pth"
    dry = parse(["--task", "bsp", "--dry-run", "--annotations", "a.json"], prog="train")[0]
    assert (dry.data.videos, dry.run.out, dry.run.dry_run) == ((), "", True)
    given = parse(["--task", "bsp", "--dry-run", "--videos", "v", "--out", "o"], prog="train")[0]
    assert (given.data.videos, given.run.out) == (("v",), "o")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("--videos DIR/none", "--videos"),
        ("--videos DIR --val-videos DIR DIR/none", "--val-videos"),
        ("--videos DIR --annotations DIR/none", "--annotations"),
        ("--videos DIR --annotations DIR --val-annotations DIR/none", "--val-annotations"),
        ("--videos DIR --init DIR/none", "--init"),
        ("--videos DIR --mode distill --teacher-action DIR/none --teacher-boundary DIR", "--teacher-action"),
        ("--videos DIR --mode distill --teacher-action DIR --teacher-boundary DIR/none", "--teacher-boundary"),
        ("--task tsp --videos DIR --gvf DIR/none", "--gvf"),
    ],
)
def test_files_that_are_not_there_are_named(words, option, tmp_path):
    line = words.replace("DIR", str(tmp_path)).split()
    settings = parse(["--task", "bsp", "--out", "y", *line], prog="train")[0]
    with pytest.raises(
        ValueError, match=f"^{option} must be a file or folder that exists, there is no {tmp_path}/none"
    ):
        check_files(settings)
    (tmp_path / "none").touch()
    check_files(settings)
