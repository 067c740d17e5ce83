"""Draws docs/overview.png: the four boundary classes of BSP on toy videos, with the plan of each under its frames.

Usage: python docs/make_picture.py
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import gpuaug
from pretrain.data.dataset import read_videos
from pretrain.tasks.bsp import task as bsp
from pretrain.toy import dataset as toy

TITLES = {
    "dc": "dc: cross-fade into another class (Eq. 1)",
    "sc": "sc: cut to another video of the class (Eq. 2)",
    "ds": "ds: the speed changes (Eq. 3)",
    "ss": "ss: no boundary",
}
COLORS = ("#3b6fb6", "#e08a1e")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        toy.make_actions(folder, seed=3, clips_per_class=4)
        data = read_videos(folder)
        options = {"frames": 48, "fps": 12.0, "size": 96, "mean": (0.0,) * 3, "std": (1.0,) * 3, "seed": 4}
        sample = functools.partial(bsp.sample, settings=bsp.Settings())
        with gpuaug.Loader(data.segments, sample, batch=64, pairs=True, **options) as feed:
            batch = feed.batch(0)
    kind, boundary = batch.target["kind"].numpy(), batch.target["boundary"].numpy()
    figure, axes = plt.subplots(2, 2, figsize=(13, 3.5))
    for axis, (index, name) in zip(axes.flat, enumerate(bsp.KINDS)):
        blended = (batch.plan.weight > 0).sum((1, 2))
        n = int(np.argmax(np.where(kind == index, blended, -1)))  # the longest cross-fade shows best
        draw(axis, TITLES[name], batch.clips[n].numpy().transpose(1, 2, 3, 0), batch.plan, n, int(boundary[n]))
    figure.tight_layout()
    figure.savefig(Path(__file__).with_name("overview.png"), dpi=110)


def draw(axis: plt.Axes, title: str, frames_TYXC: np.ndarray, plan: gpuaug.Plan, n: int, boundary: int) -> None:
    """One sample: its frames side by side, the weight of each source under them, a red line at the boundary."""
    length, height, width, _ = frames_TYXC.shape
    axis.imshow(np.concatenate(list(frames_TYXC.clip(0, 1)), axis=1), extent=(0, length * width, height, 0))
    first = plan.clip[n, 0, 0]
    for t in range(length):
        top = height + 6.0
        for k in np.flatnonzero(plan.weight[n, t]):
            share = 26 * float(plan.weight[n, t, k])
            color = COLORS[int(plan.clip[n, t, k] != first)]
            axis.add_patch(plt.Rectangle((t * width + 1, top), width - 2, share, color=color))
            if share > 12:
                text = f"{plan.frame[n, t, k]}"
                axis.text((t + 0.5) * width, top + share / 2, text, color="white", ha="center", va="center", fontsize=8)
            top += share
    if boundary >= 0:
        axis.axvline(boundary * width, color="#d0112b", linewidth=2.5)
    axis.set(xlim=(0, length * width), ylim=(height + 34, 0), xticks=[], yticks=[])
    axis.set_title(title, loc="left", fontsize=11)
    axis.set_frame_on(False)


if __name__ == "__main__":
    main()
