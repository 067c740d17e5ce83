"""What a running loop measures of its steps, without making the host wait for the device: times, scores, finite losses.

Used by loop.py; imports scores and gpuaug (its Batch).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

import gpuaug

from .scores import ScoreBook


class NotFinite(Exception):
    """A loss, or a norm of its gradients, that is infinite or not a number, with the batch that gave it."""

    def __init__(self, step: int, loss: float, norm: float, batch: gpuaug.Batch) -> None:
        super().__init__(f"loss {loss:.4g} and gradient norm {norm:.4g} in step {step}")
        self.step, self.batch = step, batch


class FiniteLossCheck:
    """Raises `NotFinite` at the first such step. On a GPU it reads a loss only when the next step is queued."""

    def __init__(self) -> None:
        self._pending: tuple[int, gpuaug.Batch, torch.Tensor, Any] | None = None
        self._clips: torch.Tensor | None = None
        self._sum, self._count = 0.0, 0

    def add(self, step: int, batch: gpuaug.Batch, loss: torch.Tensor, norm: torch.Tensor | None) -> None:
        """Take note of a step's loss, and of the norm of its gradients if that has to be finite."""
        self.check()
        both = torch.stack([loss.detach().float(), loss.new_zeros((), dtype=torch.float32) if norm is None else norm])
        if both.is_cuda:
            if self._clips is None or self._clips.shape != batch.clips.shape:
                self._clips = torch.empty_like(batch.clips)
            kept = replace(batch, clips=self._clips.copy_(batch.clips))  # the feed will overwrite its own
            host = torch.empty(2, device="cpu", pin_memory=True).copy_(both, non_blocking=True)
            self._pending = (step, kept, host, torch.cuda.current_stream(both.device).record_event())
        else:
            self._pending = (step, batch, both, None)
            self.check()

    def check(self) -> None:
        """Look at what was noted last."""
        if self._pending is None:
            return
        step, batch, both, event = self._pending
        self._pending = None
        if event is not None:
            event.synchronize()
        loss, norm = both.tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise NotFinite(step, loss, norm, batch)
        self._sum, self._count = self._sum + loss, self._count + 1

    def mean(self) -> float:
        """The mean of the losses looked at since the last call."""
        value = self._sum / max(1, self._count)
        self._sum, self._count = 0.0, 0
        return value


class StepMeter:
    """Times and scores of the steps since they were last read, and shares of the whole run.

    Attributes:
        scores: of the training batches.
        seconds: of the whole run so far: "step", "feed" (all of the feed's work in the loop), "wait" (for decoding).
    """

    def __init__(self, device: torch.device) -> None:
        self.scores = ScoreBook()
        self.seconds = {"step": 0.0, "feed": 0.0, "wait": 0.0}
        self._cuda = device.type == "cuda"
        self._read = dict(self.seconds)
        self._steps, self._encoder = 0, 0.0
        self._events: list[tuple[Any, Any]] = []
        self._norm: torch.Tensor | None = None

    def feed(self, seconds: float, wait_seconds: float) -> None:
        """A batch took so long to get, of which so long was waiting."""
        self.seconds["feed"] += seconds
        self.seconds["wait"] += wait_seconds

    @contextmanager
    def encoder(self) -> Iterator[None]:
        """Time what the device does inside: forward, backward, update."""
        begun = self._event() if self._cuda else time.perf_counter()
        yield
        if self._cuda:
            self._events.append((begun, self._event()))
        else:
            self._encoder += 1000 * (time.perf_counter() - begun)

    def step(self, seconds: float, norm: torch.Tensor) -> None:
        """A step is over; `norm` of its gradients."""
        self.seconds["step"] += seconds
        self._steps += 1
        self._norm = norm

    def read(self, samples: int) -> dict[str, float]:
        """Means per step in milliseconds, samples per second, scores, and the last gradient norm.

        Args:
            samples: per step, over all processes.
        """
        done = [pair for pair in self._events if pair[1].query()]
        encoder = (
            sum(a.elapsed_time(b) for a, b in done) / max(1, len(done)) if self._cuda else self._encoder / self._steps
        )
        passed = {name: self.seconds[name] - self._read[name] for name in self.seconds}
        row = {
            "samples_per_second": samples * self._steps / max(1e-9, passed["step"]),
            "step_ms": 1000 * passed["step"] / self._steps,
            "encoder_ms": encoder,
            "feed_ms": 1000 * passed["feed"] / self._steps,
            "wait_ms": 1000 * passed["wait"] / self._steps,
            "grad_norm": float(self._norm) if self._norm is not None else 0.0,
            **self.scores.means(),
        }
        self._read, self._steps, self._encoder, self._events = dict(self.seconds), 0, 0.0, []
        return row

    def shares(self) -> dict[str, float]:
        """Shares of the run's time that the loop waited for decoding, and that it made plans and rendered them."""
        step = max(1e-9, self.seconds["step"])
        return {"wait": self.seconds["wait"] / step, "render": (self.seconds["feed"] - self.seconds["wait"]) / step}

    @staticmethod
    def _event() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
