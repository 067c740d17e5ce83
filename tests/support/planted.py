"""Features of noise in which actions are planted, with their annotations, and flags for a small localiser."""

import json

import numpy as np

FPS, CLIP, STRIDE = 10.0, 8, 4
SETTINGS = {"fps": FPS, "clip_frames": CLIP, "stride_frames": STRIDE}


def plant(folder, *, shuffle=False, videos=36, width=12):
    """Videos of noise in which three kinds of action shift the mean of the features; two thirds are for training."""
    (folder / "features").mkdir(parents=True)
    rng, database = np.random.default_rng(0), {}
    shift = 3 * np.eye(3, width)
    for k in range(videos):
        count = int(rng.integers(60, 120))
        seconds = (np.arange(count) * STRIDE + CLIP / 2) / FPS
        duration = seconds[-1] + 1
        values, actions, start = rng.normal(size=(count, width)), [], rng.uniform(1, 6)
        while start < duration - 5:
            end, kind = min(start + rng.uniform(4, 10), duration - 1), int(rng.integers(3))
            values[(seconds >= start) & (seconds < end)] += shift[kind]
            actions.append({"segment": [start, end], "label": "abc"[kind]})
            start = end + rng.uniform(3, 8)
        if shuffle:
            values = rng.permutation(values)
        np.save(folder / "features" / f"video{k}.npy", values.astype(np.float32))
        subset = "training" if k < videos * 2 // 3 else "validation"
        database[f"video{k}"] = {"subset": subset, "duration": duration, "annotations": actions}
    (folder / "features" / "features.json").write_text(json.dumps(SETTINGS))
    (folder / "truth.json").write_text(json.dumps({"database": database}))
    return folder


SMALL = ["--epochs", "40", "--batch", "8", "--width", "12", "--samples", "8"]
