"""Parts of a run's page, word by word; and how its pictures are laid out, by matplotlib's own objects."""

import json

import numpy as np
import pytest
from matplotlib.colors import to_hex

from pretrain.reports import figures, run_report
from pretrain.reports.feature_change import Differences
from pretrain.reports.run_files import RunFiles

SCORE = {"value": 0.51239, "low": 0.4, "high": 0.6, "samples": 8, "constant": 0.25}
FOUND = RunFiles(
    [{"step": 3, "loss": 2.0}, {"step": 7, "loss": 0.123456}, {"step": 9, "validation": {"loss": 1.0, "kind": SCORE}}],
    {"task": "bsp", "encoder": {"name": "small"}, "names": {"boundary": ["dc", "ss"], "x": 3}},
    {"status": "stopped", "samples_per_second": 12.3456},
)


def test_runs_go_by_their_folders_names_unless_two_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths, files = [tmp_path / "a", tmp_path / "b" / "."], [RunFiles(), RunFiles()]
    assert list(run_report.named(paths, files)) == ["a", "b"]
    same = [tmp_path / "a", tmp_path / "b" / "a"]
    found = run_report.named(same, files)
    assert list(found) == [str(path) for path in same]
    assert found[str(same[1])] is files[1]


def test_a_line_of_the_comparison():
    line = ["one", "bsp", "small", "stopped", "9", "kind 0.5124 (0.400–0.600)", "12.35"]
    assert run_report._compared("one", FOUND) == line
    bare = RunFiles([{"step": 4}], {}, {})
    assert run_report._compared("two", bare) == ["two", "", "", "not finished", "4", "", ""]
    two = RunFiles([{"step": 1, "validation": {"a": {"value": 1}, "b": {"value": None}}}], {}, {})
    assert run_report._compared("x", two)[5].startswith("a 1")


def test_what_pictures_are_called_for_those_who_do_not_see_them():
    curves = "loss, scores and learning rate over the steps"
    assert run_report._alt("curves", FOUND) == f"{curves}: loss from 2 to 0.123, kind 0.5124"
    assert run_report._alt("curves", RunFiles([{"step": 1}], {}, {})) == curves
    assert run_report._alt("speed", FOUND).endswith("echo over the steps: 12.35 samples per second")
    assert run_report._alt("compare", FOUND) == "training loss and held-out scores of the runs over their steps"
    assert run_report._alt("figure4", FOUND) == "how much the features change at boundaries and elsewhere"


def test_kinds_that_the_run_has_are_explained():
    assert list(run_report._kinds(FOUND.config)) == ["dc", "ss"]
    assert run_report._kinds({"task": "bsp"}) == {}


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["a", "A", "a_2", "b"], ["a", "A_2", "a_2_2", "b"]),
        (["a_2", "a", "a", "A_2"], ["a_2", "a", "a_3", "A_2_2"]),
        (["a b", "a/b", "a__b"], ["a_b", "a_b_2", "a_b_3"]),
        (["", "é", "x" * 61, "x" * 60], ["_", "__2", "x" * 60, "x" * 60 + "_2"]),
    ],
)
def test_names_of_files_are_different_in_small_letters_too(names, files):
    assert run_report._file_names(names) == files
    assert len({file.lower() for file in files}) == len(files)


def test_what_could_not_be_used():
    summary = {"skipped": [["a", "why"], [], 3, ["b"]], "failures": [{"path": "c", "reason": "cut"}, {}, 7]}
    assert run_report._lost(summary) == [["a", "why"], ["b"], ["c", "cut"], ["", ""], ["", ""]]
    assert run_report._lost({}) == run_report._lost({"skipped": "x", "failures": {}}) == []


def test_the_line_under_the_title(tmp_path):
    config = {"machine": {"cores": 2}, "commit": "0123456789abcdef"}
    rows = [{"step": 3}, {"step": 1234}]
    run = tmp_path / "name"
    assert run_report._lead(run, config, {}, rows) == (
        "name: not finished, or killed after 1,234 steps · 2 CPU cores · commit 0123456789"
    )
    summary = {"status": "finished", "steps": 4321, "samples": 5000, "seconds": 90, "training_videos": 4}
    gpu = {"machine": {"gpu": "H100", "cores": 2}, "world": 2}
    assert run_report._lead(run, gpu, {**summary, "held_out_videos": 2}, rows) == (
        "name: finished after 4,321 steps · 5,000 samples in 1.5 minutes of training · 4 training and 2 held-out "
        "videos · 2 × H100 · commit None"
    )
    odd = run_report._lead(run, {"machine": {"gpu": "H100"}}, {"samples": "x", "steps": 0}, rows)
    assert odd.startswith("name: not finished, or killed after 0 steps · 0 samples in 0.0 minutes of training")
    assert "1 × H100" in odd
    assert "? CPU cores" in run_report._lead(run, {}, {}, rows)


def test_numbers_and_intervals():
    assert run_report._interval(SCORE) == ["0.5124", "0.400–0.600", "8"]
    assert run_report._interval({"value": 1, "low": 0.5, "high": None}) == ["1", "", ""]
    assert run_report._interval({"low": None, "high": 0.5, "samples": 3}) == ["", "", "3"]
    assert [run_report._number(each) for each in (0, 12345.678, True, "1", None)] == ["0", "1.235e+04", "", "", ""]
    assert run_report._rows({"a": [1], "b": "x"}) == [("a", "[1]"), ("b", '"x"')]


def test_how_features_change_in_a_line():
    at = np.array([True, False, True, False])
    found = Differences(np.array([0.9, 0.1, 0.8, 0.2]), at, np.array([0.5, 0.7]), np.array([0.2, 0.1]), 2)
    value, low, high = found.auc
    numbers = [f"{value:.3f}", f"{low:.3f}–{high:.3f}", "0.6000", "0.1500", "4.00"]
    assert run_report._change("a", found) == ["a", *numbers]
    still = Differences(found.change_P, at, found.at_boundary_F, np.zeros(2), 2)
    assert run_report._change("a", still)[-2:] == ["0.0000", ""]


def test_what_limited_the_run_in_numbers():
    summary = {
        "share_of_time": {"encoder": 0.5, "render": 0.3, "wait": 0.15}, "samples_per_second": 9.87654, "echo": 2,
        "decoded_windows": 1234, "rendered_windows": 56789, "slots": 4321, "bank_bytes": 3000 * 2**20,
    }  # fmt: skip
    assert [value for _, value in run_report._times(summary)] == [
        "9.877", "50.0 % of the time", "30.0 %", "15.0 %", "1,234", "56,789", "2", "4,321 windows, 3,000 MiB"
    ]  # fmt: skip
    assert [name for name, _ in run_report._times({})] == [
        "samples per second", "encoder: forward, backward, update", "plans and rendering", "waiting for decoded frames",
        "windows decoded", "windows rendered", "echo: rendered per decoded", "bank",
    ]  # fmt: skip
    bare = ["", "0.0 % of the time", "0.0 %", "0.0 %", "0", "0", "", "0 windows, 0 MiB"]
    assert [value for _, value in run_report._times({"slots": "x"})] == bare


@pytest.fixture
def page(monkeypatch, tmp_path):
    """A function of scores: what the page's template is given, with pictures by name."""

    def given(scores, **config):
        seen = {}
        template = type("Template", (), {"render": lambda _, **values: seen.update(values) or ""})()
        monkeypatch.setattr(run_report.PAGES, "get_template", lambda name: template)
        monkeypatch.setattr(run_report, "_picture", lambda figure, path, alt: (path.name, alt))
        drawn = []
        for name in ("curves", "speed"):
            monkeypatch.setattr(figures, name, lambda rows, name=name: drawn.append((name, len(rows))))
        monkeypatch.setattr(figures, "confusion", lambda *told: drawn.append(told))
        rows = [{"step": 1, "step_ms": 2.0}, {"step": 1, "validation": {"loss": 9}}, {"step": 2, "validation": scores}]
        lines = "".join(json.dumps({**row, **dict.fromkeys(run_report_times(row), 1.0)}) + "\n" for row in rows)
        (tmp_path / "log.jsonl").write_text(lines)
        (tmp_path / "config.json").write_text(json.dumps(config))
        run_report.write(tmp_path, tmp_path / "report.html", {})
        return seen, drawn

    return given


def run_report_times(row):
    return ("wait_ms", "encoder_ms", "samples_per_second", "echo") if "step_ms" in row else ()


def test_what_the_page_is_given(page, capsys):
    classes = {"a": {"value": 1.0, "samples": 2}, "b": {"value": 0.5}}
    kind = {**SCORE, "confusion": [[3, 1], [2, 4]], "classes": classes}
    seen, drawn = page(
        {"loss": 1.25, "kind": kind, "gain": {"value": 0.1, "classes": {"a": {"value": 1}}}},
        task="bsp", encoder={"name": "small"}, names={"kind": ["x", "y"]}, classes=["u", "v"], empty_classes=["v"],
        flags={"lr": 0.1}, seed=3,
    )  # fmt: skip
    assert seen["title"] == "BSP with small"
    assert seen["scores"] == [
        ["loss", "1.25", "", "", ""], ["kind", "0.5124", "0.400–0.600", "8", "0.25"], ["gain", "0.1", "", "", ""]
    ]  # fmt: skip
    assert seen["per_class"] == {"kind": [["a", "1", "", "2"], ["b", "0.5", "", ""]]}
    assert seen["confusions"] == [
        ("confusion_kind.png", "confusion matrix of kind: 7 of 10 held-out samples are right")
    ]  # fmt: skip
    assert drawn == [("curves", 3), ("speed", 1), ([[3, 1], [2, 4]], ["x", "y"], "kind, accuracy 0.5124")]
    assert list(seen["pictures"]) == ["curves", "speed"]
    assert (seen["classes"], seen["empty"], seen["runs"], seen["wrong"]) == (["u"], ["v"], [], [])
    assert seen["flags"] == [("lr", "0.1")]
    assert ("seed", "3") in seen["setting"]
    assert not {"flags", "names", "classes", "empty_classes"} & {name for name, _ in seen["setting"]}
    assert (seen["limited_by"], seen["advice"], seen["times"]) == (None, None, [])


def test_how_many_confusion_matrices_are_drawn_and_how_large(page, capsys, monkeypatch):
    monkeypatch.setattr(run_report, "MATRICES", 2)
    monkeypatch.setattr(run_report, "WIDEST", 3)
    sizes = {"one": 1, "two": 2, "three": 3, "four": 4, "again": 2}
    scores = {name: {"value": 1, "confusion": np.eye(c, dtype=int).tolist()} for name, c in sizes.items()}
    seen, drawn = page({"loss": 1, **scores}, names={"two": ["only one"]})
    assert [told[1] for told in drawn[2:]] == [["0", "1"], ["0", "1", "2"]]
    assert [name for name, _ in seen["confusions"]] == ["confusion_two.png", "confusion_three.png"]
    assert seen["problems"] == ["1 more confusion matrices are not drawn"]
    assert capsys.readouterr().err == "left out: 1 more confusion matrices are not drawn\n"


TRAIN = [{"step": s, "loss": 1.0, "lr": 0.1} for s in (1, 20)]


def held(*names, **more):
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "confusion": [], **more}
    return [{"step": s, "validation": dict.fromkeys(names, score)} for s in (1, 20)]


@pytest.mark.parametrize(("others", "size", "panels"), [(0, (9.2, 3.3), 2), (1, (13.8, 3.3), 3), (2, (13.8, 6.6), 4)])
def test_panels_are_in_rows_of_three(others, size, panels):
    scores = {f"s{k}": {"value": 0.5, "low": None, "high": None} for k in range(others)}
    figure = figures.curves([*TRAIN, {"step": 20, "validation": scores}])
    assert tuple(figure.get_size_inches()) == pytest.approx(size)
    assert len(figure.axes) == panels
    for panel in figure.axes:
        assert not panel.spines["top"].get_visible()
        assert not panel.spines["right"].get_visible()
        assert panel.spines["left"].get_visible()
        assert all(line.get_visible() for line in panel.get_ygridlines())
        assert not any(line.get_visible() for line in panel.get_xgridlines())
        assert all(float(tick).is_integer() for tick in panel.get_xticks())
        assert len(panel.get_xticks()) <= 7


def test_legends_have_no_frame_and_that_of_accuracies_is_below_in_two_columns():
    loss, accuracy, _ = figures.curves([*TRAIN, *held("kind", "action", "third")]).axes
    for panel in (loss, accuracy):
        assert not panel.get_legend().get_frame_on()
        assert panel.get_legend().get_texts()[0].get_fontsize() == 8
    assert accuracy.get_legend()._ncols == 2
    assert figures.curves([*TRAIN, *held("kind")]).axes[1].get_legend()._ncols == 1
    colors = [to_hex(line.get_color()) for line in accuracy.get_lines()]
    assert colors == [figures.BLUE, figures.ORANGE, figures.GREEN]


def test_training_is_paler_beside_what_is_held_out():
    rows = [{**row, "kind": 0.4} for row in TRAIN]
    loss, accuracy, _ = figures.curves([*rows, *held("kind", constant=0.25)]).axes
    (alone,) = loss.get_lines()
    training, dots, constant = accuracy.get_lines()
    assert (alone.get_alpha(), alone.get_linewidth()) == (None, 1.5)
    assert (training.get_alpha(), training.get_linewidth(), training.get_linestyle()) == (0.45, 1.2, "-")
    assert (dots.get_marker(), dots.get_markersize()) == ("o", 4)
    assert (constant.get_linestyle(), constant.get_linewidth()) == (":", 1)
    assert accuracy.collections[0].get_alpha() == 0.15
