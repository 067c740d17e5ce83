"""DALI's backend: the same frames as PyAV's. Here on the CPU (VP8, VP9, MJPEG); tests marked gpu use NVDEC."""

import errno
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from support.assets import EVEN_MS, MS, UNEVEN, encode, ffmpeg, number_of, remux

pytest.importorskip("nvidia.dali")

from gpuaug import Decoder, Window
from gpuaug.video.backends import dali as dali_backend
from gpuaug.video.backends import dali_pipeline, nvdec
from gpuaug.video.demux import one_line

CODECS = ["vp8", "vp9", "vp9_alt", "odd_vp9", "mjpeg"]


@pytest.fixture(scope="module")
def dali():
    with Decoder(backend="dali", threads=2) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def pyav():
    with Decoder(backend="pyav", threads=2) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """VP9 of variable rate, turned, with pixels that are not square, and BT.709."""
    folder = tmp_path_factory.mktemp("vp9")
    ticks = [t // 90 for t in UNEVEN]
    how = {"codec": "libvpx-vp9"}
    vfr = encode(folder / "vfr.webm", ticks, MS, **how)
    ffmpeg("-display_rotation", "-90", "-i", vfr, "-c", "copy", folder / "turned.mp4")
    encode(folder / "bt709.webm", EVEN_MS, MS, **how, tags={"colorspace": 1, "color_range": 1})
    return folder


def windows_of(path, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Window(str(path), float(rng.uniform(0, 2)), fps, int(rng.integers(1, 9)), "repeat") for fps in (7, 25, 60, 25)
    ]


@pytest.mark.parametrize("name", [*CODECS, "vfr.webm", "turned.mp4", "bt709.webm"])
def test_both_backends_give_the_same_pictures(name, assets, more, dali, pyav):
    windows = windows_of(assets[name] if name in CODECS else more / name)
    (ours, failed), (theirs, refused) = dali.decode(windows), pyav.decode(windows)
    assert not failed
    assert not refused
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape
        # Where another matrix is put right afterwards, colours that were clipped before stay clipped.
        assert ((a.int() - b.int()).abs() > 2).float().mean() <= (5e-3 if name == "bt709.webm" else 0)
        assert all(number_of(frame) >= 0 for frame in a.numpy()) or name == "turned.mp4"


def test_without_the_correction_of_the_matrix_they_would_differ(more, pyav, monkeypatch):
    monkeypatch.setattr(dali_pipeline, "LUMA", {})
    with Decoder(backend="dali", threads=2) as uncorrected:
        windows = windows_of(more / "bt709.webm")
        pairs = zip(uncorrected.decode(windows)[0], pyav.decode(windows)[0])
        assert max((a.int() - b.int()).abs().max() for a, b in pairs) > 2


@pytest.mark.parametrize("size", [(48, 80), (60, 50), (192, 320)])
def test_scaled_pictures_are_alike(size, assets):
    """PyAV scales before it converts to RGB and DALI afterwards: not equal, but the same filter."""
    windows = [w for name in CODECS for w in windows_of(assets[name], seed=1)]
    with Decoder(size=size, backend="dali", threads=2) as dali, Decoder(size=size, backend="pyav", threads=2) as pyav:
        for a, b in zip(dali.decode(windows)[0], pyav.decode(windows)[0]):
            assert a.shape[1:3] == size
            assert (a.int() - b.int()).abs().float().mean() < 2
            assert [number_of(frame) for frame in a.numpy()] == [number_of(frame) for frame in b.numpy()]


def test_what_the_cpu_has_no_decoder_for_is_refused(assets, dali):
    windows = [Window(str(assets[name]), 0, 25, 2) for name in ("cfr", "vp9", "mpeg4_avi")]
    clips, failures = dali.decode(windows)
    assert [c is None for c in clips] == [True, False, True]
    assert [f.reason for f in failures] == ["DALI has no h264 decoder for cpu", "DALI has no mpeg4 decoder for cpu"]


def test_the_cpu_uses_pyav_unless_told(assets):
    with Decoder() as decoder:
        assert [*decoder._backends] == ["pyav"]
        assert decoder.decode([Window(str(assets["cfr"]), 0, 25, 2)])[0][0].shape == (2, 96, 160, 3)


@pytest.fixture
def damaged(assets, tmp_path):
    """A VP9 file whose packet 20 is noise."""

    def change(k, data):
        return data[:3] + np.random.default_rng(k).bytes(len(data) - 3) if k == 20 else data

    return remux(assets["vp9"], tmp_path / "damaged.webm", change)


def test_a_damaged_file_costs_only_itself(assets, damaged, dali):
    good = [Window(str(assets[name]), 0.4, 25, 4) for name in ("vp9", "vp8", "mjpeg")]
    bad = Window(str(damaged), 0.7, 25, 5)
    clips, failures = dali.decode([good[0], bad, *good[1:]])
    assert [(f.index, f.path) for f in failures] == [(1, str(damaged))]
    assert "\n" not in failures[0].reason
    for clip in (clips[0], clips[2], clips[3]):
        assert [number_of(frame) for frame in clip.numpy()] == [10, 11, 12, 13]
    assert not dali.decode(good)[1]


def test_auto_goes_on_with_pyav_where_dali_fails(assets, damaged):
    with Decoder(backend="auto", threads=2) as decoder:
        backend = dali_backend.Dali(torch.device("cpu"), 2, 60)
        decoder._backends = {"dali": backend, **decoder._backends}  # as on a GPU, with the CPU's codecs
        names = ["vp9", "cfr", "mjpeg"]
        windows = [Window(str(assets[name]), 0.2, 25, 3) for name in names]
        clips, failures = decoder.decode([*windows, Window(str(damaged), 0, 25, 3), Window(str(damaged), 0.7, 25, 5)])
        assert [(f.index, "cannot be decoded, at 0.800 s" in f.reason) for f in failures] == [(4, True)]
        numbers = [[number_of(frame) for frame in clip.numpy()] for clip in clips[:4]]
        assert numbers == [[5, 6, 7], [5, 6, 7], [5, 6, 7], [0, 1, 2]]


def test_a_file_that_failed_is_not_tried_again(assets, damaged, monkeypatch):
    window, good = Window(str(damaged), 0.7, 25, 5), Window(str(assets["vp9"]), 0.4, 25, 4)
    with Decoder(backend="dali", threads=2) as decoder:
        (_, first), (_, second) = decoder.decode([window]), decoder.decode([good])
        assert [f.path for f in first] == [str(damaged)]
        assert not second
        batches = []
        monkeypatch.setattr(dali_pipeline, "_frames", lambda _, batch, __: batches.append(batch))
        assert decoder.decode([window])[1] == first
    assert batches == []


def test_a_class_of_which_several_fail_and_none_does_not_is_refused(assets, tmp_path, monkeypatch):
    """Each failure costs the pipeline; after one file that is decoded, failures are those of files."""
    paths = [str(shutil.copy(assets["vp9"], tmp_path / f"{k}.webm")) for k in range(7)]
    runs, original, broken = [], dali_pipeline._frames, set(paths[:5])

    def frames(pipeline, jobs, stream):
        runs.append([job.request.index.path for job in jobs])
        if broken & set(runs[-1]):
            raise RuntimeError("no such decoder")
        return original(pipeline, jobs, stream)

    monkeypatch.setattr(dali_pipeline, "_frames", frames)

    def reasons(decoder, which):
        return [f.reason for k in which for f in decoder.decode([Window(paths[k], 0.4, 25, 4)])[1]]

    with Decoder(backend="dali", threads=2) as decoder:
        assert reasons(decoder, (0, 1)) == ["no such decoder"] * 2
        assert "files of vp9, yuv420p, 160 × 96 failed, the last: no such decoder" in reasons(decoder, (2, 3))[1]
        runs.clear()
        (refused,) = reasons(decoder, (5,))
        assert refused.startswith("3 of 3 files")
        other = Window(str(assets["mjpeg"]), 0.4, 25, 4)
        assert not decoder.decode([other])[1]  # of another class
        assert runs == [[other.path]]
    with Decoder(backend="dali", threads=2) as decoder:
        assert reasons(decoder, (6,)) == []
        assert reasons(decoder, (0, 1, 2, 3)) == ["no such decoder"] * 4
        assert reasons(decoder, (5,)) == []


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError(), torch.OutOfMemoryError()])
def test_what_is_wrong_for_the_moment_is_not_held_against_a_file(error, assets, monkeypatch):
    def fails(*_):
        raise error

    window = Window(str(assets["vp9"]), 0.4, 25, 4)
    with Decoder(backend="dali", threads=2) as decoder:
        with monkeypatch.context() as patch:
            patch.setattr(dali_backend, "cut", fails)
            clips, failures = decoder.decode([window])
        assert clips == [None]
        assert failures[0].reason == one_line(error)
        (clip,), failures = decoder.decode([window])
        assert not failures
        assert [number_of(frame) for frame in clip.numpy()] == [10, 11, 12, 13]


def test_without_nvdec_pyav_serves(assets, monkeypatch):
    """As on a GPU whose driver lacks libnvcuvid: DALI is not even asked."""

    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(nvdec.ctypes, "CDLL", missing)
    with Decoder(backend="auto", threads=2) as decoder:
        backend = dali_backend.Dali(torch.device("cuda", 0), 2, 60)
        decoder._backends = {"dali": backend, **decoder._backends}
        monkeypatch.setattr(backend, "decode", lambda requests: pytest.fail("DALI was asked"))
        clips, failures = decoder.decode([Window(str(assets["cfr"]), 0.4, 25, 3)])
        assert not failures
        assert [number_of(frame) for frame in clips[0].numpy()] == [10, 11, 12]
        del decoder._backends["pyav"]  # as if told to use DALI
        reason = decoder.decode([Window(str(assets["cfr"]), 0.4, 25, 3)])[1][0].reason
    assert re.fullmatch(r"NVDEC cannot be used: (libnvcuvid\.so\.1|nvcuvid\.dll): cannot open shared .*", reason)


def test_a_file_that_was_cut_off_gives_no_black_frames(assets, tmp_path, dali):
    data = Path(assets["vp9"]).read_bytes()
    for share in (0.3, 0.6, 0.9):
        path = tmp_path / f"{share}.webm"
        path.write_bytes(data[: int(len(data) * share)])
        clips, failures = dali.decode([Window(str(path), k / 25, 25, 1) for k in range(50)])
        numbers = [number_of(clip[0].numpy()) for clip in clips if clip is not None]
        assert 5 < len(numbers) < 50
        assert numbers[:-1] == list(range(len(numbers) - 1))
        assert all("past the video's end" in failure.reason for failure in failures)


def test_no_answer_in_time_is_a_failure_with_a_message(assets, monkeypatch):
    window = Window(str(assets["vp9"]), 0, 25, 2)
    with Decoder(backend="dali", threads=1, timeout_seconds=0.3) as decoder:
        with monkeypatch.context() as patch:
            patch.setattr(dali_pipeline, "_frames", lambda *_: time.sleep(2))
            start = time.perf_counter()
            (clip,), (failure,) = decoder.decode([window])
            assert time.perf_counter() - start < 1.5
        assert clip is None
        assert failure.reason.startswith("DALI gave no answer within timeout_seconds=0.3 (decoding ")
        decoder._backends["dali"].timeout_seconds = 60  # a new pipeline serves the next call
        assert not decoder.decode([window])[1]


def test_more_files_than_one_batch_and_many_windows_of_one(assets, tmp_path, dali):
    paths = [tmp_path / f"{i}.webm" for i in range(dali_backend.BATCH + 3)]
    for path in paths:
        path.symlink_to(assets["vp9"])
    windows = [Window(str(path), i % 5 / 5, 25, 2) for i, path in enumerate(paths)]
    windows += [Window(str(assets["vp8"]), k / 25, 25, 3) for k in (40, 3, 4, 0)]
    clips, failures = dali.decode(windows)
    assert not failures
    numbers = [[number_of(frame) for frame in clip.numpy()] for clip in clips]
    assert numbers[:-4] == [[i % 5 * 5, i % 5 * 5 + 1] for i in range(len(paths))]
    assert numbers[-4:] == [[40, 41, 42], [3, 4, 5], [4, 5, 6], [0, 1, 2]]


def test_without_dali_the_message_says_so(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "gpuaug.video.backends.dali", None)
    with pytest.raises(RuntimeError, match=r'backend="dali" needs NVIDIA DALI, which cannot be imported.*\[cuda13\]'):
        Decoder(backend="dali")
    Decoder().close()
