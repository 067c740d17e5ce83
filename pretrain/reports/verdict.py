"""What a run's numbers mean, in sentences, and as Markdown to paste somewhere.

Used by run_report.py and the command report; imports run_files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .run_files import RunFiles, mapping, number

RISING = 0.02  # a score that grew by so much in the last third of the validations


def last_scores(found: RunFiles) -> dict[str, dict[str, Any]]:
    """Name → score of the last validation."""
    held: dict[str, Any] = next((row["validation"] for row in reversed(found.rows) if "validation" in row), {})
    return {name: value for name, value in held.items() if isinstance(value, dict)}


def verdict(found: RunFiles) -> list[str]:
    """A sentence for each score: is it better than the best constant answer, and was it still rising?

    >>> score = {"value": 0.9, "low": 0.8, "high": 0.95, "constant": 0.5}
    >>> verdict(RunFiles([{"step": 9, "validation": {"boundary": score}}], summary={"status": "finished"}))
    ['boundary was learned: 0.900 held out (95 %: 0.800–0.950), where always answering the same gives 0.500.']
    """
    status = found.summary.get("status", "not finished, or killed")
    sentences = [] if status == "finished" else [f"These are the numbers of a run that has not finished ({status})."]
    scores = last_scores(found)
    if not scores:
        return [*sentences, "Nothing was held out, so nothing can be said about what was learned."]
    for name, score in scores.items():
        value, low, high, constant = (number(score.get(key)) for key in ("value", "low", "high", "constant"))
        if value is None:
            sentences.append(f"{name} was not measured.")
            continue
        between = f" (95 %: {low:.3f}–{high:.3f})" if low is not None and high is not None else ""
        if constant is None:
            sentences.append(f"{name} is {value:.3f} held out{between}; what chance gives is not known.")
            continue
        told = f"{value:.3f} held out{between}, where always answering the same gives {constant:.3f}"
        if low is not None and low > constant:
            sentences.append(f"{name} was learned: {told}.")
        elif high is not None and high < constant:
            sentences.append(f"{name} is worse than a constant answer: {told}.")
        else:
            sentences.append(f"{name} was not learned, as far as so few samples tell: {told}.")
        if _rising(found.rows, name):
            sentences.append(f"{name} was still rising at the end: a longer run may reach more.")
    return sentences


def _rising(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    scores = (mapping(row["validation"].get(name)) for row in rows if "validation" in row)
    values = [value for value in (number(score.get("value")) for score in scores) if value is not None]
    third = len(values) // 3
    return third > 0 and values[-1] == max(values) and values[-1] - max(values[:-third]) >= RISING


def markdown(runs: Mapping[str, RunFiles]) -> str:
    """The runs in a page of Markdown: the verdict, held-out scores, speed, machine, versions."""
    parts = []
    for name, found in runs.items():
        config, summary = found.config, found.summary
        machine, versions = mapping(config.get("machine")), mapping(config.get("versions"))
        device = machine.get("gpu") or f"{machine.get('cores', '?')} CPU cores"
        encoder = mapping(config.get("encoder")).get("name", "an encoder")
        lines = [f"## {_cell(name)}: {_cell(config.get('task', 'run'))} with {_cell(encoder)}", ""]
        lines += [f"- {_cell(sentence)}" for sentence in verdict(found)]
        lines += ["", "| score | held out | 95 % interval | best constant |", "|---|---|---|---|"]
        for score_name, score in last_scores(found).items():
            value, low, high, constant = (_text(score.get(key)) for key in ("value", "low", "high", "constant"))
            lines.append(f"| {_cell(score_name)} | {value} | {low}–{high} | {constant} |")
        about = [
            f"{_text(summary.get('samples_per_second'))} samples/s",
            f"limited by {summary.get('limited_by', '?')}",
        ]
        about += [
            f"commit {str(config.get('commit'))[:10]}",
            *(f"{package} {each}" for package, each in versions.items()),
        ]
        lines += ["", f"{_cell(summary.get('steps', '?'))} steps on {_cell(device)}; {_cell('; '.join(about))}", ""]
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _cell(value: Any) -> str:
    """Text that stays text in a table of Markdown."""
    return (
        " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
    )


def _text(value: Any) -> str:
    return "?" if number(value) is None else f"{value:.3g}"
