"""Every wrong argument of blend and render is refused in one line that names it, its value and the rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import Plan, blend, crop, render
from support import kernel_implementations

on_cpu = kernel_implementations.on("reference", "host")  # they refuse the same, and accept the same
BANK = torch.zeros(2, 4, 20, 30, 3, dtype=torch.uint8)
CLIPS = [torch.zeros(4, 20, 30, 3, dtype=torch.uint8), torch.zeros(2, 10, 12, 3, dtype=torch.uint8)]
PLAN = Plan.take([0, 1], [[0, 1, 1]])
SIZE = {"size": (10, 15)}


def plan(clip=0, frame=0.0, weight=1.0):
    return Plan(np.array([[[clip]]]), np.array([[[frame]]], float), np.array([[[weight]]], np.float32))


CASES = {
    # frames
    "frames must be a torch tensor or a non-empty list": lambda: render([], PLAN, **SIZE),
    "frames must be a torch tensor or a non-empty list of them, got ndarray": lambda: blend(BANK.numpy(), PLAN),
    "frames must have one dtype of uint8, got": lambda: render(BANK.float(), PLAN, **SIZE),
    "frames must have one dtype of uint8, float16, bfloat16, float32, got": lambda: blend(BANK.double(), PLAN),
    r"frames must be \(S, L, H, W, C\), or clips": lambda: render(BANK[0], PLAN, **SIZE),
    r"all of C = 3 or all of C = 1, got \[\(2, 4, 20, 30, 2\)\]": lambda: render(BANK[..., :2].clone(), PLAN, **SIZE),
    r"frames must be \(S, L, …\) or clips \(L, …\), not empty": lambda: blend(BANK[:0], PLAN),
    "frames must be on the CPU or on one GPU, got .'meta'": lambda: blend(BANK.to("meta"), PLAN),
    "frames must not require gradients": lambda: blend(torch.zeros(1, 2, requires_grad=True), PLAN),
    "frames must have the pixels of a row side by side": lambda: render(BANK[:, :, :, ::2], PLAN, **SIZE),
    "frames must be clips .* of one trailing shape": lambda: blend(CLIPS, PLAN),
    # plan
    "plan must be a gpuaug.Plan": lambda: blend(BANK, "plan"),
    r"plan must show clips in \[0, 1\], got clip 2 at sample 0, output frame 0": lambda: blend(BANK, plan(clip=2)),
    r"got clip -1 at sample 0": lambda: render(BANK, plan(clip=-1), **SIZE),
    "got frame 4 of clip 0 at sample 0, output frame 0; the clip has 4 frames": lambda: blend(BANK, plan(frame=4)),
    "got frame 2 of clip 1 .* the clip has 2 frames": lambda: render(CLIPS, plan(clip=1, frame=2), **SIZE),
    "got frame -1 of clip 0": lambda: blend(BANK, plan(frame=-1)),
    "plan must have finite weights and times": lambda: blend(BANK, plan(weight=np.nan)),
    "got nan or inf": lambda: blend(BANK, plan(frame=np.inf)),
    # size, layout, dtype, out
    r"size must be \(rows, columns\), both ≥ 1, got size=\(0, 5\)": lambda: render(BANK, PLAN, size=(0, 5)),
    r"size must be \(rows, columns\), both ≥ 1, got size=5": lambda: render(BANK, PLAN, size=5),
    "layout must be one of .*, got layout='NHWC'": lambda: render(BANK, PLAN, layout="NHWC", **SIZE),
    "dtype must be uint8, float16, bfloat16 or float32, got dtype=torch.int32": lambda: render(
        BANK, PLAN, dtype=torch.int32, **SIZE
    ),
    r"out must be torch.float32 \(2, 3, 3, 10, 15\) on cpu, got": lambda: render(
        BANK, PLAN, out=torch.empty(2, 3, 3, 15, 10), **SIZE
    ),
    "out must be torch.uint8 .*, got torch.float32": lambda: render(
        BANK, PLAN, dtype=torch.uint8, out=torch.empty(2, 3, 3, 10, 15), **SIZE
    ),
    "out must have a place of its own for every value": lambda: render(
        BANK, PLAN, out=torch.empty(1, 3, 3, 10, 15).expand(2, -1, -1, -1, -1), **SIZE
    ),
    # mean, std, color
    "mean must be one number or 3, one per channel, got mean=": lambda: render(BANK, PLAN, mean=[0.5, 0.5], **SIZE),
    "std must be finite and > 0, got std=0": lambda: render(BANK, PLAN, std=0, **SIZE),
    "mean must be finite, got mean=nan": lambda: render(BANK, PLAN, mean=float("nan"), **SIZE),
    r"color must have a shape of .*, got \(3, 3\)": lambda: render(BANK, PLAN, color=np.eye(3), **SIZE),
    "color must be finite": lambda: render(BANK, PLAN, color=np.full((3, 4), np.nan), **SIZE),
    # box
    r"box must have a shape of .*, got \(4,\)": lambda: render(BANK, PLAN, box=[0, 0, 10, 10], **SIZE),
    r"box must lie inside the frame of 20 × 30 pixels, got box=\[0.0, 0.0, 20.5, 30.0\] for sample 1": lambda: render(
        BANK, PLAN, box=[[0, 0, 20, 30], [0, 0, 20.5, 30]], **SIZE
    ),
    "box must lie inside the frame of 10 × 12 pixels": lambda: render(CLIPS, PLAN, box=[[0, 0, 11, 12]] * 2, **SIZE),
    r"got box=\[0.0, 0.0, nan, 30.0\]": lambda: render(BANK, PLAN, box=[[0, 0, np.nan, 30]] * 2, **SIZE),
    "box must not be empty": lambda: render(BANK, PLAN, box=[[5, 0, 5, 30]] * 2, **SIZE),
    r"box must be at most 2 times the output's size \(9, 15\)": lambda: render(BANK, PLAN, size=(9, 15)),
}


@pytest.mark.parametrize("message", CASES)
def test_one_line_error(on_cpu, message):
    with pytest.raises(ValueError, match=message) as caught:
        CASES[message]()
    assert "\n" not in str(caught.value)


def test_reduction_limit_is_two_and_can_be_lifted(on_cpu):
    render(BANK, PLAN, size=(10, 15))
    with pytest.raises(ValueError, match="allow_aliasing=True"):
        render(BANK, PLAN, size=(10, 14))
    render(BANK, PLAN, size=(1, 1), allow_aliasing=True)


def test_taps_of_weight_zero_are_not_checked(on_cpu):
    hidden = Plan(np.array([[[0, 99]]]), np.array([[[1.0, -5.0]]]), np.array([[[1.0, 0.0]]], np.float32))
    assert blend(BANK, hidden).shape == (1, 1, 20, 30, 3)
    assert render(CLIPS, hidden, box=np.array([[[[0, 0, 20, 30], [0, 0, 99, 99]]]]), **SIZE).shape == (1, 3, 1, 10, 15)


def test_box_of_a_mixed_list_must_fit_the_clips_that_are_shown(on_cpu):
    box = [[0, 0, 20, 30]]
    assert render(CLIPS, Plan.take(0, [0, 3]), box=box, **SIZE).shape == (1, 3, 2, 10, 15)
    with pytest.raises(ValueError, match="inside the frame of 10 × 12"):
        render(CLIPS, Plan.take(1, [0, 1]), box=box, **SIZE)


def test_boxes_of_crops_fit_in_spite_of_rounding():
    """y·(H − h) + h may exceed H by the last place; such a box is inside."""
    rng = np.random.default_rng(0)
    for view in (
        crop.resized_crop(rng, 3000, area=(0.5, 1)),
        crop.multiscale_crop(rng, 3000),
        crop.random_crop(rng, 3000),
    ):
        box = view.box(np.full(3000, 20), np.full(3000, 30))
        frames = Plan.take(np.zeros(3000, int), [0])
        assert render(BANK, frames, box=box, **SIZE).shape[0] == 3000
    with pytest.raises(ValueError, match="inside the frame"):
        render(BANK, PLAN, box=[[0, 0, 20.001, 30]] * 2, **SIZE)


@pytest.mark.parametrize("mean", [0.5, np.float32(0.5), [0.5] * 3, (0.5,) * 3, np.full(3, 0.5), torch.full((3,), 0.5)])
def test_mean_of_any_kind(on_cpu, mean):
    assert (render(BANK, PLAN, mean=mean, **SIZE) == -0.5).all()


def test_empty_batch(on_cpu):
    empty = Plan(np.zeros((0, 3, 1), np.int64), np.zeros((0, 3, 1)), np.zeros((0, 3, 1), np.float32))
    assert render(BANK, empty, **SIZE).shape == (0, 3, 3, 10, 15)
    assert blend(BANK, empty).shape == (0, 3, 20, 30, 3)
