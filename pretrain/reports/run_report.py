"""`python -m pretrain report RUN`: one self-contained page of a run, with its pictures also as PNG files.

Training curves, held-out accuracies and confusion matrices, how fast it was and what limited it, the configuration;
with features and annotations of untrimmed videos also Figure 4 of BSP.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from . import figures
from .feature_change import Differences
from .samples import STYLE

MORE_STYLE = """
table { border-collapse: collapse; font-size: 13px; margin: 4px 0 12px } td, th { text-align: left; padding: 3px 14px
3px 0; border-bottom: 1px solid #e6eaef; vertical-align: top } th { color: #667; font-weight: normal }
td.n { text-align: right; font-variant-numeric: tabular-nums } section img { max-width: 100%; height: auto }
summary { cursor: pointer; color: #3b6fb6 } p { margin: 6px 0 10px } section div.side { display: flex; flex-wrap: wrap }
code { font-size: 12px; overflow-wrap: anywhere }
"""
WIDEST = 200  # classes of a confusion matrix; beyond, there is no picture


def write(run: Path, out: Path, sets: Mapping[str, Differences]) -> Path:
    """Write the page of a run folder and its pictures; the page's path.

    Errors (ValueError): no log in the folder, or a file in it that cannot be read.
    """
    rows = read_log(run / "log.jsonl")
    config, summary = _read(run / "config.json"), _read(run / "summary.json")
    folder = out.parent / "figures"
    train = [row for row in rows if "step_ms" in row]
    held: dict[str, Any] = next((row["validation"] for row in reversed(rows) if "validation" in row), {})
    parts = [_section("Held out", _held_out(held))] if held else []
    parts.append(_section("Curves", _picture(figures.curves(rows), folder / "curves.png")))
    matrices = []
    for name, value in held.items():
        if isinstance(value, Mapping) and 1 < len(value.get("confusion", ())) <= WIDEST:
            names = config.get("names", {}).get(name) or [str(i) for i in range(len(value["confusion"]))]
            figure = figures.confusion(value["confusion"], names, f"{name}, accuracy {_number(value['value'])}")
            matrices.append(_picture(figure, folder / f"confusion_{name}.png"))
    if matrices:
        parts.append(_section("Confusion", f"<div class=side>{''.join(matrices)}</div>", "held out, last validation"))
    if sets:
        parts.append(_section("Change of features at boundaries", _figure4(sets, folder), "Figure 4 of BSP"))
    if train:
        parts.append(_section("Speed", _speed(summary) + _picture(figures.speed(train), folder / "speed.png")))
    lost = [*summary.get("skipped", []), *((f["path"], f["reason"]) for f in summary.get("failures", []))]
    if lost:
        parts.append(_section(f"{len(lost)} videos or windows could not be used", _table(lost)))
    parts.append(_section("Configuration", _config(config)))
    encoder = config.get("encoder", {}).get("name", "an encoder")
    title = f"{str(config.get('task', 'run')).upper()} with {encoder}"
    page = f"<h1>{html.escape(title)}</h1><p class=lead>{html.escape(_lead(run, config, summary, rows))}</p>"
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}{MORE_STYLE}</style>'
    out.parent.mkdir(parents=True, exist_ok=True)
    body = "\n".join([page, *parts])
    out.write_text(f'<!doctype html><html lang="en">{head}\n{body}\n</html>\n', encoding="utf-8")
    return out


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a half-written last line, as a kill leaves it, is left out."""
    if not path.exists():
        raise ValueError(f"run must be a folder with the log of a training run, there is no {path}")
    rows = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"{path}: line {number} must be JSON ({error.msg})") from None
    if not rows:
        raise ValueError(f"{path} must have at least one row: the run has not logged anything yet")
    return rows


def _lead(run: Path, config: Mapping[str, Any], summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    status = summary.get("status", "not finished, or killed")
    step = summary.get("steps", rows[-1].get("step", 0))
    parts = [f"{run.name}: {status} after {step:,} steps"]
    if "samples" in summary:
        minutes = summary["seconds"] / 60
        parts.append(f"{summary['samples']:,} samples in {minutes:.1f} minutes of training")
        videos = f"{summary['training_videos']} training and {summary['held_out_videos']} held-out videos"
        parts.append(videos)
    machine = config.get("machine", {})
    device = machine.get("gpu") or f"{machine.get('cores', '?')} CPU cores"
    parts.append(f"{config.get('world', 1)} × {device}" if machine.get("gpu") else device)
    parts.append(f"commit {str(config.get('commit'))[:10]}")
    return " · ".join(parts)


def _held_out(held: Mapping[str, Any]) -> str:
    """Scores with intervals, then accuracies per class."""
    rows = [["score", "value", "95 % interval", "samples", "best constant answer"]]
    rows.append(["loss", _number(held.get("loss")), "", "", ""])
    each = []
    for name, value in held.items():
        if isinstance(value, Mapping):
            rows.append([name, *_interval(value), _number(value.get("constant"))])
            classes = value.get("classes", {})
            if len(classes) > 1:
                inner = [["class", "accuracy", "95 % interval", "samples"]]
                inner += [[label, *_interval(score)] for label, score in classes.items()]
                each.append(
                    f"<details><summary>{html.escape(name)} per class</summary>{_table(inner, head=True)}</details>"
                )
    return _table(rows, head=True) + "".join(each)


def _interval(score: Mapping[str, Any]) -> list[str]:
    low, high = score.get("low"), score.get("high")
    between = f"{low:.3f}–{high:.3f}" if low is not None and high is not None else ""
    return [_number(score.get("value")), between, str(score.get("samples", ""))]


def _figure4(sets: Mapping[str, Differences], folder: Path) -> str:
    text = (
        "How much the features of consecutive snippets differ (features scaled to unit length), where an action starts "
        "or ends between the snippets' middles, and elsewhere. An encoder that is sensitive to boundaries changes more "
        "at them: brighter left matrices, histograms that stand apart, an AUC (of telling the two apart by the mean "
        "difference alone) well above 0.5. The interval takes pairs as independent."
    )
    rows = [["features", "AUC", "95 % interval", "at boundaries", "elsewhere", "ratio"]]
    for name, found in sets.items():
        value, low, high = found.auc
        at, rest = found.at_boundary_F.mean(), found.elsewhere_F.mean()
        ratio = f"{at / rest:.2f}" if rest else ""
        rows.append([name, f"{value:.3f}", f"{low:.3f}–{high:.3f}", f"{at:.4f}", f"{rest:.4f}", ratio])
    return f"<p>{text}</p>{_table(rows, head=True)}{_picture(figures.figure4(sets), folder / 'figure4.png')}"


def _speed(summary: Mapping[str, Any]) -> str:
    """What limited the run, in words and numbers."""
    if "limited_by" not in summary:
        return ""
    share = summary["share_of_time"]
    advice = {
        "decoding": "more decoding threads, videos nearer to the training size, or more echo (--reuse-max, --bank-gib)",
        "rendering": "a smaller --size, or fewer samples per step",
        "the encoder": "a faster device, --precision bf16, --compile; decoding has time to spare",
    }[summary["limited_by"]]
    rows = [
        ["samples per second", _number(summary["samples_per_second"])],
        ["encoder: forward, backward, update", f"{100 * share['encoder']:.1f} % of the time"],
        ["plans and rendering", f"{100 * share['render']:.1f} %"],
        ["waiting for decoded frames", f"{100 * share['wait']:.1f} %"],
        ["windows decoded", f"{summary['decoded_windows']:,}"],
        ["windows rendered", f"{summary['rendered_windows']:,}"],
        ["echo: rendered per decoded", _number(summary["echo"])],
        ["bank", f"{summary['slots']:,} windows, {summary['bank_bytes'] / 2**20:,.0f} MiB"],
    ]
    limit = html.escape(str(summary["limited_by"]))
    return f"<p>Limited by <b>{limit}</b>. What would help: {html.escape(advice)}.</p>{_table(rows)}"


def _config(config: Mapping[str, Any]) -> str:
    flags = config.get("flags", {})
    rest = {name: value for name, value in config.items() if name not in ("flags", "names", "classes", "empty_classes")}
    empty = config.get("empty_classes", [])
    classes = [name for name in config.get("classes", []) if name not in empty]
    lacking = f"; nothing to train on of {', '.join(empty)}" if empty else ""
    text = f"{len(classes)} classes: {', '.join(classes)}{lacking}"
    listed = f"<p>{html.escape(text)}</p>" if classes else ""
    tables = "".join(
        f"<details><summary>{title}</summary>{_table([(k, json.dumps(v)) for k, v in part.items()])}</details>"
        for title, part in (("flags", flags), ("model, versions, machine", rest))
    )
    return listed + tables


def _section(title: str, content: str, note: str = "") -> str:
    small = f"<small>{html.escape(note)}</small>" if note else ""
    return f"<section><h2>{html.escape(title)}{small}</h2>{content}</section>"


def _table(rows: Iterable[Sequence[Any]], *, head: bool = False) -> str:
    lines = []
    for i, row in enumerate(rows):
        cell = "th" if head and i == 0 else "td"
        lines.append("<tr>" + "".join(f"<{cell}>{html.escape(str(value))}</{cell}>" for value in row) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def _picture(figure: Figure, path: Path) -> str:
    """Save the figure, and show it in the page."""
    data = base64.b64encode(figures.save(figure, path).read_bytes()).decode()
    width = round(figure.get_figwidth() * 75)
    return f'<img width={width} alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}">'


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of the run; {} if the run ended before it was written."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON ({error.msg})") from None
