"""Grids, flags and variants of launches, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gpuaug.kernels import kernel_args, launches

ITEMS, THREADS, COLUMNS = kernel_args.ITEMS, kernel_args.THREADS, kernel_args.COLUMNS


def work(kernel, sources=1, **fields):
    """A job with these fields, the others 0, and rows of sources that count from 100."""
    names, source = launches.HEADERS[kernel]
    begin = 8 * len(names) + 16
    fields = {"clips": sources, "sources": begin, "row_step": 8 if sources > 1 else 0, **fields}
    rows = 100 + np.arange(sources * len(source), dtype=np.int64)
    head = np.array([fields.get(name, 0) for name in names], np.int64)
    return np.concatenate([head.view(np.uint8), np.zeros(16, np.uint8), rows.view(np.uint8), np.zeros(40, np.uint8)])


def parameters(kernel, launch):
    return dict(zip(launches.LAUNCHES[kernel], launch.parameters.view(np.int64).tolist(), strict=True))


def test_a_job_is_read_as_it_was_written():
    for sources in (1, 3):
        field, rows = launches.header("render", work("render", sources, n=5, x=7))
        assert (field["n"], field["x"], field["clips"], field["t"]) == (5, 7, sources, 0)
        assert [value for row in rows for value in row] == list(range(100, 100 + 6 * sources))
        assert {len(row) for row in rows} == {6}


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float32"])
@pytest.mark.parametrize("taps", [1, 2, 3])
def test_threads_of_a_blend_have_some_vectors_of_16_bytes_each(dtype, taps):
    block = THREADS * 16 * ITEMS // kernel_args.ITEMSIZE[dtype]  # values
    for values, blocks in ((1, 1), (block, 1), (block + 1, 2), (5 * block, 5)):
        job = work("blend", 2, n=3, t=4, k=taps, per_frame=values)
        variant, (launch,) = launches.launches("blend", job, dtype, 4096)
        assert launch.grid == (blocks, 4, 3)
        assert variant == ("blend", dtype, 1, taps if taps < 3 else 0, 0, 0, 0)
        told = parameters("blend", launch)
        assert (told["bytes"], told["per_frame"], told["first_n"], told["first_t"]) == (4096, values, 0, 0)
        assert told["full"] == 0x4B000000, "2²³, whose last bits are those of a rounded number below it"
    assert launches.launches("blend", work("blend", n=1, t=1, k=1, per_frame=1), dtype, 0)[0].one == 1


@pytest.mark.parametrize(("packed", "same"), [(0, 1), (1, 0)])
def test_threads_of_a_composition_have_a_pixel_or_a_value_of_a_plane(packed, same):
    for y, x, c in ((1, THREADS, 1), (3, THREADS, 3), (2, THREADS - 1, 3)):
        job = work("compose", n=2, t=5, k=2, y=y, x=x, c=c, packed=packed, same=same)
        variant, (launch,) = launches.launches("compose", job, "float16", 0)
        count = y * x * (1 if packed else c)
        assert launch.grid == (-(-count // THREADS), 5, 2)
        assert variant == ("compose", "float16", 3 if packed else 1, 0, 0, 1, same), "any number of taps"


@pytest.mark.parametrize(
    ("x", "columns"), [(1, 2), (COLUMNS, 2), (2 * COLUMNS, 2), (2 * COLUMNS + 1, 3), (7 * COLUMNS, 7)]
)
def test_threads_of_a_render_have_columns_and_rows(x, columns):
    for y, lines in ((1, 1), (ITEMS, 1), (ITEMS + 1, 2), (9 * ITEMS, 9)):
        job = work("render", n=3, t=2, k=1, y=y, x=x, c=3, out_c=y * x, out_x=1, out_y=x)
        variant, (launch,) = launches.launches("render", job, "float32", 0)
        assert launch.grid == (-(-columns * lines // THREADS), 2, 3)
        told = parameters("render", launch)
        assert told["columns"] == columns
        assert told["multiplier"] == 2 ** (32 + told["shift"]) // columns + 1
        assert 2 ** told["shift"] < columns <= 2 ** (told["shift"] + 1)
        assert (variant.kernel, variant.channels, variant.taps) == ("render", 3, 1)


@pytest.mark.parametrize(("n", "t", "most"), [(1, 1, 2), (2, 2, 2), (3, 2, 2), (5, 3, 2), (3, 7, 3)])
def test_what_is_beyond_a_grid_is_launched_later(n, t, most):
    _, runs = launches.launches("blend", work("blend", n=n, t=t, k=1, per_frame=9), "uint8", 0, most)
    seen = []
    for grid, values in runs:
        told = dict(zip(launches.BLEND_LAUNCH, values.view(np.int64).tolist()))
        assert max(grid[1:]) <= most
        seen += [(told["first_n"] + i, told["first_t"] + j) for i in range(grid[2]) for j in range(grid[1])]
    assert sorted(seen) == [(i, j) for i in range(n) for j in range(t)]
    assert launches.MOST_BLOCKS == 2**16 - 1


@pytest.mark.parametrize(
    ("kernel", "fields", "right"),
    [
        ("blend", {"n": 2**15, "t": 2**15, "k": 1}, True),
        ("blend", {"n": 2**15, "t": 2**15, "k": 2}, False),
        ("blend", {"n": 1, "t": 1, "k": 1, "per_frame": (2**31 - 1) * THREADS * 16 * ITEMS}, True),
        ("blend", {"n": 1, "t": 1, "k": 1, "per_frame": (2**31 - 1) * THREADS * 16 * ITEMS + 1}, False),
        ("compose", {"n": 1, "t": 1, "k": 1, "y": 2**31 // THREADS - 1, "x": THREADS, "packed": 1}, True),
        ("compose", {"n": 1, "t": 1, "k": 1, "y": 2**31 // THREADS, "x": THREADS, "packed": 1}, False),
    ],
)
def test_numbers_that_a_kernel_counts_in_32_bits(kernel, fields, right):
    if right:
        assert launches.launches(kernel, work(kernel, **fields), "uint8", 0, 2**15)[1]
        return
    with pytest.raises(ValueError, match=r"^a plan must be below 2³¹ taps, and a frame below 2³¹ threads, got "):
        launches.launches(kernel, work(kernel, **fields), "uint8", 0, 2**15)


@pytest.mark.parametrize(
    ("field", "layout"),
    [
        ({"x": 8, "c": 3, "out_x": 1, "out_c": 64}, 1),
        ({"x": 8, "c": 3, "out_x": 3, "out_c": 1}, 2),
        ({"x": 8, "c": 3, "out_x": 3, "out_c": 2}, 0),
        ({"x": 8, "c": 3, "out_x": 2, "out_c": 1}, 0),
        ({"x": 1, "c": 3, "out_x": 9, "out_c": 9}, 1),
        ({"x": 8, "c": 1, "out_x": 1, "out_c": 1}, 1),
    ],
)
def test_the_layout_is_that_of_the_strides(field, layout):
    assert launches._layout(field) == layout


@pytest.mark.parametrize(
    ("changed", "right"),
    [
        ({}, True),
        ({"address": 4}, True),
        ({"address": 6}, False),
        ({"frame_stride": 98}, False),
        ({"row_stride": 23, "height": 4}, False),
        ({"row_stride": 20}, False),  # less than seven pixels
        ({"row_stride": 24}, True),
        ({"row_stride": 2**32 - 4}, True),
        ({"row_stride": 2**32}, False),
        ({"row_stride": -24}, False),
        ({"row_stride": 0, "height": 1}, True),
        ({"row_stride": 0}, False),
        ({"width": 1}, False),
        ({"width": 2}, True),
        ({"width": 8}, True),
        ({"width": 9}, False),
    ],
)
def test_rows_of_words(changed, right):
    source = {"address": 0, "first": 7, "height": 4, "width": 7, "frame_stride": 96, "row_stride": 24, **changed}
    assert launches._has_words(list(source.values())) == right


@pytest.mark.parametrize(
    ("changed", "layout", "words", "pairs"),
    [
        ({}, 1, 1, 1),
        ({"c": 1}, 1, 0, 1),
        ({"clip_stride": 2}, 1, 0, 1),
        ({"x": 4 * COLUMNS + 1}, 1, 1, 0),
        ({"out": 2 * COLUMNS}, 1, 1, 1),
        ({"out": 2 * COLUMNS + 2}, 1, 1, 0),
        *(({f"out_{name}": 4 * COLUMNS + 1}, 1, 1, 0) for name in "ntyc"),
        ({"out_c": 4 * COLUMNS + 1}, 2, 1, 1),
        ({"out_y": -4 * COLUMNS}, 1, 1, 0),
        ({"out_y": 0}, 1, 1, 1),
        ({"out_y": 2**31 // 8 - 4 * COLUMNS}, 1, 1, 1),
        ({"out_y": 2**31 // 8}, 1, 1, 0),
        ({"out_y": 2**28 - 4}, 1, 1, 1),  # eight rows and three of eight pixels, of two bytes: just below 2³²
        ({"out_y": 2**28 - 2}, 1, 1, 0),
        ({"out_y": 2**28 - 8, "x": 16}, 1, 1, 1),
        ({"out_y": 2**28 - 6, "x": 16}, 1, 1, 0),
    ],
)
def test_what_threads_may_do(changed, layout, words, pairs):
    """Of 16 bits each: rows of 4 · COLUMNS pixels, eight of them."""
    field = {"x": 4 * COLUMNS, "y": 8, "c": 3, "clip_stride": 404, "out": 4096}
    field |= {f"out_{name}": 4 * COLUMNS * k for k, name in enumerate("ntyc", 1)} | changed
    found, _ = launches._render_threads(field, [[0, 0, 4, 7, 96, 24]] * 2, layout, 2)
    assert (found["words"], found["pairs"]) == (words, pairs)
    odd, _ = launches._render_threads(field, [[0, 0, 4, 7, 96, 24], [2, 0, 4, 7, 96, 24]], layout, 2)
    assert (odd["words"], odd["pairs"]) == (0, pairs)
