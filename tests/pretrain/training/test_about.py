"""What config.json and summary.json say of a run, and what its annotations come to before it."""

import math
from types import SimpleNamespace

import pytest
import torch

import gpuaug
from gpuaug.video.manifest import Video
from pretrain.common.distributed import Group
from pretrain.data.dataset import Dataset
from pretrain.tasks.task import load
from pretrain.training import about
from pretrain.training.settings import parse

SEGMENTS = [gpuaug.Segment("a.mp4", 0.0, 4.0, 1, 0)]
TRAIN = Dataset(SEGMENTS, ["run", "sit"], [Video("a.mp4"), Video("b.mp4")], skipped=[("c.mp4", "empty")])


def told(*words, task="bsp"):
    return parse(["--task", task, "--videos", "x", "--out", "y", *map(str, words)], prog="train")[0]


def test_a_config_has_what_a_checkpoint_needs_alone(monkeypatch):
    monkeypatch.setattr(about, "environment", lambda device: {"machine": device.type})
    net = SimpleNamespace(name="i3d", frames=8, size=64, features=512, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    settings = told("--recipe", "bsp-r18", "--fps", 7)
    task = SimpleNamespace(EXTRACT_FPS=12.5)
    names = {"kind": ("a", "b")}
    given = (settings, task, net, TRAIN, names, torch.device("cpu"), torch.bfloat16, Group(1, 3))
    found = about.config(*given)
    assert found == {
        "task": "bsp",
        "encoder": {"name": "i3d", "frames": 8, "size": 64, "features": 512},
        "mean": [0.1, 0.2, 0.3],
        "std": [1.0, 2.0, 3.0],
        "fps": 7.0,
        "classes": ["run", "sit"],
        "empty_classes": ["run"],
        "segments": gpuaug.Segment.fingerprint(SEGMENTS),
        "names": {"kind": ["a", "b"]},
        "extract_fps": 12.5,
        "deviations": list(settings.deviations),
        "precision": "bfloat16",
        "world": 3,
        "flags": settings.saved(),
        "machine": "cpu",
    }
    assert any("--fps" in each for each in found["deviations"])
    assert about.config(settings, SimpleNamespace(), *given[2:])["extract_fps"] == 7.0


@pytest.fixture
def summed():
    """A function of a run's end that gives its summary."""

    def of(wait=0.0, render=0.0, best=0.5, failures=(), held_out=None, step=4, seconds=8.0):
        meter = SimpleNamespace(shares=lambda: {"wait": wait, "render": render})
        validation = SimpleNamespace(failures=list(failures)) if held_out else None
        loader = SimpleNamespace(report=lambda: {"decoded_windows": 7})
        loop = SimpleNamespace(step=step, samples=16, seconds=seconds, best=best, last={"loss": 2.0}, meter=meter)
        loop.validation, loop.loader = validation, loader
        return about.summary("finished", loop, TRAIN, held_out)

    return of


def test_a_summary_by_hand(summed):
    held_out = Dataset([], [], [Video("d.mp4")] * 3)
    found = summed(0.1, 0.25, failures=[gpuaug.Failure(2, "d.mp4", "cut off")], held_out=held_out)
    assert found == {
        "status": "finished",
        "steps": 4,
        "samples": 64,
        "seconds": 8.0,
        "samples_per_second": 8.0,
        "limited_by": "the encoder",
        "share_of_time": {"wait": 0.1, "render": 0.25, "encoder": pytest.approx(0.65)},
        "best": 0.5,
        "validation": {"loss": 2.0},
        "training_videos": 2,
        "held_out_videos": 3,
        "skipped": [["c.mp4", "empty"]],
        "held_out_failures": [{"index": 2, "path": "d.mp4", "reason": "cut off"}],
        "decoded_windows": 7,
    }


def test_a_summary_without_a_validation_or_a_step(summed):
    found = summed(best=-math.inf, step=0, seconds=0.0)
    assert (found["best"], found["held_out_videos"], found["held_out_failures"]) == (None, 0, [])
    assert (found["samples"], found["samples_per_second"]) == (0, 0)


@pytest.mark.parametrize(
    ("wait", "render", "limit"),
    [
        (0.2, 0.4, "the encoder"),
        (0.21, 0.0, "decoding"),
        (0.3, 0.6, "decoding"),
        (0.1, 0.41, "rendering"),
        (0.9, 0.2, "decoding"),
    ],
)
def test_what_limits_a_run(summed, wait, render, limit):
    found = summed(wait, render)
    assert found["limited_by"] == limit
    assert found["share_of_time"]["encoder"] == pytest.approx(max(0, 1 - wait - render))


def test_a_dry_run_counts_the_rows_of_each_file(monkeypatch):
    asked = []

    def counted(file, *, subset, background, clip_seconds):
        asked.append((file, subset, background, clip_seconds))
        return f"{file} {subset}", {}

    monkeypatch.setattr(about, "counted", counted)
    monkeypatch.setattr(about, "training_subset", lambda file: f"training of {file}")
    task = load("tsp")

    def lines(*words):
        asked.clear()
        return about.dry_run(told("--fps", 8, "--background", "none", *words, task="tsp"), task)

    with pytest.raises(ValueError, match=r"^--dry-run needs --annotations$"):
        lines()
    assert lines("--annotations", "a") == ["a training of a"]
    assert asked == [("a", "training of a", "none", 2.0)], "16 frames at 8 per second"
    assert lines("--annotations", "a", "--subset", "all") == ["a None"]
    assert lines("--annotations", "a", "--subset", "s", "--val-subset", "v") == ["a s", "a v"]
    assert lines("--annotations", "a", "--subset", "s", "--val-annotations", "b") == ["a s", "b None"]
    assert lines("--annotations", "a", "--val-annotations", "b", "--val-subset", "all")[1] == "b None"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.52, "0.5 s"), (9.96, "10.0 s"), (10, "10 s"), (119.4, "119 s"), (120, "2.0 min"), (7199, "120 min"),
     (7200, "2.0 h"), (36000, "10 h"), (172799, "48 h"), (172800, "2 days"), (9e5, "10 days")],
)  # fmt: skip
def test_a_time_has_a_unit_of_its_size(seconds, text):
    assert about._time(seconds) == text
