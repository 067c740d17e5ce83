"""Presets: other defaults than a task's, and what a run on the CPU is told before its first step."""

import functools
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pretrain.models import cost
from pretrain.models.encoders import encoder
from pretrain.tasks.recipes import PRESETS
from pretrain.tasks.task import TASKS, load
from pretrain.training import about
from pretrain.training.optimizer import peak_rates
from pretrain.training.settings import KINDS, flags_of, parse

GIVEN = ["--videos", "videos", "--out", "out"]


def settings(*words, task="bsp"):
    return parse(["--task", task, *GIVEN, *words], prog="train")[0]


@pytest.mark.parametrize("task", TASKS)
def test_every_value_of_a_preset_is_a_flag_and_arrives_where_no_flag_is_given(task):
    small, preset = settings("--preset", "small", task=task), PRESETS["small"][task]
    names = {each.name for kind in (*KINDS.values(), load(task).Settings) for each in flags_of(kind)}
    assert preset.keys() <= names
    saved = small.saved() | {
        name: getattr(peak_rates(small.optim, small.defaults, 8), name) for name in ("lr", "lr_head")
    }
    wanted = {name: each.value for name, each in preset.items() if name != "lr_stem"}
    assert {name: tuple(saved[name]) if isinstance(saved[name], list) else saved[name] for name in wanted} == wanted
    assert settings("--preset", "small", "--size", "40", task=task).encoder.size == 40
    assert small.recipe == ""
    assert small.deviations == ()


def table():
    """The rows of the guide: flags of the preset, by task."""

    def shown(default):
        values = default.value if isinstance(default.value, tuple) else (default.value,)
        return " ".join(
            "–" if each is None else f"{each:g}" if isinstance(each, float) else str(each) for each in values
        )

    small = PRESETS["small"]
    names = list(dict.fromkeys(name for preset in small.values() for name in preset))
    rows = [f"| | {' | '.join(small)} |", f"|---|{'---|' * len(small)}"]
    for name in names:
        cells = [shown(preset[name]) or "none" if name in preset else "" for preset in small.values()]
        rows.append(f"| `--{name.replace('_', '-')}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def test_the_guide_shows_the_preset():
    text = (Path(__file__).parents[3] / "docs" / "guides" / "pretraining.md").read_text(encoding="utf-8")
    assert f"<!-- small -->\n{table()}\n<!-- /small -->" in text


@pytest.mark.parametrize("task", ["bsp", "tsp"])
def test_a_rate_beside_a_preset_is_that_of_all_parts(task):
    small = settings("--preset", "small", "--lr", "0.1", task=task)
    rates = peak_rates(small.optim, small.defaults, 16)
    assert (rates.lr, rates.lr_head, rates.lr_stem) == (0.1, None, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "small", "--recipe", "bsp"], "--preset small and --recipe bsp cannot both be given"),
        (["--preset", "smal"], "did you mean small?"),
    ],
)
def test_wrong_presets_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit):
        settings(*words)
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


class Run(nn.Module):
    """A model whose encoder is known."""

    def __init__(self):
        super().__init__()
        self.encoder = encoder("tsm_resnet18", size=32)


@functools.cache
def run():
    """One for all tests: nothing of it is changed."""
    return Run()


@pytest.fixture
def told(monkeypatch):
    """What `foresee` says of 100 steps, where a clip takes a second, 10 MB are kept of it, and so much is free."""

    def tell(free, task="bsp", steps=100, beside=1, **optim):
        monkeypatch.setattr(cost, "free_bytes", lambda: free)
        monkeypatch.setattr(about, "usable_cores", lambda: 2 * torch.get_num_threads())
        made = settings(task=task)
        made = replace(made, optim=replace(made.optim, **{"batch": 16, **optim}))
        loader = types.SimpleNamespace(report=lambda: {"bank_bytes": 1_000_000})
        return about.foresee(made, load(task), run(), loader, steps, cost.Cost(10_000_000, 1.0), beside=beside)

    return tell


def test_a_step_is_foreseen(told):
    (line, *more) = told(10**10)
    parameters = sum(each.numel() * 4 for each in run().parameters())
    size = (16 * 10_000_000 + 2 * parameters + 1_000_000) / 1e9
    assert f"a step takes about 48 s and at least {size:.1f} GB (16 samples of 8 × 32² with tsm_resnet18)" in line
    assert "100 steps about 80 min" in line
    assert "--preset small" in more[0]
    assert not told(10**10, batch=1)[1:]


def test_states_accumulated_batches_and_lengths_count(told):
    """A step of 16 clips takes 48 s; Adam keeps two numbers for each that is learnt, SGD one."""
    parameters = sum(each.numel() * 4 for each in run().parameters())
    size = (16 * 10_000_000 + 3 * parameters + 1_000_000) / 1e9
    assert f"at least {size:.1f} GB" in told(10**10, optimizer="adam", steps=1)[0]
    assert "a step takes about 3.2 min" in told(10**10, accumulate=4, steps=1)[0]
    with pytest.raises(ValueError, match=r"--preset small, or --batch 4 --accumulate 8$"):
        told(220_000_000, accumulate=2)
    assert [len(told(10**10, steps=steps)) for steps in (75, 76)] == [1, 2], "an hour is not long"
    least = 16 * 10_000_000 + 2 * parameters + 1_000_000
    assert [len(told(free, steps=1)) for free in (least, int(1.4 * least) - 1, int(1.4 * least) + 1)] == [2, 2, 1]
    with pytest.raises(ValueError, match="a step needs at least"):
        told(least - 1)
    assert len(told(None, steps=1)) == 1, "where it is not known what is free"


def test_a_run_of_minutes_is_checked_too(told):
    (line,) = told(10**10, steps=0)
    assert line.endswith("with tsm_resnet18)")
    with pytest.raises(ValueError, match="a step needs at least"):
        told(220_000_000, steps=0)


def test_pairs_of_many_clips_count_whole(told):
    """PAL: eight clips a sample; those of the key go forward only."""
    assert "a step takes about 3.6 min" not in told(10**11, task="pal", batch=1)[0]
    assert "a step takes about 32 s" in told(10**11, task="pal", batch=1)[0]


def test_too_little_memory_is_refused_with_the_flags_that_help(told):
    with pytest.raises(ValueError, match=r"--batch 16: a step .* 0.3 GB .* --preset small, or --batch 4 --acc"):
        told(220_000_000)
    assert "memory may run out" in told(300_000_000)[1]
    with pytest.raises(ValueError, match="a smaller --size"):
        told(1000)


def test_processes_of_one_machine_share_its_memory_and_cores(told):
    parameters = sum(each.numel() * 4 for each in run().parameters())
    size = 3 * (16 * 10_000_000 + 2 * parameters + 1_000_000) / 1e9
    (line, *_) = told(10**10, beside=3)
    assert f"at least {size:.1f} GB (each of 3 processes 16 samples" in line
    assert "a step takes about 72 s" in line, "three on two cores' time: half as long again as the 48 s of one"
    assert "a step takes about 48 s" in told(10**10, beside=2)[0]
    with pytest.raises(
        ValueError, match=r"0.8 GB .*0.7 GB are free; --preset small, or fewer processes, --batch 4 --acc"
    ):
        told(700_000_000, beside=3)
    assert told(700_000_000)


def test_the_cost_of_a_clip_leaves_the_encoder_as_it_is():
    net = encoder("tsm_resnet18", size=32)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    found = cost.measure(net)
    assert torch.equal(torch.rand(1), drawn)
    assert net.training
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    double = cost.measure(encoder("tsm_resnet18", size=64))
    assert 3.5 < double.saved_bytes / found.saved_bytes < 4.5
    assert 3_000_000 < found.saved_bytes < 6_000_000  # eight pictures of 32² through 20 layers
    assert cost.measure(encoder("i3d", frames=8, size=16)).saved_bytes > 0  # its last pictures are of one pixel


def test_free_memory_is_that_of_the_system_or_of_the_container(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 2000 kB\nMemAvailable: 1000 kB\n")
    assert cost.free_bytes(tmp_path / "meminfo", tmp_path) == 1_024_000
    (tmp_path / "memory.max").write_text("700000\n")
    (tmp_path / "memory.current").write_text("300000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 50000\n")
    assert cost.free_bytes(tmp_path / "meminfo", tmp_path) == 450_000
    (tmp_path / "memory.max").write_text("max\n")
    assert cost.free_bytes(tmp_path / "meminfo", tmp_path) == 1_024_000
