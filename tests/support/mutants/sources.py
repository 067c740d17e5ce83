"""The mutants that mutmut has written, and how each differs from the original."""

from __future__ import annotations

import ast
import difflib
import json
import textwrap
from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """A planted fault: mutmut's name for it, the file that it is in, and the lines of its function that it changes."""

    file: str
    name: str
    change: tuple[str, ...]


def names_of(folder: Path) -> list[tuple[str, str]]:
    """(source file, name) of every mutant under a folder that mutmut was run in."""
    metas = sorted((folder / "mutants").rglob("*.py.meta"))
    return [
        (str(meta.relative_to(folder / "mutants").with_suffix("")), name)
        for meta in metas
        for name in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    ]


def mutant_of(folder: Path, file: str, name: str) -> Mutant | None:
    """None for a mutant that changes no more than words for users."""
    own = name.rpartition(".")[2]
    base, _, _ = own.rpartition("__mutmut_")
    original, changed = (_function(folder / "mutants" / file, each) for each in (f"{base}__mutmut_orig", own))
    return None if same(original, changed) else Mutant(file, name, difference(original, changed))


def _function(file: Path, name: str) -> ast.AST:
    """A function of a mutated file, which has all mutants of all functions, by mutmut's index of it."""
    spans = json.loads(file.with_name(f"{file.name}.spans").read_text(encoding="utf-8"))["spans"]
    begin, end = spans[name]
    lines = file.read_text(encoding="utf-8").splitlines()[begin - 1 : end]
    return ast.parse(textwrap.dedent("\n".join(lines))).body[0]


def same(original: ast.AST, changed: ast.AST) -> bool:
    """Whether they differ in nothing but what errors and bars of progress say, or how words are capitalised."""
    return _essence(original) == _essence(changed)


def difference(original: ast.AST, changed: ast.AST) -> tuple[str, ...]:
    """The lines that differ, − before and + after; the name of neither is told."""
    old, new = (ast.unparse(_nameless(node)).splitlines() for node in (original, changed))
    lines = difflib.unified_diff(old, new, n=0, lineterm="")
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))


class _Words(ast.NodeTransformer):
    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "tqdm":
            node.keywords = []
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.copy_location(ast.Constant("text"), node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            node.value = node.value.lower()
        return node


def _essence(function: ast.AST) -> str:
    return ast.dump(_Words().visit(_nameless(function)))


def _nameless(function: ast.AST) -> ast.AST:
    copied = ast.parse(ast.unparse(function)).body[0]
    copied.name = "_"  # type: ignore[attr-defined]
    return copied
