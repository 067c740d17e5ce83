"""extract, localize, report and probe killed at random moments: what there is, is whole; the same command ends it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import gpuaug
from pretrain.commands import extract, localize, report
from support import tiny_extraction
from support.planted import plant
from support.processes import quick_processes

KILLS = 6

pytestmark = pytest.mark.end_to_end


def run_extract(*flags):
    tiny_extraction.install(setattr)
    raise SystemExit(extract.main([*flags, *tiny_extraction.TINY]))


def run_localize(*flags):
    raise SystemExit(localize.main(flags))


def run_report(*flags):
    raise SystemExit(report.main(flags))


def run_probe(videos, cache, out):
    gpuaug.probe(videos, cache=cache, workers=1, progress=False).save(out)


def whole(folder: Path) -> dict[str, bytes]:
    """Every file that has its name, opened as its users do; the hidden parts that a kill leaves count for none."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith(".") or path.name.endswith(".part") or ".parts" in str(path):
            continue
        found[str(path.relative_to(folder))] = path.read_bytes()
        if path.suffix == ".npy":
            assert tiny_extraction.shown(np.load(path)).shape[1] == 4
        elif path.suffix == ".h5":
            with h5py.File(path) as file:
                assert all(np.isfinite(file[name]).all() for name in file)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        elif path.suffix == ".png":
            Image.open(path).verify()
        elif path.suffix == ".csv":
            assert len(gpuaug.Manifest.load(path).videos) == VIDEOS
    return found


VIDEOS = 40


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    source = tiny_extraction.film(folder / "000.mp4", 30, size=(16, 24))
    for i in range(1, VIDEOS):
        (folder / f"{i:03d}.mp4").write_bytes(source.read_bytes())
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("planted"), videos=8)


@pytest.fixture(scope="module")
def commands(videos, planted, tmp_path_factory):
    """{name: (program, a function of the folder of results that gives its arguments)}."""
    log = tmp_path_factory.mktemp("run")
    row = {
        "loss": 1.0,
        "lr": 0.1,
        "step_ms": 5.0,
        "wait_ms": 1.0,
        "encoder_ms": 3.0,
        "samples_per_second": 9,
        "echo": 2,
    }
    (log / "log.jsonl").write_text("".join(json.dumps(row | {"step": k}) + "\n" for k in range(50)))
    files = ["--features", str(planted / "features"), "--annotations", str(planted / "truth.json")]
    small = ["--epochs", "3", "--batch", "4", "--width", "8", "--samples", "4", "--length", "20"]
    extraction = ["--videos", str(videos), "--memory", "1", "--batch", "2"]
    return {
        "extract": (run_extract, lambda out: [*extraction, "--out", str(out / "features")]),
        "extract-h5": (run_extract, lambda out: [*extraction, "--out", str(out / "all.h5")]),
        "localize": (run_localize, lambda out: [*files, *small, "--out", str(out / "found.json")]),
        "report": (run_report, lambda out: [str(log), "--out", str(out / "report.html")]),
        "probe": (run_probe, lambda out: [str(videos), str(out / "cache"), str(out / "manifest.csv")]),
    }


def killed(program, arguments, folder: Path, kills: int) -> None:
    """Run to the end, then again in another folder with that many kills before the end.

    What a kill leaves is whole, and no file that was there is lost; at the end everything is as if nothing happened.
    """
    context = quick_processes()
    plain, disturbed = folder / "plain", folder / "killed"
    for each in (plain, disturbed):
        each.mkdir()

    def start(out):
        process = context.Process(target=program, args=arguments(out))
        process.start()
        return process

    start(plain).join()  # the first one waits for the imports
    begin = time.monotonic()
    for path in plain.rglob("*.npy"):
        path.unlink()
    (plain / "all.h5").unlink(missing_ok=True)
    process = start(plain)
    process.join()
    assert process.exitcode == 0
    seconds = time.monotonic() - begin
    rng, counted, before = np.random.default_rng(0), 0, set[str]()
    while counted < kills:
        process = start(disturbed)
        process.join(rng.uniform(0, seconds))
        process.kill()
        process.join()
        counted += process.exitcode == -9
        now = {name for name in whole(disturbed) if name != "cache-journal"}  # SQLite's, for a moment
        assert before <= now, "a file that was there is gone"
        before = now
        if process.exitcode == 0:  # too late: once more from the beginning
            shutil.rmtree(disturbed)
            disturbed.mkdir()
            before = set()
    process = start(disturbed)
    process.join()
    assert process.exitcode == 0
    ends = [whole(each) for each in (plain, disturbed)]
    assert ends[0].keys() == ends[1].keys() - {"cache-journal"}
    for name, content in ends[0].items():
        if Path(name).suffix in (".npy", ".png") or name in ("found.json", "manifest.csv"):
            assert ends[1][name] == content, name
        elif Path(name).suffix == ".h5":
            one, two = (h5py.File(each / name) for each in (plain, disturbed))
            assert one.keys() == two.keys()
            assert all(np.array_equal(one[key], two[key]) for key in one)
    assert not list(disturbed.rglob(".*.part")), "the last one cleans up behind the others"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["extract", "extract-h5", "localize", "report", "probe"])
def test_killed_at_random_moments(commands, tmp_path, name):
    killed(*commands[name], tmp_path, KILLS)
