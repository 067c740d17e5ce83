"""The examples that share out edited videos: Ray Data's batches, and an array of jobs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pretrain.shots.edits import draw, read_sources
from pretrain.shots.footage import Footage
from pretrain.toy.dataset import make_actions

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_the_example_of_ray_data_runs(tmp_path):
    pytest.importorskip("ray", reason="could not import 'ray': its example is not run (pip install '.[ray]')")
    path = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    call, environment = [sys.executable, str(FOLDER / "ray_data_edits.py")], {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    line = r"videos \[(\d(, )?){4}\]: \(4, 40, 64, 96, 3\), \d+ new shots, \d+ frames in transitions"
    assert len(re.findall(f"^{line}$", done.stdout, re.M)) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's, of its own settings and sockets
def test_rays_rows_are_the_videos_of_the_seed(tmp_path, monkeypatch):
    """On a Ray started here, of two actors; every row against the plan drawn and rendered in this process."""
    ray = pytest.importorskip("ray", reason="could not import 'ray': its example is not run (pip install '.[ray]')")
    spec = importlib.util.spec_from_file_location("ray_data_edits", FOLDER / "ray_data_edits.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ray_data_edits", module)
    spec.loader.exec_module(module)
    make_actions(tmp_path, classes=4, clips_per_class=1, progress=False)
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    try:
        rows = ray.data.range(6).map_batches(
            module.Edited, fn_constructor_args=(str(tmp_path),), batch_size=2, concurrency=2
        )
        found = {row["id"]: row for row in rows.iter_rows()}
    finally:
        ray.shutdown()
    sources, _ = read_sources([tmp_path], module.SETTINGS, progress=False)
    assert sorted(found) == list(range(6))
    with Footage(module.SETTINGS) as footage:
        for i, row in found.items():
            edit = draw(0, i, sources, module.SETTINGS)
            np.testing.assert_array_equal(row["frames"], footage.pictures(edit))
            assert np.flatnonzero(row["new"]).tolist() == [each["new"] for each in edit.boundaries()]
    assert not np.array_equal(found[0]["frames"], found[1]["frames"])


@pytest.mark.slow
def test_the_array_of_jobs_makes_every_video_once(tmp_path):
    """The file as bash runs it, with the variables that SLURM would set, and gpuaug of this repository."""
    make_actions(tmp_path / "clips", classes=2, clips_per_class=2, sizes=[(48, 64)], progress=False)
    (tmp_path / "gpuaug").write_text(f'#!/bin/sh\nexec {sys.executable} -m pretrain "$@" --size 48 64 --seconds 2 2\n')
    (tmp_path / "gpuaug").chmod(0o755)
    given = {"VIDEOS": "clips", "OUT": "edited", "COUNT": "3", "SLURM_ARRAY_TASK_COUNT": "2"}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(FOLDER.parent)}
    for task in "01":
        environment = {**os.environ, **given, **path, "SLURM_ARRAY_TASK_ID": task}
        call = ["bash", str(FOLDER / "synthesise.slurm")]
        done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        assert f"{2 - int(task)} videos made of 4 sources, 0 there already" in done.stdout
    assert "3 of 3 are done" in done.stdout
