"""BSP's heads on targets that a real plan gave."""

import pytest
import torch
from torch import nn

from pretrain.tasks.bsp import task as bsp
from support.banks import T, draw


class Pool(nn.Module):
    """A stand-in for an encoder: the clips' mean per channel and frame."""

    features = 24

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, clip):
        return clip.mean((3, 4)).flatten(1) * self.scale


def batch(**options):
    _, _, target = draw(64, **options)
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(64, 3, T, 2, 2, generator=generator)
    return clips, {name: torch.from_numpy(value) for name, value in target.items()}


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("boundary", {"boundary"}),
        ("action", {"action"}),
        ("two_head", {"boundary", "action"}),
        ("regression", {"heatmap", "gain", "frame"}),
    ],
)
def test_heads_learn_a_batch(mode, names):
    torch.manual_seed(0)
    clips, target = batch(mode=mode)
    encoder, head = Pool(), bsp.Head(24, list("abcd"), bsp.Settings(mode=mode, dropout=0.0))
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 0.05)
    losses = []
    for _ in range(60):
        loss, scores = head.loss(encoder, clips, target)
        optimizer.zero_grad()
        loss.backward()
        assert encoder.scale.grad is not None
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert set(scores) == names
    for value in scores.values():
        parts = value if isinstance(value, tuple) else (value,)
        assert all(part.shape == (64,) for part in parts)
    if mode == "regression":
        assert scores["gain"].mean() > 0  # better than the mean map


def test_head_of_a_subset_has_one_column_per_kind():
    clips, target = batch(boundaries=("dc", "ss"))
    head = bsp.Head(24, [], bsp.Settings(boundaries=("dc", "ss")))
    truth, prediction = head.loss(Pool(), clips, target)[1]["boundary"]
    assert head.names["boundary"] == ["dc", "ss"]
    assert set(truth.tolist()) == {0, 1}
    assert torch.equal(truth == 1, target["kind"] == bsp.SS)
    assert set(prediction.tolist()) <= {0, 1}


def test_samples_of_two_actions_do_not_count():
    clips, target = batch(mode="two_head")
    head = bsp.Head(24, list("abcd"), bsp.Settings(mode="two_head", dropout=0.0, action_weight=1.0))
    plain = bsp.Head(24, list("abcd"), bsp.Settings(dropout=0.0))
    plain.boundary = head.boundary
    both = head.loss(Pool(), clips, target)[0] - plain.loss(Pool(), clips, target)[0]
    one = target["action"] >= 0
    assert torch.equal(~one, target["kind"] == bsp.DC)
    logits = head.action(Pool()(clips))[one]
    expected = nn.functional.cross_entropy(logits, target["action"][one], reduction="sum") / 64
    torch.testing.assert_close(both, expected)
    with pytest.raises(ValueError, match="at least 2 classes"):
        bsp.Head(24, ["only"], bsp.Settings(mode="action"))


@pytest.mark.parametrize("mode", ["action", "two_head"])
def test_two_classes_are_enough_and_one_is_not(mode):
    settings = bsp.Settings(mode=mode)
    assert bsp.Head(6, ["a", "b"], settings).action.out_features == 2
    with pytest.raises(ValueError, match=f"mode {mode} needs videos of at least 2 classes, got 1"):
        bsp.Head(6, ["a"], settings)
    assert bsp.Head(6, ["a"], bsp.Settings()).names["action"] == ["a"]
