"""gpuaug.transforms in torchvision's Compose and in DataLoaders, and what random numbers they draw."""

from __future__ import annotations

import pickle
import re

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from gpuaug import transforms, transitions
from gpuaug.transforms import (
    CrossFade,
    RandomJump,
    RandomReverse,
    RandomSpeed,
)
from support.plans.numbered import ONE, TWO, numbered, own_time, seeded


def test_torchvisions_compose_and_its_video():
    v2 = pytest.importorskip("torchvision.transforms.v2")
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    clips = tv_tensors.Video((numbered(4, channels=3, size=(8, 8)) % 100).to(torch.uint8))
    pipeline = v2.Compose(
        [RandomSpeed(p=1, length=10), v2.RandomHorizontalFlip(), RandomReverse(), v2.ToDtype(torch.float32, scale=True),
         CrossFade((2, 2), num_classes=4)]
    )  # fmt: skip
    out = pipeline(clips)
    assert (type(out), out.shape, out.dtype) == (tv_tensors.Video, (4, 10, 3, 8, 8), torch.float32)
    out, soft = pipeline(clips, torch.arange(4))
    assert (type(out), soft.shape) == (tv_tensors.Video, (4, 4))
    for sample in ({"video": clips, "label": torch.arange(4), "name": "x"}, {"film": clips, "name": "x"}):
        out = pipeline(sample)
        assert set(out) == {*sample, "frames"}
        film = out.get("film", out.get("video"))
        assert type(film) is tv_tensors.Video
        pure = ((out["frames"]["kind"] < 0) & (out["frames"]["clip"] == 0))[:, :, None, None, None].expand_as(film)
        time = torch.floor(out["frames"]["time"] + 0.5)[:, :, None, None, None].expand_as(film)
        torch.testing.assert_close(film[pure] * 255, time[pure].float(), atol=1e-3, rtol=0)
    plain = v2.Compose([RandomReverse(p=1), v2.ToDtype(torch.float16)])(numbered())
    assert type(plain) is torch.Tensor
    torch.testing.assert_close(plain, numbered().flip(1).half())


class Clips(Dataset):
    """Numbered clips, each edited on its own in the worker."""

    def __init__(self, transform):
        self.transform, self.clips = transform, numbered(16)

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, i):
        return self.transform(self.clips[i], {"label": i % 4})


def epochs(transform, batch, seed, workers=2):
    torch.manual_seed(seed)
    loader = DataLoader(Clips(transform), batch_size=4, num_workers=workers, timeout=60)
    return [[batch(*each) for each in loader] for _ in range(2)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:os.fork")
def test_in_a_dataloaders_workers_and_on_its_batches():
    def run(seed):
        mix = CrossFade((0, 0), num_classes=4, generator=seeded(5))
        return epochs(RandomJump((1, 9), p=1, generator=seeded(4)), mix, seed)

    one, again, other = run(1), run(1), run(2)
    times = [torch.cat([target["frames"]["time"] for _, target in epoch]) for epoch in one]
    for clips, target in one[0]:
        assert target["label"].shape == (4, 4)
        assert torch.equal(own_time(clips).double(), target["frames"]["time"])
        assert transitions.labels(transforms.plan(target)).names.count("cut") == 4
    same = [torch.cat([target["frames"]["time"] for _, target in epoch]) for epoch in again]
    assert all(torch.equal(a, b) for a, b in zip(times, same))
    assert not torch.equal(times[0], times[1]), "epochs repeat each other"
    assert not torch.equal(times[0], torch.cat([target["frames"]["time"] for _, target in other[0]]))
    # a worker has every second batch: copies of one generator must not draw the same there
    jumps = [target["frames"]["shot"] for _, target in one[0]]
    assert not torch.equal(jumps[0], jumps[1])


@pytest.mark.parametrize("make", [*ONE.values(), *TWO.values()])
def test_the_generator_decides_alone(make):
    clips = numbered(size=(4, 4))
    state = torch.random.get_rng_state()
    generator = seeded(3)
    one, later = (make(p=0.9, generator=generator)(clips) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one, make(p=0.9, generator=seeded(3))(clips))
    assert not torch.equal(one, later)
    torch.manual_seed(0)
    first = make(p=0.9)(clips)
    torch.manual_seed(0)
    assert torch.equal(first, make(p=0.9)(clips))


@pytest.mark.parametrize("make", [*ONE.values(), *TWO.values()])
def test_modules_are_sent_and_shown_and_leave_their_input(make):
    transform = make(generator=seeded(3))
    clips = numbered(size=(4, 4))
    kept, target = clips.clone(), {"more": 1}
    got = pickle.loads(pickle.dumps(transform))(clips, target)[0]
    assert torch.equal(got, transform(clips, target)[0])
    assert torch.equal(clips, kept)
    assert target == {"more": 1}
    assert re.fullmatch(rf"{type(transform).__name__}\(.*p=[\d.]+\)", repr(transform))
    strided = clips.movedim(2, 4).contiguous().movedim(4, 2)
    assert torch.equal(make(generator=seeded(3))(strided), make(generator=seeded(3))(clips))
