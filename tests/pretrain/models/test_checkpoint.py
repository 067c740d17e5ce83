"""Checkpoints: rotation, damage of every kind, kills while writing, and encoders read from them."""

import os
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from pretrain.models import checkpoint
from pretrain.models.encoders import encoder


def state(step):
    weight = torch.arange(50_000, dtype=torch.float32) + step
    return {"step": step, "model": {"w": weight}, "rows": [1, 2.5, None, "x"], "feed": [b"\x00\x01"]}


def test_newest_is_what_was_saved_last_and_older_ones_stay(tmp_path):
    assert checkpoint.newest(tmp_path) == (None, [], tmp_path / checkpoint.NAME)
    for step in range(5):
        checkpoint.save(tmp_path, state(step), keep=3, best=step == 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best.pt",
        "checkpoint.1.pt",
        "checkpoint.2.pt",
        "checkpoint.pt",
    ]
    found, problems, path = checkpoint.newest(tmp_path)
    assert (found["step"], problems, path) == (4, [], tmp_path / checkpoint.NAME)
    assert torch.equal(found["model"]["w"], state(4)["model"]["w"])
    assert found["rows"] == [1, 2.5, None, "x"]
    assert [checkpoint.read(tmp_path / f"checkpoint.{i}.pt")["step"] for i in (1, 2)] == [3, 2]
    assert checkpoint.read(tmp_path / "best.pt")["step"] == 1
    assert checkpoint.read(tmp_path)["step"] == 1, "a run folder stands for its best checkpoint"
    checkpoint.save(tmp_path, state(5), keep=1)
    assert not (tmp_path / "checkpoint.1.pt").exists()
    with pytest.raises(ValueError, match="keep must be ≥ 1, got keep=0"):
        checkpoint.save(tmp_path, state(6), keep=0)


def test_ordinary_torch_files(tmp_path):
    path = checkpoint.save(tmp_path, state(1))
    assert torch.load(path, weights_only=True)["step"] == 1


@pytest.mark.parametrize("damage", ["truncated", "emptied", "text", "zeros", "missing"])
def test_the_one_before_is_used_if_the_newest_is_damaged(tmp_path, damage):
    for step in range(3):
        checkpoint.save(tmp_path, state(step))
    path = tmp_path / checkpoint.NAME
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("hello")
    elif damage == "zeros":
        path.write_bytes(content[:4096] + bytes(4096) + content[8192:])
    else:
        path.unlink()
    found, problems, used = checkpoint.newest(tmp_path)
    assert (found["step"], used) == (1, tmp_path / "checkpoint.1.pt")
    assert len(problems) == (damage != "missing")
    assert all(str(path) in problem and "damaged" in problem for problem in problems)


def test_a_flipped_bit_is_found_or_harmless(tmp_path):
    path = checkpoint.save(tmp_path, state(7))
    content = bytearray(path.read_bytes())
    found = 0
    for at in range(0, len(content), 997):
        content[at] ^= 16
        path.write_bytes(content)
        content[at] ^= 16
        try:
            again = checkpoint.read(path)
        except ValueError:
            found += 1
            continue
        assert again["step"] == 7  # in padding, which nothing reads
        assert torch.equal(again["model"]["w"], state(7)["model"]["w"])
    assert found > 0.9 * len(content) / 997


def test_all_damaged_is_an_error_not_a_new_start(tmp_path):
    checkpoint.save(tmp_path, state(0))
    checkpoint.save(tmp_path, state(1))
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"PK")
    with pytest.raises(ValueError, match="must hold a whole checkpoint to resume"):
        checkpoint.newest(tmp_path)


def test_other_files_are_refused(tmp_path):
    torch.save({"x": 1}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="is not a checkpoint of this version"):
        checkpoint.read(tmp_path / "other.pt")
    with pytest.raises(ValueError, match="there is no"):
        checkpoint.read(tmp_path / "absent.pt")


@pytest.mark.parametrize("name", [checkpoint.NAME, "checkpoint.1.pt"])
def test_a_newer_version_s_checkpoint_is_not_passed_over(tmp_path, name):
    for step in range(3):
        checkpoint.save(tmp_path, state(step))
    (tmp_path / checkpoint.NAME).write_bytes(b"")
    torch.save({"format": checkpoint.FORMAT + 1, **state(9)}, tmp_path / name)
    for ask in (lambda: checkpoint.newest(tmp_path), lambda: checkpoint.read(tmp_path / name)):
        with pytest.raises(checkpoint.NewerFormat, match=rf"{name} is of a newer version \(format 2, this one"):
            ask()


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    torch.save({"format": checkpoint.FORMAT, "x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="damaged or no checkpoint"):
        checkpoint.read(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.end_to_end
def test_killed_while_saving(tmp_path):
    """At whatever moment the process dies, the newest checkpoint is whole, and none is lost that was complete."""
    code = f"""
        import sys, torch
        from pretrain.models import checkpoint
        for step in range(100_000):
            checkpoint.save({str(tmp_path)!r}, {{"step": step, "w": torch.full((200_000,), float(step))}})
            print(step, flush=True)
    """
    for moment in (0.0, 0.013):
        with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as job:
            for _ in range(3):
                job.stdout.readline()
            time.sleep(moment)
            job.kill()
            complete = [int(line) for line in job.stdout.read().split()]
        found, _, _ = checkpoint.newest(tmp_path)
        assert found["step"] >= max(complete, default=2)
        assert (found["w"] == found["step"]).all()


def test_encoder_of_a_checkpoint(tmp_path):
    net = encoder("tsm_resnet18", frames=4, size=32)
    model = {f"encoder.{key}": value for key, value in net.state_dict().items()} | {"head.w": torch.zeros(1)}
    about = {"name": "tsm_resnet18", "frames": 4, "size": 32}
    path = checkpoint.save(tmp_path, {"model": model, "config": {"encoder": about}})
    again = checkpoint.load_encoder(path)
    clip = torch.randn(1, 3, 4, 32, 32)
    assert not again.training
    assert torch.equal(again(clip), net.eval()(clip))
    assert encoder("tsm_resnet18", init=path, frames=4, size=32).loaded.missing == []


def test_three_are_kept_where_nobody_says_otherwise(tmp_path):
    for step in range(5):
        checkpoint.save(tmp_path, state(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.1.pt", "checkpoint.2.pt", "checkpoint.pt"]


def test_the_best_is_kept_on_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refused)
    checkpoint.save(tmp_path, state(7), best=True)
    checkpoint.save(tmp_path, state(8))
    assert checkpoint.read(tmp_path / "best.pt")["step"] == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "checkpoint.1.pt", "checkpoint.pt"]


@pytest.mark.parametrize("name", ["r2plus1d_34", "r2plus1d_18"])
def test_the_shapes_of_one_encoder_come_from_the_file(tmp_path, monkeypatch, name):
    made = []

    def build(name, **options):
        made.append(options)
        return torch.nn.Linear(1, 1).train()

    monkeypatch.setattr(checkpoint, "encoder", build)
    model = {f"encoder.{key}": value for key, value in torch.nn.Linear(1, 1).state_dict().items()}
    path = checkpoint.save(tmp_path, {"config": {"encoder": {"name": name, "frames": 4, "size": 32}}, "model": model})
    found = checkpoint.load_encoder(path)
    assert not found.training
    assert torch.equal(found.weight, model["encoder.weight"])
    assert made == [{"init": path if name == "r2plus1d_34" else None, "frames": 4, "size": 32}]


@pytest.mark.slow
@pytest.mark.parametrize("converted", [True, False])
def test_an_encoder_whose_shapes_came_from_its_weights_is_loaded(tmp_path, converted):
    """R(2+1)D-34 as it was converted from Caffe2 has fewer channels in some layers than torchvision's own."""
    init = None
    if converted:
        plain = encoder("r2plus1d_34", frames=4, size=32)
        net = dict(plain.net.named_children())
        for name, planes in (("layer2", 128), ("layer3", 256), ("layer4", 512)):
            net[name][0].conv2[0] = type(net[name][0].conv2[0])(planes, planes, planes * 9 // 4)
        weights = {f"features.{k}": v for k, v in plain.net.state_dict().items()}
        torch.save({"model": weights}, tmp_path / "tsp.pth")
        init = tmp_path / "tsp.pth"
    made = encoder("r2plus1d_34", init=init, frames=4, size=32)
    about = {"name": "r2plus1d_34", "frames": 4, "size": 32}
    model = {f"encoder.{name}": value for name, value in made.state_dict().items()}
    checkpoint.save(tmp_path / "run", {"config": {"encoder": about}, "model": {**model, "head.x": torch.ones(1)}})
    found = checkpoint.load_encoder(tmp_path / "run")
    assert not found.training
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in found.state_dict().items())
