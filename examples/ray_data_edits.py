"""Batches of edited videos with their labels from Ray Data, on one machine or a cluster.

Row i is the i-th video of a seed, the same that `gpuaug synthesise --seed 0` would write, whichever worker makes it:
only numbers travel, plans are drawn where they are rendered. Needs `pip install 'gpuaug[pretrain,ray]'`.

    python examples/ray_data_edits.py
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import ray

from pretrain.shots.edits import EditSettings, draw, read_sources
from pretrain.shots.footage import Footage
from pretrain.toy.dataset import make_actions

SETTINGS = EditSettings(size=(64, 96), fps=20.0, seconds=(2.0, 2.0), dense=1.0)


class Edited:
    """An actor: rows with "id" → "frames" uint8 (N, T, Y, X, 3), and "inside", "new" bool (N, T)."""

    def __init__(self, videos: str) -> None:
        self.sources, _ = read_sources([videos], SETTINGS, progress=False)
        self.footage = Footage(SETTINGS)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        edits = [draw(0, int(i), self.sources, SETTINGS) for i in rows["id"]]
        frames = np.stack([self.footage.pictures(edit) for edit in edits])
        inside, new = np.zeros((2, *frames.shape[:2]), bool)
        for n, edit in enumerate(edits):
            for row in edit.boundaries():
                inside[n, row["first"] : row["new"]] = True  # of cuts and jumps nothing
                new[n, row["new"]] = True
        return {**rows, "frames": frames, "inside": inside, "new": new}


def main() -> None:
    with tempfile.TemporaryDirectory() as videos:
        make_actions(videos, classes=4, clips_per_class=1, progress=False)
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
        rows = ray.data.range(8).map_batches(Edited, fn_constructor_args=(videos,), batch_size=2, concurrency=2)
        for batch in rows.iter_batches(batch_size=4):
            shape, new, inside = batch["frames"].shape, batch["new"].sum(), batch["inside"].sum()
            print(f"videos {sorted(batch['id'].tolist())}: {shape}, {new} new shots, {inside} frames in transitions")
        ray.shutdown()


if __name__ == "__main__":
    main()
