"""An extension of griffe (mkdocs.yml): docstrings as Markdown. Doctests become code; brackets stay brackets."""

from __future__ import annotations

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^( *)>>> .*\n(?:\1\S.*\n?)*", re.M)


class Docstrings(griffe.Extension):
    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """Markdown of a docstring."""
    parts, end = [], 0
    for found in DOCTEST.finditer(docstring):
        parts.append(_escaped(docstring[end : found.start()]))
        code, indent = found[0].rstrip("\n"), found[1]
        parts.append(f"{indent}```pycon\n{code}\n{indent}```\n")
        end = found.end()
    return "".join([*parts, _escaped(docstring[end:])])


def _escaped(text: str) -> str:
    """Text with `][` and `] [`, which would be references, as they are outside of code."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(each if each.startswith("`") else re.sub(r"\]([ \n]?)\[", r"]\1\\[", each) for each in pieces)
