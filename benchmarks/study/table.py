"""The study's numbers as tables, claims and a picture.

`python -m benchmarks.study.table` writes those of the saved JSON into docs/study.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pretrain.common.statistics import Interval, mean_interval

from .. import common
from .. import table as benchmarks

Rows = dict[str, list[dict[str, Any]]]  # row: what `Study.run` returns, one per seed

SHOWN = ("average mAP", "AUC", "frame AP")
# average mAP of G-TAD on ActivityNet-1.3: BSP's Tables 4 and 5 (ResNet-18; regression is that of ds), PAL's best with
# I3D, TSP's with R(2+1)D-34. Encoders, data and lengths of training differ between the papers.
PAPER = {
    "random": 25.58,
    "vanilla": 33.59,
    "BSP regression": 28.77,
    "BSP regression dc": 26.56,
    "BSP dc ss": 29.17,
    "BSP sc ss": 29.09,
    "BSP ds ss": 29.75,
    "BSP": 29.97,
    "two-head": 33.54,
    "distillation": 33.74,
    "two-stream": 33.96,
    "PAL": 32.8,
    "TSP without GVF": 35.75,
    "TSP": 35.81,
}
DOCS = common.ROOT.parent / "docs"


def numbers(detection: dict[str, Any], proposals: dict[str, Any], steps: dict[str, Any]) -> dict[str, float]:
    """The study's numbers in %, by name, from the JSON of the three evaluations."""
    found = {f"mAP@{t:g}": detection["map"][i] for i, t in enumerate(detection["thresholds"]) if t in (0.5, 0.75, 0.95)}
    found["average mAP"] = detection["average_map"]
    found |= {f"AR@{an}": float(np.interp(an, proposals["an"], proposals["ar"])) for an in (10, 100)}
    found |= {"AUC": proposals["auc"], "frame AP": steps["average_precision"]}
    for bucket, values in detection["by_length"]["seconds"].items():
        if None not in values:
            found[f"mAP {bucket} s"] = float(np.mean(values))
    return {name: 100 * value for name, value in found.items()}


def intervals(rows: Rows) -> dict[str, dict[str, Interval]]:
    """{row: {number: mean over the seeds and its 95 % interval}}."""
    return {
        row: {name: mean_interval([run["numbers"][name] for run in runs]) for name in runs[0]["numbers"]}
        for row, runs in rows.items()
    }


def results(rows: Rows) -> list[dict[str, Any]]:
    """The same as rows of a benchmark's JSON."""
    found = []
    for row, runs in rows.items():
        for name, interval in intervals(rows)[row].items():
            values = np.array([run["numbers"][name] for run in runs])
            mean = {"mean": interval.value, "low": interval.low, "high": interval.high}
            found.append({"name": f"{row}: {name}", "unit": "%", **common.summary(values), **mean})
    return found


def table(rows: Rows) -> str:
    """Markdown: mean over the seeds ± half the 95 % interval, in %, and the papers' own average mAP.

    >>> run = {"numbers": {"AUC": 40.0}}
    >>> print(table({"vanilla": [run, {"numbers": {"AUC": 42.0}}, {"numbers": {"AUC": 41.0}}]}))
    | pre-training | AUC | paper's average mAP |
    |---|---|---|
    | vanilla | 41.0 ± 2.5 | 33.59 |
    """
    found = intervals(rows)
    names = list(next(iter(found.values())))
    lines = ["| " + " | ".join(["pre-training", *names, "paper's average mAP"]) + " |", "|---" * (len(names) + 2) + "|"]
    for row, values in found.items():
        cells = [_shown(values[name]) for name in names]
        lines.append(f"| {row} | {' | '.join(cells)} | {PAPER[row]} |")
    return "\n".join(lines)


def tasks(rows: Rows) -> str:
    """Markdown: what each network learned of its own task on held-out videos, per seed with its 95 % interval."""
    lines = ["| pre-training | task | each seed: held out, 95 % interval | chance or constant |", "|---|---|---|---|"]
    for row, runs in rows.items():
        for name in runs[0]["task"]:
            each = [run["task"][name] for run in runs]
            cells = "; ".join(f"{one['value']:.3g} ({one['low']:.3g}–{one['high']:.3g})" for one in each)
            trivial = each[0].get("chance", each[0].get("constant"))
            lines.append(f"| {row} | {name} | {cells} | {'' if trivial is None else f'{trivial:.3g}'} |")
    return "\n".join(lines)


def claims(rows: Rows) -> str:
    """One line per claim: the difference of two rows, paired by seed, its 95 % interval, and whether it holds."""
    pairs = [("random", row) for row in rows if row != "random"] + [("vanilla", "two-stream")]
    lines = []
    for worse, better in pairs:
        if not {worse, better} <= rows.keys():
            continue
        for name in SHOWN[:2]:
            high, low = (np.array([run["numbers"][name] for run in rows[row]]) for row in (better, worse))
            gain = mean_interval(high - low)
            holds = "holds" if gain.low > 0 else "reversed" if gain.high < 0 else "open"
            text = f"{gain.value:+.1f}, {gain.low:+.1f} to {gain.high:+.1f}"
            lines.append(f"{better} over {worse}, {name}: {text}: {holds}")
    return "\n".join(lines)


def draw(rows: Rows, path: Path) -> None:
    """Three numbers of every row, each seed as a dot, the mean with its 95 % interval; beside them the papers'."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = intervals(rows)
    names, y = list(found)[::-1], np.arange(len(found))
    figure, axes = pyplot.subplots(1, 4, figsize=(13, 1.2 + 0.32 * len(names)), sharey=True, layout="constrained")
    for ax, shown in zip(axes, SHOWN):
        values = [found[row][shown] for row in names]
        mean = np.array([v.value for v in values])
        half = np.array([min(v.high - v.value, 100) for v in values])  # of one seed it has no end
        ax.set_xlim(0, 1.3 * mean.max())
        ax.errorbar(mean, y, xerr=half, fmt="o", color="tab:blue", markersize=5, capsize=3)
        for at, row in enumerate(names):
            seeds = [run["numbers"][shown] for run in rows[row]]
            ax.plot(seeds, [at] * len(seeds), ".", color="black", markersize=3)
        ax.set_title(f"{shown}, %", fontsize=10)
        if "random" in found:
            ax.axvline(found["random"][shown].value, color="grey", linewidth=1, linestyle=":")
    axes[3].plot([PAPER[row] for row in names], y, "D", color="tab:orange", markersize=5)
    axes[3].set_title("papers: average mAP, ActivityNet, %", fontsize=10)
    axes[0].set_yticks(y, names)
    for ax in axes:
        ax.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def saved() -> dict[str, Any] | None:
    """The newest saved record of a whole study, or None."""
    found = [record for record in benchmarks.records() if record["suite"] == "study"]
    return found[-1] if found else None


def publish(record: dict[str, Any]) -> None:
    """Write docs/study.png, and what stands between the marks in docs/study.md."""
    rows, facts = record["facts"]["rows"], record["facts"]
    about = (
        f"{facts['clips']} clips per pre-training, seeds {', '.join(map(str, facts['seeds']))}, "
        f"{facts['minutes']:.0f} minutes in all on {record['machine']}, commit {record['commit']}."
    )
    parts = [
        f"<!-- numbers -->\n{about} Mean over the seeds ± half its 95 % interval (Student's t), in %.",
        table(rows),
        "![The same as dots](study.png)",
        f"## What each network learned of its own task\n\n{tasks(rows)}",
        "## Claims\n\nDifferences of two rows, paired by seed, with their 95 % interval.",
        "\n".join(f"- {line}" for line in claims(rows).splitlines()),
    ]
    page = DOCS / "study.md"
    text = page.read_text(encoding="utf-8") if page.exists() else "# The study\n"
    page.write_text(benchmarks.put(text, "\n\n".join(parts) + "\n<!-- /numbers -->"), encoding="utf-8")
    draw(rows, DOCS / "study.png")


def _shown(interval: Interval) -> str:
    half = interval.high - interval.value
    return f"{interval.value:.1f}" + (f" ± {half:.1f}" if np.isfinite(half) else "")


if __name__ == "__main__":
    found = saved()
    if found is None:
        raise SystemExit("error: benchmarks/results holds no study; run python -m benchmarks.study.run --save first")
    publish(found)
