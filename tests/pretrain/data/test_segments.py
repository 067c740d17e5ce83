"""What follows from annotated segments. The published ones are looked up in ../shared/data, where it exists."""

import gzip
import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrain.data.annotations import read_published
from pretrain.data.segments import CLIP_SECONDS, Segments, complement, cut, temporal_iou


def of(*rows: tuple) -> Segments:
    """One video's (start, end, label)."""
    return Segments.of([("v", *row) for row in rows])


def rows_of(segments: Segments) -> list[tuple]:
    return [(*segment, label) for segment, label in zip(segments.segment.tolist(), segments.label.tolist())]


@given(st.lists(st.tuples(st.floats(-5, 25), st.floats(0, 10)), max_size=8), st.floats(0.1, 20))
def test_complement_is_exactly_what_no_span_covers(spans, duration):
    spans = [(start, start + length) for start, length in spans]
    gaps = complement(spans, duration)
    for k in range(200):
        t = duration * (k + 0.5) / 200
        covered = any(start <= t < stop for start, stop in spans)
        assert covered != any(start <= t < stop for start, stop in gaps)
    assert all(0 <= start < stop <= duration for start, stop in gaps)
    assert all(first[1] <= second[0] for first, second in pairwise(gaps))


def test_cut_clips_drops_and_counts():
    rows = [(-1, 2, "a"), (1, 4, "b"), (8, 15, "a"), (6, 6.5, "b"), (7, 7, "a"), (11, 12, "a")]
    kept, counts = cut(of(*rows), 10.0, clip_seconds=1.0)
    assert rows_of(kept) == [(0.0, 2, "a"), (1, 4, "b"), (8, 10.0, "a"), (4, 6, ""), (7, 8, "")]
    assert (counts["clipped to the video"], counts["outside the video"]) == (2, 1)
    assert (counts["action"], counts["action too short"]) == (3, 2)
    assert (counts["background"], counts["background too short"]) == (2, 1)
    # exactly one clip long is long enough, in spite of rounded decimals
    assert cut(of((1.6, 2.66666667, "a")), 3.0)[1]["action"] == 1
    assert cut(of((1.6, 2.6666, "a")), 3.0)[1]["action too short"] == 1


def test_short_and_ambiguous_actions_are_not_background():
    kept, _ = cut(of((2, 3, "Ambiguous"), (5, 5.2, "a")), 10.0, clip_seconds=1.0)
    assert rows_of(kept) == [(0.0, 2, ""), (3, 5, ""), (5.2, 10.0, "")]


def test_published_background_rows_on_demand():
    published = of((2, 4, "a"), (0, 2, ""), (4, 12, ""), (9, 9.5, ""))
    kept, counts = cut(published, 10.0, clip_seconds=1.0, background="file")
    assert rows_of(kept) == [(2, 4, "a"), (0.0, 2, ""), (4, 10.0, "")]
    assert counts["background too short"] == 1


def test_segments_without_length_overlap_nothing_whatever_memory_held():
    point = np.full((4096, 2), 5.0)
    for _ in range(5):
        np.full(4096, 7.0)  # given back at once, and taken again for the result
        assert not temporal_iou(point, point).any()


@pytest.fixture(scope="module")
def published(shared_data):
    """TSP's tables and the ground truths they were made from."""
    folder = shared_data / "eval"
    names = {
        "train": ("activitynet_activitynet_v1-3_train", "activitynet13", "training", 160),
        "valid": ("activitynet_activitynet_v1-3_valid", "activitynet13", "validation", 160),
        "thumos valid": ("thumos14_thumos14_valid", "thumos14", "train", 32),
        "thumos test": ("thumos14_thumos14_test", "thumos14", "test", 32),
    }
    truth = {name: read_published(folder / f"{name}_ground_truth.json.gz") for name in ("activitynet13", "thumos14")}
    found = {}
    for name, (table, source, subset, frames) in names.items():
        rows = read_published(folder / "tsp" / f"{table}_tsp_groundtruth.csv.gz")
        duration = {video: entry.duration_seconds for video, entry in rows.videos.items()}
        own = {video for video, entry in truth[source].videos.items() if entry.subset == subset}
        actions = {video: rows for video, rows in truth[source].segments.by_video().items() if video in own}
        found[name] = rows.segments.by_video(), duration, actions, frames / 30
    return found


COUNTS = [  # rows, of which actions; the same actions in the ground truth; ours: actions, background, each ≥ one clip
    ("train", 31366, 15410, 15410, 15231, 20275),
    ("valid", 15401, 7654, 7654, 7558, 9904),
    ("thumos valid", 5185, 3007, 3007, 2617, 2177),
    ("thumos test", 5931, 3358, 3311, 3018, 2550),  # two videos are missing in the ground truth
]


@pytest.mark.parametrize(
    ("name", "rows", "actions", "same", "own_actions", "own_background"),
    [pytest.param(*COUNTS[0], marks=pytest.mark.slow), *COUNTS[1:]],
)
def test_published_tables(published, name, rows, actions, same, own_actions, own_background):
    table, duration, truth, _ = published[name]
    assert sum(map(len, table.values())) == rows
    assert sum((own.label != "").sum() for own in table.values()) == actions
    found, total = 0, Counter()
    for video, own in table.items():
        foreground = sorted(rows_of(own.take(own.label != "")))
        if video in truth:
            assert sorted(rows_of(truth[video])) == foreground
            found += len(foreground)
        total += cut(own, duration[video])[1]
    assert found == same
    assert (total["action"], total["background"]) == (own_actions, own_background)
    assert total["action"] + total["action too short"] + total["outside the video"] == actions


def theirs(own: Segments, duration: float, least: float) -> Counter:
    """TSP's background, as its tables show it: gaps between each action and the one that starts before it."""
    gaps, end = [], 0.0
    for start, stop in sorted(own.segment[own.label != ""].tolist(), key=lambda span: span[0]):
        gaps.append((end, start))
        end = stop  # not the latest end so far: inside a longer action, this makes background of it
    return Counter(gap for gap in [*gaps, (end, duration)] if gap[1] - gap[0] >= least - 1e-6)


@pytest.mark.parametrize(
    ("name", "explained", "of", "inside"),
    [
        ("train", 15956, 15956, 100),
        ("valid", 7747, 7747, 69),
        ("thumos valid", 2177, 2178, 4),
        ("thumos test", 2573, 2573, 28),
    ],
)
def test_why_published_background_differs(published, name, explained, of, inside):
    """Theirs: only gaps of 160 frames (ActivityNet) or 32 (THUMOS14) at 30 fps, and partly inside longer actions.

    One row of THUMOS14 depends on the order of two actions that start together.
    """
    table, duration, _, least = published[name]
    have = {video: Counter(map(tuple, own.segment[own.label == ""].tolist())) for video, own in table.items()}
    assert sum(map(Counter.total, have.values())) == of
    assert sum((have[video] & theirs(own, duration[video], least)).total() for video, own in table.items()) == explained
    wrong, ours = 0, 0
    for video, own in table.items():
        free = complement(own.segment[own.label != ""].tolist(), duration[video])
        overlap = [sum(max(0, min(b, d) - max(a, c)) for c, d in free) for a, b in have[video]]
        wrong += sum(b - a - inner > 1e-6 for (a, b), inner in zip(have[video], overlap))
        ours += sum(b - a >= CLIP_SECONDS - 1e-6 for a, b in free)
    assert wrong == inside
    assert ours == next(row[-1] for row in COUNTS if row[0] == name)


def test_classes_are_numbered_as_published(shared_data):
    for name, source in (("activitynet_activitynet_v1-3", "activitynet13"), ("thumos14_thumos14", "thumos14")):
        path = shared_data / "eval" / "tsp" / f"{name}_action_label_mapping.json.gz"
        mapping = json.loads(gzip.decompress(path.read_bytes()))
        assert read_published(shared_data / "eval" / f"{source}_ground_truth.json.gz").classes == mapping
