"""Who may be whose partner, by hand."""

import numpy as np
import pytest

import gpuaug
from pretrain.tasks.bsp.pairs import draw_clips, partnered
from support.banks import set_columns


def bank(labels, *, reuse_max=1, uses=0, frames=8):
    made = gpuaug.ClipBank(len(labels), 8, 1, 1, device="meta", reuse_max=reuse_max)
    set_columns(made, video=np.arange(len(labels)), label=labels, frames=frames, uses=uses, ready=True)
    return made


def draw(made, n, *, same, two=True, need=8):
    return draw_clips(np.random.default_rng(0), made, two=np.full(n, two), same=np.full(n, same), need=need)


@pytest.mark.parametrize(("labels", "same"), [([3, 3], True), ([3, 4], False)])
def test_the_last_use_of_a_window_may_be_as_a_partner(labels, same):
    assert sorted(draw(bank(labels), 1, same=same)[0].tolist()) == [0, 1]
    assert sorted(draw(bank(labels, reuse_max=2, uses=1), 1, same=same)[0].tolist()) == [0, 1]
    with pytest.raises(gpuaug.Starved):
        draw(bank(labels, reuse_max=2, uses=[1, 2]), 1, same=same)
    with pytest.raises(gpuaug.Starved):
        draw(bank(labels), 1, same=not same)


def test_who_has_a_partner():
    """Slots 0 and 1 are of one class, 2 of another one, 3 of none, 4 too short, 5 used up."""
    made = bank([3, 3, 4, -1, 3, 4], frames=[8, 8, 8, 8, 4, 8], uses=[0, 0, 0, 0, 0, 1])
    same, other = partnered(made, np.array([0, 1, 2, 3]), 8)
    assert same.tolist() == [True, True, False, False]
    assert other.tolist() == [True, True, True, False]
    with pytest.raises(gpuaug.Starved, match="clips of at least 8 frames are wanted, one has 4"):
        partnered(made, np.array([4]), 8)


def test_clips_without_a_second_one_are_their_own():
    found = draw(bank([3, 4, -1]), 3, same=False, two=False)
    assert (found[:, 0] == found[:, 1]).all()
    assert sorted(found[:, 0].tolist()) == [0, 1, 2]
