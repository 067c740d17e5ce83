"""The tools of `make mutants`: what is mutated by whom, what is left out, and that faults made by hand still fit."""

import ast
from collections import Counter

import pytest

from support.mutants.by_hand import FAULTS
from support.mutants.packages import PACKAGES
from support.mutants.sources import difference, same
from support.paths import REPOSITORY

# what only whole programs run, and what needs a GPU
LEFT_OUT = {f"gpuaug/video/backends/{name}.py" for name in ("dali", "dali_pipeline", "nvdec", "torchcodec")}


def test_every_module_is_mutated_by_one_package():
    found = Counter(file for package in PACKAGES.values() for file in package.files(REPOSITORY))
    assert [file for file, count in found.items() if count > 1] == []
    files = [file for name in ("gpuaug", "pretrain") for file in (REPOSITORY / name).rglob("*.py")]
    every = {str(file.relative_to(REPOSITORY)) for file in files}
    rest = {f for f in every - set(found) if not f.endswith(("__init__.py", "__main__.py"))}
    assert {f for f in rest if not f.startswith("pretrain/commands/")} <= LEFT_OUT
    for package in PACKAGES.values():
        assert all((REPOSITORY / test).exists() for test in package.tests)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.file}: {fault.before}")
def test_faults_made_by_hand_have_a_place(fault):
    text = (REPOSITORY / "gpuaug" / "kernels" / fault.file).read_text(encoding="utf-8")
    assert text.count(fault.before) == 1
    assert fault.before != fault.after


def function(body):
    return ast.parse(f"def f(a):\n    {body}").body[0]


@pytest.mark.parametrize(
    ("original", "changed", "alike"),
    [
        ("raise ValueError(f'a is {a}')", "raise ValueError(None)", True),
        ("return a == 'mean'", "return a == 'MEAN'", True),
        ("return f'{a} frames'", "return f'XX{a} framesXX'", True),
        ("return a == 'mean'", "return a == 'XXmeanXX'", False),
        ("return a + 1", "return a + 2", False),
        ("raise ValueError('a')", "raise TypeError('a')", False),
        ("g(a, b=1)", "g(a)", False),
    ],
)
def test_what_changes_no_more_than_words_is_left_out(original, changed, alike):
    assert same(function(original), function(changed)) == alike
    assert difference(function(original), function(changed)) == (f"-    {original}", f"+    {changed}")
