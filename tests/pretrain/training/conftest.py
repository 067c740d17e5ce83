"""Loops over scripted batches, and sessions over painted frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from pretrain.common.distributed import Group
from pretrain.models import checkpoint
from pretrain.training import about, session
from pretrain.training.loop import Loop
from pretrain.training.run_folder import RunFolder
from pretrain.training.settings import parse
from support.runs.painted_session import FLAGS, painted, tiny
from support.runs.scripted_loop import loop


@pytest.fixture
def make_loop(tmp_path: Path) -> Iterator[Callable[..., Loop]]:
    """`loop` in a folder of `tmp_path`, which is given back afterwards."""
    made: list[Loop] = []

    def begun(*arguments, folder="run", **more):
        made.append(loop(tmp_path / folder, *arguments, **more))
        return made[-1]

    yield begun
    for each in made:
        each.record.close()


@pytest.fixture
def begun(tmp_path: Path, decoder: object, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function of more flags that runs a session: its status; `asked` has what the encoder was made with."""
    asked = []
    monkeypatch.setattr(session, "encoder", lambda *given, **more: asked.append((given, more)) or tiny(*given, **more))
    monkeypatch.setattr(checkpoint, "encoder", tiny)
    monkeypatch.setattr(session, "check_files", lambda settings: None)
    monkeypatch.setattr(about, "environment", lambda device: {"commit": "abc", "versions": {}})

    def run(*words, data=None, group=None, folder="run", read=None):
        length = [] if "--minutes" in words else ["--steps", 3]
        line = [*FLAGS.split(), "--out", tmp_path / folder, *length, *words]
        settings, task, _ = parse(list(map(str, line)), prog="train")
        data = data or (painted(0, 8), painted(20, 4))
        monkeypatch.setattr(session, "read_data", read or (lambda *given: data))
        group = group or Group()
        record = RunFolder(settings.run.out, writes=group.main, quiet=True)
        try:
            return session.run(settings, task, device=torch.device("cpu"), group=group, record=record)
        finally:
            record.close()

    run.asked = asked
    return run
