"""Jobs as the kernels take them, by hand: runs of memory, tables of sources, axes, layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gpuaug.arrays import view
from gpuaug.kernels import kernel_args, layer_args
from gpuaug.kernels.kernel_args import FrameTaps, StridedClips
from gpuaug.layers.columns import Layers


def taps(n=1, t=1, k=1):
    return FrameTaps(np.zeros((n, t, k), int), np.ones((n, t, k), int), np.full((n, t, k), 0.5, np.float32))


def fields(job, names):
    return dict(zip(names, job[: 8 * len(names)].view(np.int64).tolist()))


def array(job, begin, dtype, count):
    return job[begin : begin + count * np.dtype(dtype).itemsize].view(dtype).tolist()


def blended(clips, out, **size):
    job = kernel_args.blend(taps(**size), [view(clip) for clip in clips], view(out))
    found = fields(job, kernel_args.BLEND)
    return [found[f"sizes{d}"] for d in range(6)], [found[f"out_strides{d}"] for d in range(6)], found, job


@pytest.mark.parametrize(
    ("make", "sizes", "strides", "flat"),
    [
        (lambda t: t, [1, 1, 1, 1, 1, 60], [1, 1, 1, 1, 1, 1], 1),  # all of a frame is one run
        (lambda t: t[..., :2], [1, 1, 1, 1, 20, 2], [1, 1, 1, 1, 3, 1], 0),
        (lambda t: t[:, :, :, 1:4], [1, 1, 1, 1, 4, 9], [1, 1, 1, 1, 15, 1], 0),
        (lambda t: t[:, :, ::2], [1, 1, 1, 1, 2, 15], [1, 1, 1, 1, 30, 1], 0),
        (lambda t: t[..., 1:2], [1, 1, 1, 1, 1, 20], [1, 1, 1, 1, 1, 3], 1),  # of one stride
        (lambda t: t[:, :, :1, :1, :1], [1] * 6, [1] * 6, 1),
        (lambda t: t.permute(0, 1, 4, 2, 3), [1, 1, 1, 1, 1, 60], [1, 1, 1, 1, 1, 1], 1),  # in the order of memory
        (lambda t: t[:, :, ::2, ::2, ::2], [1, 1, 1, 2, 3, 2], [1, 1, 1, 30, 6, 2], 0),
    ],
)
def test_dimensions_that_lie_in_one_run_become_one(make, sizes, strides, flat):
    clips, out = (make(torch.zeros(2, 3, 4, 5, 3)) for _ in range(2))
    got, steps, found, _ = blended([clips], out)
    assert (got, steps, found["flat"]) == (sizes, strides, flat)
    assert found["per_frame"] == np.prod(sizes)


def test_a_run_must_be_one_in_every_array():
    dense, other = torch.zeros(2, 3, 4, 6), torch.zeros(2, 3, 6, 4).transpose(2, 3)
    assert blended([dense], dense)[0][-2:] == [1, 24]
    for clips, out in (([dense, other], dense), ([other], dense)):
        assert blended(clips, out)[0][-2:] == [4, 6]
    assert blended([dense], other)[0][-2:] == [6, 4], "in the order of the output"


def test_a_frame_of_more_than_six_runs_is_refused():
    holes = torch.zeros(1, 1, *[4] * 7)[:, :, ::2, ::2, ::2, ::2, ::2, ::2, ::2]
    with pytest.raises(ValueError, match="a frame must have at most 6 dimensions that do not lie in one run, got 7"):
        blended([holes], holes)
    six = holes[:, :, 0]
    assert blended([six], six)[0] == [2] * 6


def test_where_clips_are():
    """One array: its stride from clip to clip. Several: a row for each clip."""
    one = torch.zeros(3, 5, 4, dtype=torch.float16)[:, 1:3]
    _, _, found, job = blended([one], torch.zeros(2, 3, 4, dtype=torch.float16), n=2, t=3, k=2)
    assert [found[name] for name in ("n", "t", "k", "clips", "clip_stride", "row_step")] == [2, 3, 2, 3, 5 * 4 * 2, 0]
    assert array(job, found["sources"], np.int64, 3) == [one.data_ptr(), 2, 4]  # address, frames, step
    assert array(job, found["frame"], np.int32, 12) == [1] * 12
    assert array(job, found["weight"], np.float32, 12) == [0.5] * 12
    other = torch.zeros(1, 7, 4, dtype=torch.float16)
    _, _, found, job = blended([one, other], torch.zeros(1, 1, 4, dtype=torch.float16))
    assert [found[name] for name in ("clips", "clip_stride", "row_step")] == [4, 0, 1]
    width = 3 + 6
    rows = np.array(array(job, found["sources"], np.int64, 4 * width)).reshape(4, width)
    step = 5 * 4 * 2
    assert rows[:, 0].tolist() == [*(one.data_ptr() + k * step for k in range(3)), other.data_ptr()]
    assert rows[:, 1].tolist() == [2, 2, 2, 7]
    assert rows[:, 2].tolist() == [4] * 4
    for name in ("clip", "frame", "weight", "sources"):
        assert found[name] % 16 == 0, name
    assert kernel_args.lengths([view(one), view(other)]).tolist() == [2, 2, 2, 7]


@pytest.mark.parametrize(
    ("color", "n", "diagonal"),
    [
        (np.eye(3, 4), 1, 1),
        (np.eye(3, 4) * 2 + np.eye(3, 4)[:, ::-1] * 0, 1, 1),
        (np.array([[1, 0, 0, 5], [0, 1, 0, 5], [0, 0, 1, 5.0]]), 1, 1),  # offsets do not mix channels
        (np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0.5, 1, 0.0]]), 1, 0),
        (np.array([[1, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 1, 0.0]]), 1, 0),
        (np.stack([np.eye(3, 4), np.eye(3, 4)]), 2, 1),
        (np.stack([np.eye(3, 4), np.ones((3, 4))]), 2, 0),
    ],
)
def test_what_is_told_of_colours_and_of_the_output(color, n, diagonal):
    bank = torch.zeros(1, 2, 6, 8, 3, dtype=torch.uint8)
    for layout, shape in (("NCTHW", (2, 3, 5, 6, 7)), ("NTHWC", (2, 5, 6, 7, 3)), ("NTCHW", (2, 5, 3, 6, 7))):
        out = torch.zeros(shape)
        matrix = color.reshape(-1, 3, 4).astype(np.float32)
        for box, axes in (
            ((1, 1, 1), (0, 0, 0)),
            ((2, 1, 1), (1, 0, 0)),
            ((2, 5, 1), (5, 1, 0)),
            ((2, 5, 4), (20, 4, 1)),
        ):
            box_NTK4 = np.broadcast_to([0.0, 0, 6, 8], (*box, 4))
            job = kernel_args.render(
                taps(2, 5, 4), [view(bank)], view(out), layout=layout, box_NTK4=box_NTK4, matrix=matrix
            )
            found = fields(job, kernel_args.RENDER)
            assert [found[f"axes_{name}"] for name in "ntk"] == list(axes)
        assert [found[name] for name in ("y", "x", "c", "widest", "colors_n", "diagonal")] == [
            6,
            7,
            3,
            8,
            n - 1,
            diagonal,
        ]
        steps = dict(zip(layout.lower().replace("h", "y").replace("w", "x"), out.stride()))
        assert {name: found[f"out_{name}"] for name in steps} == steps
        assert found["out"] == out.data_ptr()


def test_the_widest_of_several_clips():
    clips = [view(torch.zeros(1, 1, 4, width, 3, dtype=torch.uint8)) for width in (5, 9, 7)]
    out, box = torch.zeros(1, 3, 1, 2, 2), np.array([0.0, 0, 4, 5]).reshape(1, 1, 1, 4)
    job = kernel_args.render(
        taps(), clips, view(out), layout="NCTHW", box_NTK4=box, matrix=np.eye(3, 4, dtype="f4")[None]
    )
    assert fields(job, kernel_args.RENDER)["widest"] == 9


FAR = 2.0**23


@pytest.mark.parametrize(
    ("box", "size", "place", "expected"),
    [
        # base, start, step, least, most: output pixel i is at base + start + i·step, clamped to base + least … most
        ((2, 0, 6, 8), 4, None, [[2, 0, 1, 0, 3], [0, 0.5, 2, 0, 7]]),
        ((6, 8, 2, 0), 4, None, [[2, 0, -1, 0, 3], [0, 0.5, -2, 0, 7]]),
        ((1.25, 0, 3.25, 1), 2, None, [[1, 0.25, 1, 0.25, 1.25], [0, -0.25, 0.5, 0, 0]]),
        ((1.5, 0, 2, 0.5), 1, None, [[1, 0.25, 0.5, 0.25, 0.25], [0, -0.25, 0.5, 0, 0]]),
        # on half of the output: twice the step
        ((0, 0, 4, 4), 4, (0, 0, 0.5, 1), [[0, 0.5, 2, 0, 3], [0, 0, 1, 0, 3]]),
        ((0, 0, 4, 4), 4, (0.5, 0, 1, 1), [[0, 0.5 - 4, 2, 0, 3], [0, 0, 1, 0, 3]]),
        ((4, 0, 0, 4), 4, (0.25, 0, 0.75, 1), [[0, 0.5 - 2, -2, 0, 3], [0, 0, 1, 0, 3]]),  # 1 − 0.75 from the other end
    ],
)
def test_axes(box, size, place, expected):
    found = kernel_args.axes(np.array(box, float), (size, size), None if place is None else np.array(place, float))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[*row, FAR] for row in expected], atol=1e-6)


def test_a_place_without_extent_has_a_step_all_the_same():
    found = kernel_args.axes(np.array([0.0, 0, 4, 4]), (4, 4), np.array([0.5, 0, 0.5, 1]))
    assert np.isfinite(found).all()
    assert found[0, 2] == pytest.approx(1 / 1e-6)


# ---- layers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "place", "expected"),
    [
        ((0, 0, 80, 80), (0, 0, 1, 1), (1, 1)),  # render bounds it
        ((0, 0, 20, 20), (0, 0, 0.5, 1), (2, 1)),  # 20 rows on five, 20 columns on ten
        ((0, 0, 10, 10), (0, 0, 0.5, 0.5), (1, 1)),
        ((0, 0, 10, 10.2), (0, 0, 0.5, 0.5), (1, 2)),
        ((10, 0, 0, 40), (0, 0, 0.5, 0.5), (1, 4)),  # mirrored
        ((0, 0, 1000, 10), (0, 0, 0.5, 0.5), (8, 1)),
        ((0, 0, 10, 10), (0.5, 0, 0.5, 1), (8, 1)),  # nothing of it is seen
    ],
)
def test_samples_of_a_pixel_stand_for_two_at_most(box, place, expected):
    found = layer_args.samples(np.array([box], float), np.array([place], float), (10, 10))
    assert found.tolist() == [list(expected)]


def test_layers_as_the_kernels_take_them():
    given = replace(Layers.none((1, 1, 2)), maps=np.zeros((1, 7)))
    given.map[0, 0, 1], given.progress[0, 0], given.softness[0, 0, 1], given.smooth[0, 0, 1] = 0, [1, 0.5], 0.5, True
    given.place[0, 0, 1], given.color[0, 0, 0] = (-0.25, 0.5, 0.5, 2e6), (0.25, 0.5, 1)
    weight, clip = np.array([[[1, 0.75]]], np.float32), np.array([[[-1, 3]]])
    found = layer_args.layers(clip, weight, given, np.array([0.0, 0, 8, 4]).reshape(1, 1, 1, 4), (8, 4), 255.0)[0, 0]
    whole = found.view(np.int32)
    assert found[:, 0].tolist() == [1, 0.75]
    assert found[:, 1].tolist() == [65536, 0.75 * 65535]
    assert found[:, 2].tolist() == pytest.approx([0, 1 / (0.5 * 65535)])
    assert found[0, 3:10].tolist() == [0, 8, 0, 4, 63.75, 127.5, 255]
    assert found[1, 3:7].tolist() == [-2, 4, 2, 1e6]
    assert whole[:, 10].tolist() == [-1, 0]
    assert whole[:, 11].tolist() == [1, 2]  # a colour; smooth
    assert whole[:, 12:14].tolist() == [[1, 1], [1, 1]]
    assert found[:, 14:16].tolist() == [[1, 1], [1, 1]]
    small = replace(given, place=np.broadcast_to([0.0, 0, 0.25, 0.25], (1, 1, 2, 4)))
    found = layer_args.layers(clip, weight, small, np.array([0.0, 0, 8, 12]).reshape(1, 1, 1, 4), (8, 4), 1.0)[0, 0]
    assert found.view(np.int32)[0, 12:14].tolist() == [2, 6]  # 8 pixels on 2, 12 on one
    assert found[0, 14:16].tolist() == pytest.approx([0.5, 1 / 6])
    assert found[0, 7:10].tolist() == [0.25, 0.5, 1]


def test_crops_are_parts_of_boxes():
    box = np.array([[2.0, 4, 10, 8]])
    assert layer_args.cropped(box, np.array([[0.0, 0, 1, 1]])) is box
    assert layer_args.cropped(box, np.array([[0.25, 0.5, 0.75, 1]])).tolist() == [[4, 6, 8, 8]]
    assert layer_args.cropped(np.array([[10.0, 8, 2, 4]]), np.array([[0.25, 0.5, 0.75, 1]])).tolist() == [[8, 6, 4, 4]]


def test_a_job_s_arrays_begin_on_multiples_of_16():
    job = kernel_args._pack(("a", "b", "rest"), {"a": 5, "rest": -1}, {"b": np.arange(3, dtype=np.int8)})
    assert job[:24].view(np.int64).tolist() == [5, 32, -1]
    assert job[32:].tolist() == [0, 1, 2]
    two = kernel_args._pack(("x", "y"), {}, {"x": np.array([7], np.int32), "y": np.array([[8, 9]], np.int16).T})
    assert two[:16].view(np.int64).tolist() == [16, 32]
    assert (two[16:20].view(np.int32).tolist(), two[32:].view(np.int16).tolist()) == ([7], [8, 9])
    assert StridedClips(1, (2,), (1,), 4, None).itemsize == 4
