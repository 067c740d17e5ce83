"""`gpuaug.Loader` as the training data of a PyTorch Lightning module, with its place kept in Lightning's checkpoints.

python examples/loader_lightning.py      # needs: pip install pytorch-lightning
"""

import logging
import tempfile
import warnings
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch

import gpuaug

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="pytorch_lightning")
PLAIN: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)


def speed(rng, bank, n):
    """8 frames of a video, of half of them every second one, which the model has to tell."""
    slots, fast = bank.draw(rng, n)[:n], rng.integers(0, 2, n)
    return gpuaug.Plan.take(slots, np.arange(8) * (1 + fast[:, None])), {"fast": fast}


class Speed(lightning.LightningModule):
    """Its batches are `gpuaug.Batch`es: clips (N, C, T, Y, X) and the plan function's targets."""

    def __init__(self) -> None:
        super().__init__()
        convolution = torch.nn.Conv3d(3, 4, 3)
        self.net = torch.nn.Sequential(convolution, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(21600, 2))
        self.losses: list[float] = []

    def training_step(self, batch, _):
        loss = torch.nn.functional.cross_entropy(self.net(batch.clips), batch.target["fast"])
        self.losses.append(loss.item())
        return loss

    def transfer_batch_to_device(self, batch, device, _):
        return batch  # it is there already

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fit(videos: str, steps: int, checkpoint: str | None = None) -> list[float]:
    lightning.seed_everything(0, verbose=False)
    model, trainer = Speed(), lightning.Trainer(max_steps=steps, max_epochs=-1, accelerator="cpu", **PLAIN)
    with gpuaug.Loader(videos, speed, batch=2, frames=16, fps=15, size=32, cache=False) as loader:
        trainer.fit(model, loader, ckpt_path=checkpoint)
        trainer.save_checkpoint(f"{videos}/{steps}.ckpt")
    return model.losses


with tempfile.TemporaryDirectory() as folder:
    for k in range(8):
        frames = np.random.default_rng(k).integers(0, 256, (30, 9, 12, 3), np.uint8).repeat(4, 1).repeat(4, 2)
        gpuaug.write_video(f"{folder}/{k}.avi", frames, 15, "mjpeg", pixel_format="yuvj420p")
    whole, begun = fit(folder, 10), fit(folder, 6)
    ended = fit(folder, 10, f"{folder}/6.ckpt")
    print(
        f"10 steps, loss {whole[0]:.2f} … {whole[-1]:.2f}; stopped after 6 and resumed: equal {begun + ended == whole}"
    )
