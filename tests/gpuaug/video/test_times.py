"""Display order and times of files whose time stamps are odd, against ffmpeg. Pictures carry their number."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gpuaug import probe
from gpuaug.video.backends.pyav import learn_order
from gpuaug.video.frame_index import read_index
from gpuaug.video.times import Packet, constant_interval, count_on, display_times
from support.assets import B, encode, ffmpeg_rgb, ffmpeg_seconds, number_of
from support.decoding.odd_files import copied, ffmpeg_seconds_closed, joined, shown

COUNT = 40
CODECS = {
    "h264": ("libx264", {"options": B}),
    "hevc": ("libx265", {"options": {"x265-params": "log-level=none:keyint=12:bframes=3"}}),
    "mpeg2": ("mpeg2video", {"options": {"bf": "2"}}),
    "mpeg4": ("mpeg4", {"options": {"bf": "2"}}),
    "vp8": ("libvpx", {}),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """source(codec) -> a file of 40 numbered frames at 25 a second."""
    folder, made = tmp_path_factory.mktemp("times"), {}

    def get(codec):
        if codec not in made:
            encoder, how = CODECS[codec]
            path = folder / f"{codec}.mkv"
            made[codec] = encode(path, range(COUNT), Fraction(1, 25), encoder, size=(64, 160), **how)
        return made[codec]

    return get


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("h264", "ts"),
        ("h264", "mkv"),
        ("hevc", "ts"),
        ("hevc", "mkv"),
        ("mpeg2", "mpg"),
        ("mpeg2", "vob"),
        ("vp8", "webm"),
    ],
)
def test_joined_files_go_on(codec, suffix, source, tmp_path):
    """Twice the same file: 80 frames in 3.2 s, the second half as the first, alone and together."""
    part = copied(source(codec), tmp_path / f"part.{suffix}")
    path = joined(tmp_path / f"twice.{suffix}", part, part)
    numbers, seconds, video = shown(path)
    assert numbers == [*range(COUNT)] * 2
    np.testing.assert_allclose(seconds, np.arange(2 * COUNT) / 25, atol=2e-3)
    assert (video.frames, video.duration_seconds) == (2 * COUNT, pytest.approx(3.2, abs=0.01))
    assert "break off" in video.note
    assert probe(part, cache=False).usable[0].note is None


def test_shorter_part_after_a_longer_one(source, tmp_path):
    """Whichever part is longer, and where the second one ends before the first one's time."""
    long = copied(source("h264"), tmp_path / "long.ts")
    short = copied(source("h264"), tmp_path / "short.ts", "-t", "0.6")
    for parts in ((long, short), (short, long), (short, short, long)):
        path = joined(tmp_path / "joined.ts", *parts)
        numbers, seconds, _ = shown(path)
        expected = ffmpeg_rgb(path, 64, 160)
        assert numbers == [number_of(frame) for frame in expected]
        np.testing.assert_allclose(seconds, ffmpeg_seconds_closed(path), atol=2e-3)


@pytest.mark.parametrize("jump", [60, 3600, 90000])
def test_a_jump_of_a_broadcast_is_closed(jump, source, tmp_path):
    part = copied(source("h264"), tmp_path / "part.ts")
    late = copied(part, tmp_path / "late.ts", "-output_ts_offset", str(jump))
    path = joined(tmp_path / "jump.ts", part, late)
    numbers, seconds, video = shown(path)
    assert numbers == [*range(COUNT)] * 2
    np.testing.assert_allclose(seconds, ffmpeg_seconds_closed(path), atol=2e-3)
    assert video.duration_seconds == pytest.approx(3.2, abs=0.01)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv"])
@pytest.mark.parametrize("far", [3, 300, -30])
def test_wild_stamps(far, suffix, source, tmp_path):
    wild = f"setts=pts=if(eq(N\\,20)+eq(N\\,21)\\,PTS+{far}/TB\\,PTS):dts=DTS"
    path = copied(source("h264"), tmp_path / f"wild.{suffix}", "-bsf:v", wild)
    numbers, seconds, video = shown(path)
    assert numbers == list(range(COUNT))
    assert np.abs(seconds - np.arange(COUNT) / 25).max() < 0.12
    assert video.duration_seconds == pytest.approx(1.6, abs=0.12)
    if far == 300:
        assert "implausible" in video.note


def test_a_long_gap_is_kept_and_noted(source, tmp_path):
    """As ffmpeg does it outside of broadcasts."""
    gap = "setts=ts=if(gte(N\\,24)\\,TS+60/TB\\,TS)"
    path = copied(source("vp8"), tmp_path / "gap.mkv", "-bsf:v", gap)
    numbers, seconds, video = shown(path)
    assert numbers == list(range(COUNT))
    np.testing.assert_allclose(seconds, ffmpeg_seconds(path), atol=2e-3)
    assert "jump ahead" in video.note


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv", "mov"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg2", "mpeg4"])
@pytest.mark.parametrize("stamp", ["DTS", "DTS+0.2/TB"])
def test_stamps_that_are_decoding_times(stamp, codec, suffix, source, tmp_path):
    """The order is the decoder's. FLV has no MPEG codecs, and MPEG-4 in MPEG-TS needs headers that these lack."""
    if (suffix, codec) in {("flv", "mpeg2"), ("flv", "mpeg4"), ("ts", "mpeg4")}:
        suffix = "nut"
    path = copied(source(codec), tmp_path / f"dts.{suffix}", "-bsf:v", f"setts=pts={stamp}")
    numbers, seconds, _ = shown(path)
    assert numbers == [number_of(frame) for frame in ffmpeg_rgb(path, 64, 160)]
    assert numbers == sorted(numbers)
    assert np.all(np.diff(seconds) >= 0)
    assert seconds[-1] == pytest.approx(len(seconds) / 25, abs=0.25)


def test_correct_stamps_are_not_learnt_again(source, tmp_path):
    """Negative control: what is in order costs no decoding."""
    for codec in CODECS:
        for suffix in ("mkv", "nut") if codec != "vp8" else ("webm",):
            index = read_index(str(copied(source(codec), tmp_path / f"{codec}.{suffix}")))
            assert not index.display_order_unknown
            assert not index.pts_unreliable, (codec, suffix)


def test_program_stream_with_few_stamps(source, tmp_path):
    """H.264 in MPEG-PS: several pictures a packet, of which only the first has a time."""
    path = copied(source("h264"), tmp_path / "few.mpg", "-bsf:v", "h264_mp4toannexb")
    numbers, seconds, video = shown(path)
    assert numbers == list(range(COUNT))
    np.testing.assert_allclose(seconds, ffmpeg_seconds_closed(path), atol=2e-3)
    assert video.duration_seconds == pytest.approx(1.6, abs=1e-3)
    assert (video.fps, video.variable_rate) == (pytest.approx(25, rel=1e-6), False)


RATES = ["60", "60000/1001", "90", "120000/1001", "144", "240", "240000/1001", "300", "480"]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("suffix", ["mkv", "webm", "flv", "asf"])
def test_milliseconds_at_high_rates(suffix, rate, tmp_path):
    """Each frame once, at the true and at the probed rate, from any frame on."""
    rate, count = Fraction(rate), 121
    codec = {"webm": "libvpx", "asf": "msmpeg4"}.get(suffix, "libx264")
    fast = {"libvpx": {"deadline": "realtime", "cpu-used": "8"}, "libx264": {"preset": "ultrafast"}}.get(codec, {})
    path = encode(tmp_path / f"a.{suffix}", range(count), 1 / rate, codec, size=(48, 80), options=fast, rate=rate)
    (video,) = probe(path, cache=False, progress=False).videos
    assert (video.frames, video.variable_rate) == (count, False)
    assert video.fps == pytest.approx(float(rate), rel=2e-4)
    index = read_index(str(path))
    for fps in (float(rate), video.fps):
        assert index.frames_at(0, fps, count).tolist() == list(range(count))
        for start in range(0, count - 20, 7):
            assert index.frames_at(start / fps, fps, 20).tolist() == list(range(start, start + 20))


def test_a_constant_interval_is_not_seen_where_there_is_none():
    tick = Fraction(1, 1000)
    even = np.round(np.arange(100) * 1000 / 240).astype(np.int64)
    assert constant_interval(even, [], tick) == pytest.approx(1000 / 240)
    for at in (3, 50, 97):
        late = even.copy()
        late[at:] += 4  # a frame was dropped
        assert constant_interval(late, [Fraction(240)], tick) == 0
    assert constant_interval(np.cumsum([0, 4, 5, 3, 6, 4, 4]), [], tick) == 0
    assert constant_interval(even * 90, [Fraction(240)], tick / 90) == 0


def test_the_guess_is_ffmpegs():
    none = -(2**63)
    assert display_times([0, 40, none, none, 160], [none] * 5, 40).tolist() == [0, 40, 80, 120, 160]
    assert display_times([0, 120, 80, 40], [0, 40, 80, 120], 40).tolist() == [0, 80, 100, 120]


def test_counting_on():
    def table(times):
        return [Packet(i, t, t, 40, True, "?", 9, False) for i, t in enumerate(times)]

    def counted(times, container):
        clock = count_on(table(times), "mjpeg", container, 1e-3, 40)
        return [p.pts for p in clock.packets], len(clock.notes)

    assert counted([0, 40, 80], "mpegts") == ([0, 40, 80], 0)
    for container in ("mpegts", "matroska,webm", "flv"):
        assert counted([0, 40, 80, 120, 160, 0, 40], container) == ([0, 40, 80, 120, 160, 200, 240], 1)
        assert counted([0, 40, 80, 0, 40, 0, 40, 80], container)[0] == [
            0,
            40,
            80,
            0,
            40,
            0,
            40,
            80,
        ]  # by less than 0.1 s
    assert counted([0, 40, 60_000, 60_040], "mpegts") == ([0, 40, 80, 120], 1)
    assert counted([0, 40, 60_000, 60_040], "flv") == ([0, 40, 60_000, 60_040], 1)


def test_learning_costs_no_frames(source, tmp_path):
    path = copied(source("h264"), tmp_path / "dts.ts", "-bsf:v", "setts=pts=DTS")
    index = read_index(str(path))
    assert index.display_order_unknown
    assert len(learn_order(index).stamp_N) == len(index.stamp_N) == COUNT
