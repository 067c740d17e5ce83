"""A hook of mkdocs (mkdocs.yml): pages made of other files, and GitHub's Markdown as Python-Markdown reads it.

Links to files of the repository that have no page lose their link and keep their text.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MADE_OF = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
PRETRAIN = {  # what of pretrain is for programs, not for its commands alone
    "Encoders and their weights": ["pretrain.models.encoders", "pretrain.models.hub", "pretrain.models.weights"],
    "Shots": ["pretrain.shots.detect", "pretrain.shots.boundaries"],
    "A task's own code": ["pretrain.tasks.task", "pretrain.common.settings", "pretrain.data.needs"],
    "Annotations": ["pretrain.data.segments", "pretrain.data.annotations", "pretrain.data.results"],
    "Metrics": ["pretrain.evaluation.detection", "pretrain.evaluation.grounding", "pretrain.evaluation.actionness"],
}
ITEM = re.compile(r"( *)(?:[-*]|\d+\.) +(?=\S)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made of other files."""
    from mkdocs.structure.files import File  # here, so that tests need no mkdocs

    pages = {page: (ROOT / name).read_text(encoding="utf-8") for page, name in MADE_OF.items()}
    pages |= {**examples(), **reference()}
    notice, licence = ((ROOT / name).read_text(encoding="utf-8") for name in ("NOTICE", "LICENSE"))
    pages["licences.md"] = f"# Licences\n\n```text\n{notice}```\n\n## Apache License 2.0\n\n```text\n{licence}```\n"
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with lists and links as mkdocs wants them."""
    path = page.file.src_uri
    return relinked(listed(markdown), path, MADE_OF.get(path, f"docs/{path}"))


def relinked(markdown: str, page: str, source: str) -> str:
    """Links of the file `source`, relative to the repository, as links of its page.

    >>> relinked("[a](../../README.md#b) [c](../../setup.py) ![d](e.png)", "guides/x.md", "docs/guides/x.md")
    '[a](../index.md#b) c ![d](e.png)'
    >>> relinked("[a](docs/tasks.md) [b](examples/kornia_pipeline.py)", "index.md", "README.md")
    '[a](tasks.md) [b](examples/kornia_pipeline.md)'
    """
    here = posixpath.dirname(source)

    def link(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        name, mark, heading = target.partition("#")
        if "://" in target or not name:
            return found[0]
        file = posixpath.normpath(posixpath.join(here, name))
        pages = {source: page for page, source in MADE_OF.items()} | {"NOTICE": "licences.md", "LICENSE": "licences.md"}
        if file.startswith("examples/"):
            pages[file] = file.removesuffix(".py") + ".md" if file.endswith(".py") else "examples/index.md"
        if (ROOT / file / "README.md").exists() and file.startswith("docs/"):
            file = f"{file}/README.md"
        to = pages.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else "")
        if not to or to.endswith(".py"):
            return found[0] if not (ROOT / file).exists() else text.removeprefix("!")[1:-1]
        return f"{text}({posixpath.relpath(to, posixpath.dirname(page) or '.')}{mark}{heading})"

    return re.sub(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)", link, markdown)


def listed(markdown: str) -> str:
    """Lists as Python-Markdown reads them: a blank line before them, and four spaces for what belongs to an item.

    >>> listed("text\\n- a\\n  more\\n  - b\\n\\n1. c\\n\\n   d\\n")
    'text\\n\\n- a\\n    more\\n    - b\\n\\n1. c\\n\\n    d\\n'
    """
    lines: list[str] = []
    inside: list[int] = []  # where the text of each open item begins
    fence, blank, table = "", True, False
    for line in markdown.splitlines():
        bare = line.lstrip(" ")
        indent = len(line) - len(bare)
        if not bare:
            lines.append("")
            blank = True
            continue
        item = None if fence else ITEM.match(line)
        if not fence and (blank or item):
            while inside and indent < inside[-1]:
                inside.pop()
        depth = len(inside)
        shift = 4 * depth - (inside[-1] if inside else 0)
        if inside and indent < inside[-1]:  # a lazy continuation
            shift = 4 * depth - indent
        if item and not blank and not depth and not ITEM.match(lines[-1]) and not table:
            lines.append("")
        lines.append(" " * max(0, indent + shift) + bare)
        if mark := re.match(r"(```+|~~~+)", bare):
            fence = "" if fence and bare.startswith(fence) else fence or mark[1]
        if item:
            inside.append(len(item[0]))
        table = bool(inside)
        blank = False
    return "\n".join(lines) + "\n"


def examples() -> dict[str, str]:
    """A page for every file of examples: its docstring, then all of it; and their list."""
    pages, rows = {}, []
    for file in sorted((ROOT / "examples").glob("*.py")):
        source = file.read_text(encoding="utf-8")
        told = ast.get_docstring(ast.parse(source)) or ""
        title = told.partition("\n")[0].rstrip(".:")
        pages[f"examples/{file.stem}.md"] = f"# {file.stem}\n\n{told}\n\n```python\n{source}```\n"
        rows.append(f"- [{file.stem}]({file.stem}.md): {title}")
    pages["examples/index.md"] = "# Complete examples\n\nEach is run by a test.\n\n" + "\n".join(rows) + "\n"
    return pages


def reference() -> dict[str, str]:
    """The reference: public names of gpuaug in the order of its docstring's subjects, of pretrain, and the commands."""
    sys.path.insert(0, str(ROOT))
    import gpuaug

    names = sorted(name for name in public_names() if name[0] != "_")
    modules = [name for name in names if inspect.ismodule(getattr(gpuaug, name))]
    functions = [name for name in names if inspect.isfunction(getattr(gpuaug, name))]
    groups = {
        "Functions": functions,
        "Classes": [name for name in names if name not in {*modules, *functions}],
    }
    told = "# Library\n\nWhat is not named here may change. `gpuaug.__version__` is the version.\n"
    for title, group in groups.items():
        paths = [f"{getattr(gpuaug, name).__module__}.{name}" for name in group]
        told += f"\n## {title}\n\n" + "\n\n".join(f"::: {path}" for path in paths) + "\n"
    for name in modules:
        told += f"\n## gpuaug.{name}\n\n{_module(getattr(gpuaug, name).__name__)}\n"
    programs = (
        "# Pre-training\n\nWhat programs of yours may use; the commands are [a page of their own](commands.md).\n"
    )
    for title, group in PRETRAIN.items():
        programs += f"\n## {title}\n\n" + "\n\n".join(_module(name) for name in group) + "\n"
    return {"reference/gpuaug.md": told, "reference/pretrain.md": programs, "reference/commands.md": commands()}


def public_names() -> set[str]:
    """`__all__` of gpuaug."""
    body = ast.parse((ROOT / "gpuaug" / "__init__.py").read_text(encoding="utf-8")).body
    return next(set(ast.literal_eval(node.value)) for node in body if ast.unparse(node).startswith("__all__"))


def _module(name: str) -> str:
    """All that a module defines, and what its `__all__` names of others."""
    return f"::: {name}\n    options:\n      show_root_heading: true\n      show_root_full_path: true\n"


def commands() -> str:
    """The help of every command, with all flags."""
    from pretrain.__main__ import COMMANDS, GROUPS, LIBRARY, main
    from pretrain.tasks.task import TASKS

    os.environ["COLUMNS"] = "100"
    sys.argv[0] = "gpuaug"

    def helped(*words: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
            main(list(words))
        return f"```text\n{out.getvalue()}```\n"

    told = "# Commands\n\nWhat `--help-all` says. `gpuaug COMMAND --help` is shorter.\n"
    for title, group in GROUPS.items():
        told += f"\n## To {title}\n"
        for name in group:
            told += f"\n### gpuaug {name}\n\n{COMMANDS[name]}.\n\n"
            if name == "evaluate":
                kinds = importlib.import_module("pretrain.commands.evaluate")
                told += helped(name, "--help")
                told += "\n".join(f"\n#### evaluate {kind}\n\n{helped(name, kind, '--help')}" for kind in kinds.TASKS)
            elif name == "train":
                told += "\n".join(
                    f"\n#### train --task {task}\n\n{helped(name, '--task', task, '--help-all')}"
                    for task in sorted(TASKS)
                )
            else:
                told += helped(name, "--help" if name in LIBRARY else "--help-all")
    return told
