"""Annotation files and what follows from them. The published ones are looked up in ../shared/data, where it exists."""

import gzip
import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrain.data.annotations import CLIP_SECONDS, Entry, Row, complement, cut, read_entries

TSP_HEADER = "video-name,t-start,t-end,action-label,video-duration,filename,fps,video-frames,temporal-region-label"


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
    rows = [Row(-1, 2, "a"), Row(1, 4, "b"), Row(8, 15, "a"), Row(6, 6.5, "b"), Row(7, 7, "a"), Row(11, 12, "a")]
    kept, counts = cut(Entry("v", rows), 10.0, clip_seconds=1.0)
    assert kept == [Row(0.0, 2, "a"), Row(1, 4, "b"), Row(8, 10.0, "a"), Row(4, 6, None), Row(7, 8, None)]
    assert (counts["clipped to the video"], counts["outside the video"]) == (2, 1)
    assert (counts["action"], counts["action too short"]) == (3, 2)
    assert (counts["background"], counts["background too short"]) == (2, 1)
    # exactly one clip long is long enough, in spite of rounded decimals
    assert cut(Entry("v", [Row(1.6, 2.66666667, "a")]), 3.0)[1]["action"] == 1
    assert cut(Entry("v", [Row(1.6, 2.6666, "a")]), 3.0)[1]["action too short"] == 1


def test_short_and_ambiguous_actions_are_not_background():
    kept, _ = cut(Entry("v", [Row(2, 3, "Ambiguous"), Row(5, 5.2, "a")]), 10.0, clip_seconds=1.0)
    assert kept == [Row(0.0, 2, None), Row(3, 5, None), Row(5.2, 10.0, None)]


def test_published_background_rows_on_demand():
    entry = Entry("v", [Row(2, 4, "a"), Row(0, 2, None), Row(4, 12, None), Row(9, 9.5, None)])
    kept, counts = cut(entry, 10.0, clip_seconds=1.0, background="file")
    assert kept == [Row(2, 4, "a"), Row(0.0, 2, None), Row(4, 10.0, None)]
    assert counts["background too short"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"database": ', r"a\.json: must be a CSV, JSON or THUMOS14 text file"),
        (
            "a.json",
            '{"results": {}}',
            r'must have a "database" of videos as in ActivityNet, got the keys \[\'results\'\]',
        ),
        ("a.json", '{"database": {"v": {"duration": 1}}}', r'video v: must have a list of "annotations"'),
        (
            "a.json",
            '{"database": {"v": {"annotations": [{"segment": [1], "label": "a"}]}}}',
            r"annotation 0: must have",
        ),
        ("a.json", '{"database": {"v": {"annotations": [{"segment": [2, 1], "label": "a"}]}}}', r"0: the end must not"),
        (
            "a.json",
            '{"database": {"v": {"annotations": [{"segment": [2, NaN], "label": "a"}]}}}',
            r"0: end must be a f",
        ),
        (
            "a.json",
            '{"database": {"v": {"annotations": [{"segment": [1, 2], "label": 7}]}}}',
            r"0: the label must be a",
        ),
        ("a.json", '{"database": {"v": {"duration": "x", "annotations": []}}}', r"video v: duration must be a finite"),
        ("a.csv", "path,start,end\n", r"the columns must include path,start_seconds,end_seconds,label or video-name"),
        ("a.csv", "", r"the columns must include"),
        ("a.csv", "path,start_seconds,end_seconds,label\nv,1,2\n", r"line 2: must have 4 values, got 3"),
        ("a.csv", "path,start_seconds,end_seconds,label\nv,1,2,a\nv,x,2,a\n", r"line 3: start must be a finite number"),
        ("a.csv", "path,start_seconds,end_seconds,label\n,1,2,a\n", r"line 2: must name a video, got an empty path"),
        ("a.csv", f"{TSP_HEADER}\nv,1,2,a,9,v.mp4,30,270,No action\n", r"line 2: temporal-region-label must be"),
        ("a.csv", f"{TSP_HEADER}\nv,1,2,a,9,v.mp4,?,270,Action\n", r"line 2: fps must be a finite number, got '\?'"),
        ("up_val.txt", "v 1 2\nv 1\n", r'up_val\.txt: line 2: must be "video start end"'),
        ("a.csv.gz", gzip.compress(b"path")[:-4], r"a\.csv\.gz: must be"),
        ("a.json", b"\xff\xfe\x00", r"a\.json: must be"),
    ],
)
def test_bad_files_name_file_entry_and_rule(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as error:
        read_entries(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


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
    truth = {name: read_entries(folder / f"{name}_ground_truth.json.gz") for name in ("activitynet13", "thumos14")}
    return {
        name: (
            read_entries(folder / "tsp" / f"{table}_tsp_groundtruth.csv.gz"),
            {entry.video: entry for entry in truth[source] if entry.subset == subset},
            frames / 30,
        )
        for name, (table, source, subset, frames) in names.items()
    }


COUNTS = [  # rows, of which actions; the same actions in the ground truth; ours: actions, background, each ≥ one clip
    ("train", 31366, 15410, 15410, 15231, 20275),
    ("valid", 15401, 7654, 7654, 7558, 9904),
    ("thumos valid", 5185, 3007, 3007, 2617, 2177),
    ("thumos test", 5931, 3358, 3311, 3018, 2550),  # two videos are missing in the ground truth
]


@pytest.mark.parametrize(("name", "rows", "actions", "same", "own_actions", "own_background"), COUNTS)
def test_published_tables(published, name, rows, actions, same, own_actions, own_background):
    table, truth, _ = published[name]
    assert sum(len(entry.rows) for entry in table) == rows
    assert sum(row.label is not None for entry in table for row in entry.rows) == actions
    found = 0
    for entry in table:
        foreground = sorted(row for row in entry.rows if row.label is not None)
        if entry.video in truth:
            assert sorted(truth[entry.video].rows) == foreground
            found += len(foreground)
    assert found == same
    total = Counter()
    for entry in table:
        total += cut(entry, entry.duration_seconds)[1]
    assert (total["action"], total["background"]) == (own_actions, own_background)
    assert total["action"] + total["action too short"] + total["outside the video"] == actions


def theirs(entry: Entry, least: float) -> Counter:
    """TSP's background, as its tables show it: gaps between each action and the one that starts before it."""
    gaps, end = [], 0.0
    for row in sorted((row for row in entry.rows if row.label is not None), key=lambda row: row.start_seconds):
        gaps.append((end, row.start_seconds))
        end = row.end_seconds  # not the latest end so far: inside a longer action, this makes background of it
    return Counter(gap for gap in [*gaps, (end, entry.duration_seconds)] if gap[1] - gap[0] >= least - 1e-6)


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
    table, _, least = published[name]
    have = {entry.video: Counter(row[:2] for row in entry.rows if row.label is None) for entry in table}
    assert sum(map(Counter.total, have.values())) == of
    assert sum((have[entry.video] & theirs(entry, least)).total() for entry in table) == explained
    wrong, ours = 0, 0
    for entry in table:
        free = complement([row[:2] for row in entry.rows if row.label is not None], entry.duration_seconds)
        overlap = [sum(max(0, min(b, d) - max(a, c)) for c, d in free) for a, b in have[entry.video]]
        wrong += sum(b - a - inner > 1e-6 for (a, b), inner in zip(have[entry.video], overlap))
        ours += sum(b - a >= CLIP_SECONDS - 1e-6 for a, b in free)
    assert wrong == inside
    assert ours == next(row[-1] for row in COUNTS if row[0] == name)


def test_classes_are_numbered_as_published(shared_data):
    for name, source in (("activitynet_activitynet_v1-3", "activitynet13"), ("thumos14_thumos14", "thumos14")):
        path = shared_data / "eval" / "tsp" / f"{name}_action_label_mapping.json.gz"
        mapping = json.loads(gzip.decompress(path.read_bytes()))
        entries = read_entries(shared_data / "eval" / f"{source}_ground_truth.json.gz")
        assert sorted({row.label for entry in entries for row in entry.rows}) == mapping
