"""How many slots a bank has, by hand: what is asked for, what the data need, and what a batch needs at least."""

import pytest

from gpuaug.supply import room as rooms
from gpuaug.supply.room import check_limit, check_room, room, usual_size

GIB = 2**30


def found(slots=None, bank_bytes=None, **given):
    usual = {"windows": 1, "group_bytes": 2**20, "batch": 8, "need": 8, "once": False, "kept": None}
    return room(slots, bank_bytes, **{**usual, **given})


@pytest.mark.parametrize(
    ("given", "groups"),
    [
        ({"slots": 20}, 20),
        ({"slots": 20, "windows": 3}, 6),  # whole groups
        ({"slots": 20, "bank_bytes": GIB}, 20),  # slots before bytes
        ({"bank_bytes": 100 * 2**20}, 100),
        ({"bank_bytes": 100 * 2**20, "group_bytes": 3 * 2**20, "windows": 3}, 33),
        ({"once": True}, 32),  # four groups per sample
        ({"once": True, "need": 8 * 8}, 4 * 64),  # three batches planned, and one to draw
        ({"once": True, "group_bytes": GIB}, 32),  # they take no memory
        ({}, 32),
        ({"need": 40}, 40),
        ({"group_bytes": GIB}, 8),  # 4 GiB hold four, a batch needs eight
        ({"group_bytes": GIB, "need": 1}, 4),
        ({"group_bytes": 64 * GIB, "need": 1}, 2),  # never less than two
        ({"group_bytes": 256 * 2**20}, 16),
        ({"segments": 316}, 316),  # each has a place
        ({"segments": 512}, 512),
        ({"segments": 513}, 512),  # what 512 MiB hold
        ({"segments": 31}, 32),  # four groups per sample
        ({"segments": 316, "group_bytes": 17 * 2**20}, 32),
        ({"segments": 316, "once": True}, 32),
        ({"segments": 316, "slots": 20}, 20),
        ({"segments": 316, "bank_bytes": 100 * 2**20}, 100),
    ],
)
def test_groups(given, groups):
    assert found(**given) == (groups, False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kept": 100}, (100, True)),
        ({"kept": 1024}, (1024, True)),  # 1 GiB, and no more
        ({"kept": 1025}, (32, False)),
        ({"kept": 20, "segments": 20}, (20, True)),  # fewer than the batch would have had
        ({"kept": 32}, (32, True)),
        ({"kept": 33, "slots": 33}, (33, True)),
        ({"kept": 33, "slots": 32}, (32, False)),
        ({"kept": 33, "bank_bytes": 33 * 2**20}, (33, True)),
        ({"kept": 33, "bank_bytes": 33 * 2**20 - 1}, (32, False)),
        ({"kept": 20, "once": True}, (32, False)),  # what is shown once is not kept
    ],
)
def test_data_that_fit_are_kept(given, expected):
    assert found(**given) == expected


def test_constants():
    assert (rooms.DEFAULT_BANK_BYTES, rooms.RESIDENT_BYTES, rooms.VARIED_BYTES) == (4 * GIB, GIB, GIB // 2)


@pytest.mark.parametrize(
    ("size", "fit", "once", "expected"),
    [
        (112, "short", True, (128, 512)),  # four times as long
        (112, "short", False, (128, 228)),  # 16/9, 227.6, upwards
        (112, "inside", False, (128, 171)),  # TSP's
        (112, "inside", True, (128, 171)),
        (112, "stretch", True, (128, 171)),
        (7, "short", False, (8, 15)),
        (8, "short", True, (9, 36)),  # 9.14
        (9, "stretch", False, (10, 14)),  # 10.3 and 13.7
    ],
)
def test_sizes_of_pictures(size, fit, once, expected):
    assert usual_size(size, fit, once=once) == expected


@pytest.mark.parametrize(
    ("slots", "given", "least"),
    [
        (4, {"need": 4, "reuse_max": 1}, None),
        (3, {"need": 4, "reuse_max": 1}, 4),
        (2, {"need": 4, "reuse_max": 2}, None),
        (1, {"need": 4, "reuse_max": 2}, 2),
        (2, {"need": 5, "reuse_max": 3}, None),
        (1, {"need": 5, "reuse_max": 3}, 2),
        (1, {"need": 100, "reuse_max": None}, None),
        (3, {"need": 6, "reuse_max": None, "windows": 3}, None),
        (2, {"need": 6, "reuse_max": None, "windows": 3}, 3),
        (6, {"need": 6, "reuse_max": 1, "windows": 3}, None),
        (5, {"need": 6, "reuse_max": 1, "windows": 3}, 6),
        (5, {"need": 10, "reuse_max": 2, "windows": 3}, 6),  # whole groups: 10 of 3 · 2 take two
        (2, {"need": 1, "reuse_max": 9, "windows": 3}, 3),
    ],
)
def test_a_bank_serves_a_batch(slots, given, least):
    given = {"windows": 1, **given}
    if least is None:
        check_room(slots, **given)
        return
    limit = "" if given["reuse_max"] is None else f" at reuse_max={given['reuse_max']}"
    with pytest.raises(
        ValueError, match=f"^slots must be ≥ {least} for the windows of one batch{limit}, got slots={slots}$"
    ):
        check_room(slots, **given)


def test_where_nothing_may_race_data_that_change_need_a_limit():
    check_limit(3, deterministic=True, long=5)
    check_limit(None, deterministic=False, long=5)
    with pytest.raises(ValueError, match="deterministic and 1 segments are longer than a window, got reuse_max=None"):
        check_limit(None, deterministic=True, long=1)
    with pytest.raises(ValueError, match="deterministic and the bank has fewer slots than windows"):
        check_limit(None, deterministic=True, long=0)
