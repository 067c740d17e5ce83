"""gpuaug synthesise by many: shards, processes side by side, kills. The bytes are the same, nothing is made twice."""

from __future__ import annotations

import multiprocessing
import shutil
import time

import numpy as np
import pytest

from pretrain.shots.edits import EditSettings, read_sources
from support.edited import (
    HEIGHT,
    RATE,
    VIDEOS,
    WIDTH,
    make_clips,
    run,
    run_alone,
    whole,
)
from support.processes import quick_processes

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips"))


def test_a_number_is_a_video_whoever_makes_it(clips, tmp_path, capsys):
    """One process, three shards, and three processes that share the work: the same bytes, and nothing twice."""
    assert run(clips, tmp_path / "one") == 0
    assert "8 videos made of 7 sources, 0 there already" in capsys.readouterr().out
    for shard in (2, 0, 1):
        assert run(clips, tmp_path / "shards", "--shard", f"{shard}/3") == 0
    assert "8 of 8 are done" in capsys.readouterr().out
    context = quick_processes()
    together = [context.Process(target=run_alone, args=(clips, tmp_path / "together")) for _ in range(3)]
    begin = time.time()
    for process in together:
        process.start()
    for process in together:
        process.join()
        assert process.exitcode == 0
    one, *others = (whole(tmp_path / name) for name in ("one", "shards", "together"))
    assert len(one) == 3 * VIDEOS + 3
    assert one.keys() == others[0].keys() == others[1].keys()
    for other in others:
        assert [name for name in one if one[name] != other[name]] == []
    times = [path.stat().st_mtime for path in (tmp_path / "together").rglob("*.mp4")]
    assert min(times) > begin - 1
    assert run(clips, tmp_path / "one", count=10) == 0  # more of the same
    out = capsys.readouterr()
    assert "2 videos made of 7 sources, 8 there already" in out.out
    assert out.out.splitlines()[-1] == f"10 of 10 are done: {tmp_path / 'one' / 'clipshots.json'}"
    assert f"shots {tmp_path / 'one'} --out found" in out.err.splitlines()[-1]


def hold(clips, out, number, ready, go):
    """Make a video and keep its lock until told."""
    from pretrain.shots.synthesis import Collection

    settings = EditSettings(size=(HEIGHT, WIDTH), fps=float(RATE), seconds=(3.0, 4.0))
    sources, _ = read_sources([clips], settings)
    made = Collection(out, sources, settings, seed=0, codec="libx264", quality=(18, 32), say=print)
    assert made._lock(number)
    ready.set()
    go.wait(60)


def test_what_another_process_has_in_hand_is_left_to_it(clips, tmp_path, capsys):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=hold, args=(clips, tmp_path / "out", 1, ready, go))
    process.start()
    assert ready.wait(60)
    assert run(clips, tmp_path / "out", count=3) == 0
    out = capsys.readouterr().out
    assert "2 videos made of 7 sources, 0 there already, 1 in the hands of other processes" in out
    assert "2 of 3 are done" in out
    process.kill()  # and with it the lock goes
    process.join()
    assert run(clips, tmp_path / "out", count=3) == 0
    assert "3 of 3 are done" in capsys.readouterr().out


@pytest.mark.timeout(600)
def test_killed_at_random_moments(clips, tmp_path):
    """What a kill leaves is whole, no video is made again, and the end is as if nothing had happened."""
    context = quick_processes()
    plain, out = tmp_path / "plain", tmp_path / "killed"

    def start(folder):
        process = context.Process(target=run_alone, args=(clips, folder))
        process.start()
        return process

    begin = time.monotonic()
    process = start(plain)
    process.join()
    assert process.exitcode == 0
    seconds = time.monotonic() - begin
    rng, kills, before = np.random.default_rng(0), 0, dict[str, int]()
    while kills < 6:
        process = start(out)
        process.join(rng.uniform(0.2, seconds))
        process.kill()
        process.join()
        kills += process.exitcode == -9
        whole(out) if out.exists() else None
        now = {path.name: path.stat().st_mtime_ns for path in out.glob("0*/*.json")}
        assert all(now.get(name) == when for name, when in before.items()), "a video that was done was made again"
        before = now
        if process.exitcode == 0:
            shutil.rmtree(out)
            before = {}
    assert run(clips, out) == 0
    first, second = whole(plain), whole(out)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert not list(out.rglob(".*.part")), "the last one cleans up behind the others"
