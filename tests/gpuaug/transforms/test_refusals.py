"""What gpuaug.transforms refuses: settings, clips, targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug import transforms
from gpuaug.transforms import (
    CrossFade,
    MixClips,
    Paste,
    RandomFreeze,
    RandomJump,
    RandomReverse,
    RandomSpeed,
    RandomTransition,
)
from support.plans.numbered import numbered


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomReverse(p=1.5), r"p must be in \[0, 1\], got p=1.5"),
        (lambda: RandomReverse(generator=3), "generator must be a torch.Generator or None, got int"),
        (lambda: RandomSpeed((2, 1)), r"rates must be two numbers, above 0 and finite, .* got rates=\(2, 1\)"),
        (lambda: RandomSpeed((0, 1)), "rates must be two numbers"),
        (lambda: RandomSpeed(length=0), "length must be a whole number ≥ 1, got length=0"),
        (lambda: RandomFreeze((0, 3)), r"duration must be two whole numbers, 1 ≤ least .* duration=\(0, 3\)"),
        (lambda: RandomJump((2.5, 3)), "left_out must be two whole numbers"),
        (lambda: CrossFade((1, 3)), r"overlap must be even, got overlap=\(1, 3\)"),
        (lambda: MixClips(0), "alpha must be > 0 and finite, got alpha=0"),
        (lambda: Paste((0.1, 1.2)), r"frames must be two numbers, in \[0, 1\], .* got frames=\(0.1, 1.2\)"),
        (lambda: Paste(opacity=(0.9, 0.6)), "opacity must be two numbers"),
        (lambda: Paste(pairs="next"), "pairs must be 'roll' or 'permutation', got pairs='next'"),
        (lambda: Paste(num_classes=0), "num_classes must be a whole number ≥ 1, got num_classes=0"),
        (lambda: Paste(num_classes=2.5), "num_classes must be whole numbers of 64 bits, got num_classes=2.5"),
        (lambda: Paste(num_classes="3"), "num_classes must be numbers, got <U1: num_classes='3'"),
        (lambda: RandomTransition("wype"), "weights must be of families .* got 'wype'; did you mean 'wipe'"),
        (lambda: RandomTransition(ranges={"softnes": (0, 1)}), "ranges must be of .* got 'softnes'; did you mean"),
        (lambda: RandomTransition("swipe"), "weights must be of families or kinds of gpuaug.transitions, got 'swipe'"),
        (lambda: RandomTransition(["cut", "jump"]), "kinds must be of two clips, got 'jump': RandomJump, .*"),
        (lambda: RandomTransition("luma", luma=np.ones((3, 4))), "luma must be finite and have more than one value"),
        (lambda: RandomTransition("luma", luma=np.ones((5, 6, 3))), "luma must be grey, .* of colours"),
        (lambda: RandomTransition("luma"), "luma must be given for the kind 'luma'"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_when_they_are_given(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def clips_of(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((clips_of(8, 3, 4),), r"clips must be \(…, T, C, H, W\) and not be empty, got shape \(8, 3, 4\)"),
        ((clips_of(2, 0, 3, 4, 4),), "and not be empty"),
        ((clips_of(2, 3, 8, 16, 16),), r"; it seems to have channels before time: movedim\(-4, -3\)"),
        ((clips_of(2, 8, 16, 16, 3),), r"it seems to have channels last: movedim\(-1, -3\)"),
        ((clips_of(2, 8, 16, 16, 16),), r"of 1, 3 or 4 channels, got shape \(2, 8, 16, 16, 16\)$"),
        ((clips_of(2, 8, 3, 4, 4, dtype=torch.float64),), "clips must be uint8, .* or float32, got torch.float64"),
        ((clips_of(2, 8, 3, 4, 4).requires_grad_(),), "clips must not require gradients"),
        ((np.zeros((2, 8, 3, 4, 4)),), r"the input must be clips, \(clips, target\) or a dict with clips, got ndarray"),
        (((),), r"the input must be clips, \(clips, target\) or a dict with clips, got tuple"),
        (([],), r"the input must be clips, \(clips, target\) or a dict with clips, got list"),
        (({"image": clips_of(2, 8, 3, 4, 4)},), r"or clips as 'video', got \['image'\]"),
        (({"video": "x"},), "clips must be a torch tensor, got str"),
        ((clips_of(2, 8, 3, 4, 4), {"frames": 1}), "must be a dict of clip, time, kind, shot, got int"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("transform", [RandomReverse(), MixClips()])
def test_bad_clips_are_refused(transform, inputs, message):
    with pytest.raises(ValueError, match=message):
        transform(*inputs)


def test_frames_of_other_clips_are_refused():
    _, target = RandomReverse()(numbered(2, 5), {})
    with pytest.raises(
        ValueError, match=r"target\['frames'\]\['clip'\] must be \(…, 6\) of 2 clips, got shape \(2, 5\)"
    ):
        RandomReverse()(numbered(2, 6), target)
    with pytest.raises(ValueError, match="target must have 'frames', which modules add to a dict"):
        transforms.plan({"label": 1})


@pytest.mark.parametrize(
    ("label", "classes", "message"),
    [
        (torch.arange(2), None, r"labels \(N,\) must be whole numbers, with num_classes given, got torch.int64"),
        (torch.rand(2), 3, r"labels \(N,\) must be whole numbers, with num_classes given, got torch.float32"),
        (torch.arange(2), 1, r"labels must be in \[0, num_classes=1\), got \[0, 1\]"),
        (torch.rand(2, 4), 3, r"labels must have num_classes=3 columns, got shape \(2, 4\)"),
        (
            torch.arange(3),
            3,
            r"labels must be a tensor \(N,\) or \(N, classes\) of the batch's N = 2, got shape \(3,\)",
        ),
    ],
)
def test_bad_labels_are_refused(label, classes, message):
    for target in (label, {"labels": label}):
        with pytest.raises(ValueError, match=message):
            MixClips(num_classes=classes)(numbered(2), target)


def test_what_does_not_fit_the_clips_is_refused():
    clips = numbered(2, 6)
    for transform, message in (
        (RandomSpeed((1, 3), length=4), r"length must be at most 1 \+ \(T - 1\)/3 = 2 for T = 6 at the greatest rate"),
        (RandomFreeze((2, 7)), r"duration must be at most the clips' T = 6 frames, got duration=\(2, 7\)"),
        (RandomJump((2, 5)), "T = 6 frames must be at least length"),
        (CrossFade((0, 6)), r"overlap must be at most T - 1 = 5, got overlap=\(0, 6\)"),
    ):
        with pytest.raises(ValueError, match=message):
            transform(clips)
    with pytest.raises(
        ValueError, match=r"MixClips needs a batch of clips \(N, T, C, H, W\) to pair, got shape \(6, 1, 2"
    ):
        MixClips()(clips[0])


def test_labels_that_could_not_follow_are_refused():
    """After a mix, frames left out would change how much is seen of a class."""
    clips, target = CrossFade((0, 0), num_classes=6)(numbered(), {"label": torch.arange(6)})
    with pytest.raises(ValueError, match="RandomFreeze must come before what mixes clips"):
        RandomFreeze()(clips, target)
    RandomReverse()(clips, target)
    RandomFreeze()(clips, {"frames": target["frames"]})


def test_torchvisions_masks_and_boxes_are_refused():
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    mask, clips = tv_tensors.Mask(torch.zeros(2, 6, 4, 4)), numbered(2, 6)
    for inputs in ((clips, mask), (clips, {"mask": mask}), ({"video": clips, "mask": mask},)):
        with pytest.raises(ValueError, match=r"a tv_tensors.Mask beside clips would not follow their edits"):
            RandomReverse()(*inputs)
    with pytest.raises(ValueError, match=r"clips must be a plain tensor or a tv_tensors.Video, got a tv_tensors.Image"):
        RandomReverse()(tv_tensors.Image(clips))
    with pytest.raises(ValueError, match="a dict must have one Video, got 'a', 'b'"):
        RandomReverse()({name: tv_tensors.Video(clips) for name in "ab"})
