"""The rules of the supplies by hand: what is asked for when, what arrives when, what is passed on and closed.

The queue is a stand-in that notes what it is asked for, and is ready when it is told to be.
"""

import numpy as np
import pytest
import torch

import gpuaug
from gpuaug.bank import ClipBank
from gpuaug.supply.reuse import ReuseSupply
from gpuaug.supply.sampler import SegmentSampler
from support.fake_decoder import FPS, LENGTH, dataset, loader


class Asked:
    """Windows on their way that arrive when `ready` says so."""

    def __init__(self, windows):
        self.windows, self.ready = windows, False

    def wait(self):
        return [torch.zeros(w.frames, 2, 2, 3, dtype=torch.uint8) for w in self.windows], []


class Queue:
    def __init__(self):
        self.calls, self.asked = [], []

    def request(self, visits):
        self.calls.append(len(visits))
        new = [Asked(windows) for windows in visits]
        self.asked += new
        return new


def supply(groups, *, windows=1, reuse_max=2, reuse_min=1, deterministic=True, lag=3, resident=False):
    """A supply whose draws show the slots that the list `shown` says, and that list."""
    sampler = SegmentSampler(dataset(videos=300), frames=LENGTH, fps=FPS, windows=windows, pairs=False)
    bank, shown = ClipBank(groups * windows, LENGTH, 2, 2, reuse_max=reuse_max), []

    def draw(step):
        plan = gpuaug.Plan.take(np.array(shown), np.zeros((1, 1)))
        with bank.reading(plan.clip):
            pass
        return np.random.default_rng(0), plan, {}

    made = ReuseSupply(
        sampler, bank, Queue(), draw, reuse_min=reuse_min, resident=resident, deterministic=deterministic, lag=lag
    )
    return made, shown


def step(made, k):
    made.next(k)
    made.after(k)


def segments(made):
    return [visit.segment for visit in made._groups.held]


def test_a_request_is_used_from_its_due_step_on_and_no_sooner():
    made, shown = supply(4)
    shown += [0, 0, 2, 2]
    step(made, 0)  # groups 0 and 2 are used up; asked for, due at step 3
    before, queue = segments(made), made._groups.queue
    assert queue.calls[-1] == 2
    for each in queue.asked:
        each.ready = True  # however fast decoding is
    shown[:] = [1]
    step(made, 1)
    shown[:] = [3]
    step(made, 2)
    assert segments(made) == before
    assert made.bank.info["uses"].tolist() == [2, 1, 2, 1]
    made.next(3)
    after = segments(made)
    assert len({*after, *before}) == 6, "both are placed at once"
    assert (after[1], after[3]) == (before[1], before[3])
    assert made.bank.info["uses"].tolist() == [0, 1, 0, 2]


def test_racing_takes_what_is_there_and_leaves_the_rest():
    made, shown = supply(4, deterministic=False, reuse_min=2)
    made._groups.queue.request([])  # nothing
    shown += [0]
    made.next(0)
    queue = made._groups.queue
    for each in queue.asked:
        each.ready = True
    made.next(1)
    assert len({visit.segment for visit in made._groups.held}) == 4
    shown[:] = [1, 2, 2]
    made.next(2)
    made.after(2)
    assert [p.group for p in made._pending] == [0, 2], "used up after two"
    before = segments(made)
    made._pending[1].request.ready = True
    shown[:] = [1]
    made.next(3)
    after = segments(made)
    assert [a == b for a, b in zip(after, before)] == [True, True, False, True]
    assert [p.group for p in made._pending] == [0]


def filled(**options):
    made, shown = supply(6, **options)
    shown += list(range(6))
    made.next(0)
    for each in made._groups.queue.asked:
        each.ready = True
    made._collect(0)
    return made, shown


def test_an_idle_decoder_renews_the_most_used_windows_ahead_of_time():
    made, _ = filled(deterministic=False, reuse_max=9, reuse_min=2)
    made._groups.bank._info["uses"] = [1, 4, 2, 1, 3, 0]
    made.after(1)
    assert [p.group for p in made._pending] == [1, 4, 2], "those shown twice at least, the most used first"
    made.after(2)
    assert len(made._pending) == 3, "not while it has something to do"
    made, _ = filled(deterministic=True, reuse_max=9, reuse_min=2)
    made._groups.bank._info["uses"] = [1, 4, 2, 1, 3, 0]
    made.after(1)
    assert made._pending == []
    made, _ = filled(deterministic=False, reuse_max=9, reuse_min=2, resident=True)
    made._groups.bank._info["uses"] = 4
    made.after(1)
    assert made._pending == []


@pytest.mark.parametrize(("windows", "first", "more"), [(1, 64, 8), (4, 16, 2), (70, 1, 1)])
def test_a_bank_is_filled_in_small_steps(windows, first, more):
    """64 windows are on their way at most, and the decoder is given several files at once."""
    made, shown = supply(100, windows=windows, reuse_max=9, reuse_min=3)
    shown += [0]
    made.next(0)
    calls = made._groups.queue.calls
    assert calls[0] == first
    assert sum(calls) == 100
    assert set(calls[1:-1]) <= {more}
    assert sorted(segments(made)) == sorted(set(segments(made))), "each group was asked for once"
    uses = made.bank.info["uses"].reshape(100, windows)[1:]
    assert uses.tolist() == [[group * 6 // 100] * windows for group in range(1, 100)], "not used up all at once"


def test_racing_goes_on_when_a_quarter_is_there():
    made, shown = supply(9, deterministic=False)
    shown += [0]
    made.next(0)
    assert sum(visit is not None for visit in made._groups.held) == 3
    resident, shown = supply(9, deterministic=False, resident=True, reuse_max=None)
    shown += [0]
    resident.next(0)
    assert None not in resident._groups.held


@pytest.mark.parametrize("reuse", [1, 3])
def test_pictures_and_rows_agree_where_a_visit_has_several_windows(decoder, reuse):
    with loader(windows=2, slots=12, reuse_max=reuse) as source:
        for k in range(12):
            batch = source.batch(k)
            np.testing.assert_allclose(batch.clips[:, 0].mean((1, 2, 3)) * 255, batch.target["video"], atol=1e-4)
            start = (batch.target["start"].numpy() * 10).astype(int)
            np.testing.assert_allclose(batch.clips[:, 2, 0, 0, 0] * 255, start, atol=1e-4)


@pytest.mark.parametrize("reuse", [1, 3])
def test_a_batch_is_planned_with_the_generator_of_its_own_step(decoder, reuse):
    def plan(rng, bank, n):
        slots = bank.draw(np.random.default_rng(0), n)[:n]
        return gpuaug.Plan.take(slots, [0.0]), {"drawn": np.full(n, rng.integers(1 << 30))}

    options = {"batch": 2, "frames": LENGTH, "fps": FPS, "size": 8, "slots": 12, "seed": 5, "reuse_max": reuse}
    with gpuaug.Loader(dataset(), plan, deterministic=True, **options) as source:
        for k in (0, 1, 7, 8, 3):
            expected = np.random.default_rng([5, 0, k]).integers(1 << 30)
            assert source.batch(k).target["drawn"].tolist() == [expected] * 2


def test_a_window_that_fails_after_a_restart_is_an_error(decoder):
    with loader(reuse_max=3) as source:
        source.batch(0)
        state = source.state_dict()
        video = int(source.bank.info["video"][2])
    decoder.broken = frozenset({str(video)})
    with (
        loader(reuse_max=3) as again,
        pytest.raises(RuntimeError, match=f"^{video} was readable before the restart: broken on purpose$"),
    ):
        again.load_state_dict(state)


@pytest.mark.parametrize("options", [{"reuse_max": 1}, {"reuse_max": 3}, {"shuffle": False}])
def test_what_the_decoder_is_made_with_and_that_it_is_closed(decoder, options):
    made, closed = [], []
    plain = decoder.__init__

    def noted(self, device, size, **more):
        made.append((torch.device(device), size, more))
        plain(self, device, size, **more)

    decoder.__init__, decoder.close = noted, lambda self: closed.append(self)
    told = {"backend": "pyav", "threads": 3, "fit": "stretch", "cache": False}
    source = loader(**options, **told, bank_size=(9, 11))
    assert made == [(torch.device("cpu"), (9, 11), told)]
    source.close()
    assert len(closed) == 1
    with pytest.raises(RuntimeError, match="the loader is closed"):
        source.batch(0)


@pytest.mark.parametrize(("resident", "calls"), [(False, [5, 3, 3, 3]), (True, [5])])
def test_what_never_pairs_up_is_replaced_three_times_and_then_an_error(resident, calls):
    """Half of the groups at a time, the most used ones; data that are all there are not replaced."""
    made, _ = supply(5, reuse_max=None if resident else 9, resident=resident)

    def draw(step):
        raise gpuaug.Starved("nothing fits")

    made._draw = draw
    with pytest.raises(gpuaug.Starved, match="nothing fits"):
        made.next(0)
    assert made._groups.queue.calls == calls
    assert made._pending == []


def test_a_bank_that_is_being_filled_goes_on_where_it_was():
    made, shown = supply(90, deterministic=False, reuse_max=9, reuse_min=3)
    shown += [0]
    made.next(4)
    state, before = made.state_dict(), segments_there(made)
    asked = [(p.group, p.visit, p.due_step, p.credited_uses) for p in made._pending]
    again, _ = supply(90, deterministic=False, reuse_max=9, reuse_min=3)
    again.load_state_dict(state)
    assert segments_there(again) == before
    assert [(p.group, p.visit, p.due_step, p.credited_uses) for p in again._pending] == asked
    assert len(asked) > 30
    assert again._unfilled == made._unfilled == list(range(len(before) + len(asked), 90))
    assert again.bank.info["uses"].tolist() == made.bank.info["uses"].tolist()
    again.after(5)
    every = [p.group for p in again._pending]
    assert len(every) == len(set(every)), "none is asked for twice"


def segments_there(made):
    return [(group, visit.segment) for group, visit in enumerate(made._groups.held) if visit is not None]


def test_while_a_bank_is_filled_nothing_of_it_is_replaced():
    made, shown = supply(90, deterministic=False, reuse_max=1)
    shown += [0]
    made.next(0)
    made.after(0)
    assert made.bank.spent()[0]
    assert 0 not in [p.group for p in made._pending]
