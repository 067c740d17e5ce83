"""What training makes of the pictures: crop, flip, colour and blur, one of each per sample."""

import itertools

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug import color, crop
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


# ---- what is drawn ---------------------------------------------------------------------------------------------------


def rng(seed=0):
    return np.random.default_rng(seed)


def test_views_are_those_of_the_recipes():
    many = 4000
    for name, make in (
        ("multiscale", crop.multiscale_crop),
        ("random", crop.random_crop),
        ("resized", crop.resized_crop),
    ):
        for flip in (0.0, 0.25, 1.0):
            view, expected = Augment(name, flip=flip).view(rng(), many), make(rng(), many, flip=flip)
            assert view.unit == expected.unit
            for part in ("height_or_area", "width_or_aspect", "y", "x", "mirrored"):
                assert np.array_equal(getattr(view, part), getattr(expected, part)), (name, part)
            assert abs(view.mirrored.mean() - flip) < 0.03
    box = Augment("center", flip=1.0).view(rng(), 2).box(np.full(2, 128), np.full(2, 160))
    assert box.tolist() == [[8, 24, 120, 136]] * 2  # 112 of 128, not mirrored


def test_by_default_nothing_but_crop_and_mirror_is_changed():
    usual = Augment()
    assert (usual.crop, usual.flip, usual.jitter, usual.grayscale, usual.blur) == ("multiscale", 0.5, 0, 0, 0)
    assert usual.matrix(rng(), 3) is None
    assert usual.sigma(rng(), 3, 224) is None


def test_colours_are_those_of_color_jitter():
    for given in ({"jitter": 0.4}, {"grayscale": 0.3}, {"jitter": 1.0, "grayscale": 1.0}):
        probability, grey = given.get("jitter", 0), given.get("grayscale", 0)
        expected = color.jitter(rng(), 50, probability=probability, grayscale=grey)
        assert np.array_equal(Augment(**given).matrix(rng(), 50), expected)


def test_a_blur_is_in_pixels_of_the_view():
    sigma = Augment(blur=0.25).sigma(rng(), 8000, 112)
    assert abs((sigma > 0).mean() - 0.25) < 0.02
    blurred = sigma[sigma != 0]
    assert 0.05 <= blurred.min() < 0.06
    assert 0.98 < blurred.max() <= 1.0
    assert blurred.mean() == pytest.approx(0.525, abs=0.02)
    assert (Augment(blur=1.0).sigma(rng(), 50, 112) > 0).all()


@pytest.mark.parametrize("name", ["flip", "jitter", "grayscale", "blur"])
def test_probabilities(name):
    for right in (0, 1, 0.5):
        assert getattr(Augment(**{name: right}), name) == right
    for wrong in (-1e-9, 1.001, float("nan")):
        with pytest.raises(ValueError, match=rf"{name} must be a probability in \[0, 1\], got {name}="):
            Augment(**{name: wrong})


@pytest.mark.parametrize(
    ("size", "sigma"),
    [((9, 9), 1.0), ((9, 7), 0.6), ((3, 3), 5.0), ((2, 9), 1.0), ((9, 2), 1.0), ((1, 9), 2.0), ((9, 1), 2.0)],
)
def test_a_blur_is_scipys_truncated_at_three_sigma(size, sigma):
    """Edges are reflected about the outermost pixel; on few pixels the kernel reaches as far as reflection can."""
    ndimage = pytest.importorskip("scipy.ndimage")
    clip = torch.rand(2, 1, 1, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    radius = min(int(np.ceil(3 * sigma)), min(size) - 1)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    expected = clip.numpy()
    for axis in (3, 4):
        expected = ndimage.convolve1d(expected, kernel, axis, mode="mirror")
    got = gaussian_blur(clip, np.array([sigma, sigma]))
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)
    assert torch.equal(gaussian_blur(clip, np.zeros(2)), clip)


def test_a_blur_of_no_sample():
    clips = torch.zeros(0, 3, 2, 5, 5)
    assert gaussian_blur(clips, np.zeros(0)) is clips


class OnGpu(torch.Tensor):
    """A tensor of the CPU that says otherwise."""

    is_cuda = True


@pytest.mark.parametrize("gpu", [False, True])
def test_the_kernel_reaches_a_gpu_from_pinned_memory(monkeypatch, gpu):
    """Else the copy would wait for all that is queued there."""
    pinned, copied = [], []
    move = torch.Tensor.to

    def noted(self, *where, **how):
        copied.append(how)
        return move(self, *where, **how)

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    monkeypatch.setattr(torch.Tensor, "to", noted)
    clip = torch.rand(1, 1, 1, 9, 9)
    got = gaussian_blur(clip.as_subclass(OnGpu) if gpu else clip, np.array([1.0]))
    assert len(pinned) == gpu
    assert copied[0] == {"non_blocking": True}
    assert torch.equal(got.as_subclass(torch.Tensor), gaussian_blur(clip, np.array([1.0])))
