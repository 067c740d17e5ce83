"""What is built and installed: the archives' files, the program `gpuaug` beside a user's own modules, and the types."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
from email.parser import Parser
from pathlib import Path

import pytest

import gpuaug
from support.paths import REPOSITORY

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

NOT_IN_ARCHIVE = (".ci/", ".github/", ".gitignore")
MADE_FOR_ARCHIVE = {"PKG-INFO", "setup.cfg"}
NO_COMPILER = {"CC": "false", "CXX": "false"}  # the kernels are optional, and compiling them takes most of the time
TRAPS = ("gpuaug", "pretrain")  # modules of a user, whose import leaves a file


def run(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=cwd,
        env={**inherited, "OMP_NUM_THREADS": "1", **environment},
    )


def succeeds(*words: object, cwd: Path, **environment: str) -> str:
    done = run(*words, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of the repository; an unpacked source archive has no list of them."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout: what belongs to the repository is not known")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return names.stdout.strip("\0").split("\0")


@pytest.fixture(scope="module")
def checkout(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with what using it leaves behind."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((REPOSITORY / name).read_bytes())
    rests = ["tests/__pycache__/conftest.cpython-311.pyc", "runs/a/log.jsonl", "demo/a.html", "gpuaug/kernels/old.so"]
    for name in rests:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def install(folder: Path, *what: object) -> Path:
    """The folder of the programs of a new environment that has gpuaug, and else what this one has."""
    pytest.importorskip("pip")
    venv.create(folder, symlinks=True)
    own = next(folder.glob("lib/python*/site-packages"))
    (own / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin" / "python"]
    succeeds(*pip, "install", *flags, *what, cwd=folder, **NO_COMPILER)
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("installed"), checkout)


@pytest.fixture(scope="module")
def editable(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the Makefile installs."""
    return install(tmp_path_factory.mktemp("editable"), "--editable", checkout)


@pytest.fixture(params=["installed", "editable"])
def programs(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A user's folder with modules of our names, which is on the search path too."""
    folder = tmp_path / "user"
    folder.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text('open(__file__ + ".ran", "w").close()\n')
    return folder


def ran(users: Path) -> list[str]:
    return [name for name in TRAPS if (users / f"{name}.py.ran").exists()]


# ---- archives --------------------------------------------------------------------------------------------------------


def test_the_source_archive_is_the_repository(checkout, tracked, tmp_path):
    succeeds(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", tmp_path, cwd=checkout)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames() if file.getmember(name).isfile()}
    made = {name for name in names if name.startswith("gpuaug.egg-info/")} | MADE_FOR_ARCHIVE
    assert sorted(names - made) == sorted(name for name in tracked if not name.startswith(NOT_IN_ARCHIVE))
    assert made < names


def test_the_wheel_has_every_file_of_both_packages(installed, tracked):
    (site,) = installed.parent.glob("lib/python*/site-packages")
    files = [path for name in TRAPS for path in (site / name).rglob("*") if path.is_file()]
    names = {str(path.relative_to(site)) for path in files if path.suffix != ".pyc"}
    assert sorted(names) == sorted(name for name in tracked if name.startswith(("gpuaug/", "pretrain/")))
    assert {
        "gpuaug/py.typed",
        "pretrain/py.typed",
        "pretrain/shots/weights.pt",
        "gpuaug/kernels/render.cu",
        "gpuaug/kernels/host.h",
    } <= names


def test_the_description(installed):
    (metadata,) = installed.parent.glob("lib/python*/site-packages/gpuaug-*.dist-info")
    fields = Parser().parsestr((metadata / "METADATA").read_text(encoding="utf-8"))
    assert fields["Version"] == gpuaug.__version__
    assert fields["Author"] == "gpuaug contributors"
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in fields.get_all("Classifier", [])
    assert str(fields.get_payload()).strip() == (REPOSITORY / "README.md").read_text(encoding="utf-8").strip()
    assert {path.name for path in (metadata / "licenses").iterdir()} == {"LICENSE", "NOTICE"}


# ---- the program -----------------------------------------------------------------------------------------------------


def test_a_module_of_the_user_runs_where_nothing_is_done_about_it(installed, users):
    """Negative control, and the limit of `python -m`."""
    python = installed / "python"
    run(python, "-m", "pretrain", "--version", cwd=users)
    assert ran(users) == ["pretrain"]
    (users / "pretrain.py.ran").unlink()
    assert succeeds(python, "-P", "-m", "pretrain", "--version", cwd=users) == f"gpuaug {gpuaug.__version__}\n"
    run(python, "-c", "import pretrain.commands, gpuaug", cwd=users, PYTHONPATH=".")
    assert ran(users) == ["pretrain"]


def test_the_program_runs_what_was_installed_with_it(programs, users):
    path = os.pathsep.join(["", ".", str(users)])
    version = succeeds(programs / "gpuaug", "--version", cwd=users, PYTHONPATH=path)
    assert version == f"gpuaug {gpuaug.__version__}\n"
    assert ran(users) == []


def test_misspelt_commands_are_wrong_usage(installed, tmp_path):
    done = run(installed / "gpuaug", "tarin", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "gpuaug: there is no command 'tarin'; did you mean 'train'?\n"


def test_every_command_is_there(installed, users):
    listing = succeeds(installed / "gpuaug", "--help", cwd=users)
    commands = [name for name in re.findall(r"^  (\w+) ", listing, re.M) if name != "gpuaug"]  # that is of examples
    assert {"doctor", "probe", "demo", "train", "preview", "extract", "evaluate", "localize", "toy"} < set(commands)
    code = "import sys, gpuaug_console\nsys.argv[0] = 'gpuaug'\nfrom pretrain.__main__ import main\n"
    code += f"print([main([name, '--help']) for name in {commands}])"
    usage = succeeds(installed / "python", "-c", code, cwd=users, PYTHONPATH=".")
    assert re.findall(r"^usage: gpuaug (\w+)", usage, re.M) == commands
    assert usage.endswith(f"{[0] * len(commands)}\n")
    assert ran(users) == []


def test_videos_and_training_under_torchrun(editable, users):
    toys = ["--out", "toys", "--classes", "2", "--clips", "6", "--videos", "0"]
    succeeds(editable / "gpuaug", "toy", *toys, cwd=users, PYTHONPATH=".")
    flags = "--task bsp --videos toys/actions --encoder tsm_resnet18 --size 32 --fps 12 --window-frames 32 --batch 2"
    flags += " --steps 1 --val-batches 1 --device cpu --threads 1 --out run"
    torchrun = [editable / "python", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    succeeds(*torchrun, editable / "gpuaug", "train", *flags.split(), cwd=users, PYTHONPATH=".")
    assert (users / "run" / "summary.json").exists()
    assert ran(users) == []


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_worker_processes(programs, users, method):
    """The script as installed, with work for another process in the place of the command."""
    begin = (programs / "gpuaug").read_text().partition("if __name__")[0]
    work = f"""
if __name__ == "__main__":
    import multiprocessing
    from pretrain.common.cli import prog
    worker = multiprocessing.get_context({method!r}).Process(target=prog)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""
    (users / "gpuaug").write_text(begin + work)
    succeeds(programs / "python", users / "gpuaug", cwd=users, PYTHONPATH=".")
    assert ran(users) == []


def test_a_missing_extra_is_named_in_one_line(installed, tmp_path):
    code = "import sys\nsys.modules['h5py'] = None\nfrom pretrain.__main__ import main\nsys.exit(main(['extract']))"
    done = run(installed / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "extract: needs h5py, which is not installed: pip install 'gpuaug[pretrain]'\n"


# ---- types -----------------------------------------------------------------------------------------------------------

RIGHT = """
from typing import assert_type

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import gpuaug


def use(clips: Tensor, film: NDArray[np.uint8]) -> None:
    assert_type(gpuaug.take(clips, [2, 1, 0]), Tensor)
    assert_type(gpuaug.take(film, [2, 1, 0]), NDArray[np.uint8])
    assert_type(gpuaug.crossfade(film, film, length=8, center=4, overlap=2), NDArray[np.uint8])
    assert_type(gpuaug.concatenate(clips, clips, length=8, center=4), Tensor)
    assert_type(gpuaug.resample_speed(clips, length=8, change_point=4, rate=2), Tensor)
    assert_type(gpuaug.paste(clips, clips, start=1, stop=3, opacity=0.5), Tensor)
    plan = gpuaug.Plan.take([0, 1], np.arange(8.0))
    assert_type(plan, gpuaug.Plan)
    assert_type(plan.at([0, 1]).frame, NDArray[np.int64])
    assert_type(gpuaug.fade(plan, plan, 0.5), gpuaug.Plan)
    assert_type(gpuaug.edits.crossfade(plan, plan, length=8, center=4, overlap=2), gpuaug.Plan)
    assert_type(gpuaug.render(clips, plan, size=(2, 2)), Tensor)
    assert_type(gpuaug.blend(clips, plan), Tensor)
    with gpuaug.Decoder("cpu", (64, 64)) as decoder:
        frames, failures = decoder.decode([gpuaug.Window("a.mp4", 0.0, 12.0, 8)])
    assert_type(frames, list[Tensor | None])
    assert_type(failures, list[gpuaug.Failure])
    bank = gpuaug.ClipBank(2, length=4, height=6, width=8)
    assert_type(bank.frames, Tensor)
    assert_type(bank.draw(np.random.default_rng(0), 2), NDArray[np.int64])
    manifest = gpuaug.probe("videos")
    assert_type(manifest, gpuaug.Manifest)
    assert_type(manifest.usable[0].label, str | None)
"""
WRONG = """
import gpuaug

gpuaug.take([1, 2, 3], [0])
gpuaug.Decoder(backend="nvdec")
gpuaug.take
gpuaug.takes
"""


def test_type_checkers_see_the_types(installed, tmp_path, request):
    pytest.importorskip("mypy")
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    cache = request.config.cache.mkdir("mypy")  # torch's types take most of a minute the first time
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed / "python", "--cache-dir", cache]
    done = run(*mypy, "right.py", "wrong.py", cwd=tmp_path)
    found = re.findall(r"^(\w+\.py:\d+): error: .*\[([\w-]+)\]$", done.stdout, re.M)
    wanted = [("wrong.py:4", "type-var"), ("wrong.py:5", "arg-type"), ("wrong.py:7", "attr-defined")]
    assert found == wanted, done.stdout + done.stderr
