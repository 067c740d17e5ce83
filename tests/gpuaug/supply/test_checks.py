"""What users give a loader and what their plan function returns: refused in one line, at every reuse limit."""

import multiprocessing

import numpy as np
import pytest
import torch

import gpuaug
from support.fake_decoder import FPS, LENGTH, dataset, loader, run


def made(function, **options):
    """A loader with this plan function."""
    how = {"batch": 2, "frames": LENGTH, "fps": FPS, "size": 8, "slots": 8, "deterministic": True, **options}
    return gpuaug.Loader(dataset(), function, **how)


def plan(bank, slots, times=(0.0, 1.0)):
    return gpuaug.Plan.take(slots, np.array(times))


TWO = np.zeros(2)
WRONG = [  # what a plan function returns, and what is said of it
    (lambda rng, bank, n: plan(bank, bank.draw(rng, n)), r"must have 2 samples, got \d+ .bank.draw gives at least"),
    (lambda rng, bank, n: plan(bank, bank.draw(rng, n)[:1]), "must have 2 samples, got 1"),
    (lambda rng, bank, n: None, "must return a gpuaug.Plan, or one and a dict of arrays, got NoneType"),
    (lambda rng, bank, n: np.zeros((2, 4)), "must return a gpuaug.Plan, or one and a dict of arrays, got ndarray"),
    (lambda rng, bank, n: (plan(bank, bank.draw(rng, n)[:n]), {}, {}), "got a tuple of 3"),
    (lambda rng, bank, n: (plan(bank, bank.draw(rng, n)[:n]), [1, 2]), "got a tuple of 2"),
    (lambda rng, bank, n: (plan(bank, bank.draw(rng, n)[:n]), {"y": np.zeros(7)}), r"target 'y' .* first axis of 2"),
    (lambda rng, bank, n: (plan(bank, bank.draw(rng, n)[:n]), {"y": 3}), r"target 'y' .* got int64 \(\)"),
    (lambda rng, bank, n: (plan(bank, bank.draw(rng, n)[:n]), {"y": ["a", "b"]}), "target 'y' must be numbers"),
    (lambda rng, bank, n: plan(bank, [1, 1000]), "must show slots 0 … 7 of the bank, got slot 1000"),
    (lambda rng, bank, n: plan(bank, bank.draw(rng, n)[:n], (0.0, 99.0)), "got frame 99 of slot .*, which has 6"),
    (lambda rng, bank, n: plan(bank, [5, 5]), "shows slot 5 more often than reuse_max=[13] allows"),
]


@pytest.mark.parametrize("reuse", [1, 3])
@pytest.mark.parametrize(("function", "message"), WRONG)
def test_what_a_plan_function_may_not_return(decoder, function, message, reuse):
    with made(function, reuse_max=reuse) as source, pytest.raises(ValueError, match=message):
        list(map(source.batch, range(5)))


def test_slots_that_are_not_ready_are_not_shown(decoder):
    def function(rng, bank, n):
        return plan(bank, np.flatnonzero(~bank.info["ready"])[:n] if (~bank.info["ready"]).any() else bank.slots()[:n])

    with made(function, reuse_max=1) as source, pytest.raises(ValueError, match="slots that are ready, got slot"):
        list(map(source.batch, range(5)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augment": "random"}, "augment must be a gpuaug.Augment or None, got augment='random'"),
        ({"bank_size": 16}, r"bank_size must be \(height, width\) or None, got bank_size=16"),
        ({"bank_size": (16, 0)}, "bank_size's width must be a whole number ≥ 1"),
        ({"bank_size": (16, 16, 16)}, r"bank_size must be \(height, width\) or None, got bank_size=\(16, 16, 16\)"),
        ({"dtype": "float32"}, "dtype must be a floating point dtype of torch, got dtype='float32'"),
        ({"dtype": torch.uint8}, "dtype must be a floating point dtype of torch, got dtype=torch.uint8"),
        ({"placement": "center"}, "placement must be one of random, spread, ends, whole, got placement='center'"),
        ({"function": "bsp"}, r"plan must be a function of \(rng, bank, n\), got plan='bsp'"),
    ],
)
def test_options_of_another_type(decoder, options, message):
    with pytest.raises(ValueError, match=message) as error:
        made(**{"function": lambda rng, bank, n: plan(bank, bank.draw(rng, n)[:n]), **options})
    assert "\n" not in str(error.value)


OPTIONS = [
    ({"seed": 1}, "seed must be as in the state, seed=0, got seed=1"),
    ({"fps": 5.0}, r"fps must be as in the state, fps=10.0, got fps=5.0"),
    ({"batch": 3}, "batch must be as in the state"),
    ({"world": 2}, "world must be as in the state"),
    ({"rank": 1, "world": 2}, "world must be as in the state"),
    ({"reuse_max": 4}, "reuse_max must be as in the state"),
    ({"shuffle": False}, "shuffle must be as in the state"),
    ({"pairs": True}, "pairs must be as in the state"),
    ({"placement": "spread"}, "placement must be as in the state"),
    ({"deterministic": False}, "deterministic must be as in the state"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_a_state_of_other_options_is_refused(decoder, options, message):
    with loader() as source:
        run(source, 2)
        state = source.state_dict()
    with loader(**options) as other, pytest.raises(ValueError, match=message):
        other.load_state_dict(state)


def test_a_state_of_other_data_or_of_something_else_is_refused(decoder):
    with loader() as source:
        state = source.state_dict()
    with loader(dataset(videos=11)) as other, pytest.raises(ValueError, match="segments must be as in the state"):
        other.load_state_dict(state)
    for wrong in ({}, None, torch.nn.Linear(1, 1).state_dict(), {**state, "options": {}}):
        with loader() as other, pytest.raises(ValueError, match="must be"):
            other.load_state_dict(wrong)


@pytest.mark.parametrize("slots", [None, 4])
def test_without_shuffling_a_state_of_the_middle_brings_the_rest(decoder, slots):
    how = {"shuffle": False, "batch": 2, "slots": slots}
    with loader(**how) as source:
        stream = iter(source)
        first = [next(stream).target["video"].tolist() for _ in range(2)]
        state = source.state_dict()
        rest = [batch.target["video"].tolist() for batch in stream]
    assert [*first, *rest] == [[k, k + 1] for k in range(0, 12, 2)]
    with loader(**how) as again:
        again.load_state_dict(state)
        assert [batch.target["video"].tolist() for batch in again] == rest
        assert [batch.target["video"].tolist() for batch in again] == [*first, *rest]
    with loader(**how) as broken_off:
        next(iter(broken_off))
        assert [batch.target["video"].tolist() for batch in broken_off] == [*first, *rest][1:]


def test_where_nothing_can_be_decoded_a_pass_is_an_error(decoder):
    decoder.broken = frozenset(map(str, range(12)))
    with (
        loader(shuffle=False) as source,
        pytest.raises(RuntimeError, match="no window can be shown, for example 0:"),
    ):
        list(source)
    with loader(shuffle=False) as source, pytest.raises(RuntimeError, match="no window of batch 0 can be shown"):
        source.batch(0)


def test_segments_without_a_number_are_told_apart_by_their_path(decoder):
    data = [gpuaug.Segment(str(k // 2), float(k % 2), float(k % 2) + 1) for k in range(8)]
    with loader(data, reuse_max=1, batch=8, slots=16) as source:
        assert sorted(source.batch(0).target["video"].tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
        assert source.bank.videos == ["0", "1", "2", "3"]
    with pytest.raises(ValueError, match="videos must have one path per number, video=3 has a and b"):
        loader([gpuaug.Segment("a", 0, 1, 0, 3), gpuaug.Segment("b", 0, 1, 0, 3)])


@pytest.mark.parametrize("reuse", [1, 3])
def test_a_closed_loader_says_so(decoder, reuse):
    source = loader(reuse_max=reuse)
    source.batch(0)
    source.close()
    source.close()
    with pytest.raises(RuntimeError, match="the loader is closed"):
        source.batch(1)


def in_a_fork(source, queue):
    try:
        source.batch(1)
        queue.put("a batch")
    except RuntimeError as error:
        queue.put(str(error))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # JAX's, where another test has loaded it
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork:pytest.PytestUnraisableExceptionWarning")
def test_a_fork_of_a_loader_says_so_and_does_not_hang(decoder):
    context = multiprocessing.get_context("fork")
    with loader() as source:
        source.batch(0)
        queue = context.SimpleQueue()
        child = context.Process(target=in_a_fork, args=(source, queue))
        child.start()
        child.join(60)
        assert not child.is_alive()
        assert queue.get() == "a loader must be used in the process that made it, this is a fork of that"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": "2"}, "batch must be a whole number ≥ 1, got batch='2'"),
        ({"batch": True}, "batch must be a whole number ≥ 1, got batch=True"),
        ({"size": 32.0}, "size must be a whole number"),
        ({"windows_per_sample": 0}, "windows_per_sample must be a whole number ≥ 1"),
        ({"samples_per_visit": 0}, "samples_per_visit must be a whole number ≥ 1"),
        ({"lag": -1}, "lag must be a whole number ≥ 0, got lag=-1"),
        ({"seed": -1}, "seed must be a whole number ≥ 0"),
        ({"reuse_max": 2.5}, "reuse_max must be a whole number ≥ 1, got reuse_max=2.5"),
        ({"fps": "15"}, "fps must be a number > 0, got fps='15'"),
        ({"fps": float("nan")}, "fps must be a number > 0"),
        ({"reuse_max": None, "slots": 3, "data": 0.5}, "reuse_max must .* the bank has fewer slots than windows"),
    ],
)
def test_options_are_checked_at_once(decoder, options, message):
    data = dataset(seconds=options.pop("data", 2.0))
    with pytest.raises(ValueError, match=message):
        loader(data, **options)
