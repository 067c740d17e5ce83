"""One self-contained HTML page of a run, with its pictures also as PNG files.

Training curves, held-out accuracies and confusion matrices, how fast it was and what limited it, the configuration;
with features and annotations of untrimmed videos also Figure 4 of BSP.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from . import figures
from .feature_change import Differences
from .samples import PAGES

WIDEST = 200  # classes of a confusion matrix; beyond, there is no picture
ADVICE = {
    "decoding": "more decoding threads, videos nearer to the training size, or more echo (--reuse-max, --bank-gib)",
    "rendering": "a smaller --size, or fewer samples per step",
    "the encoder": "a faster device, --precision bf16, --compile; decoding has time to spare",
}
ALT = {
    "curves": "loss, scores and learning rate over the steps",
    "speed": "time of a step, samples per second and echo over the steps",
    "figure4": "how much the features change at boundaries and elsewhere",
}


class Picture(NamedTuple):
    """A picture inside the page; its width in CSS pixels."""

    uri: str
    width: int
    alt: str


def write(run: Path, out: Path, sets: Mapping[str, Differences]) -> Path:
    """Write the page of a run folder and its pictures; the page's path.

    Errors (ValueError): no log in the folder, or a file in it that cannot be read.
    """
    rows = read_log(run / "log.jsonl")
    config, summary = _read(run / "config.json"), _read(run / "summary.json")
    folder = out.parent / "figures"
    train = [row for row in rows if "step_ms" in row]
    held: dict[str, Any] = next((row["validation"] for row in reversed(rows) if "validation" in row), {})
    scores = {name: value for name, value in held.items() if isinstance(value, Mapping)}
    drawn = {"curves": figures.curves(rows)}
    if train:
        drawn["speed"] = figures.speed(train)
    if sets:
        drawn["figure4"] = figures.figure4(sets)
    confusions = []
    for name, value in scores.items():
        if 1 < len(value.get("confusion", ())) <= WIDEST:
            names = config.get("names", {}).get(name) or [str(i) for i in range(len(value["confusion"]))]
            figure = figures.confusion(value["confusion"], names, f"{name}, accuracy {_number(value['value'])}")
            alt = f"confusion matrix of {name}: a row per true class, a column per prediction"
            confusions.append(_picture(figure, folder / f"confusion_{name}.png", alt))
    page = PAGES.get_template("run.html.j2").render(
        title=f"{str(config.get('task', 'run')).upper()} with {config.get('encoder', {}).get('name', 'an encoder')}",
        lead=_lead(run, config, summary, rows),
        scores=[["loss", _number(held.get("loss")), "", "", ""]] * bool(held)
        + [[name, *_interval(value), _number(value.get("constant"))] for name, value in scores.items()],
        per_class={
            name: [[label, *_interval(score)] for label, score in value["classes"].items()]
            for name, value in scores.items()
            if len(value.get("classes", {})) > 1
        },
        pictures={name: _picture(figure, folder / f"{name}.png", ALT[name]) for name, figure in drawn.items()},
        confusions=confusions,
        changes=[_change(name, found) for name, found in sets.items()],
        limited_by=summary.get("limited_by"),
        advice=ADVICE,
        times=_times(summary) if "limited_by" in summary else [],
        lost=[*summary.get("skipped", []), *((f["path"], f["reason"]) for f in summary.get("failures", []))],
        classes=[name for name in config.get("classes", []) if name not in config.get("empty_classes", [])],
        empty=config.get("empty_classes", []),
        flags=_rows(config.get("flags", {})),
        setting=_rows(
            {k: value for k, value in config.items() if k not in ("flags", "names", "classes", "empty_classes")}
        ),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
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


def _interval(score: Mapping[str, Any]) -> list[str]:
    low, high = score.get("low"), score.get("high")
    between = f"{low:.3f}–{high:.3f}" if low is not None and high is not None else ""
    return [_number(score.get("value")), between, str(score.get("samples", ""))]


def _change(name: str, found: Differences) -> list[str]:
    value, low, high = found.auc
    at, rest = found.at_boundary_F.mean(), found.elsewhere_F.mean()
    ratio = f"{at / rest:.2f}" if rest else ""
    return [name, f"{value:.3f}", f"{low:.3f}–{high:.3f}", f"{at:.4f}", f"{rest:.4f}", ratio]


def _times(summary: Mapping[str, Any]) -> list[list[str]]:
    """What limited the run, in numbers."""
    fraction = summary["share_of_time"]
    return [
        ["samples per second", _number(summary["samples_per_second"])],
        ["encoder: forward, backward, update", f"{100 * fraction['encoder']:.1f} % of the time"],
        ["plans and rendering", f"{100 * fraction['render']:.1f} %"],
        ["waiting for decoded frames", f"{100 * fraction['wait']:.1f} %"],
        ["windows decoded", f"{summary['decoded_windows']:,}"],
        ["windows rendered", f"{summary['rendered_windows']:,}"],
        ["echo: rendered per decoded", _number(summary["echo"])],
        ["bank", f"{summary['slots']:,} windows, {summary['bank_bytes'] / 2**20:,.0f} MiB"],
    ]


def _rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, json.dumps(value)) for name, value in values.items()]


def _picture(figure: Figure, path: Path, alt: str) -> Picture:
    """Save the figure, for the page to show."""
    data = base64.b64encode(figures.save(figure, path).read_bytes()).decode()
    return Picture(f"data:image/png;base64,{data}", round(figure.get_figwidth() * 75), alt)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of the run; {} if the run ended before it was written."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON ({error.msg})") from None
