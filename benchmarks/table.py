"""The tables of docs/benchmarks.md, and its picture, from the JSON files: `python -m benchmarks.table`

Shown are the ratios, the rows whose unit is ×: how many times as fast as a peer, and, in a table of its own, a training
step by the same step on a frozen batch. There is a column for each kind of device that was measured: without a JSON of
a GPU none for GPUs, and one sentence at README's beginning says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import common

PAGE = common.ROOT.parent / "docs" / "benchmarks.md"
PICTURE = common.ROOT.parent / "docs" / "benchmarks.png"
SIX = PICTURE.with_name("six.png")
SHOWN = {  # in README's picture, what was lost among them: row → what it says
    "8×224², float32: render against torch uint8, clips": "render a batch 8 × 224², against torch's uint8 pipeline",
    "actions: reuse 1 against DataLoader": "files to batches, against DataLoader with torchcodec",
    "actions: reuse 8 against DataLoader": "the same, each window shown eight times",
    "crossfade, 16×16×3×224²: gpuaug against torch compiled, the best peer": "crossfade at 224², against torch.compile",
    "concatenate, 16×16×3×112²: gpuaug against NumPy, the best peer": "concatenate at 112², against NumPy",
    "GOP 30, 16 frames, native: gpuaug, known against torchcodec, known": "decode at native size, against torchcodec",
}
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
DEVICES = {"cpu": "CPU", "cuda": "GPU"}  # by the end of a suite's name
STEP = ", step / step on a frozen batch"  # how training.py ends the names of its ratios


def records() -> list[dict[str, Any]]:
    """What the JSON files hold, in the order of their paths."""
    return [json.loads(p.read_text(encoding="utf-8")) for p in sorted((common.ROOT / "results").rglob("*.json"))]


def table(found: list[dict[str, Any]]) -> str:
    """The table in Markdown, between its marks.

    >>> row = {"name": "render", "unit": "×", "median": 2.5, "iqr": 0.1, "n": 9}
    >>> print(table([{"suite": "a_cpu", "machine": "m", "commit": "c", "results": [row]}]))
    <!-- benchmarks -->
    | suite | what | times as fast: CPU | IQR, n | machine, commit |
    |---|---|---|---|---|
    | a | render | 2.50 | 0.10, 9 | m, c |
    <!-- /benchmarks -->
    """
    devices = _devices(found)
    rows = [
        [record["suite"].rpartition("_")[0], row["name"], *_cells(record, row, devices)]
        for record, row in ratios(found)
    ]
    return marked(BEGIN, ["suite", "what", *_heads("times as fast", devices), "IQR, n", "machine, commit"], rows, END)


def steps(found: list[dict[str, Any]]) -> str:
    """The table of training steps in Markdown, between its marks; "" where none was measured.

    >>> row = {"name": "r3d, batch 4: reuse 8" + STEP, "median": 1.01, "iqr": 0.1, "n": 4, "limit": "encoder"}
    >>> print(steps([{"suite": "training_cpu", "machine": "m", "commit": "c", "results": [row]}]))
    <!-- steps -->
    | training | step with synthesis / step on a frozen batch: CPU | IQR, n | machine, commit | limit |
    |---|---|---|---|---|
    | r3d, batch 4: reuse 8 | 1.01 | 0.10, 4 | m, c | encoder |
    <!-- /steps -->
    """
    devices = _devices(found)
    rows = [
        [row["name"].removesuffix(STEP), *_cells(record, row, devices), row["limit"]]
        for record in found
        for row in record["results"]
        if row["name"].endswith(STEP)
    ]
    names = ["training", *_heads("step with synthesis / step on a frozen batch", devices), "IQR, n", "machine, commit"]
    return marked("<!-- steps -->", [*names, "limit"], rows, "<!-- /steps -->") if rows else ""


def measured_on_gpu(found: list[dict[str, Any]]) -> bool:
    """Is there a result of a GPU?"""
    return "GPU" in _devices(found)


def _devices(found: list[dict[str, Any]]) -> list[str]:
    """What was measured, of "CPU" and "GPU"; suites that name no device, such as the study, do not count."""
    kinds = {record["suite"].rpartition("_")[2] for record in found}
    return [name for kind, name in DEVICES.items() if kind in kinds]


def _heads(what: str, devices: list[str]) -> list[str]:
    return [f"{what}: {name}" if i == 0 else name for i, name in enumerate(devices)]


def _cells(record: dict[str, Any], row: dict[str, Any], devices: list[str]) -> list[str]:
    mine = DEVICES[record["suite"].rpartition("_")[2]]
    values = [f"{row['median']:.2f}" if name == mine else "" for name in devices]
    return [*values, f"{row['iqr']:.2f}, {row['n']}", f"{record['machine']}, {record['commit']}"]


def marked(begin: str, head: list[str], rows: list[list[str]], end: str) -> str:
    """A table in Markdown between two lines, by which `put` finds it again."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([begin, lines[0], "|---" * len(head) + "|", *lines[1:], end])


def ratios(found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(record, row) of every ratio to a peer."""
    return [(record, row) for record in found for row in record["results"] if row["unit"] == "×" and "limit" not in row]


def put(text: str, new: str) -> str:
    """`text` with `new` in the place of what stands between its first and last line; at the end where they are not."""
    begin, end = new.splitlines()[0], new.splitlines()[-1]
    if begin not in text:
        return f"{text.rstrip()}\n\n{new}\n"
    return text[: text.index(begin)] + new + text[text.index(end) + len(end) :]


def six(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows of `SHOWN` by what they say. Errors: ValueError where one was not measured."""
    rows = {row["name"]: row for _, row in ratios(found)}
    if missing := SHOWN.keys() - rows.keys():
        raise ValueError(f"README's picture must be of rows that were measured, not {', '.join(sorted(missing))}")
    return {text: rows[name] for name, text in SHOWN.items()}


def draw(named: dict[str, dict[str, Any]], path: Path, *, width: float = 11.0) -> None:
    """A bar per ratio with its interquartile range, from 1 on, on a logarithmic scale: half is as long as twice."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = list(named.values())[::-1]
    figure, axes = pyplot.subplots(figsize=(width, 1 + 0.25 * len(rows)), layout="constrained")
    colors = ["tab:blue" if row["median"] >= 1 else "tab:orange" for row in rows]
    ranges = [row["iqr"] / 2 for row in rows]
    bars = axes.barh(list(named)[::-1], [row["median"] - 1 for row in rows], left=1, xerr=ranges, color=colors)
    axes.bar_label(bars, [f"{row['median']:.2g}" for row in rows], padding=6, fontsize=8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color="black", linewidth=1)
    axes.grid(axis="x", alpha=0.3)
    axes.margins(y=0.01)
    axes.margins(x=0.12)
    axes.set_xlabel("times as fast as the peer, 1: equal\n(median and interquartile range; orange: slower)", fontsize=8)
    axes.tick_params(labelsize=8)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def main() -> int:
    found = records()
    if not found:
        raise SystemExit("error: benchmarks/results holds no JSON; run python -m benchmarks first")
    text = put(PAGE.read_text(encoding="utf-8"), table(found))
    PAGE.write_text(put(text, steps(found)) if steps(found) else text, encoding="utf-8")
    draw({f"{r['suite'].rpartition('_')[0]}: {row['name']}": row for r, row in ratios(found)}, PICTURE)
    draw(six(found), SIX, width=9.0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
