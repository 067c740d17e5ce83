"""Files of truth and predictions in, a table and JSON of metrics out."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tqdm import tqdm

from ..common.cli import Parser, add_flags, command, make, prog
from ..common.files import jsonable, write_json
from ..evaluation.evaluate import TASKS, Row

EXAMPLES = (
    "detection --truth truth.json --predictions detections.json",
    "proposals --truth truth.json --predictions proposals.json",
)


@command("evaluate")
def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 failed (one line on standard error), 2 wrong usage."""
    parser = Parser(prog=prog("evaluate"), description=__doc__, examples=EXAMPLES)
    tasks = parser.add_subparsers(dest="task", required=True, metavar="|".join(TASKS))
    for name, (kind, _) in TASKS.items():
        text = kind.__doc__
        add_flags(tasks.add_parser(name, help=text, description=text), {"files (plain or gzip)": kind})
    values = vars(parser.parse_args(argv))
    task = values["task"]
    kind, evaluate = TASKS[task]
    try:
        settings = make(kind, values)
    except ValueError as error:
        parser.error(getattr(error, "flag", str(error)))
    with tqdm(total=3, desc=task, leave=False, disable=None) as progress:
        result, rows = evaluate(settings, progress)
    result = {"task": task, "truth": str(settings.truth), "predictions": str(settings.predictions), **result}
    if settings.json == "-":
        print(json.dumps(jsonable(result), indent=1))
    else:
        _print_table(rows, result["notes"])
    if settings.json not in (None, "-"):
        write_json(settings.json, result)
        print(settings.json)
    return 0


def _print_table(rows: list[Row], notes: list[str]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:>9}")
    for note in notes:
        print(f"note: {note}")
