"""The PyAV backend against ffmpeg: the right frames at any time, with the right pixels. Pictures carry their number."""

import re

import numpy as np
import pytest
import torch

from gpuaug import Decoder, Window
from gpuaug.video import decoder as decoder_module
from gpuaug.video.backends import pyav as pyav_backend
from gpuaug.video.backends import stretch
from gpuaug.video.frame_index import read_index
from support.assets import DERIVED, ENCODED, EVEN, FINE, TURNED, encode, ffmpeg_rgb, ffmpeg_seconds, number_of, picture

NAMES = [*ENCODED, *DERIVED]
CENTRED = {"odd_vp9", "vp8", "vp9", "vp9_alt", "mjpeg"}  # formats that site chroma between pixels; others: to the left


@pytest.fixture(scope="module")
def truth(assets):
    """truth(name) -> (seconds (N,), images (N,H,W,3)), from ffmpeg alone."""
    known = {}

    def get(name):
        if name not in known:
            path = assets[name]
            height, width = (96, 213) if name == "sar" else ENCODED.get(name, (0, 0, 0, {}))[3].get("size", (96, 160))
            if name == "mirrored":
                height, width = width, height
            images = ffmpeg_rgb(path, height, width, chroma="" if name in CENTRED else "left")
            known[name] = (np.arange(50) / 25 if name == "raw_h264" else ffmpeg_seconds(path)), images
        return known[name]

    return get


@pytest.fixture(scope="module")
def pyav():
    with Decoder(backend="pyav", threads=2) as decoder:
        yield decoder


@pytest.mark.parametrize("name", ENCODED)
def test_ffmpeg_reads_what_was_written(name, assets, truth):
    _, ticks, tick, _ = ENCODED[name]
    seconds_N, images_NHW3 = truth(name)
    assert [number_of(image) for image in images_NHW3] == list(range(len(ticks)))
    np.testing.assert_allclose(seconds_N, (np.array(ticks) - ticks[0]) * float(tick), atol=0.6e-3)


def test_a_wrong_picture_has_no_number(truth):
    images_NHW3 = truth("cfr")[1].astype(int)
    assert number_of(images_NHW3[7][:, ::-1]) != 7
    assert number_of(np.rot90(images_NHW3[7])) == -1
    assert number_of((images_NHW3[7] + images_NHW3[8]) // 2) == -1


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_those_of_ffmpeg(name, assets, truth, pyav):
    seconds_N, images_NHW3 = truth(name)
    window = Window(str(assets[name]), 0, 1 / np.median(np.diff(seconds_N)), len(seconds_N), edge="repeat")
    (frames_THW3,), failures = pyav.decode([window])
    assert not failures
    assert frames_THW3.shape[1:] == images_NHW3.shape[1:]
    at_T = np.arange(len(seconds_N)) / window.fps
    shown_T = np.searchsorted(seconds_N, np.minimum(at_T, seconds_N[-1]) + 1e-3, side="right") - 1
    difference = np.abs(frames_THW3.numpy().astype(int) - images_NHW3[shown_T])
    if name in TURNED or name == "mirrored":  # ffmpeg turns before it scales, which moves chroma by half a pixel
        assert difference.mean() < 1
        unturned = ffmpeg_rgb(assets[name], *images_NHW3.shape[1:3], turn=False)
        assert np.abs(frames_THW3.numpy().astype(int) - unturned[shown_T]).mean() > 20
    else:
        assert difference.max() <= 1


@pytest.mark.parametrize("name", [*TURNED, "mirrored", "odd_vp9"])
def test_pixels_are_the_same_without_the_compiled_kernels(name, assets, monkeypatch):
    index = read_index(str(assets[name]))
    height, width = (index.height, index.width)
    (expected,) = pyav_backend.decode_windows(index, [np.arange(3)], height, width)
    monkeypatch.setattr(pyav_backend.host, "library", lambda: None)
    (got,) = pyav_backend.decode_windows(index, [np.arange(3)], height, width)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_frame_shown_at_each_time(name, assets, truth, pyav):
    seconds_N, images_NHW3 = truth(name)
    number_N = np.array([number_of(image) for image in images_NHW3])
    rng = np.random.default_rng(len(name))
    windows = [
        Window(str(assets[name]), float(rng.uniform(0, seconds_N[-1])), float(fps), int(rng.integers(1, 12)), "repeat")
        for fps in (4, 12.5, 24000 / 1001, 25, 60)
        for _ in range(4)
    ]
    clips, failures = pyav.decode(windows)
    assert not failures
    for window, frames_THW3 in zip(windows, clips):
        at_T = window.start_seconds + np.arange(window.frames) / window.fps
        got_T = np.array([number_of(frame) for frame in frames_THW3.numpy()])
        # Times that differ by less than rounding to a container's ticks may count as equal.
        after_T = number_N[np.searchsorted(seconds_N, at_T + 5.1e-3, side="right") - 1]
        before_T = number_N[np.maximum(np.searchsorted(seconds_N, at_T - 1e-3, side="right") - 1, 0)]
        exact_T = number_N[np.searchsorted(seconds_N, at_T, side="right") - 1]
        assert np.all((got_T == exact_T) | ((got_T == after_T) | (got_T == before_T)) & (after_T != before_T)), window


@pytest.mark.parametrize("name", [n for n in NAMES if n != "vfr"])
def test_at_the_native_rate_windows_are_runs_of_frames(name, assets, truth, pyav):
    _, images_NHW3 = truth(name)
    number_N = [number_of(image) for image in images_NHW3]
    fps = 30000 / 1001 if name.startswith(("mkv", "ntsc")) else 25.0
    windows = [Window(str(assets[name]), k / fps, fps, 5) for k in range(len(number_N) - 5 + 1)]
    clips, failures = pyav.decode(windows)
    assert not failures
    for k, frames_THW3 in enumerate(clips):
        assert [number_of(frame) for frame in frames_THW3.numpy()] == number_N[k : k + 5]


def test_without_tolerance_milliseconds_would_repeat_and_skip_frames(assets):
    for name in ("mkv", "mkv_late"):
        index = read_index(str(assets[name]))
        at_N = np.arange(50) * 1001 / 30000
        assert index.frames_at(0, 30000 / 1001, 50).tolist() == list(range(50))
        assert (np.searchsorted(index.seconds_N, at_N, side="right") - 1).tolist() != list(range(50))
    # Half a tick is not enough where the first time was rounded down and another one up.
    assert (np.searchsorted(index.seconds_N, at_N + 0.5e-3, side="right") - 1).tolist() != list(range(50))


def test_coarse_ticks_do_not_show_frames_early(assets):
    index = read_index(str(assets["mpeg4_avi"]))  # one tick is one frame, 0.04 s
    assert index.frames_at(0.03, 25, 3).tolist() == [0, 1, 2]
    assert index.frames_at(0.04, 25, 3).tolist() == [1, 2, 3]


def test_the_end(assets, pyav):
    path = str(assets["cfr"])  # 50 frames, 2 s
    clips, failures = pyav.decode(
        [
            Window(path, 1.8, 25, 5),
            Window(path, 1.8, 25, 6),
            Window(path, 1.8, 25, 8, edge="repeat"),
            Window(path, 1.999, 25, 1),
            Window(path, 2.0, 25, 1),
            Window(path, 70, 25, 2, edge="repeat"),
        ]
    )
    numbers = [None if c is None else [number_of(frame) for frame in c.numpy()] for c in clips]
    assert numbers == [[45, 46, 47, 48, 49], None, [45, 46, 47, 48, 49, 49, 49, 49], [49], None, [49, 49]]
    assert [f.index for f in failures] == [1, 4]
    assert failures[0].reason == "the window's last frame, at 2.000 s, is past the video's end, 2.000 s"


@pytest.mark.parametrize("name", ["ts", "open_gop", "long_gop", "packed_avi", "refresh"])
def test_no_window_depends_on_others_or_on_threads(name, assets):
    path = str(assets[name])
    windows = [Window(path, start, fps, 6) for start in (0, 0.5, 0.52, 1.3, 1.0) for fps in (10, 25)]
    with Decoder(backend="pyav", threads=1) as one, Decoder(backend="pyav", threads=5) as five:
        together, _ = one.decode(windows)
        spread, _ = five.decode(windows)
        alone = [one.decode([window])[0][0] for window in reversed(windows)][::-1]
    for a, b, c in zip(together, spread, alone):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_a_key_frame_that_is_none(assets, monkeypatch):
    """Gradual refresh marks frames as keys that cannot be decoded from: it takes a start further back."""
    index = read_index(str(assets["refresh"]))
    attempts = []
    frames = stretch.OpenFile.frames

    def counted(self, key, *arguments, **options):
        attempts.append(key)
        yield from frames(self, key, *arguments, **options)

    monkeypatch.setattr(stretch.OpenFile, "frames", counted)
    key = int(index.first_decodable_K[2])
    (got,) = pyav_backend.decode_windows(index, [np.arange(key, key + 3)], 96, 160)
    np.testing.assert_array_equal(got.numpy(), ffmpeg_rgb(assets["refresh"], 96, 160, chroma="left")[key : key + 3])
    assert attempts == [2, 1]


def test_only_needed_frames_are_decoded(assets, monkeypatch):
    """Two windows at the ends of a file: nothing between them is decoded; two that overlap: nothing twice."""
    index = read_index(str(assets["cfr"]))
    seen = []
    packets_from = stretch.OpenFile.packets_from

    def counted(self, key):
        for packet in packets_from(self, key):
            seen.append(packet.pts)
            yield packet

    monkeypatch.setattr(stretch.OpenFile, "packets_from", counted)
    ends = list(pyav_backend.read_frames(index, np.array([1, 49])))
    assert sorted(i for i, _ in ends) == [1, 49]
    assert len(seen) < 20
    seen.clear()
    list(pyav_backend.read_frames(index, np.array([20, 21, 22, 22, 21, 23, 24, 25, 26])))
    assert len(seen) == len(set(seen)) < 20


@pytest.mark.parametrize(("matrix", "range_"), [(1, 1), (1, 2), (5, 1), (5, 2), (9, 1), (9, 2)])
def test_matrix_and_range_are_those_of_the_file(matrix, range_, tmp_path, pyav):
    path = encode(tmp_path / "c.mp4", EVEN[:3], FINE, tags={"colorspace": matrix, "color_range": range_})
    (frames_THW3,), _ = pyav.decode([Window(str(path), 0, 25, 3)])
    got_THW3, written_HW3 = frames_THW3.numpy().astype(int), picture(0, 96, 160).astype(int)
    assert np.abs(got_THW3 - ffmpeg_rgb(path, 96, 160, chroma="left")).max() <= 1
    assert np.abs(got_THW3[0] - written_HW3).mean() < 1.5
    # Another matrix, and full range taken for limited (libav marks full range twice), would be seen.
    ((_, native),) = pyav_backend.read_frames(read_index(str(path)), np.array([0]))
    for wrong in [{"src_colorspace": 1 if matrix == 5 else 5}, {"src_color_range": 2}][: 3 - range_]:
        assert np.abs(native.to_ndarray(format="rgb24", **wrong).astype(int) - written_HW3).mean() > 1.5


def test_size(assets, pyav):
    paths = [str(assets[name]) for name in ("cfr", "turned_90", "sar")]
    windows = [Window(path, 0.4, 25, 2) for path in paths]
    with (
        Decoder(backend="pyav", size=(48, 60)) as stretch,
        Decoder(backend="pyav", size=(48, 60), fit="inside") as inside,
    ):
        assert [tuple(f.shape) for f in stretch.decode(windows)[0]] == [(2, 48, 60, 3)] * 3
        clips = inside.decode(windows)[0]
    assert [tuple(f.shape) for f in clips] == [(2, 36, 60, 3), (2, 36, 60, 3), (2, 27, 60, 3)]
    assert [[number_of(frame) for frame in clip.numpy()] for clip in clips] == [[10, 11]] * 3
    with Decoder(backend="pyav", size=(500, 500), fit="inside") as large:
        assert large.decode(windows)[0][0].shape == (2, 96, 160, 3)


def test_one_short_side_for_wide_and_tall_videos(assets, pyav):
    """The same frames as with two decoders for the two kinds; never enlarged, at most four times as long."""
    wide, tall = (Window(str(assets[name]), 0.4, 25, 2) for name in ("cfr", "mirrored"))
    with (
        Decoder(backend="pyav", size=64, fit="short") as short,
        Decoder(backend="pyav", size=(64, 256), fit="inside") as for_wide,
        Decoder(backend="pyav", size=(256, 64), fit="inside") as for_tall,
    ):
        clips, failures = short.decode([wide, tall])
        assert not failures
        assert [clip.shape[1:3] for clip in clips] == [(64, 107), (107, 64)]
        assert torch.equal(clips[0], for_wide.decode([wide])[0][0])
        assert torch.equal(clips[1], for_tall.decode([tall])[0][0])
        assert not torch.equal(for_wide.decode([tall])[0][0][0, 0], clips[1][0, 0]), "negative control"
        sizes = [(2000, 100), (100, 2000), (40, 60), (60, 40), (1000, 1000), (1, 900)]
        expected = [(256, 13), (13, 256), (40, 60), (60, 40), (64, 64), (1, 256)]
        assert [short.output_size(*size) for size in sizes] == expected
    with Decoder(backend="pyav", size=500, fit="short") as large, Decoder(backend="pyav", fit="short") as whole:
        for decoder in (large, whole):
            assert torch.equal(decoder.decode([tall])[0][0], pyav.decode([tall])[0][0])


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "v.mp4"
    with Decoder(backend="pyav") as decoder:
        for frames in (4, 9):
            encode(path, EVEN[:frames], FINE)
            assert decoder.decode([Window(str(path), 0, 25, 9)])[0][0] is None or frames == 9


def test_indices_are_bounded(assets, monkeypatch):
    monkeypatch.setattr(decoder_module, "KEPT_INDICES", 1)
    with Decoder(backend="pyav", threads=1) as decoder:
        decoder.decode([Window(str(assets[name]), 0, 25, 1) for name in ("cfr", "ts", "mkv")])
        assert len(decoder._indices) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start_seconds": -0.1}, "start_seconds must be finite and >= 0, got start_seconds=-0.1"),
        ({"start_seconds": float("nan")}, "got start_seconds=nan"),
        ({"fps": 0}, "fps must be finite and > 0, got fps=0"),
        ({"frames": 0}, "frames must be an integer >= 1, got frames=0"),
        ({"edge": "wrap"}, 'edge must be "error" or "repeat", got edge=\'wrap\''),
    ],
)
def test_windows_are_checked(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Window(**{"path": "a.mp4", "start_seconds": 0, "fps": 25, "frames": 8, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 5)}, "size must be (height, width), both >= 1, or None, got size=(0, 5)"),
        ({"backend": "cuda"}, 'backend must be "auto", "dali", "torchcodec" or "pyav"'),
        ({"size": 5}, "size must be (height, width), both >= 1, or None, got size=5"),
        ({"size": (5, 4), "fit": "short"}, 'a short and a long side, or None, where fit="short", got size=(5, 4)'),
        ({"size": 0, "fit": "short"}, 'where fit="short", got size=0'),
        ({"fit": "crop"}, 'fit must be "stretch", "inside" or "short"'),
        ({"threads": 0}, "threads must be >= 1, got threads=0"),
        ({"timeout_seconds": 0}, "timeout_seconds must be > 0, got timeout_seconds=0"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Decoder(**arguments)
