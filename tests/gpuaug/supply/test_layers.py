"""Plans with masks, places and colours through a loader: the pixels are those of the plan on the decoded windows."""

import numpy as np
import pytest
import torch

import gpuaug
from support.fake_decoder import FPS, LENGTH, dataset

SIZE = 16
KINDS = ["wipe_left", "push_up", "fade_black", "doorway", "circle_open", "cut"]
ORDER = {"shuffle": False, "deterministic": False}


def sample(rng, bank, n, *, first=None):
    """Transitions of all kinds, soft and hard, at drawn places."""
    if first is None:
        slots = bank.draw(rng, 2 * n)[: 2 * n].reshape(2, n)
    else:
        slots = np.stack([first, np.roll(first, 1)])
        n = len(first)
    one, two = (gpuaug.Plan.take(each, np.arange(4.0), frames=bank.info["frames"]) for each in slots)
    kinds = [KINDS[k] for k in rng.integers(len(KINDS), size=n)]
    plan = gpuaug.edits.transition(
        one, two, kinds, length=5, start=1, duration=np.where(np.array(kinds) == "cut", 0, 3), softness=rng.random(n)
    )
    about = {name: bank.info[name][slots].T for name in ("video", "start_seconds")}
    return plan, {**about, "slots": slots.T, **({} if first is None else {"slot": first})}


def made(**options):
    how = {"batch": 4, "frames": LENGTH, "fps": FPS, "size": SIZE, "slots": 16, "reuse_max": 3, "windows_per_sample": 2}
    return gpuaug.Loader(dataset(), sample, **{**how, "deterministic": True, **options})


def expected(batch):
    """The batch's clips, rendered of windows painted here."""
    slots = sorted(set(batch.target["slots"].flatten().tolist()))
    windows = torch.zeros(len(slots), LENGTH, 4, 4, 3, dtype=torch.uint8)
    windows[..., 1] = torch.arange(LENGTH)[:, None, None]
    for row in range(len(batch.target["slots"])):
        for side in range(2):
            k = slots.index(int(batch.target["slots"][row, side]))
            windows[k, ..., 0] = int(batch.target["video"][row, side])
            windows[k, ..., 2] = int(float(batch.target["start_seconds"][row, side]) * 10)
    plan = batch.plan
    clip = np.where(plan.clip < 0, -1, np.searchsorted(slots, np.maximum(plan.clip, slots[0])))
    return gpuaug.render(windows, gpuaug.Plan(clip, plan.time, plan.weight, plan.layers), size=(SIZE, SIZE))


@pytest.mark.parametrize("options", [{"reuse_max": 1}, {"reuse_max": 3}, ORDER], ids=["once", "reuse", "in order"])
def test_layers_are_shown(decoder, options):
    colors = masks = 0
    with made(**options) as source:
        for step in range(3):
            batch = source.batch(step)
            torch.testing.assert_close(batch.clips, expected(batch), atol=1e-5, rtol=0)
            colors, masks = colors + (batch.plan.clip == -1).sum(), masks + (batch.plan.layers.map >= 0).sum()
    assert colors
    assert masks, "negative control: there are layers to lose"


@pytest.mark.parametrize("reuse", [1, 3])
def test_a_resumed_loader_shows_the_same_layers(decoder, reuse):
    with made(reuse_max=reuse) as source:
        for step in range(2):
            source.batch(step)
        state = source.state_dict()
        after = [source.batch(step).clips.clone() for step in (2, 3, 4)]
    with made(reuse_max=reuse) as other:
        other.load_state_dict(state)
        for step, clips in zip((2, 3, 4), after):
            assert torch.equal(other.batch(step).clips, clips)


def test_colours_alone_are_refused(decoder):
    with made(reuse_max=3) as source:
        source._supply._draw._function = lambda rng, bank, n: gpuaug.Plan.color([[0.0] * 3] * n, frames=4)
        with pytest.raises(ValueError, match="must show slots 0 … 15 of the bank, got colours alone"):
            source.batch(0)
