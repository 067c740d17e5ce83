"""^C: what is said, what ends, and when; without a signal and without a wait."""

import os
import signal
import threading

import pytest

from pretrain.common import interrupt


@pytest.fixture
def fresh(monkeypatch):
    """The module as a command begins with it; handlers and timers that it sets, by what it would do."""
    done = []
    monkeypatch.setattr(interrupt, "_installed", False)
    monkeypatch.setattr(interrupt, "_asked", False)
    monkeypatch.setattr(signal, "signal", lambda number, handler: done.append((number, handler)))
    monkeypatch.setattr(os, "_exit", lambda status: done.append(("exit", status)))

    class Timer:
        daemon = False

        def __init__(self, seconds, work, arguments):
            self.about = (seconds, work, arguments)

        def start(self):
            done.append(("timer", self.about, self.daemon))

    monkeypatch.setattr(threading, "Timer", Timer)
    return done


def test_a_word_at_once_and_an_end_within_seconds(fresh, capfd):
    assert not interrupt.asked()
    interrupt.install()
    assert fresh == [(signal.SIGINT, interrupt.answer)]
    with pytest.raises(KeyboardInterrupt):
        interrupt.answer(signal.SIGINT, None)
    assert interrupt.asked()
    assert capfd.readouterr().err == "\nstopping; ^C again ends at once\n"
    (number, again), timer = fresh[1:]
    assert timer == ("timer", (interrupt.SECONDS, os._exit, (130,)), True)
    assert (number, interrupt.SECONDS) == (signal.SIGINT, 5.0)
    again(signal.SIGINT, None)
    assert fresh[-1] == ("exit", 130)


def test_elsewhere_pythons_own_handler_stays(fresh):
    worker = threading.Thread(target=interrupt.install)
    worker.start()
    worker.join()
    interrupt.end_soon()
    assert fresh == []


def test_a_terminal_that_was_closed_ends_nothing(monkeypatch):
    def write(file, text):
        assert (file, text) == (2, "\né\n".encode())
        raise OSError

    monkeypatch.setattr(os, "write", write)
    interrupt.say("é")
