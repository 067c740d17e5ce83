"""The map of the code in README.md, a line a folder, from the packages' docstrings: `python tests/support/code_map.py`.

Used by test_architecture.py and `make map`.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

BEGIN, END = "<!-- map -->", "<!-- /map -->"
PACKAGES = ("gpuaug", "pretrain", "benchmarks")
OTHERS = {  # folders that are no packages
    "examples": "Complete files to copy from, each run by a test",
    "tests": "Folders as above, helpers in support/, runs of whole programs in end_to_end/",
    "docs": "Architecture, concepts, tasks, decoding, benchmarks, the study, decisions",
}
DEPTH = 2  # folders above each other that have a line


def code_map(root: Path) -> str:
    """The block between BEGIN and END, with both."""
    rows = [row for package in PACKAGES for row in _rows(root / package, 1)]
    rows += [(f"{name}/", text) for name, text in OTHERS.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join([BEGIN, "```", *(f"{name:{width}}  {text}" for name, text in rows), "```", END])


def _rows(folder: Path, depth: int) -> list[tuple[str, str]]:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    rows = [(f"{'  ' * (depth - 1)}{folder.name}/", docstring.partition("\n")[0].removesuffix("."))]
    inner = [file.parent for file in sorted(folder.glob("*/__init__.py"))] if depth < DEPTH else []
    return rows + [row for each in inner for row in _rows(each, depth + 1)]


def put(text: str, block: str) -> str:
    """`text` with `block` in the place of the one that it has."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the text must have {BEGIN} and, behind it, {END}")
    return before + block + after


def main() -> int:
    root = Path(__file__).parents[2]
    readme = root / "README.md"
    readme.write_text(put(readme.read_text(encoding="utf-8"), code_map(root)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
