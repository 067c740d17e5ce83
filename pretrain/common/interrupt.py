"""^C: a word at once, whatever the program is doing, and an end within seconds.

Used by __main__ and the training loop; imports nothing of pretrain.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import Any

SECONDS = 5.0  # for files to be closed; a decoder in the middle of a long file is not waited for
STATUS = 130  # as shells have it: 128 + SIGINT
_installed = _asked = False


def install() -> None:
    """Answer ^C in this process, which is a command's; elsewhere Python's own handler stays."""
    global _installed
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, answer)
        _installed = True


def asked() -> bool:
    """Was ^C pressed?"""
    return _asked


def answer(number: int, frame: Any) -> None:
    """Say that the command ends, and end it: by KeyboardInterrupt, and where that is not heard, after some seconds."""
    global _asked
    _asked = True
    say("stopping; ^C again ends at once")
    end_soon()
    raise KeyboardInterrupt


def end_soon() -> None:
    """End the process after some seconds, and at the next ^C, if it has not ended by then."""
    if not _installed:
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(STATUS))
    timer = threading.Timer(SECONDS, os._exit, (STATUS,))
    timer.daemon = True
    timer.start()


def say(text: str) -> None:
    """A line on standard error, from a signal handler: without the locks of what it may have interrupted."""
    with suppress(OSError):  # of a terminal that was closed
        os.write(2, f"\n{text}\n".encode())
