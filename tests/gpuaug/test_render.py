"""render on every implementation, against the float64 reference, torchvision, and what must hold exactly.

Legend: N samples, T output frames, K taps, S clips, L frames of a clip, H W source, Y X output, C channels.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from gpuaug import Plan, fade, reference, render
from support import kernel_implementations

implementation = kernel_implementations.pixels
kernels = kernel_implementations.kernels
MEAN, STD = (0.43, 0.39, 0.37), (0.228, 0.221, 0.217)


def random_bank(rng, slots=3, length=4, height=31, width=45, channels=3):
    return torch.from_numpy(rng.integers(0, 256, (slots, length, height, width, channels), dtype=np.uint8))


def random_plan(rng, slots, length, n=3, t=4, k=2):
    """K visible taps at random places, but for the first sample, which has one."""
    clip, time = rng.integers(0, slots, (n, t, k)), rng.integers(0, length, (n, t, k)).astype(float)
    weight = rng.dirichlet(np.ones(k), (n, t))
    weight[0] = np.eye(k)[0]
    return Plan(clip, time, weight.astype(np.float32))


def random_box(rng, shape, height, width, size, whole=True, least=1):
    """Boxes of shape (…, 4) at most twice as large as `size`, some mirrored."""
    extent = [rng.uniform(min(least, limit), min(limit, 2 * out), shape) for limit, out in zip((height, width), size)]
    if whole:
        extent = [np.maximum(1, np.floor(e)) for e in extent]
    low = [rng.uniform(0, limit - e) for limit, e in zip((height, width), extent)]
    if whole:
        low = [np.floor(v) for v in low]
    box = np.stack([low[0], low[1], low[0] + extent[0], low[1] + extent[1]], -1)
    mirrored = rng.random(shape) < 0.5
    box[mirrored] = box[mirrored][:, [0, 3, 2, 1]]
    return box


def filled(plan, size, dtype, layout, device, channels=3):
    """An output full of NaN (or 77), a view into a larger one, and that larger one."""
    n, t, _ = plan.shape
    extent = {"N": n, "T": t, "C": channels, "H": size[0], "W": size[1]}
    value = 77 if dtype == torch.uint8 else torch.nan
    around = torch.full([extent[d] + 2 for d in layout], value, dtype=dtype, device=device)
    return around[(slice(1, -1),) * 5], around


def ulp(expected, dtype):
    """Half the distance of neighbouring numbers of `dtype` at `expected`: the rounding that a cast may add."""
    if dtype == torch.float32:
        return np.zeros_like(expected)
    info = torch.finfo(dtype)
    return np.maximum(np.abs(expected), info.tiny) * info.eps / 2


@pytest.mark.parametrize("layout", ["NCTHW", "NTCHW", "NTHWC"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8])
def test_layouts_and_dtypes(implementation, layout, dtype):
    rng = np.random.default_rng(0)
    bank, size = random_bank(rng), (18, 21)
    plan = random_plan(rng, 3, 4)
    box = random_box(rng, (3,), 31, 45, size, whole=False)
    keep = {"size": size, "box": box, "layout": layout}
    if dtype != torch.uint8:
        keep |= {"mean": MEAN, "std": STD}
    expected = reference.render(bank.numpy(), plan, **keep)
    out, around = filled(plan, size, dtype, layout, implementation)
    got = render(bank.to(implementation), plan, dtype=dtype, out=out, **keep)
    assert got is out
    if dtype == torch.uint8:
        assert np.abs(got.cpu().numpy() - expected * 255).max() <= 0.5 + 1e-3
    else:
        error = np.abs(got.double().cpu().numpy() - expected)
        assert (error <= 2e-5 + ulp(expected, dtype)).all()
    # nothing was written outside; and a fresh result is the same
    got.fill_(77 if dtype == torch.uint8 else torch.nan)
    assert (around == 77).all() if dtype == torch.uint8 else around.isnan().all()
    fresh = render(bank.to(implementation), plan, dtype=dtype, **keep)
    assert torch.equal(fresh, render(bank.to(implementation), plan, dtype=dtype, out=out, **keep))


@pytest.mark.parametrize("layout", ["NCTHW", "NTCHW", "NTHWC"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("size", [(9, 48), (33, 16), (2, 640)])
def test_words_and_single_elements_give_the_same(kernels, layout, dtype, size):
    """A GPU writes rows of whole 16 bytes so in an output of its own, and pixel by pixel in one with other strides."""
    rng = np.random.default_rng(12)
    bank, plan = random_bank(rng).to(kernels), random_plan(rng, 3, 4)
    keep = {"size": size, "dtype": dtype, "layout": layout, "allow_aliasing": True}
    out, _ = filled(plan, size, dtype, layout, kernels)
    assert torch.equal(render(bank, plan, **keep), render(bank, plan, out=out, **keep))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("source", [(1, 1), (1, 7), (2, 2), (5, 3), (33, 18)])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 33)])
def test_odd_sizes(implementation, source, size, channels):
    rng = np.random.default_rng(1)
    bank = random_bank(rng, 2, 1, *source, channels)
    plan = random_plan(rng, 2, 1, n=2, t=1, k=2)
    expected = reference.render(bank.numpy(), plan, size=size)
    out, _ = filled(plan, size, torch.float32, "NCTHW", implementation, channels)
    render(bank.to(implementation), plan, size=size, out=out, allow_aliasing=True)
    np.testing.assert_allclose(out.cpu().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("taps", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["sample", "frame", "tap"])
def test_boxes_per_sample_frame_and_tap(implementation, kind, taps):
    rng = np.random.default_rng(2)
    bank, size = random_bank(rng), (20, 16)
    plan = random_plan(rng, 3, 4, k=taps)
    shape = {"sample": (3,), "frame": (3, 4), "tap": (3, 4, taps)}[kind]
    box = random_box(rng, shape, 31, 45, size, whole=False, least=0.2)
    out, _ = filled(plan, size, torch.float32, "NCTHW", implementation)
    render(bank.to(implementation), plan, size=size, box=box, out=out)
    np.testing.assert_allclose(out.cpu(), reference.render(bank.numpy(), plan, size=size, box=box), atol=1e-5)


@pytest.mark.parametrize("boxed", [False, True])
def test_clips_of_different_sizes(implementation, boxed):
    rng = np.random.default_rng(3)
    clips = [random_bank(rng, 1, length, h, w)[0] for length, h, w in ((1, 16, 20), (4, 31, 45), (2, 23, 12))]
    plan = fade(Plan.take([0, 1, 2], [0, 0, 0]), Plan.take([1, 2, 1], [[3, 2, 1], [1, 0, 1], [0, 3, 2]]), 0.3)
    box = None
    if boxed:  # one box per tap, inside its own clip
        height, width = (np.array([clip.shape[d] for clip in clips])[plan.clip] for d in (1, 2))
        box = np.stack([0.1 * height, 0.8 * width, 0.9 * height, 0.2 * width], -1)
    expected = reference.render([clip.numpy() for clip in clips], plan, size=(17, 19), box=box)
    got = render([clip.to(implementation) for clip in clips], plan, size=(17, 19), box=box, allow_aliasing=True)
    np.testing.assert_allclose(got.cpu(), expected, atol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("size", [(16, 23), (16, 24)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_color(implementation, shared, size, mirrored):
    rng = np.random.default_rng(4)
    bank, plan = random_bank(rng), random_plan(rng, 3, 4)
    color = rng.normal(size=(3, 4) if shared else (3, 3, 4))
    keep = {"size": size, "color": color, "mean": MEAN, "std": STD}
    if mirrored:
        keep["box"] = np.tile([1.5, 40.0, 30.0, 2.5], (3, 1))
    expected = reference.render(bank.numpy(), plan, **keep)
    np.testing.assert_allclose(render(bank.to(implementation), plan, **keep).cpu(), expected, atol=3e-5)


def test_nothing_visible_is_black(implementation):
    bank = random_bank(np.random.default_rng(5)).to(implementation)
    plan = Plan(np.zeros((1, 2, 2), np.int64), np.zeros((1, 2, 2)), np.zeros((1, 2, 2), np.float32))
    assert (render(bank, plan, size=(16, 23)) == 0).all()
    expected = -torch.tensor(MEAN) / torch.tensor(STD)
    got = render(bank, plan, size=(16, 23), mean=MEAN, std=STD)
    torch.testing.assert_close(got.cpu(), expected.view(1, 3, 1, 1, 1).expand(1, 3, 2, 16, 23))


@pytest.mark.parametrize(("clip", "frame"), [(3, 0), (-1, 0), (2**31 - 1, 0), (0, 4), (0, -1), (2, 2**31 - 1)])
def test_planted_index_reads_nothing(implementation, monkeypatch, clip, frame):
    """The check on the host is taken out; the kernels must then leave the tap out, and read no other memory."""
    kernel_implementations.unchecked(monkeypatch)
    bank = random_bank(np.random.default_rng(6))
    plan = Plan(np.array([[[1, clip]]]), np.array([[[1.0, frame]]]), np.array([[[0.5, 0.5]]], np.float32))
    half = Plan(np.array([[[1]]]), np.array([[[1.0]]]), np.array([[[0.5]]], np.float32))
    got, expected = (render(bank.to(implementation), p, size=(31, 45)) for p in (plan, half))
    assert torch.equal(got, expected)


def test_mirrored_boxes_are_exact(implementation):
    rng = np.random.default_rng(7)
    bank = random_bank(rng).to(implementation)
    plan, box = random_plan(rng, 3, 4), np.tile([3.2, 5.7, 25.1, 40.9], (3, 1))
    straight = render(bank, plan, size=(16, 23), box=box)
    assert torch.equal(render(bank, plan, size=(16, 23), box=box[:, [0, 3, 2, 1]]), straight.flip(4))
    assert torch.equal(render(bank, plan, size=(16, 23), box=box[:, [2, 1, 0, 3]]), straight.flip(3))


def test_identity_is_exact(implementation):
    bank = random_bank(np.random.default_rng(8)).to(implementation)
    plan = Plan.take([2, 0], [[3, 1, 0]])
    got = render(bank, plan, size=(31, 45), dtype=torch.uint8, layout="NTHWC")
    assert torch.equal(got, torch.stack([bank[2][[3, 1, 0]], bank[0][[3, 1, 0]]]))


@pytest.mark.parametrize("case", ["larger", "smaller", "crop only"])
def test_against_torchvision(implementation, case):
    """Integer boxes equal resized_crop(antialias=False); antialias=True must fail where the picture gets smaller.

    The yardstick is plain torch in float32: our error against float64 may be twice its error.
    """
    rng = np.random.default_rng(9)
    bank = random_bank(rng, 2, 3, 64, 80).to(implementation)
    y0, x0, h, w = 5, 9, 41, 57
    size = {"larger": (60, 99), "smaller": (23, 31), "crop only": (h, w)}[case]
    plan = Plan.take([1, 0], [[0, 2, 1]])
    frames_NTCHW = torch.stack([bank[1][[0, 2, 1]], bank[0][[0, 2, 1]]]).permute(0, 1, 4, 2, 3)
    box = np.tile([y0, x0, y0 + h, x0 + w], (2, 1))
    got = render(bank, plan, size=size, box=box, layout="NTCHW").double()

    def cropped(dtype, antialias):
        pixels = frames_NTCHW.to(dtype) / 255
        return tv.resized_crop(pixels, y0, x0, h, w, list(size), antialias=antialias).double()

    exact = cropped(torch.float64, False)
    tolerance = 2 * float((cropped(torch.float32, False) - exact).abs().max()) + 1e-7
    assert float((got - exact).abs().max()) <= tolerance
    if case == "smaller":  # negative control
        assert float((got - cropped(torch.float64, True)).abs().max()) > 100 * tolerance
    moved = np.tile([y0, x0 + 1, y0 + h, x0 + w + 1], (2, 1))
    assert (
        float((render(bank, plan, size=size, box=moved, layout="NTCHW").double() - exact).abs().max()) > 100 * tolerance
    )


def test_blend_and_normalisation_within_the_yardstick(implementation):
    """A cross-fade, cropped, resized and normalised: at most twice the error of the same in plain float32 torch."""
    rng = np.random.default_rng(10)
    bank = random_bank(rng, 2, 8, 64, 80).to(implementation)
    alpha = np.linspace(0, 1, 8)
    plan = fade(Plan.take(0, range(8)), Plan.take(1, range(8)), alpha[None])

    def plain(dtype):
        clips = bank.permute(0, 1, 4, 2, 3)[:, :, :, 4:60, 7:75].to(dtype) / 255
        weight = torch.tensor(alpha, dtype=dtype, device=implementation).view(-1, 1, 1, 1)
        mixed = F.interpolate((1 - weight) * clips[0] + weight * clips[1], size=(48, 48), mode="bilinear")
        mean, std = (torch.tensor(v, dtype=dtype, device=implementation).view(3, 1, 1) for v in (MEAN, STD))
        return ((mixed - mean) / std).double()

    exact = torch.from_numpy(
        reference.render(
            bank.cpu().numpy(), plan, size=(48, 48), box=[[4, 7, 60, 75]], mean=MEAN, std=STD, layout="NTCHW"
        )
    ).to(implementation)[0]
    assert float((plain(torch.float64) - exact).abs().max()) < 1e-5  # the weights of the plan are float32
    tolerance = 2 * float((plain(torch.float32) - exact).abs().max())
    got = render(bank, plan, size=(48, 48), box=[[4, 7, 60, 75]], mean=MEAN, std=STD, layout="NTCHW")[0].double()
    assert float((got - exact).abs().max()) <= tolerance


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rendering_twice_equals_rendering_the_composed_plan(implementation, data):
    """render(p∘q) = render(q, render(p)): bit for bit, where the inner one keeps the pixels as they are."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    bank = random_bank(rng, 3, 5, 9, 11).to(implementation)
    n, t = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    inner = Plan.take(rng.integers(0, 3, n), rng.integers(0, 5, (n, t)))
    order = rng.integers(0, t, (n, data.draw(st.integers(1, 6))))
    box = random_box(rng, (n,), 9, 11, (7, 8), whole=False)
    once = render(bank, inner.at(order), size=(7, 8), box=box)
    pixels = render(bank, inner, size=(9, 11), dtype=torch.uint8, layout="NTHWC")
    twice = render(pixels, Plan.take(range(n), order), size=(7, 8), box=box)
    assert torch.equal(once, twice)


@pytest.mark.parametrize("size", [(3, 2), (17, 30), (40, 88), (5, 4)])
@pytest.mark.parametrize("width", [2, 4, 5, 8, 20, 44])
def test_rows_on_multiples_of_four_bytes(implementation, width, size):
    """A GPU reads such rows by words that two columns share; the values are those of the same pixels anywhere else.

    Boxes to every edge, mirrored ones, and reductions by more than two, whose columns share no words.
    """
    rng = np.random.default_rng(13)
    pitch = -(-width // 4) * 4
    bank = random_bank(rng, 3, 2, 9, pitch)[:, :, :, :width].to(implementation)
    odd = torch.zeros(3, 2, 9, pitch + 1, 3, dtype=torch.uint8, device=implementation)[:, :, :, 1 : width + 1]
    odd.copy_(bank)
    plan = random_plan(rng, 3, 2, n=4, t=2)
    edges = [[0, 0, 9, width], [0, width, 9, 0], [9, 0, 0, width], [8, width - 1, 9, width]]
    some = random_box(rng, (4, 2), 9, width, (9, width), whole=False)
    for box in (None, np.array(edges, float), some):
        keep = {"size": size, "box": box, "allow_aliasing": True}
        out, around = filled(plan, size, torch.float32, "NCTHW", implementation)
        got = render(bank, plan, out=out, **keep)
        np.testing.assert_allclose(got.cpu(), reference.render(bank.cpu().numpy(), plan, size=size, box=box), atol=1e-5)
        assert torch.equal(render(odd, plan, **keep), got)
        assert torch.equal(render(bank, plan, **keep), got)  # by pairs of values where the output allows them
        got.fill_(torch.nan)
        assert around.isnan().all()


def test_strided_bank(implementation):
    """A view into a larger bank: other slots, frames, rows and columns."""
    rng = np.random.default_rng(11)
    bank = random_bank(rng, 6, 8, 40, 45)
    plan = random_plan(rng, 3, 4)
    part = bank[::2, 1::2, 3:34]
    got = render(part.to(implementation) if implementation.type == "cuda" else part, plan, size=(31, 45))
    np.testing.assert_allclose(got.cpu(), reference.render(part.numpy(), plan, size=(31, 45)), atol=1e-5)
