"""Distances to two teachers by hand, and what of them is learnt and kept."""

import pytest
import torch
from torch import nn

from pretrain.tasks.bsp import distillation
from pretrain.tasks.bsp import task as bsp


class Teacher(nn.Module):
    """Features that every clip gets: its mean times 1, 2 … F."""

    def __init__(self, features):
        super().__init__()
        self.features, self.scale = features, nn.Parameter(torch.arange(1.0, features + 1))

    def forward(self, clip_NCTYX):
        return clip_NCTYX.mean((1, 2, 3, 4))[:, None] * self.scale


@pytest.fixture
def teachers(monkeypatch):
    asked = []
    monkeypatch.setattr(distillation, "load_encoder", lambda path: asked.append(path) or Teacher(len(path)))
    made = distillation.Teachers(4, "ab", "abc")
    assert asked == ["ab", "abc"]
    return made


CLIPS = torch.stack([torch.full((3, 2, 2, 2), value) for value in (1.0, 2.0)])


def test_squared_distances_are_summed_over_features_and_teachers(teachers):
    """Zero layers: 1² + 2² of the first and 1² + 2² + 3² of the second, times the clip's mean squared."""
    for layer in teachers.project:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    feature = torch.ones(2, 4, dtype=torch.float64)
    assert teachers.project[0].weight.shape == (2, 4)
    assert teachers.project[1].weight.shape == (3, 4)
    found = teachers(feature.float(), CLIPS)
    assert found.tolist() == [5.0 + 14.0, 4 * 19.0]
    assert found.dtype == torch.float32
    nn.init.ones_(teachers.project[0].bias)
    nn.init.constant_(teachers.project[1].weight, 0.25)
    assert teachers(feature.float(), CLIPS).tolist() == [1.0 + 5.0, (1 + 9) + (1 + 9 + 25)]
    assert teachers.half().project[0].weight.dtype == torch.float16


def test_teachers_are_frozen_in_evaluation_and_no_part_of_the_state(teachers):
    assert set(teachers.state_dict()) == {f"project.{k}.{name}" for k in (0, 1) for name in ("weight", "bias")}
    assert not any(each.training or each.scale.requires_grad for each in teachers._teachers)
    feature = torch.ones(2, 4, requires_grad=True)
    clips = CLIPS.clone().requires_grad_()
    teachers(feature, clips).sum().backward()
    assert clips.grad is None
    assert feature.grad is not None


@pytest.mark.parametrize(("paths", "name"), [(("", "x"), "teacher_action"), (("x", ""), "teacher_boundary")])
def test_both_are_needed(teachers, paths, name):
    with pytest.raises(
        ValueError, match=f"^{name} must be the checkpoint of a trained run for mode distill, got nothing$"
    ):
        distillation.Teachers(4, *paths)


def test_the_heads_loss_has_its_three_parts(teachers, monkeypatch):
    settings = bsp.Settings(mode="distill", teacher_action="ab", teacher_boundary="abc", dropout=0.0, head_std=0.0,
                            match_weight=0.5, action_weight=2.0)  # fmt: skip
    head = bsp.Head(4, ["run", "sit"], settings)
    assert head.names == {"boundary": [bsp.KINDS[k] for k in bsp.kinds_of("distill", settings.boundaries)],
                          "action": ["run", "sit"]}  # fmt: skip
    for layer in head.match.project:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    kinds = len(head.names["boundary"])
    target = {"kind": torch.tensor(bsp.kinds_of("distill", settings.boundaries)[:2]), "action": torch.tensor([1, -1])}
    loss, scores = head.loss(lambda clip: torch.ones(len(clip), 4), CLIPS, target)
    log = torch.log(torch.tensor([float(kinds), 2.0]))
    expected = log[0] + 2.0 * log[1] / 2 + 0.5 * (19.0 + 76.0) / 2
    assert loss.item() == pytest.approx(expected.item())
    assert scores["match"].tolist() == [19.0, 76.0]
    assert not scores["match"].requires_grad
    assert [each.tolist() for each in scores["boundary"]] == [[0, 1], [0, 0]]
    assert [each.tolist() for each in scores["action"]] == [[1, -1], [0, 0]]
