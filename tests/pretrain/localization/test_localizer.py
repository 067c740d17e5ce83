"""Windows, and the localiser as a whole: planted boundaries are found, shuffled features give chance."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from pretrain.commands import evaluate as evaluate_command
from pretrain.commands import localize
from pretrain.data import results
from pretrain.data.annotations import read_activitynet_truth
from pretrain.data.formats import BadFile
from pretrain.data.segments import Segments
from pretrain.localization import inputs as windows
from pretrain.localization import localizer
from pretrain.localization.inputs import FeatureSequence, FeatureWindow
from support.planted import SETTINGS, SMALL, plant


def run(folder, *more, task="detection", measure="average_map"):
    """Localise and evaluate through the commands; the measured number."""
    files = ["--features", folder / "features", "--annotations", folder / "truth.json", "--out", folder / "out.json"]
    assert (
        localize.main([str(a) for a in [*files, *SMALL, *more, *(["--task", "steps"] if task == "steps" else [])]]) == 0
    )
    files = ["--truth", folder / "truth.json", "--predictions", folder / "out.json", "--json", folder / "numbers.json"]
    assert evaluate_command.main([str(a) for a in [task, *files]]) == 0
    return json.loads((folder / "numbers.json").read_text())[measure]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("shuffled"), shuffle=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode",
    [
        ["--length", "50"],
        ["--mode", "windows", "--length", "48", "--max-duration", "32", "--epochs", "14"],
    ],
)
def test_planted_boundaries_are_found_and_shuffled_ones_are_not(planted, shuffled, mode):
    assert run(planted, *mode) > 0.5  # 0.66 and 0.78 when written; shuffled 0.02
    assert run(shuffled, *mode) < 0.1


@pytest.mark.slow
def test_proposals_seed_and_given_video_scores(planted, tmp_path):
    mode = ["--length", "40", "--epochs", "6"]
    first = run(planted, *mode, "--proposals", tmp_path / "bare.json")
    written = (planted / "out.json").read_bytes()
    assert run(planted, *mode) == first
    assert (planted / "out.json").read_bytes() == written  # the same seed, the same file
    assert run(planted, *mode, "--seed", "1") != first
    bare = results.read_activitynet_results(tmp_path / "bare.json")
    assert set(bare.label.tolist()) == {""}
    assert np.bincount(np.unique(bare.video, return_inverse=True)[1]).max() <= 100
    durations = read_activitynet_truth(planted / "truth.json", subset="validation")[1]
    wrong = {video: [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}] for video in durations}
    (tmp_path / "scores.json").write_text(json.dumps({"results": wrong}))
    run(planted, *mode, "--video-scores", tmp_path / "scores.json", "--labels", "2")
    predictions = results.read_activitynet_results(planted / "out.json")
    assert sorted(set(predictions.label.tolist())) == ["a", "b"]
    pairs = predictions.score.reshape(-1, 2)
    np.testing.assert_allclose(pairs[:, 0], 9 * pairs[:, 1])
    assert predictions.segment.min() >= 0
    assert all(end <= durations[video] for video, (_, end) in zip(predictions.video, predictions.segment))


def test_actionness(planted, shuffled):
    found = run(planted, task="steps", measure="average_precision")
    chance = json.loads((planted / "numbers.json").read_text())["positive_share"]
    assert found > 0.9
    assert run(shuffled, task="steps", measure="average_precision") < chance + 0.1


# ---------------------------------------------------------------- failures


def test_videos_without_features_are_listed(planted, tmp_path, capsys):
    folder = tmp_path / "copy"
    (folder / "features").mkdir(parents=True)
    for path in (planted / "features").iterdir():
        (folder / "features" / path.name).write_bytes(path.read_bytes())
    (folder / "truth.json").write_bytes((planted / "truth.json").read_bytes())
    (folder / "features" / "video0.npy").unlink()
    (folder / "features" / "video1.npy").write_bytes(b"not an array")
    np.save(folder / "features" / "video2.npy", np.full((5, 12), np.nan, np.float32))
    run(folder, task="steps", measure="average_precision")
    out = capsys.readouterr().out
    assert "3 videos left out:" in out
    assert "video0: no features in" in out
    assert "'video1': must be readable features" in out
    assert "'video2': row 0 must be finite" in out


def test_errors_and_exit_status(planted, tmp_path, capsys):
    files = ["--features", str(planted / "features"), "--annotations", str(planted / "truth.json")]
    out = ["--out", str(tmp_path / "o.json")]
    cases = [
        ([*files, *out, "--subset", "testing"], 1, "must have videos of the subset 'testing'"),
        (["--features", str(tmp_path), *files[2:], *out], 1, "features must be in a folder or an HDF5 file"),
        ([*files, *out, "--max-duration", "200"], 2, "--max-duration must be ≤ the length, 100, got 200"),
        ([*files, *out, "--keep", "0"], 2, "--keep must be ≥ 1, got 0"),
        ([*files, *out, "--epochs", "0"], 2, "--epochs must be ≥ 1, got 0"),
        ([*files, *out, "--device", "tpu"], 1, "--device must be auto, cpu, cuda"),
        (files, 2, "--out"),
    ]
    (tmp_path / "scores.json").write_text('{"results": {"video1": []}}')
    cases.append(([*files, *out, "--video-scores", str(tmp_path / "scores.json")], 1, "must have every video"))
    for arguments, status, message in cases:
        got = localize.main(arguments)
        error = capsys.readouterr().err
        assert got == status
        assert message in error
        assert "Traceback" not in error
    assert not (tmp_path / "o.json").exists()


def test_features_without_their_settings(planted, tmp_path):
    np.save(tmp_path / "video30.npy", np.zeros((3, 2), np.float32))
    (tmp_path / "features.json").write_text('{"fps": 10}')
    with pytest.raises(ValueError, match="must state 'clip_frames'"):
        windows.read_subset(tmp_path, planted / "truth.json", "validation")
    (tmp_path / "features.json").write_text(json.dumps(SETTINGS))
    assert list(windows.read_subset(tmp_path, planted / "truth.json", "validation").sequences) == ["video30"]
    np.save(tmp_path / "video31.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(BadFile, match=r"must have one width, got \[2, 4\]"):
        windows.read_subset(tmp_path, planted / "truth.json", "validation")


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (np.full((5, 2), 1e200), "row 0 must be finite"),
        (np.zeros((5, 0), np.float32), r"must be \(T, F\) floating point, got float32 \(5, 0\)"),
        (np.zeros((0, 2), np.float32), r"must be \(T, F\) floating point, got float32 \(0, 2\)"),
        (np.zeros((5, 2), np.int64), "must be .* floating point, got int64"),
        (np.zeros(5, np.float32), r"must be \(T, F\) floating point, got float32 \(5,\)"),
    ],
)
def test_features_that_cannot_be_used_cost_themselves(tmp_path, values, rule):
    np.save(tmp_path / "a.npy", np.zeros((3, 2), np.float32))
    np.save(tmp_path / "b.npy", values)
    (tmp_path / "features.json").write_text(json.dumps(SETTINGS))
    row = {"subset": "training", "duration": 3, "annotations": []}
    (tmp_path / "truth").write_text(json.dumps({"database": {"a": row, "b": row}}))
    found = windows.read_subset(tmp_path, tmp_path / "truth", "training")
    assert list(found.sequences) == ["a"]
    assert len(found.left_out) == 1
    assert re.search(f"'b': {rule}", found.left_out[0])
    with pytest.raises(ValueError, match="the training subset must have an action, got none"):
        localizer.actionness(found, found)


# ---------------------------------------------------------------- windows


def test_reading(tmp_path):
    """Ids with a leading v_, a duration that the annotations lack, actions of the other subset left out."""
    np.save(tmp_path / "v_abcdefghijk.npy", np.arange(8, dtype=np.float16).reshape(4, 2))
    (tmp_path / "features.json").write_text(json.dumps(SETTINGS))
    action = {"segment": [0, 1], "label": "a"}
    database = {
        "abcdefghijk": {"subset": "validation", "duration": 0, "annotations": [action]},
        "other": {"subset": "training", "annotations": [action]},
    }
    (tmp_path / "truth.json").write_text(json.dumps({"database": database}))
    found = windows.read_subset(tmp_path, tmp_path / "truth.json", "validation")
    sequence = found.sequences["abcdefghijk"]
    assert sequence.values(1, 3).tolist() == [[2, 3], [4, 5]]
    assert sequence.values(0, 4).dtype == np.float32
    assert sequence.center_seconds() == pytest.approx(
        [0.4, 0.8, 1.2, 1.6]
    )  # middles of 8 frames, every 4, at 10 per second
    assert found.duration == {"abcdefghijk": pytest.approx(1.8)}
    assert {video: own.label.tolist() for video, own in found.actions.items()} == {"abcdefghijk": ["a"]}
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "abcdefghijk.npy", np.zeros((1, 2), np.float32))
    with pytest.raises(BadFile, match="a video must occur once"):
        windows.read_subset(tmp_path, tmp_path / "truth.json", "validation")


@pytest.mark.parametrize("mode", ["rescale", "windows"])
def test_an_action_lands_on_its_features(mode):
    """Features that are their own time: every snippet of a window holds the time that the window says it has."""
    count = 30
    times = 0.6 + 0.4 * np.arange(count)
    subset = windows.Subset()
    subset.add(
        "v",
        FeatureSequence.of(times[:, None].astype(np.float32), times),
        times[-1] + 0.4,
        Segments.of([("v", 3.0, 7.0, "a")]),
    )
    for window in windows.cut(subset, mode, 16):
        snippets = np.arange(window.snippets)
        middle = window.to_seconds(snippets + 0.5)
        inside = (middle >= times[0]) & (middle <= times[-1])
        np.testing.assert_allclose(window.values()[: window.snippets, 0][inside], middle[inside], atol=1e-5)
        np.testing.assert_allclose(window.to_snippets(window.to_seconds(snippets)), snippets, atol=1e-9)


def test_visible_actions():
    window = FeatureWindow(
        "v", lambda: np.zeros((10, 1), np.float32), origin_seconds=5.0, snippet_seconds=0.5, snippets=8
    )  # 5…9 s
    segments = np.array([[5.5, 6.5], [4.0, 6.0], [8.0, 12.0], [6.0, 6.0], [20, 21]])
    snippets, rows = windows.visible(window, segments)
    assert rows.tolist() == [0, 1]  # a quarter of the third, nothing of the fourth and fifth
    assert snippets.tolist() == [[1, 3], [0, 2]]


def test_sliding_windows_cover_the_video():
    for total in (1, 3, 8, 9, 12, 21, 32):
        rows = FeatureSequence.of(np.arange(total, dtype=np.float32)[:, None], np.arange(total) + 0.5)
        found = windows.sliding("v", rows, length=8)
        seen = {float(v) for w in found for v in w.values()[: w.snippets, 0]}
        assert seen == set(map(float, range(total)))
        assert all(w.values().shape == (8, 1) for w in found)
        assert len(found) == (1 if total <= 8 else len({*range(0, total - 8, 4), total - 8}))


def test_standardiser_ignores_the_padding():
    one = FeatureWindow("v", lambda: np.array([[1.0], [3.0], [0.0]], np.float32), 0, 1, snippets=2)
    for memory in (0, 1000):
        values = windows.WindowValues([one], memory)
        assert (values.mean_F.tolist(), values.std_F.tolist()) == ([2.0], [1.0])
        assert values[0].tolist() == values.of(one).tolist() == [[-1.0], [1.0], [0.0]]
