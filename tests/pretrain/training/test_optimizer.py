"""The optimizer's parts by themselves: which rate each part of a model takes, clipping, resuming, recipes' rates."""

import pytest
import torch
from torch import nn

from pretrain.common.settings import Default
from pretrain.training.optimizer import USUAL_LR, Optimizer, OptimSettings, peak_rates

RECIPE = {name: Default(value, "[test]") for name, value in
          {"optimizer": "sgd", "batch": 32, "lr": 0.01, "lr_head": 0.02}.items()}  # fmt: skip


def model():
    parts = {"encoder": nn.ModuleDict({"stem": nn.Linear(1, 1), "rest": nn.Linear(1, 1)}), "head": nn.Linear(1, 1)}
    return nn.ModuleDict(parts)


def made(net, *, stem="", **options):
    settings = OptimSettings(**{"batch": 4, "optimizer": "sgd", "lr": 0.1, **options})
    return Optimizer(net, stem, settings, scale=False, device="cpu")


def rates(net, optimizer):
    """Rate by name of parameter."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {names[id(p)]: group["lr"] for group in optimizer.torch.param_groups for p in group["params"]}


def test_each_part_takes_its_rate_and_the_log_the_encoders():
    net = model()
    optimizer = made(net, stem="stem", lr_head=0.5, lr_stem=0.01)
    found = rates(net, optimizer)
    assert found == {f"{part}.{kind}": rate for part, rate in
                     (("head", 0.5), ("encoder.stem", 0.01), ("encoder.rest", 0.1))
                     for kind in ("weight", "bias")}  # fmt: skip
    assert optimizer.rate == 0.1
    net = model()
    assert set(rates(net, made(net)).values()) == {0.1}
    net = model()
    optimizer = made(net, lr_head=0.0)
    assert not any("head" in name for name in rates(net, optimizer))
    assert not net["head"].weight.requires_grad
    with pytest.raises(ValueError, match="lr must be given"):
        made(model(), lr=None)


KINDS = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_the_optimizer_asked_for_with_its_decay(name, kind):
    optimizer = made(model(), optimizer=name, weight_decay=0.25)
    assert type(optimizer.torch) is kind
    assert all(group["weight_decay"] == 0.25 for group in optimizer.torch.param_groups)
    if name == "sgd":
        assert all(group["momentum"] == 0.9 for group in optimizer.torch.param_groups)


def test_biases_and_norms_have_rates_and_decay_of_their_own():
    """A bias outside of norms takes `bias_factor` times its part's rate; of decay "weights" neither it nor norms."""
    net = model()
    net["encoder"]["norm"] = nn.BatchNorm1d(1)
    optimizer = made(net, stem="stem", lr_head=0.5, lr_stem=0.01, bias_factor=2, weight_decay=0.25, decay="weights")
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    groups = optimizer.torch.param_groups
    found = {
        names[id(p)]: (group["lr"], group["peak"], group["weight_decay"]) for group in groups for p in group["params"]
    }
    assert found == {
        "head.weight": (0.5, 0.5, 0.25),
        "head.bias": (1.0, 1.0, 0),
        "encoder.stem.weight": (0.01, 0.01, 0.25),
        "encoder.stem.bias": (0.02, 0.02, 0),
        "encoder.rest.weight": (0.1, 0.1, 0.25),
        "encoder.rest.bias": (0.2, 0.2, 0),
        "encoder.norm.weight": (0.1, 0.1, 0),
        "encoder.norm.bias": (0.1, 0.1, 0),
    }


@pytest.mark.parametrize(("clip", "moved"), [(1.0, 0.25), (0.0, 2500.0), (20_000.0, 2500.0)])
def test_gradients_are_clipped_to_the_norm_and_no_further(clip, moved):
    """One parameter with a gradient of 10,000, at half of the rate 0.5."""
    net = nn.ModuleDict({"encoder": nn.Linear(1, 1, bias=False)})
    optimizer, before = made(net, lr=0.5, grad_clip=clip), net["encoder"].weight.item()
    optimizer.backward(net["encoder"].weight.sum() * 1e4)
    assert optimizer.step(0.5).item() == pytest.approx(1e4)
    assert optimizer.rate == 0.25
    assert before - net["encoder"].weight.item() == pytest.approx(moved, rel=1e-3)
    assert net["encoder"].weight.grad is None


def test_losses_of_one_step_add_up():
    net = nn.ModuleDict({"encoder": nn.Linear(1, 1, bias=False)})
    optimizer, before = made(net, lr=1.0), net["encoder"].weight.item()
    for _ in range(3):
        optimizer.backward(net["encoder"].weight.sum())
    optimizer.step(1.0)
    assert before - net["encoder"].weight.item() == pytest.approx(3)


def test_a_resumed_run_takes_the_rate_that_it_is_told():
    net = model()
    state = made(net, lr=0.1, lr_head=0.3).state_dict()
    again = made(model(), lr=0.2, lr_head=0.6)
    again.load_state_dict(state)
    assert [group["peak"] for group in again.torch.param_groups] == [0.6, 0.2]
    again.step(0.5)
    assert [group["lr"] for group in again.torch.param_groups] == [0.3, 0.1]


def test_the_scaler_of_half_precision_is_saved():
    settings = OptimSettings(batch=4, optimizer="sgd", lr=0.1)
    first, second = (Optimizer(model(), "", settings, scale=True, device="cpu") for _ in range(2))
    state = first.state_dict()
    state["scaler"]["scale"] = 8.0
    second.load_state_dict(state)
    assert second.scaler.get_scale() == 8.0
    unscaled = made(model())
    unscaled.load_state_dict({**state, "torch": unscaled.torch.state_dict()})  # of a run that had one


@pytest.mark.parametrize(
    ("options", "batch", "expected"),
    [
        ({}, 64, (0.02, 0.04, None)),  # the recipe's, twice its batch
        ({}, 8, (0.0025, 0.005, None)),
        ({"lr": 0.3}, 64, (0.3, 0.6, None)),  # the head keeps its ratio
        ({"lr": 0.3, "lr_head": 0.0, "lr_stem": 0.1}, 64, (0.3, 0.0, 0.1)),
        ({"optimizer": "adamw"}, 64, (5e-4, None, None)),
        ({"optimizer": "adam", "lr_head": 1.0}, 64, (1e-4, 1.0, None)),
    ],
)
def test_rates_that_are_not_given(options, batch, expected):
    found = peak_rates(OptimSettings(**{"batch": 4, "optimizer": "sgd", **options}), RECIPE, batch)
    assert (found.lr, found.lr_head, found.lr_stem) == pytest.approx(expected)
    adamw = {**RECIPE, "optimizer": Default("adamw", "[test]")}
    assert peak_rates(OptimSettings(batch=4, optimizer="adamw"), adamw, 64).lr == 0.01  # in no proportion
    assert USUAL_LR == {"sgd": 0.02, "adamw": 5e-4, "adam": 1e-4}
