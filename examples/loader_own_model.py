"""`gpuaug.Loader` with a model of your own: videos in, training steps out, stopped in the middle and gone on with.

What a batch shows is a function that makes a plan: here two videos, cross-faded at a place that the model has to find.

    python examples/loader_own_model.py
"""

import tempfile
from typing import Any

import numpy as np
import torch

import gpuaug


def boundary(rng, bank, n):
    """The plan of n samples of 8 frames, and the frame at which the second video takes over."""
    first, second = bank.draw(rng, 2 * n)[: 2 * n].reshape(2, n)
    cut = rng.integers(2, 7, n)
    clips = [gpuaug.Plan.take(slots, np.arange(8), frames=bank.info["frames"]) for slots in (first, second)]
    return gpuaug.edits.crossfade(*clips, length=8, center=cut, overlap=2), {"cut": cut}


def train(videos: str, steps: int, state: dict | None = None) -> tuple[list[float], dict]:
    """Losses of so many steps, and all that is needed to go on exactly."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.nn.Sequential(torch.nn.Conv3d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(8))
    model = model.to(device)
    model(torch.zeros(1, 3, 8, 32, 32, device=device))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses: list[float] = []
    how: dict[str, Any] = {"batch": 4, "frames": 8, "fps": 15, "size": 32, "windows_per_sample": 2, "cache": False}
    with gpuaug.Loader(videos, boundary, device=device, augment=gpuaug.Augment("random"), **how) as loader:
        if state:
            model.load_state_dict(state["model"])
            loader.load_state_dict(state["loader"])
        while True:
            for batch in loader:  # one pass over the videos
                loss = torch.nn.functional.cross_entropy(model(batch.clips), batch.target["cut"])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                losses.append(loss.item())
                if len(losses) == steps:
                    return losses, {"model": model.state_dict(), "loader": loader.state_dict()}


with tempfile.TemporaryDirectory() as folder:
    for k in range(8):
        frames = np.random.default_rng(k).integers(0, 256, (1, 9, 12, 3), np.uint8).repeat(4, 1).repeat(4, 2)
        gpuaug.write_video(f"{folder}/{k}.avi", frames.repeat(30, 0), 15, "mjpeg", pixel_format="yuvj420p")
    whole, _ = train(folder, 12)
    begun, state = train(folder, 5)
    ended, _ = train(folder, 7, state)
    print(
        f"12 steps, loss {whole[0]:.2f} … {whole[-1]:.2f}; stopped after 5 and resumed: equal {begun + ended == whole}"
    )
