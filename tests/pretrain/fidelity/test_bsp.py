"""BSP's recipes, a step each against the paper and TSM's rates (support/papers)."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain.models import checkpoint
from pretrain.models.encoders import encoder
from pretrain.tasks.recipes import RECIPES
from support.papers import networks, samples
from support.papers.step import check_step, prepared

pytestmark = pytest.mark.slow
KINDS = ("dc", "sc", "ds", "ss")


def bsp_loss(P, batch, mode, depth, kinds, teachers=()):
    """4-way (or fewer) cross-entropy; smooth L1 of the heat map; actions; squared distances of features (3.3, 3.4)."""
    clip, target = batch.clips.double(), batch.target
    feature = networks.tsm_resnet(P, clip, depth, "encoder.net.net.")
    dropped = F.dropout(feature, 0.5)

    def scores(name):
        return dropped @ P[f"head.{name}.weight"].T + P[f"head.{name}.bias"]

    def cross_entropy(score, truth):
        return torch.logsumexp(score, 1) - score[torch.arange(len(score)), truth]

    if mode == "regression":
        gap = (scores("heatmap") - target["heatmap"].double()).abs()
        return torch.where(gap < 1, 0.5 * gap**2, gap - 0.5).mean()
    loss = 0.0
    if mode != "action":
        place = torch.tensor([kinds.index(KINDS[k]) for k in target["kind"].tolist()])
        loss = loss + cross_entropy(scores("boundary"), place).mean()
    if mode != "boundary":
        known = target["action"] >= 0  # two classes are no class
        loss = loss + cross_entropy(scores("action")[known], target["action"][known]).sum() / len(known)
    for k, teacher in enumerate(teachers):
        with torch.no_grad():
            wanted = teacher(clip)
        mine = feature @ P[f"head.match.project.{k}.weight"].T + P[f"head.match.project.{k}.bias"]
        loss = loss + ((mine - wanted) ** 2).sum(1).mean()
    return loss


def tsm_update(P, gradients, rate=0.02, decay=1e-4, most=20.0):
    """TSM's policies: batch norm does not decay; the classifier learns at five times the rate, its bias at ten."""
    gradients, after = networks.clipped(gradients, most), {}
    for name, g in gradients.items():
        fc, bias, bn = (
            name.startswith("head."),
            name.endswith(".bias"),
            P[name].ndim == 1 and not name.startswith("head."),
        )
        factor = (10 if bias else 5) if fc else 1
        after[name] = networks.sgd(P[name], g, rate * factor, 0.0 if bias or bn else decay)
    return after


def check_bsp_batch(batch, info, videos, settings, classes):
    shown = samples.taps(batch, info)
    mode = settings.options.mode
    kinds = settings.options.boundaries or {"regression": ("ds",), "action": ("ss",)}.get(mode, KINDS)
    label_of = [Path(path).parent.name for path in videos]
    centers = range(2, 7) if mode == "regression" else (4,)
    for n in range(batch.plan.shape[0]):
        rows = [samples.row_of(shown, n, t) for t in range(8)]
        kind = KINDS[int(batch.target["kind"][n])]
        assert kind in kinds
        fits = samples.bsp_sample(rows, kind, 104 / 26, 104, centers)
        assert fits, f"sample {n} is no {kind}"
        assert int(batch.target["boundary"][n]) in {fit["boundary"] for fit in fits}
        names = [label_of[video] for video in fits[0]["videos"]]
        if kind == "dc":
            assert names[0] != names[1]
        if kind == "sc":
            assert names[0] == names[1]
            assert fits[0]["videos"][0] != fits[0]["videos"][1]
        wanted = classes.index(names[0]) if len(set(names)) == 1 else -1
        assert int(batch.target["action"][n]) == wanted
        map_T = samples.heatmap(int(batch.target["boundary"][n]), 8)
        np.testing.assert_allclose(batch.target["heatmap"][n], map_T, atol=1e-6)
    return list(kinds)


def teacher_run(path, mode):
    """A checkpoint of a network that nothing was taught, and that network as a function."""
    torch.manual_seed(len(mode))
    net = encoder("tsm_resnet18", frames=8, size=32)
    model = {f"encoder.{name}": value for name, value in net.state_dict().items()}
    about = {"name": "tsm_resnet18", "frames": 8, "size": 32, "features": 512}
    checkpoint.save(path, {"config": {"encoder": about}, "model": model, "step": 0})
    state = {name: value.double() for name, value in net.state_dict().items()}

    def evaluated(clip):
        original = networks.norm
        networks.norm = functools.partial(running, original=original)
        try:
            return networks.tsm_resnet(state, clip, 18, "net.net.")
        finally:
            networks.norm = original

    return path, evaluated


def running(x, P, name, eps, original):
    """Batch norm by running statistics, as in evaluation."""
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean, var, weight, bias = (
        P[f"{name}.{part}"].view(shape) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + eps) * weight + bias


@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].task == "bsp"])
def test_bsp(name, toy, tmp_path):
    runs = [teacher_run(tmp_path / mode, mode) for mode in ("action", "boundary")] if name == "bsp-distill" else None
    found = prepared(name, toy, tmp_path, runs and [path for path, _ in runs])
    settings, dataset, videos, ((batch, info),), model, optimizer = found
    kinds = check_bsp_batch(batch, info, videos, settings, dataset.classes)
    assert batch.clips.shape == (4, 3, 8, 32, 32)
    if runs:
        model.head.match._teachers = [teacher.double() for teacher in model.head.match._teachers]
    depth, mode = 50 if "resnet50" in settings.encoder.encoder else 18, settings.options.mode
    teachers = [function for _, function in runs or ()]
    loss_of = functools.partial(bsp_loss, batch=batch, mode=mode, depth=depth, kinds=kinds, teachers=teachers)
    check_step(model, optimizer, batch, loss_of, tsm_update)


def test_a_planted_fault_is_found(toy, tmp_path):
    """Negative control: a rate of 0.021, or a target that is not the picture's, does not pass."""
    settings, dataset, videos, ((batch, info),), model, optimizer = prepared("bsp-r18", toy, tmp_path)
    loss_of = functools.partial(bsp_loss, batch=batch, mode="boundary", depth=18, kinds=list(KINDS))
    with pytest.raises(AssertionError, match="the update of"):
        check_step(model, optimizer, batch, loss_of, functools.partial(tsm_update, rate=0.021))
    batch.target["kind"][0] = (batch.target["kind"][0] + 1) % 4
    with pytest.raises(AssertionError):
        check_bsp_batch(batch, info, videos, settings, dataset.classes)
