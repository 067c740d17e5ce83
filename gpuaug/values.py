"""Numbers that callers give, as arrays: what is no number is refused instead of being read as one. NumPy only."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FARTHEST = 1 << 62  # whole numbers below it can be added and subtracted in int64


class TooShort(ValueError):
    """An edit reaches beyond the frames of a clip."""


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


def batch(sizes: dict[str, int]) -> int:
    """The one number of samples of plans and parameters, given by name; a single one serves a whole batch.

    >>> batch({"plan 1": 3, "start": 1})
    3
    """
    found = {size: name for name, size in reversed(sizes.items()) if size != 1}
    if len(found) > 1:
        who = ", ".join(f"{found[size]} has {size}" for size in sorted(found))
        rule = "plans and parameters must have one number of samples (or one sample)"
        raise ValueError(f"{rule}, got {sorted(found)}: {who}")
    return next(iter(found), 1)


def meant(name: object, known: Iterable[str]) -> str:
    """What to say behind a name that is none of those known: the nearest of them, or nothing.

    >>> meant("wype", ["wipe", "push"])
    "; did you mean 'wipe'?"
    """
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""


def nearest(name: object, known: Iterable[str]) -> str:
    """The name that was probably meant, or "".

    >>> nearest("wype", ["wipe", "push"]), nearest("mix", ["wipe", "push"])
    ('wipe', '')
    """
    return next(iter(difflib.get_close_matches(str(name), list(known), 1)), "")


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


def frames(name: str, value: NDArray, shape: tuple[int, ...]) -> NDArray:
    """`value` for every output frame, (N, T)."""
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(f"{name} must broadcast to (N, T) = {shape}, got {value.shape}") from None


def clips_and_times(clip: ArrayLike, time: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """New arrays (N, T) of clips, a scalar, (N,) or (N, T), and finite times, (T,) or (N, T)."""
    time = np.array(reals("time", time), ndmin=2)  # a copy: a plan outlives changes of the caller's array
    clip = integers("clip", clip)
    if clip.ndim == 0:
        clip = clip[None]
    if clip.ndim == 1:
        clip = clip[:, None]
    if time.ndim != 2 or clip.ndim != 2:
        raise ValueError(f"clip and time must have at most 2 dimensions, got {clip.ndim} and {time.ndim}")
    try:
        shape = np.broadcast_shapes(clip.shape, time.shape)
    except ValueError:
        raise ValueError(f"clip {clip.shape} and time {time.shape} do not fit together as (N, T)") from None
    if clip.size and clip.min() < 0:
        raise ValueError(f"clip must be ≥ 0, got clip={int(clip.min())}")
    if not np.isfinite(time).all():
        raise ValueError("time must be finite, got nan or inf")
    return (np.ascontiguousarray(np.broadcast_to(clip, shape)), np.ascontiguousarray(np.broadcast_to(time, shape)))


def positions(name: str, value: ArrayLike, n: int, last: int | None) -> NDArray[np.float64]:
    """Positions (1 or N, T) of frames, whose nearest ones are in [0, last] where that is not None."""
    position = np.array(reals(name, value), ndmin=2)
    if position.ndim != 2 or position.shape[0] not in (1, n):
        raise ValueError(f"{name} must have shape (T,) or ({n}, T), got {np.shape(value)}")
    if not np.isfinite(position).all():
        raise ValueError(f"{name} must be finite, got nan or inf")
    if last is not None:
        check_range(name, position, last)
    return position


def last_frame(frames: ArrayLike, clip: NDArray[np.int64]) -> NDArray[np.float64]:
    """The last frame of the clips `clip`, of which each has `frames`: a scalar, or an array indexed by clip id."""
    lengths = integers("frames", frames).astype(np.float64)
    if lengths.ndim == 1:
        if clip.size and clip.max() >= len(lengths):
            raise ValueError(f"clip must be below the number of clips {len(lengths)}, got clip={clip.max()}")
        lengths = lengths[clip]
    elif lengths.ndim > 1:
        raise ValueError(f"frames must be a scalar or an array indexed by clip id, got shape {lengths.shape}")
    if (lengths < 1).any():
        raise ValueError(f"frames must be ≥ 1 for every clip shown, got frames={lengths.min():g}")
    return lengths - 1


def check_range(name: str, position: NDArray[np.float64], last: NDArray[np.float64] | float) -> None:
    """Refuse positions whose nearest frame is not in [0, last]."""
    outside = (position < -0.5) | (position >= np.asarray(last) + 0.5)
    if outside.any():
        last = np.broadcast_to(last, position.shape) if np.ndim(last) == 0 else last
        where_ = np.unravel_index(np.argmax(outside), outside.shape)
        value, limit = np.broadcast_to(position, outside.shape)[where_], np.broadcast_to(last, outside.shape)[where_]
        rule = "≥ 0" if limit == np.inf else f"in [0, {float(limit):g}]"
        raise ValueError(f"{name} must be {rule} (or use edge='repeat'), got {name}={float(value):g}")
