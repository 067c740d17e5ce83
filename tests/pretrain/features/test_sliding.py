"""Which clips a video has, which windows they are decoded in, what stays in memory between them; and what is told."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug.video.manifest import Video
from pretrain.features.extract import report
from pretrain.features.grid import Grid, rescale
from pretrain.features.sliding import PIECE, DecodedChunk, OpenVideo, VideoClips, sliding


def clips_of(seconds, fps=10, clip=4, stride=4, size=1):
    return VideoClips("a", Video("a.mp4", duration_seconds=seconds), Grid(fps, clip, stride), size)


@pytest.mark.parametrize(
    ("frames", "clip", "stride", "rows"),
    [(15, 16, 16, 0), (16, 16, 16, 1), (31, 16, 16, 1), (32, 16, 16, 2), (17, 16, 1, 2), (40, 8, 20, 2), (1, 1, 1, 1)],
)
def test_rows_are_of_whole_clips(frames, clip, stride, rows):
    grid = Grid(10, clip, stride)
    assert grid.rows(frames) == rows
    assert grid.center_seconds(rows).tolist() == [(k * stride + clip / 2) / 10 for k in range(rows)]


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(0.0, 1), (0.0011, 1), (0.1, 1), (0.1011, 2), (0.2009, 2), (1.0, 10), (1.0009, 10), (1.0012, 11)],
)
def test_a_last_frame_counts_if_it_is_shown_for_a_millisecond(seconds, frames):
    assert Grid(10, 1, 1).frames(seconds) == frames


@pytest.mark.parametrize(("name", "value"), [("clip", 0), ("stride", 0), ("fps", 0), ("fps", float("inf"))])
def test_grids_that_are_none(name, value):
    rule = "above 0" if name == "fps" else "≥ 1"
    with pytest.raises(ValueError, match=f"^{name} must be {rule}, got {name}={value}$"):
        Grid(**{"fps": 1, "clip": 1, "stride": 1, name: value})


def test_rows_between_centres_are_mixed_by_their_distance():
    rows = np.float32([[0, 10], [4, 20], [0, 0]])
    found = rescale(rows, [1.0, 3.0, 4.0], 8.0, 8)  # at 0.5, 1.5 … 7.5
    assert found[:, 0].tolist() == [0, 1, 3, 2, 0, 0, 0, 0]
    assert found[:, 1].tolist() == [10, 12.5, 17.5, 10, 0, 0, 0, 0]
    assert found.dtype == np.float32
    assert rescale(rows[:1], [1.0], 8.0, 3).tolist() == [[0, 10]] * 3


@pytest.mark.parametrize(
    ("seconds", "grid", "rows", "padded", "step", "wanted"),
    [
        (1.0, (4, 4), 2, False, 4, 8),
        (1.0, (4, 2), 4, False, 2, 10),
        (1.0, (4, 6), 2, False, 4, 8),
        (0.4, (4, 4), 1, False, 4, 4),
        (0.2, (4, 4), 1, True, 4, 4),
    ],
)
def test_what_is_wanted_of_a_video(seconds, grid, rows, padded, step, wanted):
    clips = clips_of(seconds, 10, *grid)
    assert (clips.rows, clips.padded, clips.step, clips.wanted) == (rows, padded, step, wanted)


def test_windows_are_short_and_leave_gaps_out():
    whole = clips_of(100.0)
    found = whole.windows(5, 5 + 2 * PIECE + 3)
    assert [(w.start_seconds, w.frames) for w in found] == [
        (0.5, PIECE), (0.5 + PIECE / 10, PIECE), (0.5 + 2 * PIECE / 10, 3)
    ]  # fmt: skip
    assert {(w.path, w.fps, w.edge) for w in found} == {("a.mp4", 10, "repeat")}
    gaps = clips_of(100.0, 10, 4, 10).windows(2, 11)  # frames 2, 3 of the first clip, 4 of the second, 3 of the third
    assert [(w.start_seconds, w.frames) for w in gaps] == [(0.2, 2), (1.0, 4), (2.0, 3)]
    assert whole.windows(7, 7) == []


def frames_of(begin, stop):
    return torch.arange(begin, stop, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 1, 3)


def shown(chunk):
    """The first channel of every clip of a chunk."""
    values, length = chunk.frames_LHWC[:, 0, 0, 0].tolist(), chunk.clips.grid.clip
    return [values[start : start + length] for start in chunk.starts]


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("parts", [[3, 7, 1, 9], [20], [5, 5, 5, 5], [1] * 20])
def test_clips_come_in_order_whatever_the_chunks_are(stride, parts):
    clips = clips_of(2.0, 10, 4, stride)
    step, opened, found = clips.step, OpenVideo(clips), []
    at = 0
    for count in parts:
        stop = min(at + count, clips.wanted)
        chunk = opened.take([frames_of(at, stop)])
        assert chunk.first == len(found)
        found += shown(chunk)
        at = stop
        left = sum(len(each) for each in opened.kept)
        assert left == (0 if len(found) == clips.rows else at - min(at, len(found) * step)), "and no more is kept"
        assert chunk.last == (len(found) == clips.rows)
    assert found == [list(range(k * step, k * step + 4)) for k in range(clips.rows)]


def test_what_is_kept_is_a_copy():
    """Else the chunk that it is of would stay in memory."""
    opened, given = OpenVideo(clips_of(2.0)), frames_of(0, 6).clone()
    opened.take([given])
    (kept,) = opened.kept
    given.zero_()
    assert kept[:, 0, 0, 0].tolist() == [4, 5]


def decoded(asked, lost=()):
    def decode(windows):
        asked.append([(w.path, round(w.start_seconds * w.fps), w.frames) for w in windows])
        frames, failures = [], []
        for i, w in enumerate(windows):
            begin = round(w.start_seconds * w.fps)
            if (w.path, begin) in lost:
                frames.append(None)
                failures.append(gpuaug.Failure(i, w.path, f"lost at {begin}"))
            else:
                frames.append(frames_of(begin, begin + w.frames))
        return frames, failures

    return decode


def videos(*seconds):
    return [VideoClips(str(k), Video(f"{k}.mp4", duration_seconds=s), Grid(10, 4, 4), 1) for k, s in enumerate(seconds)]


def test_several_videos_at_a_time_within_the_memory():
    asked = []
    films = videos(2.0, 0.8, 1.2)
    chunks = [chunk for chunks in sliding(films, decoded(asked), memory_bytes=60) for chunk in chunks]
    found = {clips.name: [] for clips in films}
    for chunk in chunks:
        found[chunk.clips.name] += shown(chunk)
    assert {name: len(rows) for name, rows in found.items()} == {"0": 5, "1": 2, "2": 3}
    assert found["2"] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    for windows in asked:  # of 60 bytes a third, a frame is one byte, each asks for a clip more
        films_asked = {path for path, _, _ in windows}
        assert sum(frames for _, _, frames in windows) + 4 * len(films_asked) <= 20 or len(films_asked) == 1
    everything = []
    list(sliding(videos(2.0, 0.8, 1.2), decoded(everything), memory_bytes=10**6))
    assert everything == [[("0.mp4", 0, 20), ("1.mp4", 0, 8), ("2.mp4", 0, 12)]]
    assert list(sliding([], decoded([]), memory_bytes=60)) == []


def test_a_video_that_fails_costs_itself_only():
    chunks = [c for each in sliding(videos(4.0, 0.8), decoded([], {("0.mp4", 20)}), memory_bytes=60) for c in each]
    failed = [c for c in chunks if c.frames_LHWC is None]
    assert [(c.clips.name, c.error, list(c.starts)) for c in failed] == [("0", "lost at 20", [])]
    assert sum(len(c.starts) for c in chunks if c.clips.name == "1") == 2
    assert all(c is failed[0] or c.clips.name == "1" for c in chunks[chunks.index(failed[0]) :]), (
        "nothing comes after it"
    )
    assert DecodedChunk(clips_of(1.0), None).error == ""


@pytest.fixture
def told(capsys, tmp_path):
    """A function of what was done: the status, standard output and error."""

    def of(done, before, **more):
        empty = {"padded": [], "skipped": {}, "failed": {}, "damaged_frames": {}}
        last = {"clips": 0, "seconds": 2.0, "clips_per_second": 3.5, "limited_by": "decoding", "waiting_share": 0.25}
        content = empty | more
        content["last_run"] = last | content.pop("last", {})
        store = SimpleNamespace(out=tmp_path / "f.h5", settings_file=tmp_path / "f.json")
        status = report(done, before, content, store)
        return status, *(text.replace(str(tmp_path), "DIR").splitlines() for text in capsys.readouterr())

    return of


def test_what_is_said_of_an_extraction(told):
    assert told(2, 0) == (0, ["DIR/f.h5: 2 videos extracted"], [])
    assert told(0, 3) == (0, ["DIR/f.h5: 0 videos extracted, 3 were there"], [])
    failed, skipped = {"a.mp4": "cut off", "b.mp4": "empty"}, {"c.mp4": "too short"}
    status, out, err = told(
        1, 2, padded=["d"], skipped=skipped, failed=failed, damaged_frames={"e.mp4": 7}, last={"clips": 7}
    )
    assert status == 0
    assert out == [
        "DIR/f.h5: 1 videos extracted, 2 were there, 1 padded, 1 too short and skipped, 2 failed, "
        "1 with damaged frames",
        "  7 clips in 2.0 s, 3.5 clips/s, limited by decoding (25 % of the time spent waiting for frames)",
    ]
    assert err == [
        "  failed: a.mp4: cut off", "  failed: b.mp4: empty", "  skipped: c.mp4: too short",
        "  damaged: e.mp4: its features show 7 frames with errors, as FFmpeg gives them",
    ]  # fmt: skip


def test_nothing_extracted_is_an_error_and_long_lists_are_cut(told):
    failed = {f"{k:02d}.mp4": "cut off" for k in range(12)}
    status, out, err = told(0, 0, failed=failed, last={"clips": 7})
    assert status == 1
    assert out == ["DIR/f.h5: 0 videos extracted, 12 failed"]
    assert err[9:] == [
        "  failed: 09.mp4: cut off", "  and 2 more", "  all are named in DIR/f.json",
        "extract: videos must include a usable file, got none in 12",
    ]  # fmt: skip
