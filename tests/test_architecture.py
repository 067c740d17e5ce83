"""What may import what, what is private, how large it may grow, and that every package says what it is for.

The rules are functions of support/architecture.py; each is tried on this repository and on a small tree that breaks it.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support import architecture, code_map
from support.architecture import Tree, lines_of_code

ROOT = Path(__file__).parent.parent
FOLDERS = ("gpuaug", "pretrain", "benchmarks", "examples", "docs")

# A floor imports only from the floors before it; what shares a floor knows nothing of each other.
FLOORS = [
    ["gpuaug.values"],
    ["gpuaug.layers"],
    ["gpuaug.plan"],
    ["gpuaug.transitions", "gpuaug.crop", "gpuaug.color", "gpuaug.reference", "gpuaug.kernels"],
    ["gpuaug.edits"],
    ["gpuaug.arguments", "gpuaug.arrays", "gpuaug.bank", "gpuaug.video"],
    ["gpuaug.execute"],
    ["gpuaug.compile"],
    ["gpuaug.render", "gpuaug.functional"],
    ["gpuaug.supply", "gpuaug.transforms"],
    ["gpuaug.__init__"],  # the public names
    ["gpuaug.doctor"],
    ["gpuaug.__main__"],
    ["pretrain.common"],
    ["pretrain.shots"],
    ["pretrain.data", "pretrain.models", "pretrain.toy"],
    ["pretrain.feed", "pretrain.features", "pretrain.evaluation"],
    ["pretrain.tasks", "pretrain.localization"],
    ["pretrain.training", "pretrain.reports"],
    ["pretrain.commands"],
    ["pretrain.__init__", "pretrain.__main__"],
    ["benchmarks", "examples", "docs"],
]
ONLY = {"gpuaug.video": {"gpuaug.kernels"}, "gpuaug.bank": set[str]()}  # beside the others: no plans, no edits
OWNERS = {"cupy": "gpuaug.kernels.cuda", "nvidia": "gpuaug.video.backends.dali_pipeline"}
HEAVY = {"torch", "torchvision", "av", "h5py", "sklearn", "matplotlib"}

LONGEST_FILE = 300
MODULES = {"": 15, "pretrain/": 10}  # in one folder, __init__ not counted
PACKAGES_OF_PRETRAIN = 13
# Lines of source, of whatever language. Raising a number takes a line in docs/decisions/budgets.md.
BUDGETS = {
    "gpuaug": 3049,
    "gpuaug/supply": 2148,
    "gpuaug/kernels": 3205,
    "gpuaug/video": 4359,
    "pretrain": 118,
    "pretrain/commands": 873,
    "pretrain/common": 1210,
    "gpuaug/layers": 537,
    "gpuaug/transitions": 987,
    "gpuaug/transforms": 721,
    "pretrain/data": 1461,
    "pretrain/evaluation": 940,
    "pretrain/features": 1254,
    "pretrain/feed": 272,
    "pretrain/localization": 860,
    "pretrain/models": 1200,
    "pretrain/reports": 1652,
    "pretrain/tasks": 2696,
    "pretrain/toy": 756,
    "pretrain/training": 1892,
    "pretrain/shots": 1354,
    "benchmarks": 3166,
    "benchmarks/shots": 894,
    "benchmarks/study": 531,
    "examples": 495,
    "docs": 409,
}

# Faults that are known and on their way out; a line that no longer breaks a rule has to go.
KNOWN: set[str] = set()


def public_names() -> set[str]:
    source = ast.parse((ROOT / "gpuaug" / "__init__.py").read_text(encoding="utf-8"))
    return next(set(ast.literal_eval(node.value)) for node in source.body if ast.unparse(node).startswith("__all__"))


def public_modules(tree: Tree) -> set[str]:
    """Those of gpuaug that are public names: all that is in them is public, too."""
    modules = {
        target.removeprefix("gpuaug.").removesuffix(".__init__")
        for _, target, name in tree.imports["gpuaug.__init__"]
        if not name
    }
    return modules & public_names()


def hidden_uses(tree: Tree) -> list[str]:
    modules = public_modules(tree) | {"transitions.__init__"}
    found = architecture.hidden_uses(tree, "gpuaug", public_names(), modules)
    # the command lines are one; what kernels are compiled to is asked of them
    return [each for each in found if not each.startswith(("pretrain/__main__.py", "benchmarks/sass.py"))]


def over_budget(lines: dict[Path, int]) -> list[str]:
    return architecture.over_budget({path: n for path, n in lines.items() if path.parts[0] != "tests"}, BUDGETS)


RULES = {  # of the tree, and the lines of its files
    "imports point down": lambda tree, lines: architecture.misplaced(tree, FLOORS, ONLY),
    "no module is in a circle": lambda tree, lines: architecture.circles(tree),
    "no package is in a circle": lambda tree, lines: architecture.circles(tree, FLOORS),
    "private names stay in their package": lambda tree, lines: architecture.private_uses(tree),
    "others use public names of gpuaug": lambda tree, lines: hidden_uses(tree),
    "libraries stay in their place": lambda tree, lines: architecture.foreign(tree, OWNERS, HEAVY),
    "packages say what they are for": lambda tree, lines: architecture.silent_packages(tree),
    "files are read in one sitting": lambda tree, lines: architecture.long_files(lines, LONGEST_FILE),
    "folders are read in one sitting": lambda tree, lines: architecture.full_folders(lines, MODULES),
    "packages stay within their budgets": lambda tree, lines: over_budget(lines),
}


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """What breaks each rule."""
    tree, lines = Tree(ROOT, FOLDERS), lines_of_code(ROOT, [*FOLDERS, "tests"])
    return {name: rule(tree, lines) for name, rule in RULES.items()}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule, found):
    assert not set(found[rule]) - KNOWN, "\n".join(each for each in found[rule] if each not in KNOWN)


def test_known_faults_are_still_there(found):
    assert not KNOWN - {each for faults in found.values() for each in faults}


def test_pretrain_has_few_packages():
    assert len(list((ROOT / "pretrain").glob("*/__init__.py"))) <= PACKAGES_OF_PRETRAIN


def test_the_map_in_the_readme_is_current():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert code_map.put(text, code_map.code_map(ROOT)) == text, "it is written by `make map`"


# ---- negative controls: a small tree that breaks each rule ---------------------------------------------------------

TWO = [["low"], ["high"]]
PLAIN = {
    "low/__init__.py": '"""Low.\n\nUsed by high. Imports nothing.\n"""\n',
    "low/base.py": "_hidden = shown = _replace = 1\n",
    "high/__init__.py": '"""High.\n\nUsed by users. Imports low.\n"""\n',
    "high/top.py": "import low\nfrom low.base import shown\n\n\nclass Top:\n    _own = shown._replace(x=1)\n",
}


def made(folder: Path, files: dict[str, str]) -> Tree:
    for name, text in (PLAIN | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return Tree(folder, ["low", "high"])


def every_fault(tree: Tree) -> list[str]:
    return [
        *architecture.misplaced(tree, TWO, {}),
        *architecture.circles(tree),
        *architecture.private_uses(tree),
        *architecture.hidden_uses(tree, "low", {"shown"}, {"base"}),
        *architecture.foreign(tree, {"cupy": "low.gpu"}, {"torch"}),
        *architecture.silent_packages(tree),
    ]


def test_a_tree_without_faults_has_none(tmp_path):
    assert not every_fault(made(tmp_path, {}))


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"low/up.py": "import high.top\n"}, "low/up.py:1: low may not import high.top"),
        ({"low/up.py": "def f():\n    from high import top\n"}, "low/up.py:2: low may not import high.top"),
        ({"low/up.py": "from ..high.top import Top\n"}, "low/up.py:1: low may not import high.top"),
        ({"low/up.py": "name = 'high.top'\n"}, "low/up.py:1: low may not import high.top"),
        ({"high/a.py": "from . import b\n", "high/b.py": "from .a import x\n"}, "high.a imports high.b imports high.a"),
        ({"high/a.py": "from low.base import _hidden\n"}, "high/a.py:1: _hidden is private to low"),
        ({"high/a.py": "from low import base\n\nbase._hidden\n"}, "high/a.py:3: _hidden is private to low"),
        ({"low/a.py": "def f(top):\n    return top._own\n"}, "low/a.py:2: _own is private to high"),
        ({"low/deep.py": "x = 1\n", "high/a.py": "from low.deep import x\n"}, "high/a.py:1: low.deep.x is not public"),
        ({"high/a.py": "import low\n\nlow.other\n"}, "high/a.py:3: low.other is not public"),
        ({"low/a.py": "def f():\n    import cupy.cuda\n"}, "low/a.py:2: only low.gpu may import cupy"),
        ({"low/a.py": '"""NumPy only."""\n\nfrom torch import nn\n'}, "low/a.py:3: torch in a module of NumPy only"),
        ({"low/__init__.py": ""}, "low/__init__.py must say what the package is for, on the first line"),
        ({"low/__init__.py": '"""Low.\n"""\n'}, "low/__init__.py must say 'Used by …' and what the package may import"),
        (
            {"high/__init__.py": '"""High.\n\nUsed by users. Imports nothing, never low.\n"""\n'},
            "high/__init__.py does not say that the package imports low",
        ),
    ],
)
def test_a_fault_is_found(tmp_path, files, fault):
    assert fault in every_fault(made(tmp_path, files))


def test_a_circle_of_packages_without_one_of_modules_is_found(tmp_path):
    tree = made(tmp_path, {"high/other.py": "x = 1\n", "low/up.py": "from high.other import x\n"})
    assert not architecture.circles(tree)
    assert architecture.circles(tree, TWO) in (["low imports high imports low"], ["high imports low imports high"])


def test_a_package_without_a_floor_is_found(tmp_path):
    found = architecture.misplaced(made(tmp_path, {}), [["high"]], {})
    assert found == ["low/__init__.py has no floor", "low/base.py has no floor"]


def test_what_a_package_may_import_can_be_less_than_the_floors_below(tmp_path):
    found = architecture.misplaced(made(tmp_path, {}), TWO, {"high": set()})
    assert found[-1] == "high/top.py:2: high may not import low.base"


def test_sizes_are_found(tmp_path):
    made(tmp_path, {"low/long.cu": "x\n" * 11, "low/more.py": "", "README.md": "x\n" * 99})
    lines = lines_of_code(tmp_path, ["low", "high"])
    assert architecture.long_files(lines, 10) == ["low/long.cu has 11 lines, at most 10 are allowed"]
    assert architecture.full_folders(lines, {"": 1, "low/": 2}) == []
    assert architecture.full_folders(lines, {"": 2, "low/": 1}) == ["low has 2 modules, at most 1 are allowed"]
    assert architecture.over_budget(lines, {"low": 16, "high": 9}) == ["high has 10 lines, its budget is 9"]
    assert architecture.over_budget(lines, {"low": 16})[0] == "high/__init__.py belongs to no package that has a budget"


def test_a_map_that_is_not_current_is_found(tmp_path):
    for name in code_map.PACKAGES:
        (tmp_path / name / "inner").mkdir(parents=True)
        for folder in (tmp_path / name, tmp_path / name / "inner"):
            (folder / "__init__.py").write_text(f'"""What {folder.name} is for."""\n')
    text = code_map.put(f"before\n{code_map.BEGIN}\nstale\n{code_map.END}\nafter\n", code_map.code_map(tmp_path))
    assert "gpuaug/      What gpuaug is for\n  inner/     What inner is for\n" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "stale" not in text
    with pytest.raises(ValueError, match="the text must have <!-- map -->"):
        code_map.put("no markers", "")
