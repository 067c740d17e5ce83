"""What the DataLoader loads that the feed is compared with: torchcodec decodes, torchvision v2 transforms, BSP's plans.

Legend: T output frames, K taps, C channels, H W decoded picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torchvision.transforms.v2.functional as tv

import gpuaug
from pretrain.data.dataset import Dataset
from pretrain.models.networks import KINETICS

SCALES = (1.0, 0.875, 0.75, 0.66)  # of the multi-scale crop
CHUNK, CHUNKS = 256, 16  # samples whose plans are drawn from the same windows; more than are used


class Samples(torch.utils.data.Dataset):
    """(clip (C, T, Y, X), target) of plans drawn beforehand from one window per video and per chunk.

    Args:
        window: its frames, and their rate.
        size: Y = X. bank: H, W.
    """

    def __init__(
        self,
        dataset: Dataset,
        sample: Callable[..., tuple[gpuaug.Plan, dict[str, Any]]],
        window: tuple[int, float],
        size: int,
        bank: tuple[int, int],
        seed: int,
    ) -> None:
        length, self.fps = window
        self.size, self.bank, self.seed = size, bank, seed
        rng = np.random.default_rng(seed)
        self.windows: list[tuple[str, float]] = []
        self.plans, targets = [], []
        segments = dataset.segments
        for _ in range(CHUNKS):  # a window of every segment, at random as the feed's
            table = gpuaug.ClipBank(len(segments), length, 1, 1)
            for slot, segment in enumerate(segments):
                room = segment.end_seconds - segment.start_seconds
                frames = max(1, min(length, int(room * self.fps + 1e-6)))
                start = segment.start_seconds + rng.random() * max(0.0, room - frames / self.fps)
                info = {"video": segment.video, "label": segment.label}
                table.write(slot, torch.zeros(frames, 1, 1, 3, dtype=torch.uint8), info)
                self.windows.append((segment.path, start))
            plan, target = sample(rng, table, CHUNK)
            self.plans.append((plan.clip + len(self.windows) - len(segments), plan.frame, plan.weight))
            targets.append(target["kind"])
        self.kind = np.concatenate(targets)

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        clip_TK, frame_TK, weight_TK = (part[index % CHUNK] for part in self.plans[index // CHUNK])
        rng = np.random.default_rng([self.seed, index])
        taps = []  # uint8 (T, C, H, W) of every tap; frames that are not shown are not decoded
        for k in range(clip_TK.shape[1]):
            used = weight_TK[:, k] > 0
            if not used.any():
                continue
            picture = torch.zeros(len(used), 3, *self.bank, dtype=torch.uint8)
            for clip in np.unique(clip_TK[used, k]):
                at = np.flatnonzero(used & (clip_TK[:, k] == clip))
                picture[at] = self.decode(clip, frame_TK[at, k])
            taps.append((picture, torch.from_numpy(weight_TK[:, k]).view(-1, 1, 1, 1)))
        video = taps[0][0]
        if len(taps) > 1:
            video = sum(p.float() * w for p, w in taps).add_(0.5).to(torch.uint8)  # type: ignore[union-attr]
        height, width = video.shape[-2:]
        rows, columns = (round(min(height, width) * s) for s in rng.choice(SCALES, 2))
        top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
        video = tv.resized_crop(video, top, left, rows, columns, [self.size] * 2, antialias=False)
        if rng.random() < 0.5:
            video = tv.horizontal_flip(video)
        mean, std = map(list, KINETICS)
        video = tv.normalize(tv.to_dtype(video, torch.float32, scale=True), mean, std)
        return video.transpose(0, 1), int(self.kind[index])

    def decode(self, clip: int, frames: np.ndarray) -> torch.Tensor:
        """uint8 (frames, C, H, W): the frames of a window, each decoded once."""
        from torchcodec import transforms
        from torchcodec.decoders import VideoDecoder

        path, start = self.windows[clip]
        shown, where = np.unique(frames, return_inverse=True)
        decoder = VideoDecoder(
            path, seek_mode="approximate", num_ffmpeg_threads=1, transforms=[transforms.Resize(self.bank)]
        )
        last = float(decoder.metadata.duration_seconds or 0) - 1e-3
        times = [min(start + (frame + 0.01) / self.fps, last) for frame in shown]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decoder.get_frames_played_at(seconds=times).data[where]
