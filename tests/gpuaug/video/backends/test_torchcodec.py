"""torchcodec's backend: the frames of PyAV's, by our time table. Here on the CPU; tests marked gpu use NVDEC.

Where the system has no FFmpeg that it finds, test_backends.py runs this file with the one in PyAV's wheel.
"""

import numpy as np
import pytest
import torch

from gpuaug import Decoder, Window
from gpuaug.video.backends import nvdec
from support.assets import DERIVED, ENCODED, FINE, encode, ffmpeg, number_of, remux

pytest.importorskip("torchcodec")
try:
    from gpuaug.video.backends import torchcodec as backend
except ImportError as error:
    pytest.skip(f"could not import 'torchcodec': {error}", allow_module_level=True)

NAMES = [*(name for name in ENCODED if name != "refresh"), *DERIVED]
ALIKE = 2  # levels, on average over a clip, as for DALI: chroma is interpolated otherwise


@pytest.fixture(scope="module")
def torchcodec():
    with Decoder(backend="torchcodec", threads=2) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def pyav():
    with Decoder(backend="pyav", threads=2) as decoder:
        yield decoder


def windows_of(path, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Window(str(path), float(rng.uniform(0, 1.5)), fps, int(rng.integers(1, 9)), "repeat") for fps in (7, 25, 60, 25)
    ]


def alike(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert (a.cpu().int() - b.int()).abs().float().mean() < ALIKE
        assert [number_of(frame) for frame in a.cpu().numpy()] == [number_of(frame) for frame in b.numpy()]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_frames_as_pyav(name, assets, torchcodec, pyav):
    """All containers and codecs, also B-pictures, edit lists, turned pictures, useless stamps."""
    windows = windows_of(assets[name])
    (ours, failed), (theirs, refused) = torchcodec.decode(windows), pyav.decode(windows)
    assert not failed
    assert not refused
    alike(ours, theirs)
    assert all(number_of(frame) >= 0 for clip in ours for frame in clip.numpy()) or name == "mirrored"


def test_a_neighbouring_frame_would_not_pass(assets, torchcodec, pyav):
    ours = torchcodec.decode([Window(str(assets["cfr"]), 0.4, 25, 4)])[0]
    theirs = pyav.decode([Window(str(assets["cfr"]), 0.44, 25, 4)])[0]
    with pytest.raises(AssertionError):
        alike(ours, theirs)


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("colour_range", [1, 2])
def test_colours_are_by_the_matrix_and_range_of_the_file(matrix, colour_range, tmp_path, torchcodec, pyav):
    ticks = [3600 * k for k in range(9)]
    path = encode(tmp_path / "a.mp4", ticks, FINE, tags={"colorspace": matrix, "color_range": colour_range})
    windows = [Window(str(path), 0, 25, 9)]
    alike(torchcodec.decode(windows)[0], pyav.decode(windows)[0])


@pytest.mark.parametrize("size", [(48, 80), (60, 50), (192, 320)])
def test_scaled_pictures_are_alike(size, assets):
    windows = [w for name in ("cfr", "vp9", "odd", "turned_90") for w in windows_of(assets[name], seed=1)]
    with Decoder(size=size, backend="torchcodec", threads=2) as ours, Decoder(size=size, backend="pyav") as theirs:
        alike(ours.decode(windows)[0], theirs.decode(windows)[0])


def test_bytes_and_floats_are_scaled_alike():
    """On a GPU torch scales floats only."""
    frames = torch.randint(0, 256, (2, 40, 60, 3), dtype=torch.uint8)
    wide = frames.permute(0, 3, 1, 2).float()
    floats = torch.nn.functional.interpolate(wide, (17, 90), mode="bilinear", antialias=True).permute(0, 2, 3, 1)
    assert (backend.scaled(frames, (17, 90)).float() - floats).abs().max() <= 1


def test_many_frames_and_windows_of_one_file(assets, torchcodec, monkeypatch):
    monkeypatch.setattr(backend, "AT_ONCE", 4)
    path = str(assets["cfr"])
    windows = [
        Window(path, 0.2, 25, 30),
        *(Window(path, k / 25, 25, 3) for k in (40, 3, 4, 0)),
        Window(path, 0.2, 25, 30),
    ]
    clips, failures = torchcodec.decode(windows)
    assert not failures
    numbers = [[number_of(frame) for frame in clip.numpy()] for clip in clips]
    assert numbers == [[*range(5, 35)], [40, 41, 42], [3, 4, 5], [4, 5, 6], [0, 1, 2], [*range(5, 35)]]
    assert clips[0].data_ptr() != clips[-1].data_ptr(), "one may be changed without the other"


def test_a_damaged_file_costs_only_itself(assets, tmp_path, torchcodec):
    def change(k, data):
        return data[:3] + np.random.default_rng(k).bytes(len(data) - 3) if k == 20 else data

    damaged = remux(assets["vp9"], tmp_path / "damaged.webm", change)
    good = Window(str(assets["vp8"]), 0.4, 25, 4)
    clips, failures = torchcodec.decode([good, Window(str(damaged), 0.7, 25, 5), good])
    assert [(f.index, f.path) for f in failures] == [(1, str(damaged))]
    assert "\n" not in failures[0].reason
    for clip in (clips[0], clips[2]):
        assert [number_of(frame) for frame in clip.numpy()] == [10, 11, 12, 13]


def test_a_file_that_was_cut_off_gives_no_black_frames(assets, tmp_path, torchcodec):
    path = tmp_path / "cut.webm"
    path.write_bytes(assets["vp9"].read_bytes()[: assets["vp9"].stat().st_size * 6 // 10])
    clips, failures = torchcodec.decode([Window(str(path), k / 25, 25, 1) for k in range(50)])
    numbers = [number_of(clip[0].numpy()) for clip in clips if clip is not None]
    assert 5 < len(numbers) < 50
    assert numbers[:-1] == list(range(len(numbers) - 1))
    assert all("past the video's end" in failure.reason for failure in failures)


def test_a_gradual_refresh_is_refused(assets, torchcodec):
    (failure,) = torchcodec.decode([Window(str(assets["refresh"]), 0.6, 25, 1)])[1]
    assert failure.reason == "its pictures are refreshed gradually, without key frames"


def test_what_is_no_video_elsewhere_is_refused(assets, tmp_path, torchcodec):
    ffmpeg("-i", assets["cfr"], "-frames:v", "5", tmp_path / "a.gif")
    (failure,) = torchcodec.decode([Window(str(tmp_path / "a.gif"), 0, 25, 1)])[1]
    assert failure.reason == "gif is no codec of videos elsewhere"


HEVC = nvdec.Caps(True, 144, 144, 8192, 8192, 262144, 3)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The backend for a GPU whose NVDEC decodes 8-bit HEVC and VP9 of 4:2:0."""
    table = {("hevc", "4:2:0", 8): HEVC, ("vp9", "4:2:0", 8): HEVC._replace(least_width=128, least_height=90)}
    monkeypatch.setattr(nvdec.Capabilities, "ask", staticmethod(lambda _, kind: table.get(kind, nvdec.Caps(False))))
    monkeypatch.setattr(nvdec, "missing", lambda: "")
    return backend.Torchcodec(torch.device("cuda", 0), 2, 60)


def test_what_nvdec_does_not_do_is_refused(as_on_a_gpu, assets):
    with Decoder(threads=1) as decoder:
        reasons = {
            name: as_on_a_gpu.refuses(decoder._index(str(assets[name])))
            for name in ("hevc", "vp9", "vp9_alt", "cfr", "444", "mpeg2")
        }
    assert {name for name, reason in reasons.items() if not reason} == {"hevc", "vp9", "vp9_alt"}
    assert reasons["cfr"] == "NVDEC here does not decode h264 of 8 bits, 4:2:0"
    assert reasons["444"] == "torchcodec decodes h264 of yuv444p on the CPU"


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["cfr", "ntsc", "vfr", "open_gop", "long_gop", "hevc", "turned_90", "vp9", "vp9_alt"])
def test_on_the_gpu(name, gpu_assets, pyav):
    windows = windows_of(gpu_assets[name])
    with Decoder("cuda", backend="torchcodec") as cuda:
        clips, failures = cuda.decode(windows)
    assert not failures
    assert all(clip.is_cuda for clip in clips)
    alike(clips, pyav.decode(windows)[0])
