"""The documentation site, as far as it can be checked without mkdocs: its pages, its links, its Markdown."""

from __future__ import annotations

import doctest
import importlib.util
import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site():
    return loaded("site")


def loaded(name):
    """A module of docs, which is no package."""
    spec = importlib.util.spec_from_file_location(f"{name}_hook", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nav(text):
    return re.findall(r"[\w./-]+\.md(?=$|\n)", text.partition("\nnav:\n")[2])


def test_every_page_is_in_the_navigation(site):
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    pages = {page for page in pages if not re.match(r"decisions/(0|budgets)", page)}
    made = {*site.MADE_OF, "licences.md", "examples/index.md"}
    made |= {f"reference/{name}.md" for name in ("gpuaug", "pretrain", "commands")}
    found = nav((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert len(found) == len(set(found))
    assert set(found) == pages | made


def test_links_between_pages_lead_to_pages(site):
    """Those of every document, as the site has them; files without a page have no link."""
    shown = {path.relative_to(ROOT / "docs").as_posix(): path for path in (ROOT / "docs").rglob("*.md")}
    shown |= {page: ROOT / name for page, name in site.MADE_OF.items()}
    known = {*shown, "licences.md", *site.examples()}
    for page, file in shown.items():
        text = site.relinked(file.read_text(encoding="utf-8"), page, file.relative_to(ROOT).as_posix())
        for target in re.findall(r"\]\(([^)\s#]+)", text):
            if "://" not in target and not target.endswith((".png", ".webp", ".svg")):
                path = (Path("/") / Path(page).parent / target).as_posix()
                assert str(Path(re.sub(r"[^/]+/\.\./", "", path))).lstrip("/") in known, f"{page}: {target}"


def test_lists_are_those_of_python_markdown(site):
    """Behind the change no line of an item's text begins a block of code, and fences open and close."""
    text = site.listed((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert "1. The rule, in `gpuaug/edits.py`." in text
    assert "\n    ```python gpuaug/edits.py\n    @_rule\n" in text
    assert text.count("```") % 2 == 0


def test_doctests_of_the_hook(site):
    found = doctest.testmod(site)
    assert found.attempted > 2
    assert found.failed == 0


def test_docstrings_become_markdown(monkeypatch):
    stub = types.SimpleNamespace(Extension=object, Object=object)
    monkeypatch.setitem(sys.modules, "griffe", stub)
    hook = loaded("docstrings")
    text = "frames[i][k], `a[i][k]`\n\n>>> f(2)\n[1][0]\n\nmore"
    escaped = "frames[i]\\[k], `a[i][k]`"
    assert hook.as_markdown(text) == f"{escaped}\n\n```pycon\n>>> f(2)\n[1][0]\n```\n\nmore"
