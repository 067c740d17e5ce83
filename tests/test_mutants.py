"""The tools of `make mutants`: what is mutated by whom, what is left out, and that faults made by hand still fit."""

import ast
import json
import subprocess
from collections import Counter

import pytest

from support.mutants import by_hand, made
from support.mutants.by_hand import FAULTS
from support.mutants.packages import PACKAGES
from support.mutants.report import report
from support.mutants.sources import Mutant, difference, mutant_of, same
from support.paths import REPOSITORY

# what only whole programs run, what needs a GPU, and what torch.compile traces, as it cannot where mutmut wraps it
LEFT_OUT = {f"gpuaug/video/backends/{name}.py" for name in ("dali", "dali_pipeline", "nvdec", "torchcodec")}
LEFT_OUT.add("gpuaug/compile.py")


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
        ("return tqdm(a, desc='read')", "return tqdm(a, desc=None)", True),
        ("return tqdm(a, desc='read')", "return tqdm(None, desc='read')", False),
        ("return a + 1", "return a + 2", False),
        ("raise ValueError('a')", "raise TypeError('a')", False),
        ("g(a, b=1)", "g(a)", False),
    ],
)
def test_what_changes_no_more_than_words_is_left_out(original, changed, alike):
    assert same(function(original), function(changed)) == alike
    assert difference(function(original), function(changed)) == (f"-    {original}", f"+    {changed}")


def test_a_changed_default_is_told():
    original, changed = (ast.parse(f"def f{n}(a={n}):\n    return a").body[0] for n in (1, 2))
    assert not same(original, changed)
    assert difference(original, changed) == ("-def _(a=1):", "+def _(a=2):")


def test_report():
    """Survivors are told of, whatever else the tests ended with was seen, and what was stopped is not counted."""
    codes = {"a.py": [0, 1, 2, 3, 33, None, -15], "b.py": [-24, -11, 36, 5, 255]}
    found = [
        (Mutant(file, f"{file}.{n}", (f"+{n}",)), code) for file, all in codes.items() for n, code in enumerate(all)
    ]
    lines = report(found)
    assert lines[:2] == [
        "7 of 10 planted faults were seen, 70.0 %",
        "2 were stopped or not planted; the same command plants them",
    ]
    assert lines[5:7] == ["| a.py | 5 | 3 | 2 |", "| b.py | 5 | 4 | 1 |"]
    assert lines[8:13] == ["a.py.0", "```diff", "+0", "```", ""]
    unreached = "(no fast test of its package reaches it)"
    assert [line for line in lines[12:] if line.startswith(("a", "b"))] == [
        f"a.py.4 {unreached}",
        f"b.py.3 {unreached}",
    ]


@pytest.fixture
def stand_in(monkeypatch):
    """In the place of mutmut and of the repository: the calls, as lists of names; "bad" is stopped at first."""
    calls, source = (
        [],
        "class A:\n    def f__mutmut_orig(a):\n        return a\n    def f__mutmut_1(a):\n        return a + 1\n",
    )

    def mutmut(folder, names):
        calls.append(names)
        file = folder / "mutants" / "gpuaug" / "bank.py"
        meta = file.with_name("bank.py.meta")
        if names == ["made-and-measured-only"]:
            file.parent.mkdir(parents=True)
            file.write_text(source)
            file.with_name("bank.py.spans").write_text('{"spans": {"f__mutmut_orig": [2, 3], "f__mutmut_1": [4, 5]}}')
            codes = {"gpuaug.bank.f__mutmut_1": None}
        else:
            codes = json.loads(meta.read_text())["exit_code_by_key"]
            codes[names[0]] = 0 if len(calls) > 2 else None
        meta.write_text(json.dumps({"exit_code_by_key": codes}))
        return subprocess.CompletedProcess([], 1, "", "nothing matches")

    monkeypatch.setattr(made, "mutmut", mutmut)
    monkeypatch.setattr(made, "_files", lambda: ["pyproject.toml"])
    return calls


def test_a_run_goes_on_where_it_was_stopped(stand_in, tmp_path, monkeypatch):
    (which,) = made.make("gpuaug", tmp_path)
    mutants = [mutant_of(tmp_path / "gpuaug", *which)]
    assert mutants == [Mutant("gpuaug/bank.py", "gpuaug.bank.f__mutmut_1", ("-    return a", "+    return a + 1"))]
    name = mutants[0].name
    with pytest.raises(made.TestsFail):
        made.plant(tmp_path / "gpuaug", mutants)
    for _ in range(2):  # what was planted is not planted again, what was made is not made again
        assert made.make("gpuaug", tmp_path) == [which]
        assert made.plant(tmp_path / "gpuaug", mutants) == {name: 0}
    assert stand_in == [["made-and-measured-only"], [name], [name]]
    monkeypatch.setattr(made, "_repository", lambda: "changed")  # and then nothing of it holds any more
    made.make("gpuaug", tmp_path)
    assert stand_in[3:] == [["made-and-measured-only"]]


def test_faults_made_by_hand_are_planted_once(tmp_path, monkeypatch):
    planted = []

    def passed(folder, implementation, library):
        text = (folder / "gpuaug" / "kernels" / "blend.cu").read_text(encoding="utf-8")
        planted.append([implementation, *(fault.after for fault in faults if fault.before not in text)])
        if planted[2:] == planted[-1:]:
            raise KeyboardInterrupt
        return len(planted) == 1

    faults = [fault for fault in FAULTS if fault.file == "blend.cu"][:3]
    monkeypatch.setattr(by_hand, "FAULTS", faults)
    monkeypatch.setattr(by_hand, "passed", passed)
    with pytest.raises(KeyboardInterrupt):
        by_hand.plant(tmp_path / "kernels")
    assert by_hand.plant(tmp_path / "kernels") == list(zip(faults, [False, True, True]))
    assert [after for _, *afters in planted for after in afters] == [fault.after for fault in [*faults, faults[2]]]
    text = by_hand.report(tmp_path / "kernels")
    assert text[1] == "2 of 3 faults planted by hand in the kernels were seen"
    assert text[5] == "| gpuaug/kernels/blend.cu | 3 | 2 | 1 |"
    assert len(planted) == 4


@pytest.mark.parametrize(("code", "seen"), [(0, False), (1, True), (-11, True), (-6, True), (5, None), (4, None)])
def test_a_crash_of_the_tests_is_a_fault_that_was_seen(code, seen, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], code, "", ""))
    if seen is None:
        with pytest.raises(SystemExit, match="no tests of the kernels were run"):
            by_hand.passed(tmp_path, "host", None)
    else:
        assert by_hand.passed(tmp_path, "host", None) != seen
