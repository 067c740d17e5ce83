"""Arrays come out of pickles as NumPy would read them, and nothing else comes out."""

import pickle

import numpy as np
import pytest
import torch

from pretrain.common.unpickle import tensors, unpickle

COLUMNS = np.array([(1, 0.5), (2, 0.25)], [("video", "<i8"), ("fps", ">f4")])
ARRAYS = [
    np.arange(6).reshape(2, 3).astype(dtype)
    for dtype in ("<i1", "<u2", "<i4", ">i8", "<f2", ">f4", "<f8", "<c8", "<c16", "?")
]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("array", [*ARRAYS, np.asfortranarray(ARRAYS[0]), np.zeros((0, 3)), np.array(4.0), COLUMNS])
def test_arrays_of_numbers_come_back(array, protocol):
    found = unpickle(pickle.dumps(array, protocol))
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)
    found.flags.writeable = True


def test_plain_values_and_nests_come_back():
    value = {
        "a": [1, 2.5, None, True, "x", b"y"],
        (1, 2): ({3}, frozenset({4})),
        "n": np.float32(0.5),
        "i": np.int64(7),
    }
    found = unpickle(pickle.dumps(value))
    assert found == value
    assert (type(found["n"]), type(found["i"])) == (float, int)
    nested = unpickle(pickle.dumps({"a": (np.arange(2), [np.arange(3)])}))
    assert nested["a"][0].tolist() == [0, 1]
    assert nested["a"][1][0].tolist() == [0, 1, 2]
    assert unpickle(pickle.dumps(b"ab\xff", 2)) == b"ab\xff"
    assert unpickle(pickle.dumps(b"", 2)) == b""


class Pretends:
    def __init__(self, *what):
        self.what = what

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array(["a"]), "arrays must be of numbers, got one of U1"),
        (np.array([{}]), "arrays must be of numbers, got one of O8"),
        (np.array(["2020"], "M8[Y]"), "arrays must be of numbers, got one of M8"),
        (np.dtype("f4"), "only arrays of numbers are read from a pickle"),
        (np.ndarray, "only arrays of numbers are read from a pickle"),
        (np.zeros(1).view(np.matrix), "it asks for numpy"),
        (Pretends(eval, ("1",)), "it asks for builtins.eval, and only arrays"),
    ],
)
def test_anything_else_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        unpickle(pickle.dumps(value))


def test_damaged_ones_are_one_line():
    whole = pickle.dumps(np.arange(100.0), 2)
    for data, message in ((b"", "damaged pickle: EOFError"), (whole[:40], "damaged pickle: "), (b"junk", "damaged")):
        with pytest.raises(ValueError, match=message):
            unpickle(data)
    short = pickle.dumps(np.arange(4, dtype="<f4"), 5).replace(b"\x85", b"\x85", 1)
    with pytest.raises(ValueError, match=r"damaged pickle: 16 bytes for an array \(5,\) of float32"):
        unpickle(short.replace(b"K\x04\x85", b"K\x05\x85"))


def test_tensors_of_arrays_of_any_kind():
    found = tensors({"a": [COLUMNS, (np.arange(3, dtype=">i4"), "x")], "f": np.asfortranarray(np.ones((2, 3)))})
    assert found["a"][0]["video"].tolist() == [1, 2]
    assert found["a"][0]["fps"].dtype == torch.float32
    assert found["a"][1] == (found["a"][1][0], "x")
    assert (found["a"][1][0].dtype, found["a"][1][0].tolist()) == (torch.int32, [0, 1, 2])
    assert found["f"].is_contiguous()
    array = np.zeros(2)
    tensors(array)[0] = 1
    assert array[0] == 0, "a copy"
