"""Numbers that callers give, as arrays: what is no number is refused instead of being read as one. NumPy only."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FARTHEST = 1 << 62  # whole numbers below it can be added and subtracted in int64


def array(name: str, value: ArrayLike, kinds: str = "iuf") -> NDArray[Any]:
    """`value` as an array of whole numbers or floats of any width and byte order, or of Python's numbers.

    Args:
        kinds: NumPy's letters of what is taken for numbers.

    Raises:
        ValueError: for truth values, text, times, complex and masked numbers, which NumPy would make floats of, and
            for what is no array of the CPU.
    """
    if type(value) is not np.ndarray:
        if isinstance(value, np.ma.MaskedArray):
            raise ValueError(f"{name} must not be a masked array, whose mask would be lost")
        try:
            value = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:  # rows of several lengths, a tensor on a GPU
            raise ValueError(f"{name} must be numbers in the CPU's memory: {' '.join(str(error).split())}") from None
    kind = value.dtype.kind
    if kind in kinds or (kind == "O" and all(map(_is_number, value.flat))):
        return value
    odd = next((v for v in value.flat if kind != "O" or not _is_number(v)), None)
    shown = repr(odd.item() if isinstance(odd, np.generic) else odd)
    raise ValueError(f"{name} must be numbers, got {value.dtype}: {name}={' '.join(shown.split())[:50]}")


def reals(name: str, value: ArrayLike, kinds: str = "iuf") -> NDArray[np.float64]:
    """`value` as float64, the array itself where it is one."""
    try:
        return array(name, value, kinds).astype(np.float64, copy=False)
    except OverflowError:
        raise ValueError(f"{name} must be numbers below 1.8e308") from None


def integers(name: str, value: ArrayLike) -> NDArray[np.int64]:
    """`value` as a new array of int64; floats must be whole.

    >>> integers("frames", np.array([1.0, 2.0], ">f4")).tolist()
    [1, 2]
    """
    given = array(name, value)
    if given.dtype.kind == "i" or (given.dtype.kind == "u" and given.dtype.itemsize < 8):
        return given.astype(np.int64)
    whole = reals(name, given)
    ok = (whole == np.floor(whole)) & (np.abs(whole) < 2.0**63)
    if not ok.all():
        raise ValueError(f"{name} must be whole numbers of 64 bits, got {name}={whole[~ok].flat[0]}")
    return given.astype(np.int64)


def truths(name: str, value: ArrayLike) -> NDArray[np.bool_]:
    """`value` as an array of bool; the numbers 0 and 1 may stand for them."""
    if not isinstance(value, np.ma.MaskedArray):
        value = np.asarray(value)
        if value.dtype == bool:
            return value
    numbers = array(name, value)
    ok = (numbers == 0) | (numbers == 1)
    if not ok.all():
        raise ValueError(f"{name} must be true or false everywhere, got {name}={numbers[~ok].flat[0]}")
    return numbers.astype(bool)


def positive(name: str, value: ArrayLike) -> int:
    """A whole number ≥ 1."""
    if type(value) is int and 0 < value < FARTHEST:
        return value
    whole = integers(name, value)
    if whole.ndim or whole < 1:
        raise ValueError(f"{name} must be a whole number ≥ 1, got {name}={whole.tolist()}")
    return int(whole)


def per_sample(name: str, value: ArrayLike, n: int, *, whole: bool = True) -> NDArray:
    """(N, 1), or a NumPy scalar, whose arithmetic is faster; ready to broadcast over output frames."""
    if type(value) is int and abs(value) < FARTHEST:
        return np.int64(value)
    array = integers(name, value) if whole else reals(name, value)
    if whole:
        require(
            (array > -FARTHEST) & (array < FARTHEST), f"{name} must be between -2^62 and 2^62, got {name}={{}}", array
        )
    if array.ndim > 1 or (array.ndim == 1 and len(array) not in (1, n)):
        raise ValueError(f"{name} must be a scalar or one value per sample ({n}), got shape {array.shape}")
    return array.reshape(-1, 1) if array.ndim else array[()]


def holds(ok: NDArray) -> bool:
    """Whether all of an array, or a scalar, are true; a NumPy scalar's own `all` makes an array first."""
    return bool(ok.all() if ok.ndim else ok)


def require(ok: NDArray, rule: str, value: NDArray, error: type[ValueError] = ValueError) -> None:
    """Raise `rule`, in which {} stands for the first value that breaks it."""
    if not holds(ok):
        shape = np.broadcast_shapes(value.shape, ok.shape)
        bad = np.broadcast_to(value, shape)[~np.broadcast_to(ok, shape)][0]
        raise error(rule.format(bad))


def _is_number(value: object) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(value, (bool, np.timedelta64))
