"""Pictures of a run: the numbers behind Figure 4, what the pictures show, and the page."""

import base64
import html
import io
import json
import re
import shutil
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pretrain.commands import report
from pretrain.common.files import write_json
from pretrain.features.store import Features, Store
from pretrain.reports import figures
from pretrain.reports.feature_change import Differences, auc, crossed, differences
from pretrain.reports.run_files import read_run
from pretrain.tasks.task import meanings
from pretrain.toy.dataset import make_actions
from support import tiny_training

NASTY = """<bad onload='x' id="{{7*7}}">"""


def slow_auc(positive, score):
    """The fraction of pairs in which the positive has the higher score; of equal scores, a half."""
    above = score[positive][:, None] - score[~positive]
    return ((above > 0) + (above == 0) / 2).mean()


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_its_definition(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(300) < rng.uniform(0.05, 0.9)
    score = rng.normal(size=300) + positive * rng.uniform(-1, 2)
    if seed % 2:
        score = np.round(score)  # many equal ones
    value, low, high = auc(score, positive)
    assert value == pytest.approx(slow_auc(positive, score), abs=1e-12)
    assert 0 <= low < value < high <= 1


def test_auc_interval_covers():
    """95 of 100 intervals hold the true value, Φ(1/√2) for two normal distributions one apart."""
    rng, hits = np.random.default_rng(0), 0
    positive = np.arange(200) < 60
    for _ in range(400):
        _, low, high = auc(rng.normal(size=200) + positive, positive)
        hits += low <= 0.7602 <= high
    assert 0.9 < hits / 400 < 0.99


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_auc_needs_both_kinds(positive):
    with pytest.raises(ValueError, match="positive must have both values"):
        auc([0.1, 0.2], positive)


def test_auc_needs_finite_scores():
    with pytest.raises(ValueError, match="score must be finite, got nan"):
        auc([0.1, np.nan], [True, False])


def store(folder, videos, *, fps=10, clip=8, stride=8):
    """Feature files as `extract` writes them."""
    files = Store(folder)
    for name, rows in videos.items():
        files.write(name, rows.astype(np.float32))
    write_json(files.settings_file, {"fps": fps, "clip_frames": clip, "stride_frames": stride})
    return Features(folder)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Features that wander a little and jump where actions start and end: (features, {video: actions})."""
    rng = np.random.default_rng(1)
    videos, actions = {}, {}
    for i in range(6):
        spans = np.sort(rng.uniform(2, 78, (4, 2)).ravel()).reshape(4, 2)
        center = (np.arange(100) * 8 + 4) / 10
        state = np.searchsorted(np.concatenate([[0], spans.ravel()]), center)  # changes at every boundary
        videos[f"v_video{i:06d}"] = rng.normal(size=(10, 12))[state] + 0.3 * rng.normal(size=(100, 12)) + 5
        actions[f"video{i:06d}"] = spans
    return store(tmp_path_factory.mktemp("planted"), videos), actions


def by_hand(features, actions, skip=1):
    """The same numbers, pair by pair."""
    change, at = [], []
    for name in features:
        rows = features[name][::skip].astype(float)
        middle = [(i * skip * 8 + 4) / 10 for i in range(len(rows))]
        ends = actions[name[2:]].ravel()
        for i in range(len(rows) - 1):
            a, b = rows[i] / np.linalg.norm(rows[i]), rows[i + 1] / np.linalg.norm(rows[i + 1])
            change.append(np.abs(a - b))
            at.append(any(middle[i] < end <= middle[i + 1] for end in ends))
    return np.array(change), np.array(at)


def test_differences(planted):
    features, actions = planted
    found = differences(features, actions)
    change_PF, at_P = by_hand(features, actions)
    np.testing.assert_array_equal(found.boundary_P, at_P)
    np.testing.assert_allclose(found.change_P, change_PF.mean(1))
    np.testing.assert_allclose(found.at_boundary_F, change_PF[at_P].mean(0))
    np.testing.assert_allclose(found.elsewhere_F, change_PF[~at_P].mean(0))
    assert found.videos == 6
    assert found.auc.value == pytest.approx(slow_auc(at_P, change_PF.mean(1)))
    assert found.auc.low > 0.9


def test_wrong_annotations_are_no_better_than_chance(planted):
    features, actions = planted
    other = {name: (spans + 17.0) % 80 for name, spans in actions.items()}
    low, high = differences(features, other).auc[1:]
    assert low < 0.5 < high


def test_overlapping_snippets_are_thinned_out(planted, tmp_path):
    features, actions = planted
    dense = store(tmp_path, dict(features), clip=20, stride=8)
    found = differences(dense, actions)
    assert len(found.change_P) == 6 * (len(range(0, 100, 3)) - 1)


def test_differences_refuse_what_tells_nothing(planted):
    features, actions = planted
    with pytest.raises(ValueError, match="annotations must be of videos with features, got other"):
        differences(features, {"other": np.zeros((1, 2))})
    nowhere = {name: np.array([[0.0, 80.0]]) for name in actions}
    with pytest.raises(ValueError, match="all 594 pairs are elsewhere"):
        differences(features, nowhere)


def test_a_boundary_belongs_to_one_pair():
    center = np.arange(1.0, 9.0)
    for boundary in np.arange(0.25, 9.5, 0.25):
        assert crossed(center, [boundary]).sum() == (1 < boundary <= 8)
    assert crossed(np.array([1.0]), [1.0]).tolist() == []


# ---- pictures ------------------------------------------------------------------------------------------------------


def picture(figure, path):
    """The saved picture; not empty, and as large as promised."""
    image = np.asarray(Image.open(figures.save(figure, path)).convert("RGB"))
    width, height = figure.get_size_inches()
    assert image.shape == (round(height * 110), round(width * 110), 3)
    assert len(np.unique(image @ np.array([65536, 256, 1]))) > 50  # colours as numbers: rows take ten times as long
    return image


def test_figure4(planted, tmp_path):
    found = differences(*planted)
    flat = Differences(found.change_P[::-1], found.boundary_P, found.elsewhere_F, found.elsewhere_F, 6)
    figure = figures.figure4({"trained": found, "flat": flat})
    picture(figure, tmp_path / "figure4.png")
    at, elsewhere, histogram = figure.axes[:3]
    np.testing.assert_allclose(at.images[0].get_array().ravel(), found.at_boundary_F)
    np.testing.assert_allclose(elsewhere.images[0].get_array().ravel(), found.elsewhere_F)
    assert at.images[0].get_clim() == elsewhere.images[0].get_clim()  # one scale, or colours could not be compared
    assert f"AUC {found.auc.value:.3f}" in histogram.get_title()
    bars = [container.datavalues.sum() for container in histogram.containers]
    assert bars == pytest.approx([100, 100])


def test_confusion(tmp_path):
    counts = [[8, 2, 0], [1, 0, 9], [0, 0, 0]]
    figure = figures.confusion(counts, ["dc", "sc", "a long name"])
    picture(figure, tmp_path / "confusion.png")
    panel = figure.axes[0]
    np.testing.assert_allclose(panel.images[0].get_array(), [[0.8, 0.2, 0], [0.1, 0, 0.9], [0, 0, 0]])
    places = {text.get_position(): text.get_text() for text in panel.texts}
    assert places == {(0, 0): "8", (1, 0): "2", (0, 1): "1", (2, 1): "9"}  # (column, row)
    assert [label.get_text() for label in panel.get_yticklabels()] == ["dc (10)", "sc (10)", "a long name (0)"]
    picture(figures.confusion(np.eye(100, dtype=int), [str(i) for i in range(100)]), tmp_path / "large.png")


def test_names_are_no_formulas(planted, tmp_path):
    """Matplotlib takes text between two dollars for TeX, and fails where it is none."""
    picture(figures.confusion([[1, 0], [0, 1]], ["$^$", "$\\no$"], "$^$"), tmp_path / "confusion.png")
    picture(figures.figure4({"$^$": differences(*planted)}), tmp_path / "figure4.png")


# ---- the page of a real run ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps."""
    folder = tmp_path_factory.mktemp("report")
    style = {"sizes": [(36, 48)], "rates": [Fraction(15)], "codecs": ["mjpeg"], "seconds": (2.0, 2.5)}
    make_actions(folder / "videos", classes=3, clips_per_class=8, progress=False, **style)
    with pytest.MonkeyPatch.context() as patch:
        tiny_training.install(patch.setattr)
        flags = ["--videos", folder / "videos", "--out", folder / "run", "--steps", "6", "--mode", "two_head"]
        assert tiny_training.train(*flags) == 0
    return folder / "run"


def test_curves_show_the_log(run, tmp_path):
    rows = read_run(run).rows
    figure = figures.curves(rows)
    picture(figure, tmp_path / "curves.png")
    panels = {panel.get_title(): panel for panel in figure.axes}
    assert list(panels) == ["loss", "accuracy", "learning rate"]
    train = [row for row in rows if "loss" in row]
    held = [row for row in rows if "validation" in row]
    lines = {line.get_label(): np.transpose(line.get_data()).tolist() for line in panels["loss"].lines}
    assert lines["training"] == [[row["step"], row["loss"]] for row in train]
    assert lines["held out"] == [[row["step"], row["validation"]["loss"]] for row in held]
    lines = {line.get_label(): np.transpose(line.get_data()).tolist() for line in panels["accuracy"].lines}
    for name in ("boundary", "action"):
        expected = [[row["step"], row["validation"][name]["value"]] for row in held]
        assert lines[f"{name}: held out, 95 %"] == expected
    picture(figures.speed([row for row in rows if "step_ms" in row]), tmp_path / "speed.png")


def test_page(run, planted, tmp_path, capsys):
    features, actions = planted
    run = Path(shutil.copytree(run, tmp_path / "run"))
    summary = json.loads((run / "summary.json").read_text())
    summary["skipped"] = [[f"{NASTY}.mp4", "no video stream"]]
    config = json.loads((run / "config.json").read_text())
    config["classes"], config["names"]["action"], config["task"] = ["gone", NASTY], [NASTY, "b", "c"], NASTY
    config["empty_classes"] = ["gone"]
    (run / "config.json").write_text(json.dumps(config))
    (run / "summary.json").write_text(json.dumps(summary))
    rows = [(name, *span, "act") for name, spans in actions.items() for span in spans.tolist()]
    lines = ["path,start_seconds,end_seconds,label", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "annotations.csv").write_text("\n".join(lines))
    flags = ["--features", str(features.path), "--annotations", str(tmp_path / "annotations.csv")]
    assert report.main([str(run), *flags]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")
    page = (run / "report.html").read_text(encoding="utf-8")
    names = {"curves", "confusion_boundary", "confusion_action", "figure4", "speed"}
    assert {path.stem for path in (run / "figures").glob("*.png")} == names
    inside = re.findall(r'<img width="\d+" alt="([^"]+)" src="data:image/svg\+xml;base64,([^"]+)">', page)
    files = {path.read_bytes() for path in (run / "figures").glob("*.png")}
    assert len({base64.b64decode(data) for _, data in inside}) == len(files) == len(names)
    assert all(ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg") for _, data in inside)
    assert len({alt for alt, _ in inside}) == len(names), "each picture says what it is"
    for file in files:
        Image.open(io.BytesIO(file)).verify()
    assert not re.search(r'(src|href)="(?!data:)', page), "the page must not need other files"
    assert html.unescape(page).lower().count(NASTY.lower()) == 4, "title, heading, a class, a file"
    assert "<bad" not in page.lower()
    assert 'name="viewport"' in page
    assert "; nothing to train on of gone<" in page
    assert f"Limited by <b>{summary['limited_by']}</b>" in page
    assert "AUC" in page
    low, high = summary["validation"]["boundary"]["low"], summary["validation"]["boundary"]["high"]
    assert f"{low:.3f}–{high:.3f}" in page


def test_the_page_says_what_short_names_stand_for(run, tmp_path):
    run = Path(shutil.copytree(run, tmp_path / "run"))
    assert report.main([str(run)]) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    for kind, text in meanings("bsp").items():
        assert f"<b>{kind}</b>: {text}" in page
    assert meanings("pal") == meanings(NASTY) == {}


def test_page_of_a_killed_run(run, tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text((run / "log.jsonl").read_text() + '{"step": 7, "lo')
    assert report.main([str(tmp_path)]) == 0
    assert "not finished, or killed after 6 steps" in (tmp_path / "report.html").read_text()
    first = {
        "step": 1,
        "validation": {"loss": 1.0, "boundary": {"value": None, "low": 0, "high": 1, "confusion": [[0]]}},
    }
    (tmp_path / "log.jsonl").write_text(json.dumps(first))
    assert report.main([str(tmp_path)]) == 0  # nothing but a validation without samples
    (tmp_path / "log.jsonl").write_text('{"step"\n')
    assert report.main([str(tmp_path)]) == 1
    assert "log.jsonl: line 1: must be JSON" in capsys.readouterr().err


def test_wrong_usage(run, tmp_path, capsys):
    assert report.main([]) == 2
    assert report.main([str(run), "--features", str(tmp_path)]) == 2
    assert report.main([str(tmp_path)]) == 1
    assert "there is no" in capsys.readouterr().err.splitlines()[-1]
