"""The training loop: steps, logs, validations, checkpoints, and every way in which a run can end.

Legend: N samples, C channels, T frames, Y X picture.
"""

from __future__ import annotations

import signal
import time
import zlib
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import gpuaug

from ..common import interrupt
from ..common.cli import Failed
from ..common.distributed import Group
from ..models import checkpoint
from . import schedule
from .meter import FiniteLossCheck, NotFinite, StepMeter
from .optimizer import Optimizer, OptimSettings
from .run_folder import RunFolder
from .scores import quality
from .settings import RunSettings
from .validation import Validation


class Model(nn.Module):
    """Encoder and head as one module, so that one wrapper serves both."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, clip_NCTYX: torch.Tensor, target: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, Any]]:
        return self.head.loss(self.encoder, clip_NCTYX, target)  # type: ignore[operator]


class Loop:
    """A run, from its first step or from a checkpoint to its end.

    Args:
        settings, optim: as they were given, `optim` with all its rates.
        model: on its device. optimizer: of its parameters.
        loader: of training batches. validation: None for none.
        config: goes into every checkpoint, so that it can be used alone.
        epoch_steps: steps of one epoch, as its recipe counts (session.py).
        dtype: of autocast; float32 for none.
    """

    def __init__(
        self,
        settings: RunSettings,
        optim: OptimSettings,
        model: Model,
        optimizer: Optimizer,
        loader: gpuaug.Loader,
        validation: Validation | None,
        *,
        group: Group,
        record: RunFolder,
        config: dict[str, Any],
        epoch_steps: float,
        dtype: torch.dtype,
    ) -> None:
        self.settings, self.optim = settings, optim
        self.model, self.optimizer, self.loader, self.validation = model, optimizer, loader, validation
        self.group, self.record, self.config, self.epoch_steps, self.dtype = group, record, config, epoch_steps, dtype
        self.device = next(model.parameters()).device
        self.trained = DistributedDataParallel(model) if group.world > 1 else model
        self.total = settings.steps or max(1, round(settings.epochs * epoch_steps))
        self.step = self.plans = 0
        self.seconds = 0.0
        self.best = -float("inf")
        self.last: dict[str, Any] = {}
        self.plateau = schedule.Plateau(optim.patience, optim.gamma)
        self._finite, self.meter = FiniteLossCheck(), StepMeter(self.device)
        self._stop, self._saved, self._failed, self._left_out = "", -1, 0, False

    @property
    def progress(self) -> float:
        """Share of the run that is over."""
        return self.seconds / (60 * self.settings.minutes) if self.settings.minutes else self.step / self.total

    def run(self) -> str:
        """How the run ended: "finished", or "stopped" by a signal. The newest checkpoint has the last step."""
        numbers = [signal.SIGTERM, signal.SIGINT]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup's runs go on
            numbers.append(signal.SIGHUP)
        old = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            if self.progress >= 1 and self.last:
                return "finished"  # resumed after its end
            self.model.train()
            while self.progress < 1 and not self._stopping():
                mark = self._validation_mark()
                self._train()
                done = self.progress >= 1
                if self.step % self.settings.log_every == 0 or done:
                    self._log()
                due = done or self._validation_mark() > mark
                if due or self.step % self.settings.checkpoint_every == 0:
                    self._finite.check()  # nothing that is not finite is saved
                    self._save(due and self._validate())
            if self.progress >= 1:
                return "finished"
            self._finite.check()
            if self._saved != self.step:
                self._save(False)
            return "stopped"
        except NotFinite as error:
            raise self._inspect(error) from None
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def load(self, state: dict[str, Any], path: Path) -> None:
        """Go on from a checkpoint, exactly.

        Errors (ValueError): of another number of processes, or not of this model; the message names `path`, its file.
        """
        if len(state["feed"]) != self.group.world:
            raise ValueError(f"a run of {len(state['feed'])} processes cannot be resumed by {self.group.world}")
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.loader.load_state_dict(state["feed"][self.group.rank])
            self.plans = state["plans"][self.group.rank]
            self.plateau = schedule.Plateau(**state["plateau"])
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            said = " ".join(str(error).strip().splitlines()[:2])  # torch names every tensor that differs
            raise ValueError(f"{path} cannot be resumed: {type(error).__name__}: {said}") from error
        self.step, self.seconds, self.best, self.last = (state[k] for k in ("step", "seconds", "best", "last"))

    def autocast(self) -> Any:
        return torch.autocast(self.device.type, self.dtype) if self.dtype != torch.float32 else nullcontext()

    def _train(self) -> None:
        """One step: gradients of `accumulate` batches, one update."""
        started = time.perf_counter()
        for part in range(self.optim.accumulate):
            number = self.step * self.optim.accumulate + part
            begun = time.perf_counter()
            try:
                batch = self.loader.batch(number)
            except gpuaug.Starved as error:
                if not (lost := self.loader.failures):
                    raise
                first = f"first {lost[0].path}: {lost[0].reason}"
                raise Failed(f"{error}; {len(lost)} windows could not be decoded, {first}") from error
            self.meter.feed(time.perf_counter() - begun, batch.wait_seconds)
            for array in (batch.plan.clip, batch.plan.time, batch.plan.weight):
                self.plans = zlib.crc32(array.tobytes(), self.plans)
            seed = np.random.SeedSequence([self.settings.seed, self.group.rank, number]).generate_state(1)
            torch.manual_seed(int(seed[0]))  # dropout
            last = part == self.optim.accumulate - 1
            with self.meter.encoder(), nullcontext() if last else self._no_sync():
                with self.autocast():
                    loss, scores = self.trained(batch.clips, batch.target)
                self.optimizer.backward(loss / self.optim.accumulate)
                if last:
                    rate = schedule.factor(
                        self.optim.schedule,
                        epoch=self.step / self.epoch_steps,
                        progress=self.progress,
                        warmup=self.optim.warmup,
                        milestones=self.optim.milestones,
                        gamma=self.optim.gamma,
                        plateau=self.plateau.factor,
                    )
                    norm = self.optimizer.step(rate)
            # float16 gradients may overflow: then the scaler leaves the step out
            self._finite.add(self.step, batch, loss, norm if last and not self.optimizer.scaler.is_enabled() else None)
            self.meter.scores.add(scores)
        self.step += 1
        self.meter.step(time.perf_counter() - started, norm)
        self.seconds += time.perf_counter() - started

    def _no_sync(self) -> Any:
        return self.trained.no_sync() if isinstance(self.trained, DistributedDataParallel) else nullcontext()

    def _log(self) -> None:
        """One line of the log, over the steps since the one before."""
        mine = self.loader.report()
        lost = [(each["path"], each["reason"]) for each in mine["failures"]]
        new, self._failed = lost[self._failed :], len(lost)
        changed = list(mine["changed_files"].items())
        parts = self.group.gather((mine["decoded_windows"], mine["rendered_windows"], len(lost), new, changed))
        decoded, rendered, failed = (sum(part[k] for part in parts) for k in range(3))
        self.record.name("skipped", (each for part in parts for each in part[3]))
        self.record.name("still used:", (each for part in parts for each in part[4]))
        row = {
            "step": self.step,
            "epoch": self.step / self.epoch_steps,
            "samples": self.step * self.samples,
            "seconds": round(self.seconds, 3),
            "loss": self._finite.mean(),
            "lr": self.optimizer.rate,
            **self.meter.read(self.samples),
            "decoded_windows": decoded,
            "rendered_windows": rendered,
            "passes": decoded / self.loader.pass_windows,
            "echo": rendered / max(1, decoded),
            "failures": failed,
            "changed_files": len({path for part in parts for path, _ in part[4]}),
            "plans": f"{self.plans:08x}",
        }
        self.record.log(row)
        text = f"loss {row['loss']:.3f}, {row['samples_per_second']:.3g} samples/s, echo {row['echo']:.3g}"
        minutes = self.settings.minutes
        done, total = (self.seconds / 60, minutes) if minutes else (self.step, self.total)
        self.record.bar(total, done, text, "min" if minutes else "steps")

    @property
    def samples(self) -> int:
        """Samples per step, over all processes."""
        return self.optim.batch * self.optim.accumulate * self.group.world

    def _validation_mark(self) -> int:
        """Grows by one whenever a validation is due."""
        if self.validation is None:
            return 0
        return schedule.validations_due(self.step, self.step / self.epoch_steps, self.progress, self.settings.val_every)

    def _validate(self) -> bool:
        """Validate and log; is this the best model so far?"""
        if self.validation is None:
            return True
        result, batch = self.validation.run(self.model, self.autocast)
        self.record.name("skipped, held out:", ((each.path, each.reason) for each in self.validation.failures))
        if result is None:
            if not self._left_out:
                first = next((f"{each.path}: {each.reason}; " for each in self.validation.failures), "")
                self.record.say(f"validation left out: {first}{self.validation.left_out}; the training goes on")
            self._left_out = True
            return self.best == -float("inf")
        self.plateau.update(result["loss"])
        self.last = {"step": self.step, **result}
        self.record.log({"step": self.step, "validation": result})
        if batch is not None:
            self.record.clips(self.step, batch.clips, self.config["mean"], self.config["std"])
        scores = "".join(f", {name} {each['value']:.3f}" for name, each in result.items() if isinstance(each, dict))
        self.record.say(f"step {self.step}, held out: loss {result['loss']:.3f}{scores}")
        better = quality(result) > self.best
        self.best = max(self.best, quality(result))
        return better

    def _save(self, best: bool) -> None:
        feeds = self.group.gather((self.loader.state_dict(), self.plans))
        self._saved = self.step
        if not self.group.main:
            return
        state = {
            "config": self.config,
            "step": self.step,
            "batches": self.step * self.optim.accumulate,
            "seconds": self.seconds,
            "best": self.best,
            "last": self.last,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "plateau": asdict(self.plateau),
            "feed": [each[0] for each in feeds],
            "plans": [each[1] for each in feeds],
        }
        checkpoint.save(self.record.folder, state, keep=self.settings.keep, best=best)

    def _on_signal(self, number: int, _: Any) -> None:
        if self._stop and number == signal.SIGINT:
            interrupt.end_soon()
            raise KeyboardInterrupt
        self._stop = signal.Signals(number).name
        interrupt.say(f"{self._stop}: stopping after this step, with a checkpoint; ^C quits without one")

    def _stopping(self) -> bool:
        """Has a signal come? Processes agree at logged steps, so that all stop after the same one."""
        if self.group.world == 1:
            return bool(self._stop)
        if self.step % self.settings.log_every == 0 and self.group.any(bool(self._stop)):
            self._stop = self._stop or "another process"
            return True
        return False

    def _inspect(self, error: NotFinite) -> Failed:
        """Save the batch that broke the run."""
        path = self.record.folder / f"nonfinite-rank{self.group.rank}.pt"
        batch, plan = error.batch, error.batch.plan
        arrays = {name: torch.tensor(getattr(plan, name)) for name in ("clip", "time", "weight")}
        self.record.folder.mkdir(parents=True, exist_ok=True)
        torch.save({"step": error.step, "clips": batch.clips, "target": batch.target, "plan": arrays}, path)
        return Failed(f"training broke down: {error}; the batch is in {path}")
