"""One self-contained HTML page of a run, with its pictures also as PNG files.

Training curves, held-out accuracies and confusion matrices, how fast it was and what limited it, the configuration;
with features and annotations of untrimmed videos also Figure 4 of BSP.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from tqdm import tqdm

from ..common.files import readable
from ..tasks.task import meanings
from . import figures
from .feature_change import Differences
from .run_files import RunFiles, mapping, number, read_run, read_wrong, texts
from .samples import PAGES, jpeg_uri, save_page
from .verdict import last_scores, verdict

WIDEST = 200  # classes of a confusion matrix; beyond, there is no picture
MATRICES = 12  # pictures of confusion matrices
ADVICE = {
    "decoding": "more decoding threads, videos nearer to the training size, or more echo (--reuse-max, --bank-gib)",
    "rendering": "a smaller --size, or fewer samples per step",
    "the encoder": "a faster device, --precision bf16, --compile; decoding has time to spare",
}
ALT = {
    "curves": "loss, scores and learning rate over the steps",
    "speed": "time of a step, samples per second and echo over the steps",
    "compare": "training loss and held-out scores of the runs over their steps",
    "figure4": "how much the features change at boundaries and elsewhere",
}


class Picture(NamedTuple):
    """A picture inside the page; its width in CSS pixels."""

    uri: str
    width: int
    alt: str


def write(run: Path, out: Path, sets: Mapping[str, Differences], others: Sequence[Path] = ()) -> Path:
    """Write the page of a run folder and its pictures, beside `others` to compare with; the page's path.

    The folder may come from anybody: nothing is written but the page and its pictures beside it (in the folder figures,
    or NAME_figures for a page NAME.html elsewhere), nothing in it is run, and what is broken is named on standard error
    and left out.

    Errors (ValueError): no log in the folder, or none of its lines can be read; the folder figures is a link.
    """
    found = read_run(run)
    rows, config, summary = found.rows, found.config, found.summary
    problems = [*found.problems, *(f"{name}: {line}" for name, each in sets.items() for line in each.left_out)]
    folder = out.parent / ("figures" if out.parent == run else f"{out.stem}_figures")
    if folder.is_symlink():
        raise ValueError(f"{folder} must be a folder, got a link, through which pictures would be written elsewhere")
    train = [row for row in rows if "step_ms" in row]
    held: dict[str, Any] = next((row["validation"] for row in reversed(rows) if "validation" in row), {})
    limited_by = summary.get("limited_by")
    scores = {name: value for name, value in held.items() if isinstance(value, Mapping)}
    drawn = {"curves": figures.curves(rows)}
    if train:
        drawn["speed"] = figures.speed(train)
    wrong = [
        Picture(jpeg_uri(row), min(row.shape[1], 1200), words) for words, row in read_wrong(run, problems) if row.size
    ]
    runs = named([run, *others], [found, *(read_run(other) for other in others)])
    if others:
        drawn["compare"] = figures.compare({name: each.rows for name, each in runs.items()})
    if sets:
        drawn["figure4"] = figures.figure4(sets)
    confusions = []
    shown = [name for name, value in scores.items() if 1 < len(value.get("confusion", ())) <= WIDEST]
    problems += [f"{len(shown) - MATRICES} more confusion matrices are not drawn"] * (len(shown) > MATRICES)
    matrices = list(zip(shown[:MATRICES], _file_names(shown)))
    for name, file in tqdm(matrices, "drawing", unit="matrix", leave=False, delay=2.0, disable=None):
        counts = scores[name]["confusion"]
        names = texts(mapping(config.get("names")).get(name))
        names = names if len(names) == len(counts) else [str(i) for i in range(len(counts))]
        figure = figures.confusion(counts, names, f"{name}, accuracy {_number(scores[name]['value'])}")
        right = sum(counts[k][k] for k in range(len(counts)))
        alt = f"confusion matrix of {name}: {right} of {sum(map(sum, counts))} held-out samples are right"
        confusions.append(_picture(figure, folder / f"confusion_{file}.png", alt))
    encoder = mapping(config.get("encoder")).get("name", "an encoder")
    page = PAGES.get_template("run.html.j2").render(
        title=f"{str(config.get('task', 'run')).upper()} with {encoder}",
        lead=_lead(run, config, summary, rows),
        scores=[["loss", _number(held.get("loss")), "", "", ""]] * bool(held)
        + [[name, *_interval(value), _number(value.get("constant"))] for name, value in scores.items()],
        per_class={
            name: [[label, *_interval(score)] for label, score in value["classes"].items()]
            for name, value in scores.items()
            if len(value.get("classes", {})) > 1
        },
        verdict=verdict(found),
        runs=[_compared(name, each) for name, each in runs.items()] if others else [],
        pictures={name: _picture(figure, folder / f"{name}.png", _alt(name, found)) for name, figure in drawn.items()},
        confusions=confusions,
        kinds=_kinds(config),
        wrong=wrong,
        changes=[_change(name, found) for name, found in sets.items()],
        limited_by=limited_by,
        advice=ADVICE.get(limited_by) if isinstance(limited_by, str) else None,
        times=_times(summary) if limited_by else [],
        lost=_lost(summary),
        problems=problems,
        classes=[name for name in texts(config.get("classes")) if name not in texts(config.get("empty_classes"))],
        empty=texts(config.get("empty_classes")),
        flags=_rows(mapping(config.get("flags"))),
        setting=_rows(
            {k: value for k, value in config.items() if k not in ("flags", "names", "classes", "empty_classes")}
        ),
    )
    save_page(out, page)
    for line in problems:
        print(readable(f"left out: {line}"), file=sys.stderr)
    return out


def named(folders: Sequence[Path], files: Sequence[RunFiles]) -> dict[str, RunFiles]:
    """The runs by their folders' names, by their paths where names are the same."""
    short = [folder.resolve().name for folder in folders]
    whole = short if len(set(short)) == len(short) else list(map(str, folders))
    return dict(zip(whole, files))


def _kinds(config: Mapping[str, Any]) -> dict[str, str]:
    """What the task's short names stand for, those that the run has."""
    there = {name for names in mapping(config.get("names")).values() for name in texts(names)}
    return {kind: text for kind, text in meanings(str(config.get("task"))).items() if kind in there}


def _compared(name: str, found: RunFiles) -> list[str]:
    scores = "; ".join(
        f"{score} {value} ({between})" if between else f"{score} {value}"
        for score, (value, between, _) in ((score, _interval(each)) for score, each in last_scores(found).items())
    )
    encoder = mapping(found.config.get("encoder")).get("name", "")
    about = [str(found.config.get("task", "")), str(encoder), str(found.summary.get("status", "not finished"))]
    return [name, *about, str(found.rows[-1]["step"]), scores, _number(found.summary.get("samples_per_second"))]


def _alt(name: str, found: RunFiles) -> str:
    """What a picture shows, with the numbers that one would look for."""
    losses = [row["loss"] for row in found.rows if "loss" in row]
    text = ALT[name]
    if name == "curves" and losses:
        text += f": loss from {losses[0]:.3g} to {losses[-1]:.3g}"
        text += "".join(f", {score} {_number(each.get('value'))}" for score, each in last_scores(found).items())
    if name == "speed":
        text += f": {_number(found.summary.get('samples_per_second'))} samples per second"
    return text


def _file_names(names: Sequence[str]) -> list[str]:
    """A name for the file of each score: letters, digits and _ alone, no two the same.

    >>> _file_names(["action", "/../evil", "Action", "__evil"])
    ['action', '_evil', 'Action_2', '_evil_2']
    """
    found: list[str] = []
    for name in names:
        file = re.sub(r"[^A-Za-z0-9]+", "_", name)[:60] or "_"
        taken = {each.lower() for each in found}
        numbered = (f"{file}_{k}" for k in range(2, len(found) + 2))
        found.append(next(each for each in (file, *numbered) if each.lower() not in taken))
    return found


def _lost(summary: Mapping[str, Any]) -> list[list[str]]:
    """(file, reason) of what the run could not use."""
    skipped, failures = summary.get("skipped"), summary.get("failures")
    rows = [texts(each) for each in skipped] if isinstance(skipped, list) else []
    failed = [mapping(each) for each in failures] if isinstance(failures, list) else []
    return [row for row in rows if row] + [[str(f.get("path", "")), str(f.get("reason", ""))] for f in failed]


def _lead(run: Path, config: Mapping[str, Any], summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    status = summary.get("status", "not finished, or killed")
    step = number(summary.get("steps"))
    parts = [f"{run.name}: {status} after {rows[-1]['step'] if step is None else step:,} steps"]
    if "samples" in summary:
        minutes = (number(summary.get("seconds")) or 0) / 60
        parts.append(f"{number(summary['samples']) or 0:,} samples in {minutes:.1f} minutes of training")
        videos = f"{summary.get('training_videos')} training and {summary.get('held_out_videos')} held-out videos"
        parts.append(videos)
    machine = mapping(config.get("machine"))
    device = machine.get("gpu") or f"{machine.get('cores', '?')} CPU cores"
    parts.append(f"{config.get('world', 1)} × {device}" if machine.get("gpu") else device)
    parts.append(f"commit {str(config.get('commit'))[:10]}")
    return " · ".join(parts)


def _interval(score: Mapping[str, Any]) -> list[str]:
    low, high = number(score.get("low")), number(score.get("high"))
    between = f"{low:.3f}–{high:.3f}" if low is not None and high is not None else ""
    return [_number(score.get("value")), between, str(score.get("samples", ""))]


def _change(name: str, found: Differences) -> list[str]:
    value, low, high = found.auc
    at, rest = found.at_boundary_F.mean(), found.elsewhere_F.mean()
    ratio = f"{at / rest:.2f}" if rest else ""
    return [name, f"{value:.3f}", f"{low:.3f}–{high:.3f}", f"{at:.4f}", f"{rest:.4f}", ratio]


def _times(summary: Mapping[str, Any]) -> list[list[str]]:
    """What limited the run, in numbers."""
    fractions = mapping(summary.get("share_of_time"))
    encoder, render, wait = (100 * (number(fractions.get(name)) or 0) for name in ("encoder", "render", "wait"))
    names = ("decoded_windows", "rendered_windows", "slots", "bank_bytes")
    decoded, rendered, slots, size = (number(summary.get(name)) or 0 for name in names)
    return [
        ["samples per second", _number(summary.get("samples_per_second"))],
        ["encoder: forward, backward, update", f"{encoder:.1f} % of the time"],
        ["plans and rendering", f"{render:.1f} %"],
        ["waiting for decoded frames", f"{wait:.1f} %"],
        ["windows decoded", f"{decoded:,}"],
        ["windows rendered", f"{rendered:,}"],
        ["echo: rendered per decoded", _number(summary.get("echo"))],
        ["bank", f"{slots:,} windows, {size / 2**20:,.0f} MiB"],
    ]


def _rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, json.dumps(value)) for name, value in values.items()]


def _picture(figure: Figure, path: Path, alt: str) -> Picture:
    """Save the figure as PNG; the page shows it as SVG, which is sharp at any size."""
    figures.save(figure, path)
    data = base64.b64encode(readable(figures.svg(figure)).encode()).decode()
    return Picture(f"data:image/svg+xml;base64,{data}", round(figure.get_figwidth() * 75), alt)


def _number(value: Any) -> str:
    return "" if number(value) is None else f"{value:.4g}"
