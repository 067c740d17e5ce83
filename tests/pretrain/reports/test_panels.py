"""What the panels of a report show and are called, read from matplotlib's own objects; a page of Markdown by hand."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from pretrain.reports import figures
from pretrain.reports.feature_change import Differences
from pretrain.reports.run_files import RunFiles
from pretrain.reports.verdict import markdown, verdict

SCORE = {"value": 0.5, "low": 0.4, "high": 0.6, "samples": 8}
TRAIN = [
    {"step": s, "loss": 3.0 - s, "lr": 0.1 * s, "kind": 0.25 * s, "step_ms": 10.0 * s, "encoder_ms": 5.0 * s,
     "feed_ms": 4.0 * s, "wait_ms": 1.0 * s, "samples_per_second": 100.0 / s, "echo": 2.0 + s}
    for s in (1, 2)
]  # fmt: skip
HELD = [
    {"step": s, "validation": {"loss": 2.5 - s, "kind": {**SCORE, "value": v, "constant": 0.3, "confusion": []},
                               "gain": {**SCORE, "value": -v}}}
    for s, v in ((1, 0.45), (2, 0.55))
]  # fmt: skip


def drawn(panel):
    """Label → (x, y) of a panel's lines."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in panel.get_lines()}


def colors(panel):
    return {line.get_label(): to_hex(line.get_color()) for line in panel.get_lines()}


def test_curves_are_of_the_log():
    loss, accuracy, gain, rate = figures.curves([*TRAIN, *HELD]).axes
    assert [panel.get_title() for panel in (loss, accuracy, gain, rate)] == [
        "loss",
        "accuracy",
        "gain",
        "learning rate",
    ]
    assert {panel.get_xlabel() for panel in (loss, accuracy, gain, rate)} == {"step"}
    assert drawn(loss) == {"training": ([1, 2], [2.0, 1.0]), "held out": ([1, 2], [1.5, 0.5])}
    assert colors(loss) == {"training": figures.BLUE, "held out": figures.ORANGE}
    found = drawn(accuracy)
    assert found["kind: training"] == ([1, 2], [0.25, 0.5])
    assert found["kind: held out, 95 %"] == ([1, 2], [0.45, 0.55])
    assert found["kind: best constant"][1] == [0.3, 0.3]
    assert accuracy.get_ylim() == (0, 1)
    band = accuracy.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.4, 0.6)
    assert drawn(gain) == {"gain: held out, 95 %": ([1, 2], [-0.45, -0.55])}
    assert list(drawn(rate).values()) == [([1, 2], [0.1, 0.2])]
    assert set(colors(rate).values()) == {figures.GRAY}
    assert rate.get_legend() is None
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "held out"]


def test_one_step_is_a_point_and_without_intervals_no_band_is_drawn():
    held = [{"step": 4, "validation": {"kind": {"value": 0.5, "low": None, "high": 0.6, "confusion": []}}}]
    loss, accuracy, _ = figures.curves([TRAIN[0], *held]).axes
    assert [line.get_linestyle() for line in loss.get_lines()] == ["None"]
    assert loss.get_lines()[0].get_marker() == "."
    assert not accuracy.collections
    assert "kind: best constant" not in drawn(accuracy)


def test_at_most_so_many_accuracies_share_a_panel(monkeypatch):
    names = [f"score {k}" for k in range(figures.TOGETHER + 2)]
    held = [{"step": 1, "validation": {name: {**SCORE, "confusion": []} for name in names}}]
    titles = [panel.get_title() for panel in figures.curves([*TRAIN, *held]).axes]
    assert titles == ["loss", "accuracy", *names[figures.TOGETHER :], "learning rate"]
    monkeypatch.setattr(figures, "PANELS", 2)
    many = {f"s{k}": SCORE for k in range(5)}
    titles = [panel.get_title() for panel in figures.curves([{"step": 1, "validation": many}]).axes]
    assert titles == ["loss", "s0", "s1", "learning rate"]


@pytest.mark.parametrize(("name", "text"), [("a" * 20, "a" * 20), ("a" * 21, "a" * 20 + "…"), ("$x$", r"\$x\$")])
def test_names_are_short_and_no_formulas(name, text):
    assert figures._text(name) == text


def test_where_the_time_goes():
    time, rate, echo = figures.speed([*TRAIN, *HELD]).axes
    assert [panel.get_title() for panel in (time, rate, echo)] == [
        "time of a step", "samples per second", "echo: windows rendered per window decoded"
    ]  # fmt: skip
    assert (time.get_ylabel(), {panel.get_xlabel() for panel in (time, rate, echo)}) == ("ms", {"step"})
    assert {panel.get_ylim()[0] for panel in (time, rate, echo)} == {0}
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in time.collections]
    assert tops == [10, 16, 18], "encoder 10, then 8 − 2 of plans, then 2 of waiting, one above the other"
    names = ["encoder", "plans and rendering", "waiting for frames", "step"]
    assert [text.get_text() for text in time.get_legend().get_texts()] == names
    assert [to_hex(area.get_facecolor()[0]) for area in time.collections] == [
        figures.BLUE,
        figures.GREEN,
        figures.ORANGE,
    ]
    assert drawn(time)["step"] == ([1, 2], [10, 20])
    assert list(drawn(rate).values()) == [([1, 2], [100, 50])]
    assert list(drawn(echo).values()) == [([1, 2], [3, 4])]
    older = [{name: value for name, value in row.items() if name != "feed_ms"} for row in TRAIN]
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in figures.speed(older).axes[0].collections]
    assert tops == [10, 10, 12]


def test_a_confusion_matrix_has_counts_fractions_and_names():
    figure = figures.confusion([[3, 1], [0, 0]], ["dc", "sc"], "kind")
    panel, bar = figure.axes
    (image,) = panel.get_images()
    assert image.get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert image.get_clim() == (0, 1)
    assert (panel.get_xlabel(), panel.get_ylabel(), panel.get_title()) == ("prediction", "truth", "kind")
    assert bar.get_ylabel() == "fraction of the true class"
    assert [label.get_text() for label in panel.get_xticklabels()] == ["dc", "sc"]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["dc (4)", "sc (0)"]
    assert [(t.get_position(), t.get_text(), to_hex(t.get_color())) for t in panel.texts] == [
        ((0, 0), "3", "#ffffff"), ((1, 0), "1", "#1d2530")
    ]  # fmt: skip
    assert {label.get_rotation() for label in panel.get_xticklabels()} == {0}
    long = figures.confusion(np.eye(2, dtype=int), ["a", "a" * 70], "t" * 70).axes[0]
    assert {label.get_rotation() for label in long.get_xticklabels()} == {90}
    assert long.get_xticklabels()[1].get_text() == "a" * 60
    assert long.get_title() == "t" * 60
    many = figures.confusion(np.eye(figures.LABELLED + 1, dtype=int), ["x"] * (figures.LABELLED + 1)).axes[0]
    assert not many.texts
    assert len(figures.confusion(np.eye(figures.LABELLED, dtype=int), ["x"] * figures.LABELLED).axes[0].texts) == 25


def test_runs_side_by_side():
    loss, kind, gain = figures.compare({"one": [*TRAIN, *HELD], "two": TRAIN}).axes
    assert [panel.get_title() for panel in (loss, kind, gain)] == ["training loss", "kind", "gain"]
    assert drawn(loss) == dict.fromkeys(("one", "two"), ([1, 2], [2.0, 1.0]))
    assert colors(loss) == {"one": figures.BLUE, "two": figures.ORANGE}
    assert drawn(kind) == {"one": ([1, 2], [0.45, 0.55])}, "without the best constant"
    assert {panel.get_xlabel() for panel in (loss, kind, gain)} == {"step"}
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["one", "two"]


def test_figure_4_by_its_numbers():
    boundary = np.array([True, False, False, True, False])
    change = np.array([0.9, 0.2, 0.3, 0.7, 0.25])
    found = Differences(change, boundary, np.linspace(0, 1, 8), np.linspace(0, 0.5, 8), 3)
    at, elsewhere, spread, bar = figures.figure4({"a.h5": found}).axes
    sides = ((at, found.at_boundary_F), (elsewhere, found.elsewhere_F))
    titles = ("at boundaries: mean 0.5000\n2 pairs of snippets", "elsewhere: mean 0.2500\n3 pairs of snippets")
    for (panel, values), title in zip(sides, titles):
        (image,) = panel.get_images()
        assert image.get_array().tolist() == values.reshape(2, 4).tolist()
        assert image.get_clim() == (0, pytest.approx(np.quantile(found.at_boundary_F, 0.995)))
        assert panel.get_title() == title
        assert len(panel.get_xticks()) == len(panel.get_yticks()) == 0
    assert at.get_ylabel() == "a.h5"
    assert bar.get_ylabel() == "mean |difference| of a feature"
    value, low, high = found.auc
    assert spread.get_title() == f"3 videos, AUC {value:.3f} (95 %: {low:.3f}–{high:.3f}; chance 0.5)"
    assert spread.get_xlabel() == "mean |difference| of consecutive snippets (dashed: medians)"
    assert spread.get_ylabel() == "% of pairs"
    assert [line.get_xdata()[0] for line in spread.get_lines()] == [0.25, pytest.approx(0.8)]
    heights = [sum(bar.get_height() for bar in group) for group in spread.containers]
    assert heights == [pytest.approx(100)] * 2
    assert [text.get_text() for text in spread.get_legend().get_texts()] == ["elsewhere", "at boundaries"]


def test_a_page_of_markdown():
    config = {"task": "bsp", "encoder": {"name": "small|er"}, "machine": {"cores": 2}, "versions": {"torch": "2"}}
    config["commit"] = "0123456789abcdef"
    summary = {"status": "finished", "steps": 9, "samples_per_second": 12.345, "limited_by": "decoding"}
    text = markdown({"a<b": RunFiles(HELD, config, summary), "none": RunFiles([], {}, {})})
    first, second = text.split("## none")
    assert first.splitlines() == [
        "## a&lt;b: bsp with small\\|er",
        "",
        *(f"- {sentence}" for sentence in verdict(RunFiles(HELD, config, summary))),
        "",
        "| score | held out | 95 % interval | best constant |",
        "|---|---|---|---|",
        "| kind | 0.55 | 0.4–0.6 | 0.3 |",
        "| gain | -0.55 | 0.4–0.6 | ? |",
        "",
        "9 steps on 2 CPU cores; 12.3 samples/s; limited by decoding; commit 0123456789; torch 2",
        "",
    ]
    assert second.splitlines()[0] == ": run with an encoder"
    assert "? steps on ? CPU cores; ? samples/s; limited by ?; commit None" in second
    on_gpu = markdown({"a": RunFiles([], {"machine": {"gpu": "H100", "cores": 4}}, {})})
    assert "steps on H100;" in on_gpu


def test_intervals_need_both_their_ends():
    score = {"value": 0.9, "low": 0.8, "high": None, "constant": 0.5}
    found = RunFiles([{"step": 9, "validation": {"kind": score}}], {}, {"status": "finished"})
    assert verdict(found) == ["kind was learned: 0.900 held out, where always answering the same gives 0.500."]


@pytest.mark.parametrize(
    ("values", "rising"),
    [
        ((0.5, 0.5, 0.52), True), ((0.5, 0.5, 0.5199), False), ((0.5, 0.9), False),
        ((0.1, 0.2, 0.3, 0.4, 0.9, 0.5), False),
        ((0.1, 0.2, 0.3, 0.4, 0.41, 0.43), True), ((0.1, 0.2, 0.3, 0.4, 0.405, 0.41), False),
    ],
)  # fmt: skip
def test_what_was_still_rising(values, rising):
    """Better in the last third of the validations than ever before, by 0.02 at least, and best at the end."""
    rows = [{"step": k, "validation": {"x": {"value": value, "constant": 0.0}}} for k, value in enumerate(values)]
    rows.insert(1, {"step": 0, "loss": 1.0})
    sentences = verdict(RunFiles(rows, {}, {"status": "finished"}))
    assert any("still rising" in sentence for sentence in sentences) == rising
