"""Files that are no videos, cut off or damaged, among good ones: each costs itself only, and is named."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from gpuaug import Decoder, Window, probe
from support.assets import ffmpeg, ffmpeg_program, number_of, remux

ROOT = Path(__file__).parents[3]
CUT = {"mp4": "-movflags +faststart", "mkv": "", "ts": "", "avi": "-bsf:v h264_mp4toannexb", "mov": ""}


@pytest.fixture(scope="module")
def folder(assets, tmp_path_factory):
    """(folder, {name: what the reason must say}) with unusable files; two good ones stand among them."""
    folder = tmp_path_factory.mktemp("mixed")
    good = assets["ntsc"].read_bytes()
    (folder / "a_good.mp4").write_bytes(good)
    (folder / "z_good.mp4").write_bytes(good)
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("Hello,\nthis is not a video. Ünicode.\n" * 30)
    (folder / "noise.avi").write_bytes(np.random.default_rng(0).bytes(40_000))
    (folder / "no_header.mp4").write_bytes(good[: len(good) // 2])
    (folder / "zeros.mkv").write_bytes(bytes(10_000))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", folder / "sound.mp4")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-movflags", "+frag_keyframe+empty_moov", folder / "sound2.mov")
    (folder / "folder.mp4").mkdir()
    (folder / "link.mp4").symlink_to(folder / "gone.mp4")
    os.mkfifo(folder / "pipe.mp4")
    still = folder / "still.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64", "-frames:v", "1", "-f", "image2", folder / "still.png")
    (folder / "still.png").rename(still)
    header_only = folder / "no_frames.mp4"
    ffmpeg("-i", assets["cfr"], "-c", "copy", "-movflags", "+frag_keyframe+empty_moov", header_only)
    data = header_only.read_bytes()
    header_only.write_bytes(data[: data.index(b"moof") - 4])
    return folder, {
        "empty.mp4": "empty file",
        "text.mp4": "not a video: text",
        "noise.avi": "not a video: Invalid data",
        "no_header.mp4": "truncated: its header (moov box)",
        "zeros.mkv": "not a video: Invalid data",
        "sound.mp4": "no video stream (only audio)",
        "sound2.mov": "no video stream (only audio)",
        "folder.mp4": "is a directory",
        "link.mp4": "broken link",
        "pipe.mp4": "not a regular file",
        "still.mp4": "not a video: piped png",
        "no_frames.mp4": "the video stream has no frames",
    }


def test_probe_names_each_with_its_reason(folder):
    path, reasons = folder
    manifest = probe(path)
    assert [Path(video.path).name for video in manifest.usable] == ["a_good.mp4", "z_good.mp4"]
    assert {Path(video.path).name: video.error for video in manifest.failed}.keys() == reasons.keys()
    for video in manifest.failed:
        assert video.error.startswith(reasons[Path(video.path).name]), video
        assert "\n" not in video.error


def test_decoder_names_each_with_its_reason(folder):
    path, reasons = folder
    windows = [Window(str(file), 0.2, 25, 3) for file in sorted(path.iterdir())]
    with Decoder(threads=3) as decoder:
        clips, failures = decoder.decode([*windows, Window(str(path / "missing.mp4"), 0, 25, 1)])
    assert [number_of(frame) for frame in clips[0].numpy()] == [5, 7, 8]
    assert clips[0].equal(clips[windows.index(Window(str(path / "z_good.mp4"), 0.2, 25, 3))])
    assert {Path(f.path).name for f in failures} == {*reasons, "missing.mp4"}
    for failure in failures:
        assert clips[failure.index] is None
        assert failure.reason.startswith(reasons.get(Path(failure.path).name, "no such file"))


@pytest.mark.end_to_end
def test_files_that_may_not_be_read(assets):
    """As another user where this one is root, who may read everything."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        for file in ("closed.mp4", "open.mp4"):
            (Path(name) / file).write_bytes(assets["cfr"].read_bytes())
        os.chmod(Path(name) / "closed.mp4", 0o000)
        (Path(name) / "private").mkdir(0o000)
        code = (
            "import os, gpuaug.video.manifest as m, gpuaug.video.decoder as d\n"
            "os.geteuid() or os.setuid(65534)\n"
            f"for v in m.probe({name!r}, cache=False).videos: print(v.path, v.error)\n"
            f"print(d.Decoder().decode([d.Window({name!r} + '/closed.mp4', 0, 25, 1)])[1][0].reason)"
        )
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        os.chmod(Path(name) / "private", 0o755)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        f"{name}/closed.mp4 cannot be read: Permission denied",
        f"{name}/open.mp4 None",
        f"{name}/private cannot be read: Permission denied",
        "cannot be read: Permission denied",
    ]


@pytest.mark.parametrize("kind", CUT)
def test_files_that_were_cut_off(kind, assets, tmp_path):
    whole = tmp_path / f"whole.{kind}"
    ffmpeg("-i", assets["open_gop"], "-c", "copy", *CUT[kind].split(), whole)
    data = whole.read_bytes()
    names = []
    for share in (0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.97, 0.999):
        names.append(tmp_path / f"{share}.{kind}")
        names[-1].write_bytes(data[: int(len(data) * share)])
    starts = np.arange(50) / 25
    with Decoder(threads=2) as decoder:
        clips, failures = decoder.decode([Window(str(n), s, 25, 1) for n in [*names, whole] for s in starts])
    numbers = np.array([-1 if c is None else number_of(c[0].numpy()) for c in clips]).reshape(-1, len(starts))
    failed = np.array([c is None for c in clips]).reshape(-1, len(starts))
    assert np.all(numbers[-1] == np.arange(50))
    assert len(failures) == failed.sum()
    assert np.all(np.diff(failed.sum(1)) <= 0)  # the more there is of a file, the more of it is decoded
    assert failed[-2].sum() < 50 or kind == "mov"  # in a MOV the header comes last
    # What was decoded is right. Where the cut took a B-picture, the frame before it is shown on until the next that is
    # there, as the time stamps say; and the last one that is there may be half of a picture.
    for row, missing in zip(numbers[:-1], failed[:-1]):
        there = sorted(set(row[~missing].tolist()))
        shown = np.array([max((n for n in there if n <= k), default=-1) for k in range(50)])
        assert np.sum((row != shown) & ~missing) <= 1, (kind, row)
        assert np.sum(np.diff(row[~missing]) == 0) <= 3  # no more than B-pictures in a row


@pytest.mark.parametrize("damage", ["zeros", "noise", "half"])
@pytest.mark.parametrize("name", ["ntsc", "open_gop_ts", "vp9", "mjpeg", "mpeg4_b_avi", "hevc"])
def test_a_damaged_packet(name, damage, assets, tmp_path):
    """Frames are those that ffmpeg gives, by time, and what it does not give fails the windows that need it."""
    rng = np.random.default_rng(1)

    def change(k, data):
        if k != 20:
            return data
        return {
            "zeros": bytes(len(data)),
            "noise": data[:8] + rng.bytes(len(data) - 8),
            "half": data[: len(data) // 2],
        }[damage]

    path = remux(assets[name], tmp_path / assets[name].name, change)
    out = ["-threads", "1", "-i", str(path), "-map", "0:v:0", "-copyts", "-fps_mode", "passthrough"]
    form = ["-enc_time_base", "demux", "-pix_fmt", "gray", "-f", "framemd5", "-"]
    text = subprocess.run(
        [ffmpeg_program(), "-v", "quiet", *out, *form], capture_output=True, text=True, check=False
    ).stdout
    given = sum(not line.startswith("#") for line in text.splitlines())
    fps = 30000 / 1001 if name == "ntsc" else 25.0
    with Decoder(threads=2) as decoder:
        windows = [Window(str(path), k / fps, fps, 1) for k in range(50)]
        clips, failures = decoder.decode(windows)
        two, _ = decoder.decode([Window(str(path), 0, fps, 50), Window(str(path), 40 / fps, fps, 10)])
    numbers = [-1 if c is None else number_of(c[0].numpy()) for c in clips]
    assert numbers[:12] == list(range(12))  # before it
    assert numbers[36:] == list(range(36, 50))  # after the next key frames
    assert [number_of(frame) for frame in two[1].numpy()] == list(range(40, 50))
    assert (two[0] is None) == bool(failures)
    assert abs(given - (50 - len(failures))) <= 1
    assert all("cannot be decoded, at" in failure.reason for failure in failures)


def test_bytes_changed_at_random(assets, tmp_path):
    """Nothing raises, hangs or crashes; a file is served or named."""
    rng = np.random.default_rng(0)
    sources = [
        assets[name] for name in ("ntsc", "mkv", "ts", "vp9", "mjpeg", "mpeg4_b_avi", "h264_avi", "mpeg2", "turned_90")
    ]
    paths = []
    for k in range(90):
        source = sources[k % len(sources)]
        data = np.frombuffer(source.read_bytes(), np.uint8).copy()
        reach = len(data) if k % 2 else min(len(data), 2000)  # headers are where it hurts
        data[rng.integers(0, reach, rng.choice([1, 5, 50]))] = rng.integers(0, 256)
        paths.append(tmp_path / f"{k}{source.suffix}")
        paths[-1].write_bytes(data.tobytes())
    with Decoder(size=(48, 80), threads=2) as decoder:
        windows = [Window(str(path), start, 25, 3, "repeat") for path in paths for start in (0, 1.1)]
        clips, failures = decoder.decode(windows)
    assert [i for i, clip in enumerate(clips) if clip is None] == [failure.index for failure in failures]
    assert 0 < len(failures) < len(windows)
    assert all(failure.reason and "\n" not in failure.reason for failure in failures)
    assert {v.path for v in probe(paths).failed} <= {failure.path for failure in failures}


@pytest.mark.parametrize("look", [1, 2, 3])
def test_a_file_that_vanishes_between_two_looks_is_no_such_file(look, assets, tmp_path, monkeypatch):
    """Its status is asked for before it is opened; whichever of the two it is gone at, the reason is the same."""
    path, looks, stat = str(shutil.copy(assets["cfr"], tmp_path)), [], os.stat

    def then_vanish(name, *args, **kwargs):
        status = stat(name, *args, **kwargs)
        if name == path:
            looks.append(name)
            if len(looks) == look:
                os.unlink(path)
        return status

    with Decoder(size=None, threads=1) as decoder, monkeypatch.context() as patch:
        patch.setattr(os, "stat", then_vanish)
        (frames,), failures = decoder.decode([Window(path, 0.0, fps=10.0, frames=2)])
    assert frames is None
    assert [failure.reason for failure in failures] == ["no such file"]
    assert len(looks) >= look
