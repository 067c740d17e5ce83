"""The numbers of the recipes, written down once more: a slip of the hand in one of them is no other experiment."""

import inspect

import numpy as np
import pytest
import torch

from gpuaug import color
from pretrain.tasks.task import load, recipe

RECIPES = {
    "bsp": {
        "encoder": "tsm_resnet18",
        "size": 224,
        "fps": 30.0,
        "window_frames": 64,
        "batch": 128,
        "epochs": 50.0,
        "optimizer": "sgd",
        "lr": 0.02,
        "lr_head": 0.1,
        "bias_factor": 2.0,
        "decay": "weights",
        "sync_bn": False,
        "weight_decay": 0.0001,
        "schedule": "step",
        "milestones": (20.0, 40.0),
        "gamma": 0.1,
        "grad_clip": 20.0,
        "crop": "multiscale",
    },
    "pal": {
        "encoder": "i3d",
        "size": 112,
        "fps": 30.0,
        "window_frames": 29,
        "windows_per_segment": 8,
        "window_placement": "spread",
        "batch": 8,
        "epochs": 200.0,
        "optimizer": "adam",
        "lr": 0.0001,
        "weight_decay": 1e-05,
        "schedule": "plateau",
        "gamma": 0.1,
        "crop": "resized",
        "jitter": 0.8,
        "grayscale": 0.2,
        "blur": 0.5,
        "sync_bn": True,
    },
    "tsp": {
        "encoder": "r2plus1d_18",
        "size": 112,
        "fps": 15.0,
        "window_frames": 16,
        "windows_per_segment": 5,
        "clips_per_segment": 5,
        "window_placement": "random",
        "reuse_min": 1,
        "reuse_max": 1,
        "bank_size": (128, 171),
        "fit": "stretch",
        "crop": "random",
        "batch": 32,
        "epochs": 8.0,
        "optimizer": "sgd",
        "lr": 0.0001,
        "lr_stem": 0.0,
        "lr_head": 0.002,
        "weight_decay": 0.005,
        "schedule": "step",
        "milestones": (4.0, 6.0),
        "gamma": 0.01,
        "warmup": 2.0,
        "val_every": 1.0,
    },
}
SETTINGS = {
    "bsp": {
        "mode": "boundary",
        "boundaries": None,
        "frames": 8,
        "epsilon": None,
        "center": None,
        "change_point": None,
        "rates": (0.25, 0.5, 2.0, 4.0),
        "sampling": "uniform",
        "stride": 2.0,
        "heatmap_tau": None,
        "head_std": 0.001,
        "dropout": 0.5,
        "action_weight": 1.0,
        "match_weight": 1.0,
        "teacher_action": "",
        "teacher_boundary": "",
    },
    "pal": {
        "frames": 8,
        "length_min": 1,
        "length_max": None,
        "stride_max": 4,
        "opacity": (0.6, 1.0),
        "paste": "different",
        "contrast": "region",
        "dim": 128,
        "layers": 2,
        "temporal_layers": 2,
        "temporal_relu": "each",
        "queue": 16384,
        "temperature": 0.07,
        "momentum": 0.999,
        "batch_statistics": False,
        "batch_keys": True,
        "same_video": False,
    },
    "tsp": {
        "frames": 16,
        "balance": False,
        "gvf": "",
        "head_std": 0.01,
        "action_weight": 1.0,
        "region_weight": 1.0,
    },
}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes(name):
    assert {key: default.value for key, default in load(name).RECIPE.items()} == RECIPES[name]
    assert recipe(load(name)).items() >= load(name).RECIPE.items()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_settings_of_a_task(name):
    assert vars(load(name).Settings()) == SETTINGS[name]


@pytest.mark.parametrize(("name", "layers"), [("bsp", ["boundary", "action"]), ("tsp", ["action", "region"])])
def test_classifiers_start_from_the_spread_that_is_told(name, layers):
    task = load(name)
    options = {"mode": "two_head", "dropout": 0.25} if name == "bsp" else {}
    for std in (0.5, 0.0):
        torch.manual_seed(0)
        head = task.Head(4000, ["a", "b"], task.Settings(head_std=std, **options))
        for layer in layers:
            assert getattr(head, layer).weight.std().item() == pytest.approx(std, rel=0.05)
            assert abs(getattr(head, layer).weight.mean().item()) <= 0.05 * std
            assert not getattr(head, layer).bias.any()
    assert name != "bsp" or head.dropout.p == 0.25


def test_a_held_out_query_looks_for_its_key_among_64_or_as_many_as_there_are():
    torch.manual_seed(0)
    pal = load("pal")
    head = pal.Head(4, [], pal.Settings(dim=8, temperature=0.5))
    assert head.constant == {"retrieval": 1 / 64}
    for count, chance in ((10, 1 / 10), (64, 1 / 64), (80, 1 / 64)):
        key = np.eye(80, dtype=np.float32)[:count]
        loss, scores = head.held_out({"query": key, "key": key, "video": np.arange(count)})
        assert head.constant == {"retrieval": chance}
        assert scores["retrieval"].all()
        others = round(1 / chance) - 1
        assert loss == pytest.approx(np.log(1 + others * np.exp(-1 / 0.5)), rel=1e-5)


def test_colours_are_moco_v2s():
    defaults = {
        name: each.default for name, each in inspect.signature(color.jitter).parameters.items()
        if each.default is not each.empty
    }  # fmt: skip
    wanted = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "probability": 0.8, "grayscale": 0.2}
    assert {name: defaults[name] for name in wanted} == wanted
