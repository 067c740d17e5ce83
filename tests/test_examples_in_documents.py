"""The Python in README and docs runs as it stands, and prints the text that follows it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuaug

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
FILES = {"docs/decoding.md": ["a.mp4", "b.avi"]}  # videos of the reader's
PAGES = sorted(
    file.relative_to(ROOT).as_posix()
    for file in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if BLOCK.search(file.read_text(encoding="utf-8"))
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
def test_examples_run_and_print_what_is_shown(page, tmp_path, monkeypatch):
    """As they stand: nothing is imported for them."""
    monkeypatch.chdir(tmp_path)
    for name in FILES.get(page, ()):
        pictures = np.zeros((60, 36, 48, 3), np.uint8)
        gpuaug.write_video(name, pictures, 25, "mpeg4", pixel_format="yuv420p")
    assert wrong((ROOT / page).read_text(encoding="utf-8"), {}) == []


def test_an_output_that_is_not_the_shown_one_is_found():
    page = "```python\nx = 2\nprint(x)\n```\n\n```text\n{}\n```\n\n```python\nprint(x + 1)\n```\n"
    assert wrong(page.format(2), {}) == []
    assert wrong(page.format(3), {}) == ["2\n"]
