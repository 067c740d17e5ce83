"""What a result was made with: the commit of a small repository, packages that are there, cores that may be used."""

import shutil
import subprocess
from importlib import metadata

import pytest
import torch

import gpuaug
from pretrain.common import environment


@pytest.fixture
def repository(monkeypatch, tmp_path):
    """A function that runs git in the folder that stands for this source tree."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@b")

    def git(*words):
        return subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True, text=True).stdout

    return git


def test_the_commit_and_whether_files_differ_from_it(repository, tmp_path):
    assert environment.commit() is None
    repository("init", "-q")
    assert environment.commit() is None, "there is none yet"
    for name in ("a.py", "docs/b.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    repository("add", ".")
    repository("commit", "-q", "-m", "one")
    head = repository("rev-parse", "HEAD").strip()
    assert environment.commit() == head
    (tmp_path / "new.py").write_text("not tracked")
    assert environment.commit() == head
    (tmp_path / "docs/b.md").write_text("other")
    assert environment.commit() == f"{head}+"
    assert environment.commit(["docs"]) == head
    (tmp_path / "a.py").write_text("other")
    assert environment.commit(["docs"]) == f"{head}+"
    assert environment.commit(["docs", "a.py"]) == head


def test_versions_of_what_is_there(monkeypatch):
    def version(name):
        if name not in ("torch", "timm"):
            raise metadata.PackageNotFoundError(name)
        return f"version of {name}"

    monkeypatch.setattr(environment.metadata, "version", version)
    found = environment.versions()
    assert found.keys() == {"gpuaug", "python", "torch", "timm"}
    assert (found["gpuaug"], found["timm"]) == (gpuaug.__version__, "version of timm")


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    some = {0: {3, 5, 8}}
    monkeypatch.setattr(environment.os, "sched_getaffinity", some.__getitem__, raising=False)
    assert environment.usable_cores() == 3
    about = environment.environment(torch.device("cpu"))
    assert (about["machine"]["cores"], about["machine"]["gpu"], about["machine"]["device"]) == (3, None, "cpu")
    monkeypatch.delattr(environment.os, "sched_getaffinity")
    monkeypatch.setattr(environment.os, "cpu_count", lambda: 7)
    assert environment.usable_cores() == 7
    monkeypatch.setattr(environment.os, "cpu_count", lambda: None)
    assert environment.usable_cores() == 1
