"""Threads that a process forked from this one has, too.

Used by decoder.py and pyav_pool.py; imports nothing of gpuaug.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")


class Pool:
    """A ThreadPoolExecutor, which is made anew in a forked process: the threads of its parent do not exist there."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads, self._name = threads, name
        self._renew()

    def _renew(self) -> ThreadPoolExecutor:
        self._process, self._executor = os.getpid(), ThreadPoolExecutor(self._threads, self._name)
        return self._executor

    @property
    def _own(self) -> ThreadPoolExecutor:
        return self._executor if self._process == os.getpid() else self._renew()

    def submit(self, function: Callable[P, R], /, *arguments: P.args, **options: P.kwargs) -> Future[R]:
        """Run a function on one of the threads."""
        return self._own.submit(function, *arguments, **options)

    def map(self, function: Callable[[A], R], items: Iterable[A]) -> Iterator[R]:
        """The function's results for these items, in order."""
        return self._own.map(function, items)

    def shutdown(self) -> None:
        """Wait for what runs, and let go of the threads."""
        self._own.shutdown(wait=True)
