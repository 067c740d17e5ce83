"""What training makes of the pictures: crop, flip, colour and blur, one of each per sample."""

import itertools

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug.supply.augment import Augment, gaussian_blur
from support.fake_decoder import FPS, LENGTH, dataset, loader


def test_blur_is_a_gaussian_per_sample():
    from torchvision.transforms.v2.functional import gaussian_blur as theirs

    clip = torch.rand(3, 3, 2, 24, 20, generator=torch.Generator().manual_seed(0))
    ours = gaussian_blur(clip, np.array([1.5, 0.0, 0.7]))
    assert torch.equal(ours[1], clip[1])
    for n, sigma in ((0, 1.5), (2, 0.7)):
        picture = clip[n].transpose(0, 1)
        expected = theirs(picture, [11, 11], [sigma, sigma]).transpose(0, 1)
        torch.testing.assert_close(ours[n], expected, atol=2e-3, rtol=0)


def test_augment_refuses_an_unknown_crop():
    with pytest.raises(ValueError, match="crop must be one of multiscale, random, resized, center, got crop='corner'"):
        Augment("corner")
    with pytest.raises(ValueError, match=r"blur must be a probability in \[0, 1\], got blur=1.5"):
        Augment(blur=1.5)


def test_views_differ_between_samples_and_steps(decoder):
    with loader(augment=Augment("multiscale", flip=0.5, jitter=1.0)) as source:
        first, second = source.batch(0).clips.clone(), source.batch(1).clips.clone()
    assert not torch.equal(first, second)
    means = [clip[2].mean().item() for clip in itertools.chain(first, second)]
    assert len(set(means)) > 1


def test_all_frames_of_a_sample_have_one_crop_flip_and_colour(decoder, monkeypatch):
    """PAL: also where they come from two videos."""

    def ramp(self, windows, frames_needed=None):
        y, x = torch.meshgrid(*(torch.arange(n) * 255 // n for n in self.size), indexing="ij")
        picture = torch.stack([y, x, 255 - x], 2).to(torch.uint8)
        return [picture.expand(w.frames if frames_needed is None else len(frames_needed[i]), *picture.shape)
                for i, w in enumerate(windows)], []  # fmt: skip

    def composites(rng, bank, n):
        slots = bank.draw(rng, 2 * n)[: 2 * n]
        ground, action = (gpuaug.Plan.take(part, np.arange(4.0)) for part in (slots[:n], slots[n:]))
        plan = gpuaug.edits.paste(ground, action.at(np.arange(2.0)[None]), start=1, stop=3, opacity=0.7)
        return plan, {"video": np.zeros(n, np.int64)}

    monkeypatch.setattr(decoder, "decode", ramp)
    how = {"size": 8, "mean": (0.0,) * 3, "std": (1.0,) * 3, "slots": 12, "reuse_max": 3, "deterministic": True}
    augment = Augment("resized", flip=0.5, jitter=1.0, grayscale=0.2, blur=0.5)
    with gpuaug.Loader(dataset(), composites, batch=6, frames=LENGTH, fps=FPS, augment=augment, **how) as source:
        clips = source.batch(0).clips
        torch.testing.assert_close(clips, clips[:, :, :1].expand_as(clips), atol=0.01, rtol=0)
        assert (clips[1:] - clips[:1]).abs().amax((1, 2, 3, 4)).min() > 0.05, "and every sample its own"
