"""Data that others may have sent, without code: pickles read as arrays of numbers, and arrays as tensors instead.

torch.load(weights_only=True) reads tensors, numbers, strings, lists, tuples and dicts, and calls nothing.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

NUMBERS = re.compile(r"b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)")


def unpickle(data: bytes) -> Any:
    """What a pickle of numbers, strings, lists, tuples, dicts and NumPy arrays holds; NumPy's numbers become Python's.

    Where a pickle asks for NumPy's functions, which trust what they are given, it gets those of this file.

    >>> unpickle(pickle.dumps({"rows": np.float32([1, 2])}))
    {'rows': array([1., 2.], dtype=float32)}
    >>> unpickle(pickle.dumps(print))
    Traceback (most recent call last):
    ...
    ValueError: it asks for builtins.print, and only arrays of numbers are read from a pickle

    Errors (ValueError): it holds something else, or is damaged.
    """
    try:
        return _finished(_Unpickler(io.BytesIO(data)).load())
    except ValueError:
        raise
    except Exception as error:  # whatever a damaged pickle brings about
        raise ValueError(f"damaged pickle: {type(error).__name__}: {error}") from None


def tensors(value: Any) -> Any:
    """The same lists, tuples and dicts with a tensor for every NumPy array, a dict of them for one with columns.

    >>> tensors({"info": np.array([(1, 0.5)], [("video", np.int64), ("fps", np.float64)])})
    {'info': {'video': tensor([1]), 'fps': tensor([0.5000], dtype=torch.float64)}}
    """
    if isinstance(value, np.ndarray):
        if value.dtype.names:
            return {name: tensors(value[name]) for name in value.dtype.names}
        return torch.from_numpy(np.array(value, value.dtype.newbyteorder("="), order="C"))
    if isinstance(value, dict):
        return {key: tensors(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(tensors(each) for each in value)
    return value


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = STAND_INS.get(f"{module}.{name}".replace("numpy.core.", "numpy._core."))  # NumPy 1 and 2
        if found is None:
            raise ValueError(f"it asks for {module}.{name}, and only arrays of numbers are read from a pickle")
        return found


class _Function:
    """A function that a pickle can call and not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, _: Any) -> None:
        raise ValueError("damaged pickle: a function has no state")


class _Type:
    """Stands for numpy.dtype: numbers, or columns of numbers."""

    __slots__ = ("_code", "dtype")

    def __init__(self, code: str, *_: Any) -> None:
        self._code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, names, fields = state[1], state[3], state[4]
        if NUMBERS.fullmatch(self._code):
            self.dtype = np.dtype(self._code).newbyteorder(order)
        elif re.fullmatch(r"V\d+", self._code) and names:
            formats, offsets = [fields[name][0].dtype for name in names], [fields[name][1] for name in names]
            columns = {"names": list(names), "formats": formats, "offsets": offsets, "itemsize": int(self._code[1:])}
            self.dtype = np.dtype(columns)  # type: ignore[call-overload]
        else:
            raise ValueError(f"arrays must be of numbers, got one of {self._code}")


class _Array:
    """Stands for numpy.ndarray, until all of it is there."""

    __slots__ = ("value",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, data = state
        self.value = _array(data, kind, shape, "F" if columns_first else "C")


def _array(
    data: bytes | bytearray, kind: _Type, shape: tuple[int, ...], order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, _Type):
        raise ValueError("arrays must be of numbers")
    if len(data) != math.prod(shape) * kind.dtype.itemsize:
        raise ValueError(f"damaged pickle: {len(data)} bytes for an array {shape} of {kind.dtype}")
    return np.ndarray(shape, kind.dtype, bytearray(data), order=order)


def _empty(kind: Any, *_: Any) -> _Array:
    if kind is not _Array:
        raise ValueError("arrays must be NumPy's own")
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """How bytes are written in old forms of pickles."""
    if encoding != "latin1":
        raise ValueError(f"bytes must be written as latin1, got {encoding}")
    return text.encode("latin1")


STAND_INS: dict[str, Any] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Type,
    "numpy._core.multiarray._reconstruct": _Function(_empty),
    "numpy._core.multiarray.scalar": _Function(lambda kind, data: _array(data, kind, ()).item()),
    "numpy._core.numeric._frombuffer": _Function(_array),
    "_codecs.encode": _Function(_encode),
    "__builtin__.bytes": _Function(lambda: b""),
}


def _finished(value: Any) -> Any:
    """The same with arrays in the place of their stand-ins."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {_finished(key): _finished(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_finished(each) for each in value)
    if isinstance(value, _Type | _Function | type):
        raise ValueError("only arrays of numbers are read from a pickle")
    return value
