"""The pictures of a run: Figure 4 of BSP, training curves, where the time went, confusion matrices.

Every function returns a matplotlib Figure; `save` writes it as PNG. Nothing here needs a display.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..common.files import atomic, readable, sweep
from .feature_change import Differences

BLUE, ORANGE, GREEN, RED, VIOLET, GRAY = "#3b6fb6", "#e08a1e", "#4f9d69", "#b0413e", "#7d5ba6", "#6b7a8f"
COLORS = (BLUE, ORANGE, GREEN, RED, VIOLET, GRAY)
PANELS, TOGETHER = 24, 4  # scores that are drawn, accuracies in one panel
LETTERS, CLASS_LETTERS = 20, 60  # of a score's name, of a class's
LABELLED = 25  # classes; beyond, a confusion matrix has neither names nor numbers
Row = Mapping[str, Any]


def figure4(sets: Mapping[str, Differences]) -> Figure:
    """Per set of features: mean change at boundaries and elsewhere as matrices, and how the changes are distributed."""
    figure = Figure(figsize=(12, 3.4 * len(sets)), layout="constrained")
    panels = figure.subplots(len(sets), 3, squeeze=False, width_ratios=(1, 1, 1.7))
    for line, (name, found) in zip(panels, sets.items()):
        matrices = [matrix(found.at_boundary_F), matrix(found.elsewhere_F)]
        top = max(float(np.quantile(each, 0.995)) for each in matrices)
        counts = [int(found.boundary_P.sum()), int((~found.boundary_P).sum())]
        for panel, values, kind, count in zip(line, matrices, ("at boundaries", "elsewhere"), counts):
            image = panel.imshow(values, cmap="magma", vmin=0, vmax=top, aspect="equal", interpolation="nearest")
            panel.set_title(f"{kind}: mean {values.mean():.4f}\n{count:,} pairs of snippets", size=10)
            panel.set_xticks([])
            panel.set_yticks([])
        line[0].set_ylabel(readable(name), size=11, parse_math=False)
        figure.colorbar(image, ax=list(line[:2]), shrink=0.85, label="mean |difference| of a feature")
        _histogram(line[2], found)
    return figure


def matrix(values_F: NDArray[np.float64]) -> NDArray[np.float64]:
    """The features as a matrix no higher than wide, of two equal sides as far as F allows (512: 16 × 32).

    >>> matrix(np.zeros(512)).shape, matrix(np.zeros(2048)).shape, matrix(np.zeros(7)).shape
    ((16, 32), (32, 64), (1, 7))
    """
    rows = next(r for r in range(int(len(values_F) ** 0.5), 0, -1) if len(values_F) % r == 0)
    return values_F.reshape(rows, -1)


def _histogram(panel: Any, found: Differences) -> None:
    kinds = (found.change_P[~found.boundary_P], found.change_P[found.boundary_P])
    high = max(float(np.quantile(kind, 0.995)) for kind in kinds)
    count = int(np.clip(2 * len(kinds[1]) ** 0.5, 8, 40))
    bins = np.linspace(0, high if high > 0 else 1.0, count + 1)
    for values, color, name in zip(kinds, (BLUE, ORANGE), ("elsewhere", "at boundaries")):
        percent = np.full(len(values), 100 / len(values))
        panel.hist(np.minimum(values, bins[-1]), bins, weights=percent, color=color, alpha=0.6, label=name)
        panel.axvline(float(np.median(values)), color=color, lw=1.5, ls="--")
    value, low, up = found.auc
    panel.set_title(f"{found.videos} videos, AUC {value:.3f} (95 %: {low:.3f}–{up:.3f}; chance 0.5)", size=10)
    panel.set(xlabel="mean |difference| of consecutive snippets (dashed: medians)", ylabel="% of pairs")
    panel.legend(frameon=False)
    _tidy(panel)


def curves(rows: Sequence[Row]) -> Figure:
    """Loss, accuracies and other scores, in training and held out, and the learning rate, over the steps of a log."""
    train = [row for row in rows if "loss" in row]
    held = [row for row in rows if "validation" in row]
    scores = _scores(held)
    accuracies = [name for name in scores if "confusion" in held[-1]["validation"][name]][:TOGETHER]
    others = [name for name in scores if name not in accuracies]
    parts = ["loss", *(["accuracy"] if accuracies else []), *others, "lr"]
    figure = Figure(figsize=(4.6 * min(3, len(parts)), 3.3 * -(-len(parts) // 3)), layout="constrained")
    panels = figure.subplots(-(-len(parts) // 3), min(3, len(parts)), squeeze=False).ravel()
    for panel in panels[len(parts) :]:
        panel.remove()
    for panel, part in zip(panels, parts):
        if part in ("loss", "lr"):
            _line(panel, train, part, GRAY if part == "lr" else BLUE, "training", held=False)
        if part == "loss":
            points = [(row["step"], row["validation"]["loss"]) for row in held if "loss" in row["validation"]]
            panel.plot(*zip(*points), "o-", color=ORANGE, ms=4, label="held out") if points else None
        for k, name in enumerate(accuracies if part == "accuracy" else [part] if part in others else []):
            color = COLORS[k % len(COLORS)]
            _line(panel, train, name, color, f"{_text(name)}: training", held=True)
            _band(panel, held, name, color)
        panel.set(xlabel="step", title={"lr": "learning rate"}.get(part, _text(part)))
        if part == "accuracy":
            panel.set_ylim(0, 1)
        if not panel.get_legend_handles_labels()[0] or part == "lr":
            pass
        elif part == "accuracy":  # below, in a column for each score: the lines fill the panel
            panel.legend(
                frameon=False, fontsize=8, ncols=min(2, len(accuracies)), loc="upper center", bbox_to_anchor=(0.5, -0.2)
            )
        else:
            panel.legend(frameon=False, fontsize=8)
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        _tidy(panel)
    return figure


def _text(name: str) -> str:
    """A score's name as a label: short, and no formula."""
    return (name if len(name) <= LETTERS else f"{name[:LETTERS]}…").replace("$", r"\$")


def _scores(held: Sequence[Row]) -> list[str]:
    """Names of what validations measure beside the loss, as many as a picture has room for."""
    last = held[-1]["validation"] if held else {}
    return [name for name, value in last.items() if isinstance(value, Mapping)][:PANELS]


def _line(panel: Any, train: Sequence[Row], name: str, color: str, label: str, *, held: bool) -> None:
    points = [(row["step"], row[name]) for row in train if row.get(name) is not None]
    if points:
        how = {"alpha": 0.45, "lw": 1.2} if held else {"lw": 1.5}
        panel.plot(*zip(*points), "." if len(points) == 1 else "-", color=color, label=label, **how)


def _band(panel: Any, held: Sequence[Row], name: str, color: str, *, label: str = "", constant: bool = True) -> None:
    """A held-out score with its 95 % interval, and the best constant answer where there is one."""
    points = [(row["step"], row["validation"].get(name)) for row in held]
    points = [(step, each) for step, each in points if isinstance(each, Mapping) and each["value"] is not None]
    if not points:
        return
    steps = [step for step, _ in points]
    panel.plot(
        steps,
        [each["value"] for _, each in points],
        "o-",
        color=color,
        ms=4,
        label=label or f"{_text(name)}: held out, 95 %",
    )
    ends = [(each["low"], each["high"]) for _, each in points]
    if all(end is not None and np.isfinite(end) for pair in ends for end in pair):
        panel.fill_between(steps, *zip(*ends), color=color, alpha=0.15, lw=0)
    if constant and "constant" in points[-1][1]:
        panel.axhline(points[-1][1]["constant"], color=color, lw=1, ls=":", label=f"{_text(name)}: best constant")


def speed(rows: Sequence[Row]) -> Figure:
    """What a step's time goes into, samples per second, and echo (samples per decoded window), over the steps."""
    train = [row for row in rows if "step_ms" in row]
    figure = Figure(figsize=(13.8, 3.3), layout="constrained")
    time, rate, echo = figure.subplots(1, 3)
    steps = [row["step"] for row in train]
    wait = np.array([row["wait_ms"] for row in train])
    feed = np.array([row.get("feed_ms", row["wait_ms"]) for row in train]) - wait
    encoder = np.array([row["encoder_ms"] for row in train])
    names = ("encoder", "plans and rendering", "waiting for frames")
    time.stackplot(steps, encoder, np.maximum(feed, 0), wait, labels=names, colors=(BLUE, GREEN, ORANGE), alpha=0.75)
    time.plot(steps, [row["step_ms"] for row in train], color="#1d2530", lw=1, label="step")
    time.set(title="time of a step", ylabel="ms", ylim=(0, None))
    time.legend(fontsize=8, loc="lower right", framealpha=0.85, edgecolor="none")
    rate.plot(steps, [row["samples_per_second"] for row in train], color=BLUE)
    rate.set(title="samples per second", ylim=(0, None))
    echo.plot(steps, [row["echo"] for row in train], color=VIOLET)
    echo.set(title="echo: windows rendered per window decoded", ylim=(0, None))
    for panel in (time, rate, echo):
        panel.set_xlabel("step")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        _tidy(panel)
    return figure


def confusion(counts_CC: Any, names: Sequence[str], title: str = "") -> Figure:
    """Confusion matrix: rows are the truth, columns the prediction, colours fractions of the row, numbers counts."""
    counts = np.asarray(counts_CC)
    total = counts.sum(1, keepdims=True)
    fraction = counts / np.where(total > 0, total, 1)
    c = len(counts)
    side = max(3.2, min(9.0, 1.6 + 0.48 * c))
    figure = Figure(figsize=(side + 1.6, side), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    panel = figure.subplots()
    image = panel.imshow(fraction, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=panel, shrink=0.8, label="fraction of the true class")
    panel.set(xlabel="prediction", ylabel="truth")
    panel.set_title(title[:CLASS_LETTERS], size=10, parse_math=False)
    names = [f"{name}"[:CLASS_LETTERS] for name in names]
    if c <= LABELLED:
        text: dict[str, Any] = {"parse_math": False}  # names may hold a $
        panel.set_xticks(range(c), names, rotation=90 if max(map(len, names)) > 4 else 0, **text)
        panel.set_yticks(range(c), [f"{name} ({n})" for name, n in zip(names, total[:, 0])], **text)
        for i, j in np.argwhere(counts > 0):
            color = "white" if fraction[i, j] > 0.55 else "#1d2530"
            panel.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=color, size=9 if c <= 12 else 7)
    return figure


def compare(runs: Mapping[str, Sequence[Row]]) -> Figure:
    """Loss in training and every held-out score of several runs over their steps, a colour each."""
    held = {run: [row for row in rows if "validation" in row] for run, rows in runs.items()}
    names = list(dict.fromkeys(name for rows in held.values() for name in _scores(rows)))[:PANELS]
    width, height = min(3, 1 + len(names)), -(-(1 + len(names)) // 3)
    figure = Figure(figsize=(4.6 * width, 3.5 * height), layout="constrained")
    panels = figure.subplots(height, width, squeeze=False).ravel()
    for panel in panels[1 + len(names) :]:
        panel.remove()
    for panel, name in zip(panels, ["training loss", *names]):
        for k, (run, rows) in enumerate(runs.items()):
            color, label = COLORS[k % len(COLORS)], _text(readable(run))
            if panel is panels[0]:
                _line(panel, rows, "loss", color, label, held=False)
            else:
                _band(panel, held[run], name, color, label=label, constant=False)
        panel.set(xlabel="step", title=_text(name))
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if panel.get_legend_handles_labels()[0]:
            panel.legend(frameon=False, fontsize=8)
        _tidy(panel)
    return figure


def svg(figure: Figure) -> str:
    """The figure as SVG, the same text every time."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "gpuaug"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def save(figure: Figure, path: Path, *, dpi: int = 110) -> Path:
    """Write the figure as PNG."""
    sweep(path)
    with atomic(path) as part:
        figure.savefig(part, dpi=dpi, format="png")
    return path


def _tidy(panel: Any) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="#dde2e8", lw=0.7)
    panel.set_axisbelow(True)
