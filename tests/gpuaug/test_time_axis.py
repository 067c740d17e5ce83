"""Which axis is time: given, known from a type of torchvision's, or axis 1; never one that can only be channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

import gpuaug
from gpuaug import Plan, arrays
from support import kernel_implementations

cpu = kernel_implementations.cpu
NCTHW = torch.arange(2 * 3 * 7 * 5 * 6, dtype=torch.uint8).view(2, 3, 7, 5, 6)
NTCHW = NCTHW.transpose(1, 2)
EACH = {
    "take": lambda clip, **axis: gpuaug.take(clip, [2, 1, 0], **axis),
    "concatenate": lambda clip, **axis: gpuaug.concatenate(clip, clip, length=3, center=2, **axis),
    "crossfade": lambda clip, **axis: gpuaug.crossfade(clip, clip, length=3, center=1, overlap=2, **axis),
    "paste": lambda clip, **axis: gpuaug.paste(clip, clip, start=0, stop=2, opacity=0.5, **axis),
    "resample_speed": lambda clip, **axis: gpuaug.resample_speed(clip, length=3, change_point=2, rate=1, **axis),
}


@pytest.mark.parametrize("library", ["torch", "numpy"])
@pytest.mark.parametrize("edit", EACH)
def test_channels_are_not_taken_for_frames(cpu, edit, library):
    clip = NCTHW if library == "torch" else NCTHW.numpy()
    with pytest.raises(
        ValueError, match=r"time_dim must be given .*\(2, 3, 7, 5, 6\): 1 if it is time; 2 for"
    ) as caught:
        EACH[edit](clip)
    assert "\n" not in str(caught.value)
    expected = EACH[edit](NTCHW.contiguous())
    got = torch.as_tensor(EACH[edit](clip, time_dim=2))
    assert torch.equal(got.transpose(1, 2), expected)
    assert torch.as_tensor(EACH[edit](clip, time_dim=1)).shape == (2, 3, 7, 5, 6)  # nothing is guessed then


@pytest.mark.parametrize(
    "shape",
    [(2, 1, 7, 5, 6), (2, 4, 7, 5, 6), (2, 3, 16, 112, 112), (7, 3, 5, 6), (7, 4, 5, 6)],
)
def test_shapes_whose_axis_1_can_only_be_channels(shape):
    for clip in (torch.zeros(shape), np.zeros(shape, np.float32)):
        with pytest.raises(ValueError, match="time_dim must be given where axis 1 may be channels"):
            gpuaug.take(clip, [0])
        assert gpuaug.take(clip, [0], time_dim=1).shape == (shape[0], 1, *shape[2:])


@pytest.mark.parametrize(
    "shape",
    [
        *((2, 3, 3, 5, 6), (2, 3, 5, 6, 3), (2, 3, 1, 5, 6), (2, 4, 5, 6, 1), (2, 1, 4, 5, 6), (2, 16, 7, 5, 6)),
        *((2, 1, 5, 6), (2, 16, 5, 6), (2, 3, 5, 3), (2, 3, 9), (2, 3), (2, 3, 7, 2, 5, 6)),
    ],
)
def test_shapes_whose_axis_1_may_be_time(shape):
    assert gpuaug.take(torch.zeros(shape), [0]).shape == (shape[0], 1, *shape[2:])


def test_a_short_region_is_pasted_into_many_frames():
    background, region = torch.zeros(2, 16, 112, 7, 7), torch.ones(2, 3, 112, 7, 7)
    assert gpuaug.paste(background, region, start=4, stop=7, opacity=1.0)[:, 4:7].all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: gpuaug.take(a, [7]), r"frames must be in \[0, 4\], got frames=7; axis 1 of clip \(2, 5, 6, 3\)"),
        (
            lambda a: gpuaug.concatenate(a, a, length=16, center=8),
            r"first must have .* 8 frames, got 5; axis 1 of first \(2, 5, 6, 3\) and second \(2, 5, 6, 3\) was taken",
        ),
        (
            lambda a: gpuaug.crossfade(a, a, length=9, center=3, overlap=2),
            "second must have .* 7 frames, got 5; axis 1",
        ),
        (
            lambda a: gpuaug.paste(a, a, start=2, stop=9, opacity=1, time_dim=2),
            r"stop must be at most the background's 6 frames, got stop=9; axis 2 of background",
        ),
        (
            lambda a: gpuaug.paste(a, a[:, :2], start=0, stop=4, opacity=1),
            r"region must have stop - start = 4 frames, got 2; axis 1 of background .* and region \(2, 2, 6, 3\)",
        ),
        (
            lambda a: gpuaug.resample_speed(a, length=8, change_point=4, rate=1, time_dim=-1),
            r"clip must reach frame 7 .* it has 3 frames; axis -1 of clip \(2, 5, 6, 3\) was taken as time, time_dim",
        ),
    ],
)
def test_too_few_frames_name_the_axis(cpu, call, message):
    for clip in (torch.zeros(2, 5, 6, 3), np.zeros((2, 5, 6, 3), np.float32)):
        with pytest.raises(ValueError, match=message) as caught:
            call(clip)
        assert "\n" not in str(caught.value)


def test_other_errors_do_not_blame_the_axis(cpu):
    for frames in ([-1], [0.5]):
        with pytest.raises(ValueError, match="frames must be") as caught:
            gpuaug.take(torch.zeros(2, 5), frames)
        assert "axis" not in str(caught.value)


@pytest.mark.parametrize("time_dim", [1.0, True, "1", np.float32(1), [1]])
def test_time_dim_is_a_whole_number(time_dim):
    with pytest.raises(ValueError, match="time_dim must be a whole number or None, got time_dim="):
        gpuaug.take(torch.zeros(2, 5), [0], time_dim=time_dim)


def test_time_dim_of_numpy():
    assert gpuaug.take(torch.zeros(2, 5), [0, 0], time_dim=np.int64(-1)).shape == (2, 2)


# ---- torchvision's types ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", EACH)
def test_a_video_stays_a_video(cpu, edit):
    for frames in (NTCHW, NTCHW[:, :3, :, :, :3]):  # the second has 3 frames, 3 channels and 3 columns
        plain = frames.contiguous()
        for axis in ({}, {"time_dim": 1}, {"time_dim": -4}):
            got = EACH[edit](tv_tensors.Video(plain), **axis)
            assert type(got) is tv_tensors.Video
            assert torch.equal(got.as_subclass(torch.Tensor), EACH[edit](plain, time_dim=1))


def test_time_of_a_video_is_known(cpu):
    """Also with more batch axes, and where a plain array would have to be told."""
    views = tv_tensors.Video(NTCHW[:, None].contiguous())
    assert torch.equal(gpuaug.take(views, [2, 1, 0])[:, 0], NTCHW[:, [2, 1, 0]])
    three = tv_tensors.Video(NTCHW[:, :3, :1].expand(-1, -1, 2, -1, -1).contiguous())  # (2, 3, 2, 5, 6)
    assert torch.equal(gpuaug.take(three, [2, 0]), three[:, [2, 0]])
    for time_dim in (2, 3, -1):
        with pytest.raises(ValueError, match=rf"time_dim must be 1 for clip, a tv_tensors.Video .*time_dim={time_dim}"):
            gpuaug.take(three, [0], time_dim=time_dim)
    with pytest.raises(
        ValueError, match=r"clip must have a batch axis .*, got a tv_tensors.Video of shape \(7, 3, 5, 6"
    ):
        gpuaug.take(tv_tensors.Video(NTCHW[0]), [0])


def test_a_video_beside_a_tensor(cpu):
    plain = NTCHW.contiguous()
    for pair in ((plain, tv_tensors.Video(plain)), (tv_tensors.Video(plain), plain)):
        got = gpuaug.concatenate(*pair, length=7, center=3)
        assert type(got) is tv_tensors.Video
        assert torch.equal(got[:, :3], plain[:, :3])
    with pytest.raises(ValueError, match="first and second must be of one type, got Video and Image"):
        gpuaug.concatenate(tv_tensors.Video(plain), tv_tensors.Image(plain), length=2, center=1)


def test_masks_and_pictures_stay_what_they_are(cpu):
    mask = tv_tensors.Mask(NTCHW[:, :, 0].contiguous())
    got = gpuaug.take(mask, [1, 0])
    assert type(got) is tv_tensors.Mask
    assert torch.equal(got.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor)[:, [1, 0]])
    pictures = tv_tensors.Image(NTCHW.contiguous())
    assert type(gpuaug.take(pictures, [1, 0])) is tv_tensors.Image
    with pytest.raises(ValueError, match=r"time_dim must be at most 1 for clip, a tv_tensors.Image"):
        gpuaug.take(pictures, [0], time_dim=2)
    with pytest.raises(ValueError, match="clip must have a batch axis and a time axis"):
        gpuaug.take(tv_tensors.Image(NTCHW[0]), [0])
    boxes = tv_tensors.BoundingBoxes(torch.zeros(3, 4), format="XYXY", canvas_size=(5, 6))
    with pytest.raises(ValueError, match=r"clip must be a plain tensor or .*, got BoundingBoxes"):
        gpuaug.take(boxes, [0])


def test_blend_of_videos(cpu):
    plan, video = Plan.take([0, 1], [[1, 0]]), tv_tensors.Video(NTCHW.contiguous())
    for frames in (video, [tv_tensors.Video(clip) for clip in NTCHW.contiguous()]):
        got = gpuaug.blend(frames, plan)
        assert type(got) is tv_tensors.Video
        assert torch.equal(got.as_subclass(torch.Tensor), NTCHW[:, [1, 0]])
    for frames in (tv_tensors.Video(NTCHW[0]), [video]):
        with pytest.raises(ValueError, match=r"frames must have time at axis [01], got a tv_tensors.Video of shape"):
            gpuaug.blend(frames, plan)


def test_render_wants_channels_last(cpu):
    video = tv_tensors.Video(torch.zeros(2, 7, 3, 5, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="frames must have channels last, got a tv_tensor"):
        gpuaug.render(video, Plan.take(0, [0]), size=(3, 5))


# ---- the axes of pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis", "given", "expected"),
    [
        ((2, 5, 6, 7), 1, None, (2, 3)),
        ((2, 6, 7, 5), 3, None, (1, 2)),
        ((2, 6, 7, 5), -1, None, (1, 2)),
        ((2, 6, 5, 7), 2, None, (1, 3)),
        ((2, 5, 6, 7, 3), 1, None, (2, 3)),
        ((2, 5, 6, 7, 1), 1, None, (2, 3)),
        ((2, 5, 6, 7, 4), 1, None, (2, 3)),
        ((2, 5, 3, 6, 7), 1, None, (3, 4)),
        ((2, 3, 5, 6, 7), 2, None, (3, 4)),
        ((2, 3, 6, 7, 5), -1, None, (2, 3)),
        ((2, 5, 3, 3, 7), 1, None, (3, 4)),  # rows of a size of channels do not count
        ((2, 5, 6, 7, 3), 1, (3, 2), (3, 2)),
        ((2, 5, 6, 7, 3), 1, (-3, -2), (2, 3)),
        ((2, 5, 6, 7, 3), 1, (4, -5 + 7), (4, 2)),
        ((2, 5, 6, 7), 1, (-2, -1), (2, 3)),
    ],
)
def test_rows_and_columns(shape, axis, given, expected):
    assert arrays.picture_axes("clip", torch.zeros(shape), axis, given) == expected
    assert arrays.picture_axes("clip", np.zeros(shape), axis, given) == expected


@pytest.mark.parametrize(
    ("shape", "axis", "given", "message"),
    [
        ((2, 5, 6), 1, None, r"clip must be \(N, T, H, W\), with or without an axis of channels"),
        ((2, 5, 6, 7, 3, 2), 1, None, r"clip must be \(N, T, H, W\), with or without an axis of channels"),
        ((2, 5, 6, 7, 8), 1, None, "spatial_dims must be given where no axis has a size of channels"),
        ((2, 5, 3, 7, 3), 1, None, "spatial_dims must be given where either of two axes may be the channels"),
        ((2, 5, 1, 7, 4), 1, None, "spatial_dims must be given where either of two axes may be the channels"),
        ((2, 5, 6, 7), 1, (2, 4), "spatial_dims must be two axes of clip, rows and columns"),
        ((2, 5, 6, 7), 1, (-5, 2), "spatial_dims must be two axes of clip, rows and columns"),
        ((2, 5, 6, 7), 1, (2, 3, 3), "spatial_dims must be two axes of clip, rows and columns"),
        ((2, 5, 6, 7), 1, (2, 3.0), "spatial_dims must be two axes of clip, rows and columns"),
        ((2, 5, 6, 7), 1, (0, 2), "spatial_dims must be other axes than batch and time"),
        ((2, 5, 6, 7), 1, (2, -4), "spatial_dims must be other axes than batch and time"),
        ((2, 5, 6, 7), 1, (1, 2), "spatial_dims must be other axes than batch and time"),
        ((2, 6, 7, 5), -1, (1, 3), "spatial_dims must be other axes than batch and time"),
        ((2, 5, 6, 7), 1, (2, 2), "spatial_dims must be other axes than batch and time"),
    ],
)
def test_axes_that_are_no_rows_and_columns(shape, axis, given, message):
    with pytest.raises(ValueError, match=message):
        arrays.picture_axes("clip", torch.zeros(shape), axis, given)


def test_rows_and_columns_of_torchvisions_are_the_last(cpu):
    """Also where another axis has a size of channels, or none has."""
    for kind, shape in (("Video", (2, 5, 3, 6, 3)), ("Video", (2, 5, 7, 6, 8)), ("Image", (2, 5, 3, 6, 7))):
        assert arrays.picture_axes("clip", getattr(tv_tensors, kind)(torch.zeros(shape)), 1, None) == (3, 4)


def test_pictures_share_the_memory_of_their_clips():
    """(S, L, C, H, W), (S, L, W, H) and the like, of torch and of NumPy, as (S, L, H, W, C)."""
    tensor = torch.arange(2 * 3 * 4 * 5 * 6.0).view(2, 3, 4, 5, 6)
    for y, x, expected in ((3, 4, tensor.permute(0, 1, 3, 4, 2)), (4, 2, tensor.permute(0, 1, 4, 2, 3))):
        for clips in (arrays.view(tensor), arrays.look("clip", tensor.numpy(), 1)[0]):
            got = arrays.pictures("clip", clips, y, x)
            assert (got.address, got.shape, got.strides) == (tensor.data_ptr(), expected.shape, expected.stride())
            np.testing.assert_array_equal(np.asarray(got.array), expected.numpy())
        assert arrays.as_pictures(tensor, y, x).equal(expected)
    grey = tensor[..., 0]
    for clips in (arrays.view(grey), arrays.look("clip", grey.numpy(), 1)[0]):
        got = arrays.pictures("clip", clips, 3, 2)
        assert (got.shape, got.strides, got.itemsize) == ((2, 3, 5, 4, 1), (*grey.stride()[:2], 6, 30, 1), 4)
        np.testing.assert_array_equal(np.asarray(got.array), grey.transpose(2, 3)[..., None].numpy())
    assert arrays.as_pictures(grey, 3, 2).equal(grey.transpose(2, 3)[..., None])
    with pytest.raises(ValueError, match="clip must have one axis of channels at most"):
        arrays.pictures("clip", arrays.view(tensor[..., None]), 2, 3)


@pytest.mark.parametrize("axis", [0, 3, 4, -3, -4])
def test_an_axis_that_is_not_behind_the_batch(axis):
    with pytest.raises(ValueError, match=f"time_dim must be an axis of clip .*, got time_dim={axis}, ndim=3"):
        arrays.check_axis("clip", (2, 3, 4), axis)
    for right in (1, 2, -1, -2):
        arrays.check_axis("clip", (2, 3, 4), right)


@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [
        ("Video", (2, 5, 3, 6, 7), (1, 1)),
        ("Video", (2, 2, 5, 3, 6, 7), (2, 2)),
        ("Image", (2, 5, 3, 6, 7), (0, 1)),
        ("Mask", (2, 5, 6, 7), (0, 1)),
        ("Mask", (2, 5, 3, 6, 7), (0, 2)),
    ],
)
def test_where_time_may_be(kind, shape, expected):
    assert arrays.time_range(shape, kind) == expected


def test_clips_of_the_reference_are_those_of_every_array_in_turn():
    parts = [torch.arange(12.0).view(2, 3, 2), torch.arange(4).view(1, 2, 2).to(torch.bfloat16)]
    got = arrays.numpy_clips([arrays.view(part) for part in parts])
    assert [clip.tolist() for clip in got] == [*parts[0].tolist(), *parts[1].float().tolist()]
