"""The bank's counts, tables and shapes in small cases, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuaug.bank import ClipBank, Starved
from support.banks import set_columns


def bank(slots=4, **options):
    made = ClipBank(slots, 3, 4, 6, **options)
    made.reserve(np.arange(slots), {"video": np.arange(slots), "frames": 3})
    return made


def test_an_empty_bank():
    made = ClipBank(2, 3, 4, 6)
    assert (made.echo, made.decoded, made.rendered, made.videos, made.stream, made.tall) == (0, 0, 0, (), None, None)
    assert made.info["video"].tolist() == [-1, -1]
    assert made.info["uses"].tolist() == [0, 0]
    assert not made.info["ready"].any()
    with pytest.raises(ValueError, match="read-only"):
        made.info["uses"] = 1
    with pytest.raises(Starved, match="1 windows are wanted, 0 usable slots may still be shown 0 times"):
        made.draw(np.random.default_rng(0), 1)


def test_what_a_written_slot_says():
    made = bank(2)
    made.write(1, torch.ones(2, 3, 5, 3, dtype=torch.uint8), {"video": 7, "fps": 12.5}, uses=2, frame_count=9)
    row = made.info[1]
    assert [row[n] for n in ("video", "label", "fps", "frames", "height", "width", "uses", "ready")] == [
        *(7, -1, 12.5, 9, 3, 5, 2, True)
    ]
    assert (row["group"], row["position"], row["epoch"], row["start_seconds"]) == (0, 0, 0, 0)
    assert made.decoded == 1
    made.write(1, torch.ones(2, 3, 5, 3, dtype=torch.uint8), {"uses": 5, "frames": 8, "ready": False})
    assert (made.info["uses"][1], made.info["frames"][1], made.info["ready"][1]) == (0, 2, True), "are set here"


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 5, 1), (2, 3, 5, 4), (0, 3, 5, 3), (2, 0, 5, 3), (2, 3, 0, 3)])
def test_pictures_of_another_form(shape):
    with pytest.raises(ValueError, match=r"frames must be uint8 \(T, h, w, 3\), got"):
        bank().write(0, torch.zeros(shape, dtype=torch.uint8), {})


@pytest.mark.parametrize(
    ("shape", "upright", "fits"),
    [
        ((3, 4, 6, 3), False, True),
        ((4, 4, 6, 3), False, False),
        ((3, 5, 6, 3), False, False),
        ((3, 4, 7, 3), False, False),
        ((3, 6, 4, 3), False, False),
        ((3, 6, 4, 3), True, True),
        ((3, 5, 2, 3), True, True),
        ((3, 6, 5, 3), True, False),
        ((3, 7, 4, 3), True, False),
        ((4, 6, 4, 3), True, False),
    ],
)
def test_what_fits(shape, upright, fits):
    made = bank(2, upright=upright)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    if not fits:
        with pytest.raises(ValueError, match=r"frames must fit into a slot of \(3, 4, 6, 3\), got"):
            made.write(0, frames, {})
        return
    made.write(0, frames, {})
    (*_, memory), clip = made.sources(np.array([[[0]]]))
    tall = shape[1] > 4
    assert clip.tolist() == [[[2 if tall else 0]]]
    assert torch.equal((made.tall if tall else made.frames)[0, : shape[0], : shape[1], : shape[2]], frames)
    assert memory is (made.tall if tall else made.frames)


def test_colours_have_no_slot():
    """A clip of −1 is no use, and stays −1 beside tall pictures."""
    made = bank(3, upright=True)
    made.write(2, torch.zeros(1, 6, 4, 3, dtype=torch.uint8), {})
    made.write(0, torch.zeros(1, 4, 6, 3, dtype=torch.uint8), {})
    clip = np.array([[[-1, 0]], [[2, -1]]])
    banks, counted = made.sources(clip)
    assert len(banks) == 2
    assert counted.tolist() == [[[-1, 0]], [[5, -1]]]
    with made.reading(clip):
        pass
    assert made.info["uses"].tolist() == [1, 0, 1]
    assert made.rendered == 2
    only = np.array([[[0, -1]]])
    assert made.sources(only) == ([made.frames], only)


@pytest.mark.parametrize(
    ("uses", "n", "each", "counts"),
    [
        ([0, 0, 0], 3, 1, [1, 1, 1]),
        ([0, 0, 0], 4, 1, [2, 2, 2]),  # as seldom as possible: twice at most
        ([0, 0, 0], 7, 1, [4, 4, 4]),  # three would do; doubled where it does not
        ([4, 0, 0], 3, 1, [0, 2, 2]),
        ([3, 3, 0], 5, 1, [1, 1, 4]),
        ([0, 2, 3], 3, 2, [2, 1, 0]),  # two uses each time
        ([0, 0, 0], 6, 2, [2, 2, 2]),
    ],
)
def test_how_often_slots_are_drawn(uses, n, each, counts):
    made = bank(3, reuse_max=4)
    set_columns(made, uses=uses)
    drawn = np.bincount(made.draw(np.random.default_rng(0), n, uses=each), minlength=3)
    if n == 7:
        assert drawn.tolist() in ([3, 3, 3], counts)
    else:
        assert drawn.tolist() == counts
    total = sum((4 - u) // each for u in uses)
    assert made.draw(np.random.default_rng(0), total, uses=each).size == total
    with pytest.raises(Starved, match=f"{total + 1} windows are wanted, .* may still be shown {total} times"):
        made.draw(np.random.default_rng(0), total + 1, uses=each)


def test_among_some():
    made = bank(4, reuse_max=2)
    assert sorted(made.draw(np.random.default_rng(0), 3, among=[0, 1, 0, 1]).tolist()) == [1, 1, 3, 3]
    with pytest.raises(Starved, match="2 usable slots may still be shown 4 times"):
        made.draw(np.random.default_rng(0), 5, among=[False, True, False, True])
    assert len(set(map(tuple, (made.draw(np.random.default_rng(k), 4).tolist() for k in range(9))))) > 3, "at random"


@pytest.mark.parametrize(("limit", "uses", "sorted_"), [(1, 1, True), (2, 2, True), (2, 1, False), (None, 1, False)])
def test_passes_come_in_order_where_a_window_is_drawn_once(limit, uses, sorted_):
    made = bank(40, reuse_max=limit)
    set_columns(made, epoch=np.arange(40) % 2)
    epochs = made.info["epoch"][made.draw(np.random.default_rng(0), 40, uses=uses)]
    assert (np.diff(epochs) >= 0).all() == sorted_


def test_a_limit_at_its_bound():
    made = bank(3, reuse_max=2)
    set_columns(made, uses=[1, 2, 3])
    assert made.slots().tolist() == [0]
    assert made.spent().tolist() == [False, True, True]
    free = bank(2)
    set_columns(free, uses=[10**6, 0])
    assert free.slots().tolist() == [0, 1]


def test_a_state_without_a_column_leaves_it_as_it_is():
    made, state = bank(2), bank(2).state_dict()
    set_columns(made, epoch=[5, 6])
    del state["info"]["epoch"]
    made.load_state_dict(state)
    assert made.info["epoch"].tolist() == [5, 6]
    made.reserve([0], {"video": 9})
    assert state["info"]["video"].tolist() == [0, 1], "a state does not change with the bank"


def test_uses_count_once_for_a_sample_and_not_where_a_render_fails():
    made = bank(3)
    with pytest.raises(RuntimeError, match="failed"), made.reading(np.array([[[0, 1]], [[1, 1]]])):
        raise RuntimeError("failed")
    assert made.info["uses"].tolist() == [0, 0, 0], "what was not shown"
    with made.reading(np.array([[[0, 1]], [[1, 1]]])):
        pass
    assert (made.info["uses"].tolist(), made.rendered) == ([1, 2, 0], 3)


def test_a_bank_lies_where_it_is_asked_to():
    assert ClipBank(2, 3, 4, 6).frames.device.type == "cpu"
    table = ClipBank(2, 3, 4, 6, "meta")
    assert (table.frames.device.type, table.stream) == ("meta", None)


def test_no_slot_is_drawn_more_than_twice_as_often_as_necessary():
    """Seventeen times one slot and three others once make twenty."""
    made = bank(4, reuse_max=100)
    set_columns(made, uses=[0, 99, 99, 99])
    counts = np.bincount(made.draw(np.random.default_rng(0), 20), minlength=4)
    assert counts[1:].tolist() == [1, 1, 1]
    assert 17 <= counts[0] <= 34
