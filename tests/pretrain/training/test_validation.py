"""Validation over scripted batches: what it counts, in which order, what it keeps, and what it says without any."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import gpuaug
from pretrain.common.cli import Failed
from pretrain.common.distributed import Group
from pretrain.training.validation import MOST_OF_VIDEO, MOST_WRONG, Validation

NAMES = {"kind": ["cut", "none"]}


class Judge(nn.Module):
    """Says class 1 where a clip's first number is above a half; the loss is its mean."""

    def __init__(self, **head):
        super().__init__()
        self.head, self.trained = nn.Identity(), []
        for name, value in head.items():
            setattr(self.head, name, value)

    def forward(self, clips, target):
        self.trained.append((self.training, torch.is_grad_enabled()))
        value = clips[:, 0, 0, 0, 0]
        return value.mean(), {"kind": (target["kind"], (value > 0.5).long()), "value": value, "half": value > 0.5}


def batch(values, kinds, video, segment):
    clips = torch.tensor(values)[:, None, None, None, None].expand(-1, 3, 2, 1, 1).contiguous()
    target = {"kind": torch.tensor(kinds)}
    return gpuaug.Batch(clips, target, None, 0.0, np.array(video), np.array(segment))


class Pass:
    """A held-out loader: its batches once, from `step` on, then an error if there is one."""

    def __init__(self, *batches, error=None, resident=False, failures=()):
        self.batches, self.error, self.resident, self.failures = batches, error, resident, list(failures)
        self.step, self.closed = 7, 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        while self.step < len(self.batches):
            self.step += 1
            yield self.batches[self.step - 1]
        if self.error:
            raise self.error

    def close(self):
        self.closed += 1


FIRST = batch([1.0, 0.0], [1, 1], [4, 2], [41, 20])
SECOND = batch([0.75, 0.25, 0.5], [0, 0, -1], [2, 3, 3], [21, 30, 31])


def validated(loader, model=None, group=None, **how):
    made = []
    validation = Validation(lambda: made.append(loader) or loader, NAMES, group or Group(), **how)
    return validation, validation.run(model or Judge(), nullcontext), made


def test_all_batches_are_counted_once():
    model = Judge()
    loader = Pass(FIRST, SECOND)
    validation, (result, last), _ = validated(loader, model)
    assert last is SECOND
    assert result["loss"] == pytest.approx((1.0 + 0.0 + 0.75 + 0.25 + 0.5) / 5), "each sample as much as any other"
    assert result["kind"]["confusion"] == [[1, 1], [1, 1]]
    assert (result["kind"]["value"], result["kind"]["samples"], result["kind"]["videos"]) == (0.5, 4, 3)
    assert result["value"]["value"] == pytest.approx(0.5)
    assert result["half"]["value"] == pytest.approx(0.4)
    assert model.trained == [(False, False)] * 2
    assert model.training, "as it was"
    assert loader.closed == 1
    model.eval()
    validation.run(model, nullcontext)
    assert not model.training


def test_intervals_are_by_the_video_of_each_sample():
    """Rows in the order of the segments: the video of each has to move with them."""
    seen = {}
    model = Judge(held_out=lambda scores: (seen.update(scores) or 3.0, {"value": scores["value"]}))
    _, (result, _), _ = validated(Pass(FIRST, SECOND), model)
    assert seen["value"].tolist() == [0.0, 0.75, 0.25, 0.5, 1.0], "of segments 20, 21, 30, 31, 41"
    assert [each.tolist() for each in seen["kind"]] == [[1, 0, 0, -1, 1], [0, 1, 0, 0, 1]]
    assert (result["loss"], result["value"]["videos"]) == (3.0, 3)
    assert set(result) == {"loss", "value"}


def test_a_head_may_know_the_best_constant():
    _, (result, _), _ = validated(Pass(FIRST), Judge(constant={"half": 0.125}))
    assert result["half"]["constant"] == 0.125
    assert "constant" not in result["value"]


def test_only_so_many_batches_and_always_from_the_first():
    loader = Pass(FIRST, SECOND, resident=True)
    validation, (result, last), made = validated(loader, batches=1)
    assert (last, result["kind"]["samples"]) == (FIRST, 2)
    assert validation.run(Judge(), nullcontext)[1] is FIRST
    assert (len(made), loader.closed) == (1, 0), "one that keeps its windows is made once"
    validation.close()
    validation.close()
    assert loader.closed == 1
    validation.run(Judge(), nullcontext)
    assert len(made) == 2


def test_the_precision_is_that_of_the_run():
    inside = []

    class Autocast:
        def __enter__(self):
            inside.append(True)

        def __exit__(self, *_):
            inside.append(False)

    loader = Pass(FIRST, SECOND)
    Validation(lambda: loader, NAMES, Group()).run(Judge(), Autocast)
    assert inside == [True, False] * 2


def test_what_other_processes_found_is_put_in_its_place(monkeypatch):
    theirs = [
        (True, [gpuaug.Failure(0, "b.mp4", "gone")], ""),
        ([0.5], {"kind": (np.array([1]), np.array([1])), "value": np.array([0.5]), "half": np.array([True])},
         [np.array([9])], [np.array([25])]),
    ]  # fmt: skip
    monkeypatch.setattr(Group, "gather", lambda self, mine: [mine, theirs.pop(0)])
    loader = Pass(FIRST, failures=[gpuaug.Failure(1, "a.mp4", "cut off")])
    validation, (result, _), _ = validated(loader, group=Group(0, 2))
    assert [each.path for each in validation.failures] == ["a.mp4", "b.mp4"]
    assert result["kind"]["confusion"] == [[0, 0], [1, 2]]
    assert result["kind"]["videos"] == 3
    assert result["loss"] == pytest.approx(0.5)


@pytest.mark.parametrize("resident", [False, True])
def test_files_that_are_gone_leave_it_out(resident):
    starved = gpuaug.Starved("too few windows")
    loader = Pass(FIRST, error=starved, resident=resident)
    validation, found, _ = validated(loader)
    assert found == (None, None)
    assert validation.left_out == "too few windows"
    assert loader.closed == 1, "made anew the next time"
    lost = [gpuaug.Failure(0, "a.mp4", "gone")]
    loader = Pass(error=gpuaug.NoSegmentLeft("none"), failures=lost, resident=True)
    validation, found, _ = validated(loader)
    assert (found, validation.left_out) == ((None, None), "no held-out window can be decoded")
    assert validation.failures == lost
    validation._make_loader = None
    loader.batches, loader.error = (FIRST,), None
    assert validation.run(Judge(), nullcontext)[0] is not None
    assert validation.left_out == ""


def test_a_check_before_the_training_draws_one_batch():
    loader = Pass(FIRST, error=gpuaug.Starved("later"))
    Validation(lambda: loader, NAMES, Group()).check()
    assert loader.step == 1
    lost = [gpuaug.Failure(0, "a.mp4", "cut off"), gpuaug.Failure(0, "b.mp4", "empty")]
    with pytest.raises(Failed, match=r"^no held-out window can be decoded, for example a\.mp4: cut off$"):
        Validation(lambda: Pass(error=gpuaug.NoSegmentLeft("none"), failures=lost), NAMES, Group()).check()
    with pytest.raises(
        ValueError, match=r"^the held-out videos do not suffice: two needed \(give more with --val-videos"
    ):
        Validation(lambda: Pass(error=gpuaug.Starved("two needed")), NAMES, Group()).check()


def test_wrong_samples_of_the_last_validation_in_their_own_colours():
    colors = ((0.25, 0.0, 0.5), (0.5, 1.0, 0.25))
    validation, _, _ = validated(Pass(FIRST, SECOND, resident=True), colors=colors)
    for _ in range(2):
        told = [(each.score, each.truth, each.prediction, each.segment) for each in validation.wrong]
        assert told == [("kind", "none", "cut", 20), ("kind", "cut", "none", 21)]
        validation.run(Judge(), nullcontext)
    frames = validation.wrong[1].frames_TYXC
    assert (frames.shape, frames.dtype) == ((2, 1, 1, 3), np.uint8)
    assert frames[0, 0, 0].tolist() == [round(255 * (0.75 * 0.5 + 0.25)), round(255 * 0.75), round(255 * 0.6875)]
    assert validated(Pass(SECOND))[0].wrong[0].frames_TYXC[0, 0, 0].tolist() == [191] * 3, "without colours as it is"


def test_few_of_a_video_and_few_in_all_are_kept():
    many = batch([1.0] * 60, [0] * 60, [k // 3 for k in range(60)], list(range(60)))
    validation, _, _ = validated(Pass(many))
    assert [each.segment for each in validation.wrong][:4] == [0, 1, 3, 4]
    assert MOST_OF_VIDEO == 2
    assert len(validation.wrong) == MOST_WRONG == 12
    plain = gpuaug.Batch(many.clips, many.target, None, 0.0)
    validation._keep(plain, {"kind": (torch.zeros(60), torch.ones(60))}, None)
    assert len(validation.wrong) == 12
