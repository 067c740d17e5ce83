"""Tables of banks as tests want them."""

import numpy as np

import gpuaug


def set_columns(bank: gpuaug.ClipBank, **columns) -> None:
    """Give the columns of the bank's table these values, a number or one per slot, and leave the others as they are."""
    now = {name: bank.info[name].copy() for name in bank.info.dtype.names}
    ready = np.broadcast_to(columns.pop("ready", now.pop("ready")), len(bank.info))
    bank.reserve(np.arange(len(bank.info)), {**{k: v for k, v in now.items() if k != "ready"}, **columns})
    bank.release(np.flatnonzero(~ready))
