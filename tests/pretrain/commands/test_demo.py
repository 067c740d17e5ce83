"""The demo with two steps of training: preview first, the range, little kept, and no claim when it is cut."""

import json

import pytest
import torch

from pretrain.commands import demo
from pretrain.models import checkpoint
from pretrain.toy import dataset
from support import tiny_training

pytestmark = pytest.mark.end_to_end


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Two steps, on three videos a class."""
    monkeypatch.setitem(demo.RECIPE, "steps", 2)
    monkeypatch.setitem(demo.RECIPE, "val-every", 1000)
    monkeypatch.setattr(demo.toy_command, "make_actions", few)
    threads = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == threads
    torch.set_num_threads(tiny_training.THREADS)


def few(folder, *, clips_per_class, classes, **more):
    return dataset.make_actions(folder, clips_per_class=5, classes=2, **more)


def test_twice_in_a_folder_and_again_elsewhere(tmp_path, capsys):
    out = tmp_path / "demo"
    assert demo.main(["--out", str(out)]) == 0
    text = capsys.readouterr().out
    least, most, count = demo.expected()
    assert f"to be expected      {least:.3f} to {most:.3f}, measured with {count} seeds" in text
    assert text.index("preview") < text.index("4/5 train")
    assert [path.name for path in checkpoint.those_in(out / "bsp")] == ["best.pt"]
    assert "optimizer" not in checkpoint.read(out / "bsp")
    assert sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) < 150e6
    log = (out / "bsp" / "log.jsonl").read_text()
    assert demo.main(["--out", str(out)]) == 0
    assert "has finished before" in capsys.readouterr().out
    assert (out / "bsp" / "log.jsonl").read_text() == log
    assert demo.main(["--out", str(tmp_path / "again")]) == 0
    rows = [json.loads(line) for line in log.splitlines()]
    others = [json.loads(line) for line in (tmp_path / "again/bsp/log.jsonl").read_text().splitlines()]
    times = {"seconds", "samples_per_second", "step_ms", "encoder_ms", "feed_ms", "wait_ms"}
    for row, other in zip(rows, others, strict=True):
        assert {k: v for k, v in row.items() if k not in times} == {k: v for k, v in other.items() if k not in times}


def test_a_run_that_is_cut_claims_nothing_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(demo.RECIPE, "steps", 10_000)
    assert demo.main(["--out", str(tmp_path), "--minutes", "0.05"]) == 1
    text = capsys.readouterr().out
    assert "no result: cut at 0.05 minutes" in text
    assert "held-out accuracy" not in text
    assert (tmp_path / "bsp" / checkpoint.NAME).exists()


def test_wrong_usage(capsys):
    assert demo.main(["--minutes", "0"]) == 2
    assert "--minutes must be in (0, 1e5), got 0" in capsys.readouterr().err
