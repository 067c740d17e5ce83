"""What the documents name is there: files, links, walks through the code, environment variables, decisions."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gpuaug
from pretrain.common.cli import Parser, add_flags, make, parse
from pretrain.tasks.task import Task, load

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FOLDERS = "gpuaug|pretrain|benchmarks|examples|tests|docs"
EXAMPLES = ("arrow", "pynvvideocodec", "anchor_free")  # what CONTRIBUTING's recipes would add
CODE = re.compile(r"^( *)```python (\S+)\n(.*?)^ *```$", re.M | re.S)  # as a file has it; "# …" stands for more
WALK = re.compile(r"^### ([^\n]+): (\d+) files?, (\d+) stays?, (\d+) returns?$.*?^```text\n(.*?)^```", re.M | re.S)


def missing_files(text: str, root: Path) -> list[str]:
    """Paths of this repository that stand in backticks and do not exist; * and {a,b} stand for several."""
    found = []
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./*{{}},<>-]*)`", text):
        if "<" in path or any(name in path for name in EXAMPLES):
            continue
        names = [path]
        if choice := re.search(r"\{(.+?)\}", path):
            names = [path.replace(choice[0], each) for each in choice[1].split(",")]
        found += [name for name in names if not any(root.glob(name.rstrip("/")))]
    return found


def broken_links(text: str, folder: Path) -> list[str]:
    """Relative links whose file, or heading in it, does not exist."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        file = folder / name
        linked = (
            text if not name else file.read_text(encoding="utf-8") if file.suffix == ".md" and file.exists() else ""
        )
        if not file.exists() or (heading and heading not in headings(linked)):
            found.append(link)
    return found


def headings(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    }


def wrong_walks(text: str, root: Path) -> list[str]:
    """Walks whose counts are not those of their list, and steps that no file defines."""
    found = []
    for title, *counts, steps in WALK.findall(text):
        lines = [line.split(": ") for line in steps.splitlines()]
        files = [file for file, _ in lines]
        have = [len(set(files)), len(files), len(files) - len(set(files))]
        if list(map(int, counts)) != have:
            found.append("{}: {} files, {} stays, {} returns".format(title, *have))
        found += [f"{title}: {a} stands twice in a row" for a, b in itertools.pairwise(files) if a == b]
        found += [f"{title}: comes back to {file} too often" for file in set(files) if files.count(file) > 3]
        for file, names in lines:
            known = defined(root / file)
            found += [f"{title}: {file} has no {name}" for name in names.split(", ") if name not in known]
    return found


def defined(file: Path) -> set[str]:
    """Functions and classes of a file, methods with their class; of C++ every word."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if file.suffix != ".py":
        return set(re.findall(r"\w+", text))
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def stale_code(text: str, root: Path) -> list[str]:
    """Code that the file it is said to be from has not, or no longer."""
    found = []
    for indent, name, block in CODE.findall(text):
        code = (root / name).read_text(encoding="utf-8") if (root / name).is_file() else ""
        shown = "".join(line.removeprefix(indent) for line in block.splitlines(keepends=True))
        parts = [part.strip("\n") for part in re.split(r"^ *# …\n", shown, flags=re.M)]
        found += [f"{name} has not: {part}" for part in parts if "/" in name and part not in code]
    return found


def variables(source: str) -> set[str]:
    """Names that a file asks of, or sets in, the environment: texts and constants in capitals."""
    found, constants = set(), {}
    if "env" not in source:
        return found
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            constants |= {ast.unparse(target): node.value.value for target in node.targets}
    for part in re.findall(r"environ(?:\.get|\.setdefault)?[(\[]([\w.\"]+)|[sg]etenv\(([\w.\"]+)", source):
        name = "".join(part)
        found.add(name.strip('"') if name.startswith('"') else constants.get(name.rpartition(".")[2], ""))
    return {name for name in found if isinstance(name, str) and name.isupper()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_links_and_code_exist(document):
    text = document.read_text(encoding="utf-8")
    assert not missing_files(text, ROOT)
    assert not broken_links(text, document.parent)
    assert not stale_code(text, ROOT)


def test_walks_are_those_of_the_code():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert len(WALK.findall(text)) == 8
    assert not wrong_walks(text, ROOT)
    (files,) = (int(files) for title, files, *_ in WALK.findall(text) if "flag" in title)
    assert files <= 4


def test_every_environment_variable_is_in_the_table():
    text = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `(\w+)`", text, re.M))
    files = [file for name in FOLDERS.split("|") for file in (ROOT / name).rglob("*.py") if file != Path(__file__)]
    asked = {name for file in files for name in variables(file.read_text(encoding="utf-8"))}
    assert not asked - table
    assert {"GPUAUG_DATA", "GPUAUG_REQUIRE_GPU", "GPUAUG_TEST_LIBRARY", "GPUAUG_TRACEBACK"} <= asked


def test_decisions_say_when_why_what_and_what_follows():
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    files = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert files
    for number, file in enumerate(files, 1):
        text = file.read_text(encoding="utf-8")
        assert file.name.startswith(f"{number:04}-")
        assert re.search(r"^Date: 20\d\d-\d\d-\d\d", text, re.M), file.name
        assert headings(text) >= {"context", "decision", "consequences"}, file.name
        assert f"({file.name})" in index


def test_the_example_of_a_task_works(monkeypatch):
    """As the loop uses it: flags from its options and recipe, plans with targets, a loss with scores."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (source,) = (textwrap.dedent(block) for _, name, block in CODE.findall(text) if name == "task")
    task: Any = types.ModuleType("arrow")
    monkeypatch.setitem(sys.modules, "arrow", task)  # where dataclasses look for the types that fields name
    exec(compile(source, "CONTRIBUTING.md", "exec"), task.__dict__)
    bank = gpuaug.ClipBank(4, length=12, height=8, width=8, reuse_max=2)
    for slot in range(4):
        picture = torch.arange(9 + slot, dtype=torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3)
        bank.write(slot, picture, {"video": slot, "label": -1})
    parser, kinds = Parser(), {"task": task.Settings}
    add_flags(parser, kinds, {"arrow": task.RECIPE})
    assert "share of the features dropped" in parser.format_help()
    settings = make(task.Settings, parse(parser, ["--frames", "6"], kinds, task.RECIPE))
    plan, target = task.sample(np.random.default_rng(0), bank, 8, settings)
    clip = gpuaug.render(bank.frames, plan, size=(8, 8))
    steps = (255 * clip[:, 0, :, 0, 0]).round().diff(dim=1)
    assert torch.equal(steps, torch.where(torch.from_numpy(target["arrow"]) == 1, -1.0, 1.0)[:, None].expand(8, 5))
    head = task.Head(5, [], settings)
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(clip[0].numel(), 5))
    loss, scores = head.loss(encoder, clip, {"arrow": torch.from_numpy(target["arrow"])})
    loss.backward()
    assert scores["arrow"][0].tolist() == target["arrow"].tolist()
    given, _ = task.sample(np.random.default_rng(0), bank, 2, settings, first=np.array([3, 1]))
    assert given.clip[:, 0, 0].tolist() == [3, 1]
    assert task.window_frames(settings) == 6
    assert inspect.signature(task.sample) == inspect.signature(load("tsp").sample)
    assert {name for name in vars(Task) if name[0] != "_"} <= vars(task).keys()
    assert {"encoder", "size", "fps", "window_frames", "batch", "epochs", "optimizer"} <= task.RECIPE.keys()


# ---- negative controls ---------------------------------------------------------------------------------------------


def test_a_missing_file_and_a_broken_link_are_found(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "there.md").write_text("# One *two*: three\n\n```\n# no heading\n```\n")
    assert missing_files("`docs/there.md` `docs/{there,gone}.md` `docs/*.md` `docs/<name>.md`", tmp_path) == [
        "docs/gone.md"
    ]
    links = "[a](there.md) [b](gone.md) [c](there.md#one-two-three) [d](there.md#no-heading) [e](https://x.org/gone)"
    assert broken_links(links, tmp_path / "docs") == ["gone.md", "there.md#no-heading"]


def test_a_wrong_walk_is_found(tmp_path):
    (tmp_path / "a.py").write_text("def f(): ...\nclass C:\n    def g(self): ...\n")
    (tmp_path / "b.cpp").write_text("void h() {}\n")
    right = "### Walk: 2 files, 3 stays, 1 return\n\nwords\n\n```text\na.py: f\nb.cpp: h\na.py: C.g, C\n```\n"
    assert not wrong_walks(right, tmp_path)
    assert wrong_walks(right.replace("3 stays", "2 stays"), tmp_path) == ["Walk: 2 files, 3 stays, 1 returns"]
    assert wrong_walks(right.replace("C.g", "C.x"), tmp_path) == ["Walk: a.py has no C.x"]
    assert wrong_walks(right.replace("b.cpp", "gone.py"), tmp_path) == ["Walk: gone.py has no h"]


def test_stale_code_is_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.py").write_text("def f():\n    x = 1\n    return x\n")
    right = "  ```python a/b.py\n  def f():\n      # …\n      return x\n  ```\n"
    assert not stale_code(right, tmp_path)
    assert stale_code(right.replace("return x", "return y"), tmp_path) == ["a/b.py has not:     return y"]


def test_variables_of_the_environment_are_found():
    source = (
        'NAME = "BY_NAME"\nos.environ.get("A")\nos.environ["B"]\nos.environ[NAME]\npatch.setenv("C", 1)\nenviron[x]\n'
    )
    assert variables(source) == {"A", "B", "C", "BY_NAME"}
