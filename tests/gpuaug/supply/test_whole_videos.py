"""Windows that are whole segments, visits that are taken as one, and pictures by their short side, wide or tall."""

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug.supply.sampler import SegmentSampler
from support.fake_decoder import FPS, LENGTH, dataset, loader


def test_a_window_can_be_the_whole_segment():
    """8 frames over 2 s and over 4 s, from the first moment on, whatever the rate asked for."""
    segments = [gpuaug.Segment("a", 1.0, 3.0), gpuaug.Segment("b", 0.0, 4.0)]
    sampler = SegmentSampler(segments, frames=8, fps=30, placement="whole", pairs=False)
    for _ in range(4):
        visit = sampler.next()
        (window,) = visit.windows
        assert (window.start_seconds, window.fps, window.frames) == ((1.0, 4.0, 8), (0.0, 2.0, 8))[visit.segment]
        assert sampler.visit(visit.state()) == visit, "a state restores the rate"


def test_windows_from_end_to_end():
    """As TSP's code places its clips in validation: the first at the start, the last at the end."""
    sampler = SegmentSampler(
        [gpuaug.Segment("a", 2.0, 12.0)], frames=20, fps=10, windows=5, placement="ends", pairs=False
    )
    assert [window.start_seconds for window in sampler.next().windows] == [2.0, 4.0, 6.0, 8.0, 10.0]


def test_whole_segments_fit_a_bank_that_keeps_them(decoder):
    """Where windows would move within segments, they cannot be kept."""
    for placement, kept in (("whole", True), ("random", False)):
        with loader(slots=12, placement=placement) as source:
            source.batch(0)
            assert source.resident == kept


@pytest.mark.parametrize("stop", [None, 3])
def test_visits_taken_as_one_are_shown_once(decoder, stop):
    """A sample shows its visit in two rows, but not all of its windows; it is shown once all the same."""
    seen: list[int] = []

    def two_rows(rng, bank, n):
        groups = bank.info["group"][bank.draw(rng, n, among=bank.info["position"] == 0, uses=2)[:n]]
        plan = gpuaug.Plan.take(np.tile(groups * 3 + 1, 2), np.arange(4.0), frames=bank.info["frames"])
        return plan, {"video": np.tile(bank.info["video"][groups * 3], 2)}

    def make():
        options = {"batch": 2, "frames": LENGTH, "fps": FPS, "size": 8, "windows": 3, "placement": "spread"}
        return gpuaug.Loader(
            dataset(), two_rows, **options, windows_per_sample=3, rows_per_sample=2, whole_visits=True, reuse_max=1
        )

    source = make()
    for step in range(6):
        if step == stop:
            state = source.state_dict()
            source.close()
            source = make()
            source.load_state_dict(state)
        batch = source.batch(step)
        video = batch.target["video"].tolist()
        assert video[:2] == video[2:]
        np.testing.assert_allclose(
            batch.clips[:, 0, :, 4, 4] * 255, np.tile(batch.target["video"][:, None], 4), atol=1e-4
        )
        seen += video[:2]
    source.close()
    assert sorted(seen) == list(range(12)), "every video once in a pass"


def test_a_bank_holds_wide_and_tall_pictures_in_the_same_memory():
    bank = gpuaug.ClipBank(2, 3, 4, 7, upright=True)
    wide, tall = (torch.randint(256, (3, *size, 3), dtype=torch.uint8) for size in ((4, 7), (7, 4)))
    bank.write(0, wide, {})
    bank.write(1, tall, {})
    assert bank.tall is not None
    assert torch.equal(bank.frames[0], wide)
    assert torch.equal(bank.tall[1], tall)
    assert bank.frames.untyped_storage().nbytes() == 2 * 3 * max(4 * 8, 7 * 4) * 3
    banks, clip = bank.sources(np.array([[0, 1, 0]]))
    plan = gpuaug.Plan(clip[:, :, None], np.array([[[0.0], [1.0], [2.0]]]), np.ones((1, 3, 1), np.float32))
    box = np.array([[[[0, 0, 4, 4]]]]).repeat(3, 1)
    shown = gpuaug.render(banks, plan, size=(4, 4), box=box, dtype=torch.uint8, layout="NTHWC")[0]
    assert torch.equal(shown, torch.stack([wide[0, :4, :4], tall[1, :4, :4], wide[2, :4, :4]]))
    with pytest.raises(ValueError, match=r"frames must fit into a slot of \(3, 4, 7, 3\), got \(3, 8, 4, 3\)"):
        bank.write(0, torch.zeros(3, 8, 4, 3, dtype=torch.uint8), {})
    with pytest.raises(ValueError, match="frames must fit"):
        gpuaug.ClipBank(2, 3, 4, 7).write(1, tall, {})


def film(folder, name, height, width):
    """30 frames with a ramp from left to right and one from top to bottom."""
    y, x = np.mgrid[:height, :width]
    frame = np.stack([255 * x / (width - 1), 255 * y / (height - 1), np.zeros((height, width))], -1)
    path = folder / f"{name}.mkv"
    gpuaug.write_video(
        path, np.repeat(frame.round().astype(np.uint8)[None], 30, 0), 15, codec="mjpeg", pixel_format="yuvj444p"
    )
    return path


@pytest.mark.parametrize("reuse", [1, 4])
def test_wide_and_tall_videos_have_the_same_short_side(tmp_path, reuse):
    """640×360 is decoded 57 high for clips of 50, and 360×640 as wide: what is cropped is never enlarged."""
    paths = [film(tmp_path, "wide", 360, 640), film(tmp_path, "tall", 640, 360)]
    options = {"batch": 2, "frames": 8, "fps": 15, "size": 50, "cache": False, "reuse_max": reuse}

    def sample(rng, bank, n):
        slots = bank.draw(rng, n)[:n]
        return gpuaug.Plan.take(slots, np.arange(4.0), frames=bank.info["frames"]), {"slot": slots}

    with gpuaug.Loader(paths, sample, **options) as source:
        batch = source.batch(0)
        pixels = source._supply.pixels
        sizes = sorted(set(zip(pixels.info["height"].tolist(), pixels.info["width"].tolist())) - {(0, 0)})
        assert sizes == [(57, 101), (101, 57)]
        for clip, slot in zip(batch.clips, batch.target["slot"].tolist()):
            # the centre of the picture: 50/57 of the short side, that many of the 101 pixels of the long one
            tall = source.bank.videos[source.bank.info["video"][slot]].endswith("tall.mkv")
            ramps = [(float(clip[0, 0, 25, -1] - clip[0, 0, 25, 0])), float(clip[1, 0, -1, 25] - clip[1, 0, 0, 25])]
            along, across = ramps[::-1] if tall else ramps
            assert across == pytest.approx(49 / 57, abs=0.02)
            assert along == pytest.approx(49 / 101, abs=0.02)
    with gpuaug.Loader(paths, sample, **options, fit="inside") as source:
        source.batch(0)
        pixels = source._supply.pixels
        assert (57, 32) in list(zip(pixels.info["height"].tolist(), pixels.info["width"].tolist())), "negative control"


def test_a_film_wider_than_the_bank_becomes_smaller(tmp_path):
    path = film(tmp_path, "cinema", 100, 300)
    for reuse, expected in ((1, (57, 171)), (4, (34, 102))):
        with gpuaug.Loader(
            [path], lambda rng, bank, n: gpuaug.Plan.take(bank.draw(rng, n)[:n], np.arange(2.0)), batch=1, frames=8,
            fps=15, size=50, cache=False, reuse_max=reuse,
        ) as source:  # fmt: skip
            source.batch(0)
            info = source._supply.pixels.info[0]
            assert (info["height"], info["width"]) == expected
