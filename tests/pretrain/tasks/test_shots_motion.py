"""Hard negatives that move: a camera, things that come before it, shots that go back and forth."""

import numpy as np
import torch
import torch.nn.functional as F

from pretrain.shots.network import SIZE
from pretrain.tasks.shots import motion, timeline


def moved(**arrays):
    """What motion.apply makes of noise, with nothing drawn but these arrays, and the noise."""
    clip = torch.rand(2, 30, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    drawn = motion.draw(np.random.default_rng(0), 2, 30, shake=0.0, traps=0.0) | arrays
    return motion.apply(clip, {name: torch.as_tensor(value) for name, value in drawn.items()}), clip


def test_a_camera_turns_nears_and_rolls():
    camera = np.zeros((2, 30, 4), np.float32)
    camera[0, 10:, 0] = 2 / (SIZE - 1)  # a column to the right
    camera[1, 10:, 3] = np.pi / 2
    found, clip = moved(camera=camera)
    torch.testing.assert_close(found[:, :10], clip[:, :10], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0, 10:, :, :, :-1], clip[0, 10:, :, :, 1:], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1, 10:], torch.rot90(clip[1, 10:], 1, (2, 3)), atol=1e-4, rtol=0)
    camera[:] = 0
    camera[0, :, 2] = np.log(0.5)
    found, clip = moved(camera=camera)
    grid = F.affine_grid(torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]).expand(30, 2, 3), (30, 3, SIZE, SIZE), True)
    torch.testing.assert_close(found[0], F.grid_sample(clip[0], grid, align_corners=True), atol=1e-4, rtol=0)


def test_a_thing_covers_what_is_behind_it_and_nothing_else():
    thing, surface = np.zeros((2, 2, 30, 5), np.float32), np.zeros((2, 2, 6), np.float32)
    thing[0, 0, 5:20] = (0.0, 0.0, 0.5, 0.5, 1.0)
    surface[0, 0] = (0.1, 0.5, 0.9, 1.0, 0.0, 0.0)  # a colour, with corners and a hard edge
    found, clip = moved(thing=thing, surface=surface)
    torch.testing.assert_close(found[1], clip[1])
    torch.testing.assert_close(found[0, [*range(5), *range(20, 30)]], clip[0, [*range(5), *range(20, 30)]])
    inner, outer = slice(13, 23), [0, 1, 2, 33, 34, 35]
    expected = torch.tensor([0.1, 0.5, 0.9])[None, :, None, None].expand(15, 3, 10, 10)
    torch.testing.assert_close(found[0, 5:20, :, inner, inner], expected)
    torch.testing.assert_close(found[0, :, :, outer], clip[0, :, :, outer])
    surface[0, 0, 5] = 1.0  # the other clip, smaller
    found, clip = moved(thing=thing, surface=surface)
    assert (found[0, 5:20, :, inner, inner] - clip[1, 5:20, :, 8:28:2, 8:28:2]).abs().mean() < 0.4
    assert found[0, 5:20, :, inner, inner].std() > 0.1


def test_things_come_in_from_beyond_the_edge():
    found = motion.draw(np.random.default_rng(1), 400, 100, shake=0.0, traps=1.0)["thing"]
    there = found[..., 4] > 0
    assert there.any(2).mean() > 0.8
    came = there[..., 1:] & ~there[..., :-1]
    outside = (np.abs(found[..., 1:, :2]) - found[..., 1:, 2:4] > 0.7).any(-1)
    assert outside[came].mean() > 0.8


def test_shots_longer_than_their_clips_go_back_and_forth():
    line = timeline.draw(np.random.default_rng(0), 60, length=148, shots=2, dense=0.0, gradual=0.0, jumps=0.0)
    plan = timeline.compose(np.random.default_rng(0), line, np.full((60, 2), 40), fast=0.5)
    clip, frame = plan.clip[:, :, 0], plan.frame[:, :, 0]
    assert 0 <= frame.min() <= frame.max() <= 39
    step = np.abs(np.diff(frame.astype(float), axis=1))[clip[:, 1:] == clip[:, :-1]]
    assert step.max() <= 14  # 2.5 times 5, to whole frames
    assert (step > 3).any()
    slow = timeline.compose(np.random.default_rng(0), line, np.full((60, 2), 40), fast=0.0)
    step = np.abs(np.diff(slow.frame[:, :, 0].astype(float), axis=1))[clip[:, 1:] == clip[:, :-1]]
    assert step.max() <= 3
