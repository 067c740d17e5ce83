"""DALI as on a GPU: what NVDEC cannot do goes to PyAV, memory is bounded, nothing is copied in vain.

Tests marked gpu use NVDEC; in the others DALI's CPU decoder stands for it, and a table for the driver's answers.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from support.assets import ffmpeg, number_of, remux

pytest.importorskip("nvidia.dali")

from gpuaug import Decoder, Window
from gpuaug.video.backends import FrameRequest, dali_pipeline, nvdec
from gpuaug.video.backends import dali as dali_backend
from gpuaug.video.write import write_video


@pytest.fixture(scope="module")
def dali():
    with Decoder(backend="dali", threads=2) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def pyav():
    with Decoder(backend="pyav", threads=2) as decoder:
        yield decoder


CAPS = nvdec.Caps(True, 64, 64, 4096, 4096, 65536, 1)


@pytest.fixture
def nvdec_of(monkeypatch):
    """A function that makes a decoder as on a GPU: DALI, whose NVDEC can do what a table says, then PyAV.

    Its pipeline is DALI's CPU decoder.
    """
    made = []

    def make(table, **options):
        monkeypatch.setattr(nvdec.Capabilities, "ask", staticmethod(lambda _, k: table.get(k[:3], nvdec.Caps(False))))
        decoder = Decoder(threads=2, **options)
        backend = dali_backend.Dali(torch.device("cpu"), 2, 60)
        backend._nvdec = nvdec.Capabilities(backend.device)
        decoder._backends = {"dali": backend, **decoder._backends}
        made.append(decoder)
        return decoder

    yield make
    for decoder in made:
        decoder.close()


def test_what_nvdec_does_not_do_goes_to_pyav_and_is_counted(assets, nvdec_of, tmp_path):
    """By codec, chroma and depth, and by size; the driver is asked, nothing is tried."""
    decoder = nvdec_of({("vp9", "4:2:0", 8): CAPS, ("h264", "4:2:0", 8): CAPS._replace(least_width=161)})
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(assets["cfr"].read_bytes())
    names = ["vp9", "cfr", "ten_bit", "444", "mjpeg"]
    windows = [Window(str(path), 0.2, 25, 3) for path in (*(assets[name] for name in names), copy)]
    for _ in range(2):
        clips, failures = decoder.decode(windows)
        assert not failures
        assert all([number_of(frame) for frame in clip.numpy()] == [5, 6, 7] for clip in clips)
    assert decoder.fallbacks == {
        "NVDEC here decodes h264 of at least 161 × 64 pixels, this has 160 × 96": 2,
        "NVDEC here does not decode h264 of 10 bits, 4:2:0": 1,
        "DALI converts only 4:2:0 pictures to RGB, this is yuv444p": 1,
        "DALI has no mjpeg decoder for cpu": 1,
    }


@pytest.mark.slow
def test_pictures_that_nvdec_would_count_differently_go_to_pyav(assets, nvdec_of, tmp_path, monkeypatch):
    """Hidden pictures in VP9, fields, and more pictures to sort than DALI has room for."""
    for number in (1, 2):
        how = ["-pass", str(number), "-passlogfile", tmp_path / "log", "-auto-alt-ref", "1", "-lag-in-frames", "25"]
        ffmpeg("-i", assets["cfr"], "-c:v", "libvpx-vp9", "-b:v", "100k", "-g", "25", *how, tmp_path / "hiding.webm")
    ffmpeg("-i", assets["cfr"], "-c:v", "libx264", "-x264-params", "tff=1:log-level=none", tmp_path / "fields.mp4")
    decoder = nvdec_of({("vp9", "4:2:0", 8): CAPS, ("h264", "4:2:0", 8): CAPS})
    monkeypatch.setattr(dali_backend, "OWN_FRAMES", 2)
    paths = [tmp_path / "hiding.webm", tmp_path / "fields.mp4", assets["mkv"], assets["vp9"]]
    clips, failures = decoder.decode([Window(str(path), 0.01, 25, 3) for path in paths])
    assert not failures
    assert [number_of(frame) for frame in clips[0].numpy()] == [0, 1, 2]
    assert decoder.fallbacks == {
        "DALI counts the pictures that this file does not show": 1,
        "DALI takes the fields of interlaced video for pictures": 1,
        "DALI sorts 2 pictures at a time, this needs 3": 1,
    }


def test_named_it_falls_back_on_nothing(assets, dali):
    assert dali.decode([Window(str(assets["cfr"]), 0, 25, 2)])[1]
    assert dali.fallbacks == {}


def test_more_files_than_the_memory_of_a_run_holds(assets, monkeypatch, dali):
    """What one run decodes is bounded, DALI's own frames included; the rest waits, and is cut meanwhile."""
    index = dali._index(str(assets["vp9"]))
    requests = [FrameRequest(index, [np.arange(k, k + 4)], 96, 160) for k in (0, 12, 24, 36)]
    pixels = 96 * 160 * 3
    for own, runs in ((0, 2), (dali_pipeline.OWN_FRAMES, 4)):
        monkeypatch.setattr(dali_backend, "BATCH_BYTES", 2 * (4 * pixels + 2000))
        batches = dali_backend._batches(requests, own=own)
        assert len(batches) == runs
        assert [n for batch in batches for n in batch] == [0, 1, 2, 3]
    seen = []
    original = dali_pipeline._frames
    monkeypatch.setattr(dali_pipeline, "_frames", lambda p, jobs, s: seen.append(len(jobs)) or original(p, jobs, s))
    (clips, failures) = dali.decode([Window(str(assets["vp9"]), k / 25, 25, 4) for k in (0, 12, 24, 36)])
    assert not failures
    assert [number_of(clip[0].numpy()) for clip in clips] == [0, 12, 24, 36]
    assert seen == [2, 2]


@pytest.mark.parametrize("aspect", [Fraction(1, 4), Fraction(1)])
def test_the_memory_of_a_run_is_that_of_stored_pictures(aspect, tmp_path, monkeypatch):
    """Of pixels four times as high as wide, display shows a quarter of what is decoded."""
    paths = [str(tmp_path / f"{k}.mp4") for k in range(4)]
    pictures = [np.full((64, 256, 3), 8 * k, np.uint8) for k in range(6)]
    for path in paths:
        write_video(path, pictures, rate=25, codec="libvpx-vp9", sample_aspect=aspect)
    monkeypatch.setattr(dali_backend, "BATCH_BYTES", 2 * (6 * 64 * 256 * 3 + 4000))
    seen, original = [], dali_pipeline._frames
    monkeypatch.setattr(dali_pipeline, "_frames", lambda p, jobs, s: seen.append(len(jobs)) or original(p, jobs, s))
    with Decoder(backend="dali", threads=2) as decoder:
        clips, failures = decoder.decode([Window(path, 0, 25, 6) for path in paths])
    assert not failures
    assert clips[0].shape == (6, 64, round(256 * aspect), 3)
    assert seen == [2, 2]


def test_no_file_is_mapped(assets, monkeypatch, dali):
    """One that is cut while it is mapped ends the process."""
    original, maps = dali_pipeline._frames, []
    monkeypatch.setattr(
        dali_pipeline, "_frames", lambda *a: maps.append(Path("/proc/self/maps").read_text()) or original(*a)
    )
    assert not dali.decode([Window(str(assets["vp9"]), 0.4, 25, 4)])[1]
    assert maps
    assert str(assets["vp9"]) not in maps[0]


@pytest.mark.parametrize("name", ["two", "hidden"])
def test_other_streams_and_hidden_packets_do_not_matter(name, assets, tmp_path, dali, pyav):
    """What DALI is given has one stream; packets that an edit list hides are decoded and not asked for."""
    path = tmp_path / "a.mkv"
    if name == "two":
        ffmpeg("-i", assets["vp8"], "-i", assets["vp9"], "-map", "0", "-map", "1", "-c", "copy", path)
    else:
        path = tmp_path / "a.mp4"
        ffmpeg("-ss", "0.6", "-i", assets["vp9"], "-c", "copy", path)
    windows = [Window(str(path), start, fps, 5, "repeat") for start, fps in ((0.1, 25), (0.7, 7), (1.3, 60))]
    (ours, failed), (theirs, _) = dali.decode(windows), pyav.decode(windows)
    assert not failed
    for a, b in zip(ours, theirs):
        assert ((a.int() - b.int()).abs() <= 2).all()


def test_a_window_is_copied_only_where_frames_are_shared(assets, dali, monkeypatch):
    frames = []
    original = dali_pipeline._frames
    monkeypatch.setattr(dali_pipeline, "_frames", lambda *a: frames.extend(made := original(*a)) or made)
    path = str(assets["vp9"])
    (alone,), _ = dali.decode([Window(path, 0.4, 25, 4)])
    assert alone.data_ptr() == frames[0].data_ptr()
    same = Window(path, 0.4, 25, 4)
    (first, second, other), _ = dali.decode([same, same, Window(path, 0.44, 25, 2)])
    assert len({clip.untyped_storage().data_ptr() for clip in (first, second, other)}) == 3
    assert torch.equal(first, second)
    assert torch.equal(other, first[1:3])


@pytest.mark.slow
def test_colours_are_put_right_without_products_of_matrices(assets, dali):
    """Those would be subject to TF32; and there are few operations for many frames."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            names.append(str(function))
            return function(*args, **(kwargs or {}))

    names: list[str] = []
    index = replace(dali._index(str(assets["vp9"])), matrix=1)
    frames = torch.randint(0, 256, (16, 8, 8, 3), dtype=torch.uint8)
    matrix = dali_pipeline._yuv_to_rgb(*dali_pipeline.LUMA[1]) @ np.linalg.inv(dali_pipeline._yuv_to_rgb(0.299, 0.114))
    expected = np.clip(np.rint(frames.numpy() @ matrix.T), 0, 255)
    with Count():
        got = dali_pipeline.recoloured(frames, index)
    assert np.abs(got.numpy() - expected).max() <= 1
    assert (got.numpy() != expected).mean() < 1e-3
    assert not [name for name in names if "mm" in name or "matmul" in name]
    assert len(names) < 64


@pytest.mark.gpu
@pytest.mark.parametrize(
    "name", ["cfr", "ntsc", "vfr", "mkv", "open_gop", "long_gop", "hevc", "turned_90", "sar", "vp9"]
)
def test_on_the_gpu(name, gpu_assets, pyav):
    """NVDEC sites chroma between the pixels, PyAV where the file says: colours at edges differ, numbers do not."""
    windows = [Window(str(gpu_assets[name]), s, fps, 5, "repeat") for s, fps in ((0.1, 25), (0.7, 7), (1.3, 60))]
    with Decoder("cuda", backend="dali") as cuda:
        clips, failures = cuda.decode(windows)
    assert not failures
    for a, b in zip(clips, pyav.decode(windows)[0]):
        assert a.is_cuda
        assert (a.cpu().int() - b.int()).abs().float().mean() < 2
        assert [number_of(frame) for frame in a.cpu().numpy()] == [number_of(frame) for frame in b.numpy()]


@pytest.mark.gpu
def test_on_the_gpu_every_file_is_served(gpu_assets):
    names = ["cfr", "444", "mpeg4_b_avi", "edit_list", "mpeg2", "vp8"]
    with Decoder("cuda") as decoder:
        clips, failures = decoder.decode([Window(str(gpu_assets[name]), 0.4, 25, 3) for name in names])
    assert not failures
    assert all(clip.is_cuda for clip in clips)
    assert [number_of(frame) for frame in clips[0].cpu().numpy()] == [10, 11, 12]


@pytest.mark.gpu
def test_on_the_gpu_hidden_pictures_and_damage(gpu_assets, tmp_path):
    """VP9 and AV1 that hide pictures give the right ones, whoever decodes; so does H.264 before its damage."""
    for number in (1, 2):
        how = ["-pass", str(number), "-passlogfile", tmp_path / "log", "-auto-alt-ref", "1", "-lag-in-frames", "25"]
        ffmpeg("-i", gpu_assets["cfr"], "-c:v", "libvpx-vp9", "-b:v", "300k", *how, tmp_path / "hiding.webm")
    ffmpeg("-i", gpu_assets["cfr"], "-c:v", "libsvtav1", tmp_path / "av1.mp4")
    half = lambda k, data: data[: len(data) // 2] if k == 20 else data  # noqa: E731
    remux(gpu_assets["cfr"], tmp_path / "damaged.mp4", half)
    windows = [Window(str(tmp_path / name), 0.01, 25, 40) for name in ("hiding.webm", "av1.mp4")]
    with Decoder("cuda") as decoder:
        clips, failures = decoder.decode([*windows, Window(str(tmp_path / "damaged.mp4"), 0.01, 25, 18)])
        assert not failures
        assert "DALI counts the pictures that this file does not show" in decoder.fallbacks
        assert "DALI has no av1 decoder for cuda" in decoder.fallbacks
    numbers = [[number_of(frame) for frame in clip.cpu().numpy()] for clip in clips]
    assert numbers == [[*range(40)], [*range(40)], [*range(18)]]
