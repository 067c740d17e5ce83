"""^C is answered at once and ends a command within seconds: while libraries load, while it decodes, while it waits."""

import os
import signal
import subprocess
import sys
import time

import pytest

from support.paths import PYTHONPATH

pytestmark = pytest.mark.end_to_end

STUCK = """
import sys, time
import pretrain.commands.toy as toy
from pretrain.__main__ import main
from pretrain.common.cli import command
def stuck(argv=None):
    print("ready", file=sys.stderr, flush=True)
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass  # as a library that waits for a decoder
toy.main = command("toy")(stuck)
sys.argv = ["gpuaug", "toy"]
sys.exit(main())
"""


def started(*words):
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    return subprocess.Popen([sys.executable, *words], env=environment, stderr=subprocess.PIPE, text=True)


def interrupted(job, times=1):
    """What it prints after ^C, its status, and how long it took."""
    time.sleep(0.3)  # until it waits
    begin = time.monotonic()
    for _ in range(times):
        job.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, error = job.communicate(timeout=60)
    return error, job.returncode, time.monotonic() - begin


@pytest.mark.parametrize("wait", [0.3, 0.8, 1.5, 2.5])
def test_while_libraries_load(wait, tmp_path):
    job = started("-m", "pretrain", "toy", "--out", str(tmp_path))
    time.sleep(wait)  # of the command's own import, too, on a slow machine
    error, status, seconds = interrupted(job)
    assert "Traceback" not in error
    assert status in (1, 130, -signal.SIGINT)
    assert seconds < 20


def test_what_does_not_hear_it_ends_within_seconds():
    job = started("-c", STUCK)
    assert job.stderr.readline() == "ready\n"
    error, status, seconds = interrupted(job)
    assert "stopping; ^C again ends at once" in error
    assert (status, seconds < 15) == (130, True)


def test_a_second_one_ends_it_at_once():
    job = started("-c", STUCK)
    assert job.stderr.readline() == "ready\n"
    error, status, seconds = interrupted(job, times=2)
    assert (status, seconds < 4) == (130, True)
    assert "Traceback" not in error
