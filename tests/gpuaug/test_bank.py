"""The bank: what it holds, its reuse limit, and on a GPU that no slot is overwritten while a render reads it."""

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug.bank import ClipBank, Starved
from support.banks import set_columns


def window(value: int, t: int = 4, h: int = 6, w: int = 8) -> torch.Tensor:
    return torch.full((t, h, w, 3), value, dtype=torch.uint8)


def full_bank(slots: int = 4, reuse_max: int | None = 3) -> ClipBank:
    bank = ClipBank(slots, 4, 6, 8, reuse_max=reuse_max)
    for slot in range(slots):
        bank.write(slot, window(slot), {"video": slot, "label": slot % 2})
    return bank


def test_a_slot_holds_windows_of_any_smaller_size():
    bank = ClipBank(2, 4, 6, 8)
    assert bank.slots().tolist() == []
    bank.write(1, window(9, 3, 5, 7), {"video": 4, "label": 2, "start_seconds": 1.5, "fps": 15.0})
    row = bank.info[1]
    assert (row["frames"], row["height"], row["width"], row["video"], row["label"]) == (3, 5, 7, 4, 2)
    assert (row["start_seconds"], row["fps"], row["uses"]) == (1.5, 15.0, 0)
    assert bank.slots().tolist() == [1]
    assert (bank.frames[1, :3, :5, :7] == 9).all()


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (window(0, 5), r"frames must fit into a slot of \(4, 6, 8, 3\), got \(5, 6, 8, 3\)"),
        (window(0, 4, 6, 9), "frames must fit into a slot"),
        (window(0).float(), "frames must be uint8"),
        (window(0)[:0], "frames must be uint8"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_slot_kept(frames, message):
    bank = full_bank()
    with pytest.raises(ValueError, match=message):
        bank.write(0, frames, {"video": 9})
    assert bank.info["video"][0] == 0


def test_uses_are_counted_per_sample_and_window():
    bank = full_bank()
    clip = np.array([[[0], [0], [1]], [[0], [0], [0]]])  # sample 0 shows slots 0 and 1, sample 1 shows slot 0
    with bank.reading(clip):
        pass
    assert bank.info["uses"].tolist() == [2, 1, 0, 0]
    assert (bank.rendered, bank.decoded, bank.echo) == (3, 4, 0.75)


def test_draw_is_even_and_never_passes_the_limit():
    bank = full_bank(slots=4, reuse_max=3)
    set_columns(bank, uses=[0, 1, 2, 3])
    rng = np.random.default_rng(0)
    drawn = bank.draw(rng, 3)
    assert sorted(drawn.tolist()) == [0, 1, 2]
    drawn = np.bincount(bank.draw(rng, 6), minlength=4)
    assert drawn.tolist() == [3, 2, 1, 0]
    with pytest.raises(Starved, match="7 windows are wanted, 3 usable slots may still be shown 6 times"):
        bank.draw(rng, 7)
    assert sorted(bank.draw(rng, 2, among=bank.info["label"] == 0).tolist()) == [0, 2]
    assert bank.slots().tolist() == [0, 1, 2]


def test_without_a_limit_any_number_can_be_drawn():
    counts = np.bincount(full_bank(reuse_max=None).draw(np.random.default_rng(0), 10), minlength=4)
    assert counts.min() >= 2


@pytest.mark.parametrize("width", [8, 171])
def test_rows_begin_at_whole_words(width):
    bank = ClipBank(2, 3, 5, width)
    assert bank.frames.shape == (2, 3, 5, width, 3)
    assert bank.frames.data_ptr() % 4 == 0
    assert all(step % 4 == 0 for step in bank.frames.stride()[:3])
    assert bank.frames.stride()[3:] == (3, 1)
    frames = torch.randint(0, 256, (3, 5, width, 3), dtype=torch.uint8)
    bank.write(1, frames, {"video": 0})
    plan = gpuaug.Plan.take(1, np.arange(3.0))
    assert torch.equal(gpuaug.blend(bank.frames, plan)[0], frames)


@pytest.mark.gpu
@pytest.mark.parametrize("guarded", [True, False])
def test_a_queued_render_reads_its_slot_before_it_is_overwritten(guarded):
    """With a slow reader queued, a guarded write waits for it; the unguarded one (negative control) does not."""
    bank = ClipBank(1, 64, 256, 256, "cuda")
    old, new = (torch.full((64, 256, 256, 3), value, dtype=torch.uint8, device="cuda") for value in (1, 2))
    bank.write(0, old, {"video": 0})
    plan = gpuaug.Plan.take(0, np.arange(64.0))
    torch.cuda.synchronize()
    reader = torch.cuda.Stream()
    with torch.cuda.stream(reader):
        torch.cuda._sleep(400_000_000)  # some 0.2 s in which the render has not begun
        if guarded:
            with bank.reading(plan.clip):
                shown = gpuaug.blend(bank.frames, plan)
        else:
            shown = gpuaug.blend(bank.frames, plan)
    bank.write(0, new, {"video": 1})
    torch.cuda.synchronize()
    assert shown.float().mean().item() == (1.0 if guarded else 2.0)


def test_a_plan_of_one_sample_counts_each_of_its_windows_once():
    bank = full_bank(slots=2)
    with bank.reading(np.zeros((1, 4), int)):
        pass
    assert bank.info["uses"].tolist() == [1, 0]
    with bank.reading(np.array([[0, 1, 1]])):
        pass
    assert bank.info["uses"].tolist() == [2, 1]


def test_slots_with_fewer_uses_left_than_a_draw_takes_are_spent():
    """PAL takes two at a time: a slot with one use left would stay, and never be shown."""
    bank = full_bank(slots=4, reuse_max=3)
    set_columns(bank, uses=[0, 1, 2, 3])
    assert bank.spent().tolist() == [False, False, False, True]
    drawn = bank.draw(np.random.default_rng(0), 2, uses=2)
    assert sorted(drawn.tolist()) == [0, 1]
    assert bank.spent().tolist() == [False, False, True, True]
    bank.draw(np.random.default_rng(0), 1)
    assert bank.spent().tolist() == [False, False, True, True], "the most that any draw has asked for"
    again = full_bank(slots=4, reuse_max=3)
    again.load_state_dict(bank.state_dict())
    assert again.spent().tolist() == [False, False, True, True]
    assert not full_bank(reuse_max=None).spent().any()


def test_where_a_window_is_shown_once_an_earlier_pass_comes_first():
    bank = full_bank(slots=4, reuse_max=1)
    set_columns(bank, epoch=[1, 0, 1, 0])
    assert sorted(bank.draw(np.random.default_rng(0), 4)[:2].tolist()) == [1, 3]


@pytest.mark.parametrize("name", ["slots", "length", "height", "width"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be ≥ 1, got {name}=0"):
        ClipBank(**{"slots": 1, "length": 4, "height": 2, "width": 2, name: 0})
    with pytest.raises(ValueError, match="reuse_max must be ≥ 1 or None, got reuse_max=0"):
        ClipBank(1, 4, 2, 2, reuse_max=0)


@pytest.mark.parametrize("slots", [[2], np.array([2]), [0, 2]])
@pytest.mark.parametrize("form", [int, lambda number: np.array([number])], ids=["numbers", "arrays"])
def test_a_reserved_row_is_the_same_however_it_is_given(slots, form):
    bank = full_bank(slots=3)
    bank.release(np.arange(3))
    bank.reserve(slots, {"video": form(7), "start_seconds": 1.5, "frames": form(3)})
    expected = np.zeros(1, bank.info.dtype)
    for name, value in {"video": 7, "label": -1, "start_seconds": 1.5, "frames": 3, "ready": True}.items():
        expected[name] = value
    assert all(row == expected[0] for row in bank.info[slots])
    assert bank.slots().tolist() == list(slots)
    with pytest.raises(ValueError, match="columns of the bank's table, got 'colour'"):
        bank.reserve(slots, {"colour": 1})


def test_released_slots_are_not_drawn_until_they_are_offered():
    bank = full_bank(slots=3)
    bank.release(np.array([0, 2]))
    assert bank.slots().tolist() == [1]
    bank.offer(np.array([2]))
    assert bank.slots().tolist() == [1, 2]
    assert bank.info["ready"].tolist() == [False, True, True]


def test_a_state_gives_back_table_and_counts():
    bank = full_bank(slots=2, reuse_max=9)
    with bank.reading(np.array([[0], [1], [1]])):
        pass
    bank.draw(np.random.default_rng(0), 1, uses=3)
    again, state = ClipBank(2, 4, 6, 8, reuse_max=9), bank.state_dict()
    again.load_state_dict(state)
    assert (again.decoded, again.rendered, again.info.tolist()) == (2, 3, bank.info.tolist())
    set_columns(again, uses=[6, 7])
    assert again.spent().tolist() == [False, True]
    del state["uses_per_draw"]  # of an earlier version
    again.load_state_dict(state)
    set_columns(again, uses=[8, 9])
    assert again.spent().tolist() == [False, True]
    with pytest.raises(ValueError, match="slots must be as in the state, 2, got 3"):
        ClipBank(3, 4, 6, 8).load_state_dict(state)
