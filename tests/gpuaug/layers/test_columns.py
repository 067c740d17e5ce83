"""Columns of layers: what is checked, and tables of time maps that are put together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpuaug.layers import columns
from gpuaug.layers.columns import MAP, Layers, Marks

SHAPE = (1, 2, 2)


def table(*fields):
    """Maps of these fields; the second column tells them apart."""
    return np.array([[field, 10.0 * k, 0.5, 0.5, 8, 0, 0] for k, field in enumerate(fields)]).reshape(-1, len(MAP))


def of(second, maps, pictures=()):
    layers = replace(Layers.none(SHAPE), maps=maps, pictures=pictures)
    layers.map[0, :, 1] = second
    return layers


def test_taps_that_cover_everything():
    layers = Layers.none(SHAPE)
    layers.check(SHAPE)
    assert layers.maps.shape == (0, 7)
    assert layers.pictures == ()
    for name, value in (("map", -1), ("progress", 1), ("softness", 0), ("smooth", False), ("color", 0)):
        assert (getattr(layers, name) == value).all(), name
    for name in ("place", "crop"):
        assert (getattr(layers, name) == [0, 0, 1, 1]).all(), name
        getattr(layers, name)[0, 0, 0, 0] = 0.5
        assert getattr(layers, name).sum() == 2 * 2 * 2 + 0.5, "each has memory of its own"


@pytest.mark.parametrize("name", columns.TAPS)
def test_a_column_of_another_shape_or_type(name):
    layers = Layers.none(SHAPE)
    array = getattr(layers, name)
    for wrong in (array[:, :1], array[..., None], array.astype(np.float32), array.tolist()):
        with pytest.raises(ValueError, match=rf"layers\.{name} must be {array.dtype} of shape"):
            replace(layers, **{name: wrong}).check(SHAPE)


@pytest.mark.parametrize(
    ("second", "maps", "right"),
    [
        (0, table(3), True),
        (1, table(3, 4), True),
        (-1, table(), True),
        (1, table(3), False),
        (0, table(), False),
        (-2, table(3), False),
    ],
)
def test_maps_that_there_are(second, maps, right):
    if right:
        of(second, maps).check(SHAPE)
        return
    with pytest.raises(ValueError, match=rf"layers.map must be in \[-1, {len(maps) - 1}\], got "):
        of(second, maps).check(SHAPE)


@pytest.mark.parametrize("maps", [np.zeros(7), np.zeros((1, 6)), np.zeros((1, 8)), np.zeros((1, 7), np.float32)])
def test_tables_of_another_form(maps):
    with pytest.raises(ValueError, match=r"layers.maps must be float64 of shape \(M, 7\), got"):
        replace(Layers.none(SHAPE), maps=maps).check(SHAPE)


def test_the_first_tap_has_no_mask():
    layers = of(-1, table(3))
    layers.map[0, 1, 0] = 0
    with pytest.raises(ValueError, match=r"layers\.map must be -1 for the first tap"):
        layers.check(SHAPE)


def rows_of(layers):
    """What every tap's mask is: its row without the number of a picture, and the picture."""
    found = []
    for number in layers.map[0, :, 1].tolist():
        row = None if number < 0 else layers.maps[number].tolist()
        own = layers.pictures[int(-1 - row[0])].tolist() if row and row[0] < 0 else None
        found.append((row and row[1:], own or (row and row[0])))
    return found


def test_tables_of_several_plans_become_one():
    """Masks stay those that they were, fields and pictures of one's own."""
    one = of([0, 1], table(5, -1), (np.array([[1.0, 2]]),))
    two = of([1, 2], table(-1, -2, 5), (np.array([[3.0, 4]]), np.array([[5.0, 6]])))
    none = of([-1, -1], table())
    before = [rows_of(part) for part in (one, none, two)]
    after = columns.together([one, none, two])
    assert [rows_of(part) for part in after] == before
    assert all(part.maps is after[0].maps and len(part.pictures) == 3 for part in after)
    assert len(after[0].maps) == 5
    for part in after:
        part.check(SHAPE)
    twice = columns.together([of([0, 1], table(5, 6)), of([1, 0], table(5, 6))])
    assert len(twice[0].maps) == 2, "equal ones once"
    assert [rows_of(part) for part in twice] == [rows_of(of([0, 1], table(5, 6))), rows_of(of([1, 0], table(5, 6)))]
    single = columns.together([none, one])
    assert single[0].maps is single[1].maps is one.maps
    assert single[0].pictures is one.pictures


def test_equal_maps_are_made_once():
    maps = table(5, 6, 5, 7)
    maps[2] = maps[0]
    layers = of([2, 3], maps)
    found = columns.unique(layers)
    assert len(found.maps) == 3
    assert rows_of(found) == rows_of(layers)
    alike = columns.unique(of([1, -1], np.tile(table(4), (3, 1))))
    assert (len(alike.maps), alike.map[0, :, 1].tolist()) == (1, [0, -1])
    few = of([0, -1], table(4))
    assert columns.unique(few) is few


def test_marks_of_one_shot():
    marks = Marks.none(2, 3)
    assert marks.kind.tolist() == [[-1] * 3] * 2
    assert marks.shot.tolist() == [[0] * 3] * 2
    assert marks.each(lambda column: column[:, :1] + 1).kind.tolist() == [[0], [0]]


@pytest.mark.parametrize("shape", [(2, 3, 2, 4), (1, 1, 1, 4), (0, 3, 2, 4)])
def test_whole(shape):
    column = np.broadcast_to(np.array(columns.ALL), shape).copy()
    assert columns.whole(column)
    assert columns.whole(np.broadcast_to(np.array(columns.ALL), shape))  # rows that do not lie in memory
    for i in np.ndindex(shape):
        other = column.copy()
        other[i] += 1e-9
        assert not columns.whole(other)
