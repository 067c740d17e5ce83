"""The Python in README and docs runs as it stands, and prints the text that follows it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gpuaug

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
GIVEN: dict[str, dict[str, Any]] = {  # what a page's first lines take for granted
    "docs/transitions.md": {"gpuaug": gpuaug, "np": np, "bank": torch.zeros(8, 16, 24, 24, 3, dtype=torch.uint8)},
}
NEED_FILES = {"docs/decoding.md"}  # shown alone: videos of the reader's
PAGES = sorted(
    path
    for file in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if BLOCK.search(file.read_text(encoding="utf-8")) and (path := file.relative_to(ROOT).as_posix()) not in NEED_FILES
)


def wrong(text: str, names: dict[str, Any]) -> list[str]:
    """What the blocks of a page print where it is not the text that follows them; they share their names."""
    found = []
    for code, expected in BLOCK.findall(text):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, "page", "exec"), names)
        if expected and out.getvalue() != expected:
            found.append(out.getvalue())
    return found


@pytest.mark.parametrize("page", PAGES)
def test_examples_run_and_print_what_is_shown(page):
    assert wrong((ROOT / page).read_text(encoding="utf-8"), dict(GIVEN.get(page, {}))) == []


def test_an_output_that_is_not_the_shown_one_is_found():
    page = "```python\nx = 2\nprint(x)\n```\n\n```text\n{}\n```\n\n```python\nprint(x + 1)\n```\n"
    assert wrong(page.format(2), {}) == []
    assert wrong(page.format(3), {}) == ["2\n"]
