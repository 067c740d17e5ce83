"""TSP's recipes, a step each against the paper and its code's rates (support/papers)."""

import functools
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain.tasks.recipes import RECIPES
from support.papers import networks, samples
from support.papers.step import check_step, prepared

pytestmark = pytest.mark.slow
LAYERS_LR = {"tac-thumos": 1e-5}
HEAD_LR = {"tsp-thumos": 0.004}


def tsp_loss(P, batch, kind, depth, gvf, region_weight):
    """Action over foreground clips, temporal region over all, on the clip's feature beside the video's (Eq. 1)."""
    target = batch.target
    if kind == "tsm":
        feature = networks.tsm_resnet(P, batch.clips.double(), depth, "encoder.net.net.")
    else:
        feature = networks.resnet_3d(P, batch.clips.double(), kind, depth, "encoder.net.")
    inside = target["action"] >= 0
    assert inside.any()
    log_p = F.log_softmax(feature[inside] @ P["head.action.weight"].T + P["head.action.bias"], 1)
    loss = -log_p[torch.arange(int(inside.sum())), target["action"][inside]].mean()
    if gvf is not None:
        feature = torch.cat([feature, gvf], 1)
    log_p = F.log_softmax(feature @ P["head.region.weight"].T + P["head.region.bias"], 1)
    return loss + region_weight * -log_p[torch.arange(len(log_p)), inside.long()].mean()


def check_tsp_batch(batch, info, videos, toy, classes, name):
    truth = json.loads((toy / "untrimmed" / "annotations.json").read_text())["database"]
    shown, gvf = samples.taps(batch, info), []
    assert (shown.weight == 1).all()
    assert (shown.frame[:, :, 0] == np.arange(16)).all(), "16 frames one after the other"
    assert (info["fps"] == 15).all()
    for n in range(batch.plan.shape[0]):
        slot = int(batch.plan.clip[n, 0, 0])
        video = Path(videos[int(info["video"][slot])]).stem
        start = float(info["start_seconds"][slot])
        end, label = start + 16 / 15, int(batch.target["action"][n])
        spans = [(*each["segment"], each["label"]) for each in truth[video]["annotations"]]
        if label >= 0:
            assert any(s - 1e-6 <= start and end <= e + 1e-6 and classes[label] == each for s, e, each in spans)
        else:
            assert all(end <= s + 1e-6 or start >= e - 1e-6 for s, e, _ in spans)
            assert not name.startswith("tac")
        assert int(batch.target["region"][n]) == (label >= 0)
        with h5py.File(toy / "gvf.h5") as file:
            gvf.append(torch.from_numpy(file[video][:]).double())
    return torch.stack(gvf)


@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].task == "tsp"])
def test_tsp(name, toy, tmp_path):
    settings, dataset, videos, ((batch, info),), model, optimizer = prepared(name, toy, tmp_path)
    gvf = check_tsp_batch(batch, info, videos, toy, dataset.classes, name)
    kind, depth = {"r2plus1d_34": ("r2plus1d", 34), "r2plus1d_18": ("r2plus1d", 18), "r3d_18": ("r3d", 18)}.get(
        settings.encoder.encoder, ("tsm", 18)
    )
    given = gvf if settings.options.gvf else None
    weight = 0.0 if name.startswith("tac") else 1.0

    def update(P, gradients):
        """The stem stays; layers 1e-4, heads 0.002 unless THUMOS14's; everything decays by 0.005."""
        layers, head = LAYERS_LR.get(name, 1e-4), HEAD_LR.get(name, 0.002)
        rates = {n: head if n.startswith("head.") else layers for n in gradients}
        stem = [n for n in P if n.startswith("encoder.net.net.conv1." if kind == "tsm" else "encoder.net.stem.")]
        assert stem
        assert not set(stem) & set(gradients)
        after = {n: networks.sgd(P[n], g, rates[n], 0.005) for n, g in gradients.items()}
        return {**after, **{n: P[n] for n in stem}}

    loss_of = functools.partial(tsp_loss, batch=batch, kind=kind, depth=depth, gvf=given, region_weight=weight)
    check_step(model, optimizer, batch, loss_of, update)
