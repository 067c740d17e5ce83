"""The weights of the package: they find the boundaries of an edit that they have never seen."""

import numpy as np
import pytest

import gpuaug
from pretrain.evaluation.shots import Range, judge
from pretrain.shots import detect
from pretrain.toy.scenes import scene

KINDS = ("cut", "dissolve", "fade_black", "wipe_left", "push_up", "circle_open")


def edited(kinds):
    """Frames of scenes that follow each other by these kinds, and the true ranges."""
    names = ("speaker", "balls", "crowd", "gradient", "speaker", "slides", "crowd")
    clips = [
        np.stack(list(scene(name, 9_000 + k, 0, frames=80, fps=25, size=(72, 128)))) for k, name in enumerate(names)
    ]
    parts, truth, count = [clips[0][:40]], [], 40
    for kind, clip in zip(kinds, clips[1:]):
        if kind == "cut":
            truth.append(Range(count, count, "cut"))
            parts.append(clip[:40])
        else:
            last = np.repeat(parts[-1][-1:], 12, 0)  # the clip before stands still while it goes
            mixed = gpuaug.transition(last[None], clip[None, :12], kind, length=12, start=0, duration=12)
            truth.append(Range(count, count + 10, kind))
            parts += [np.asarray(mixed[0]), clip[12:40]]
        count = sum(map(len, parts))
    return np.concatenate(parts), truth


def test_the_file_is_small():
    assert detect.WEIGHTS.stat().st_size <= 5e6


@pytest.mark.slow
def test_the_weights_of_the_package_find_a_made_edit():
    frames, truth = edited(KINDS)
    found = detect.detect(frames, rate=25)
    judged = judge([Range(b.first, b.last, b.kind) for b in found], truth)
    assert judged.hit == [True] * len(KINDS)
    assert len(judged.false) <= 1
    assert np.mean([iou for iou, each in zip(judged.iou, truth) if each.kind != "cut"]) > 0.5
    still = np.repeat(frames[:1], 150, 0)
    assert detect.detect(still, rate=25) == []  # negative control


def test_the_command_needs_no_weights(tmp_path):
    from pretrain.__main__ import main

    rng = np.random.default_rng(0)
    color = np.repeat(rng.integers(0, 200, (2, 1, 1, 3)), 30, 0)
    clip = (color + rng.integers(0, 20, (60, 72, 108, 3))).astype(np.uint8)
    gpuaug.write_video(tmp_path / "a.mkv", clip, 25, "ffv1", pixel_format="bgr0")
    assert main(["shots", str(tmp_path / "a.mkv"), "--out", str(tmp_path / "out"), "--formats", "json"]) == 0
    assert (tmp_path / "out" / "a.json").exists()
