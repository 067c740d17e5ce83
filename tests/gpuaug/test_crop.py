"""Crops and colour matrices: bounds, aspect, recipes, agreement with torchvision and Pillow's greys."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from gpuaug import color, crop

SIZES = [(240, 320), (320, 240), (112, 112), (7, 1000)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("draw", [crop.multiscale_crop, crop.random_crop, crop.resized_crop])
def test_boxes_stay_inside_the_frame(draw, size):
    view = draw(np.random.default_rng(0), 500, flip=0.5)
    y0, x0, y1, x1 = view.box(np.full(500, size[0]), np.full(500, size[1])).T
    left, right = np.minimum(x0, x1), np.maximum(x0, x1)
    assert (y0 >= 0).all()
    assert (y1 <= size[0] + 1e-9).all()
    assert (left >= 0).all()
    assert (right <= size[1] + 1e-9).all()
    assert (y1 > y0).all()
    assert (right > left).all()
    np.testing.assert_array_equal(x1 < x0, view.mirrored)
    assert 0.4 < view.mirrored.mean() < 0.6


def test_multiscale_crop_is_tsms():
    view = crop.multiscale_crop(np.random.default_rng(0), 5000)
    sizes = {(a, b) for a, b in zip(view.height_or_area, view.width_or_aspect)}
    scales = [1, 0.875, 0.75, 0.66]
    assert sizes == {(scales[i], scales[j]) for i in range(4) for j in range(4) if abs(i - j) <= 1}
    assert len({(y, x) for y, x in zip(view.y, view.x)}) == 13
    square = crop.multiscale_crop(np.random.default_rng(0), 50, max_distort=0)
    np.testing.assert_array_equal(square.height_or_area, square.width_or_aspect)


@pytest.mark.parametrize("size", [(128, 171), (128, 228), (228, 128), (171, 228)])
def test_random_crop_is_112_of_a_short_side_of_128(size):
    """In both of TSP's versions: a frame of 128 × 171, and the aspect ratio kept."""
    box = crop.random_crop(np.random.default_rng(0), 50, flip=0).box(np.full(50, size[0]), np.full(50, size[1]))
    side = 112 * min(size) / 128
    np.testing.assert_allclose(box[:, 2:] - box[:, :2], side)
    assert (np.ptp(box[:, :2], axis=0) > 0.8 * (np.array(size) - side)).all()


def test_one_view_serves_clips_of_different_sizes():
    """Both clips of a cross-fade show the same share of their pictures."""
    view = crop.random_crop(np.random.default_rng(0), 3, flip=1)
    height, width = np.array([[[128, 256]]] * 3), np.array([[[171, 342]]] * 3)
    box = view.box(height, width)
    assert box.shape == (3, 1, 2, 4)
    np.testing.assert_allclose(box[:, :, 1], 2 * box[:, :, 0])


def test_center_crop_matches_torchvision():
    picture = torch.arange(240 * 320).reshape(1, 240, 320)
    y0, x0, y1, x1 = crop.center_crop(1, scale=224 / 240).box([240], [320])[0].round().astype(int)
    assert torch.equal(picture[:, y0:y1, x0:x1], TF.center_crop(picture, [224, 224]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: crop.random_crop(rng, 1, scale=0), r"scale must be in \(0, 1\], got scale=0"),
        (lambda rng: crop.random_crop(rng, 1, flip=2), r"flip must be a probability in \[0, 1\], got flip=2"),
        (lambda rng: crop.resized_crop(rng, 1, area=(0.5, 0.2)), "area must be 0 < low ≤ high ≤ 1"),
        (lambda rng: crop.multiscale_crop(rng, 1, scales=(1.5,)), r"scales must be in \(0, 1\], got scales=1.5"),
        (lambda rng: color.jitter(rng, 1, hue=0.7), r"hue must be in \[0, 0.5\], got hue=0.7"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))


def only(rng_seed=0, **strength):
    zero = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "grayscale": 0, "probability": 1}
    return color.jitter(np.random.default_rng(rng_seed), 50, **{**zero, **strength})


def apply(matrix, pixel):
    return np.einsum("nij,j->ni", matrix[:, :, :3], pixel) + matrix[:, :, 3]


def test_each_change_of_colour_does_what_it_says():
    pixel, grey = np.array([0.8, 0.3, 0.1]), np.full(3, 0.5)
    bright = apply(only(brightness=0.4), pixel) / pixel
    np.testing.assert_allclose(bright, bright[:, :1].repeat(3, 1))
    assert 0.6 <= bright.min() < 0.7
    assert 1.3 < bright.max() <= 1.4
    np.testing.assert_allclose(apply(only(contrast=0.4), grey), 0.5)  # about mid-grey
    np.testing.assert_allclose(apply(only(saturation=0.4), pixel) @ color.LUMA, color.LUMA @ pixel)  # luma is kept
    np.testing.assert_allclose(apply(only(hue=0.1), grey), 0.5, atol=1e-9)  # greys have no hue
    np.testing.assert_allclose(apply(only(hue=0.5), pixel) @ color.LUMA, color.LUMA @ pixel, atol=1e-5)
    assert np.abs(apply(only(hue=0.5), pixel) - pixel).max() > 0.1


def test_grey_is_torchvisions():
    pixel = np.array([0.8, 0.3, 0.1])
    ours = apply(only(grayscale=1.0), pixel)
    theirs = TF.rgb_to_grayscale(torch.tensor(pixel).reshape(3, 1, 1), 3).flatten().numpy()
    np.testing.assert_allclose(ours, theirs[None].repeat(50, 0), atol=2e-4)


def test_probabilities_and_seeds():
    matrix = color.jitter(np.random.default_rng(0), 4000, probability=0.8, grayscale=0)
    unchanged = (matrix == np.eye(3, 4)).all((1, 2)).mean()
    assert 0.17 < unchanged < 0.23
    again = color.jitter(np.random.default_rng(0), 4000, probability=0.8, grayscale=0)
    np.testing.assert_array_equal(matrix, again)
