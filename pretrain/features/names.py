"""Under which names features are stored: the videos' own, or, where a disk or HDF5 cannot have these, safe ones.

Used by store.py; standard library only.
"""

from __future__ import annotations

import hashlib
import os
import re

LONGEST = 255  # bytes of one name on a disk


def stored_name(name: str, suffix: str, *, utf8: bool = False) -> str:
    """The key of a video's features: its name, in which what cannot be stored is written as %XX.

    These are a dot at the front (hidden files), the dot of a folder that is called like a feature file, and what looks
    like %XX itself. Parts that are too long end in a hash instead. Different names have different keys.

    Args:
        name: parts are separated by "/".
        suffix: of the feature files, as ".npy".
        utf8: only UTF-8 can be stored, as in HDF5; other bytes (surrogates in `name`) become %XX too.

    >>> stored_name("run/a", ".npy"), stored_name(".a", ".npy"), stored_name("a.npy/50%25", ".npy")
    ('run/a', '%2Ea', 'a%2Enpy/50%2525')
    """
    *folders, last = name.split("/")
    folders = [
        f"{each[: -len(suffix)]}%2E{suffix[1:]}" if each.endswith(suffix) else each for each in map(_safe, folders)
    ]
    parts = [*folders, _safe(last)]
    if utf8:
        parts = [re.sub("[\udc80-\udcff]", lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", each) for each in parts]
    return "/".join(_short(each, LONGEST - len(suffix)) for each in parts)


def flat_name(key: str) -> str:
    """The same for an HDF5 file that has `key` as a folder, or a folder of it as features: never a part of a path.

    >>> flat_name("a/b"), flat_name("a")
    ('a%2Fb', '%61')
    """
    if "/" in key:
        return key.replace("/", "%2F")
    return key[:-1] + "".join(f"%{byte:02X}" for byte in key[-1].encode())


def _safe(part: str) -> str:
    part = re.sub("%(?=[0-9A-Fa-f]{2})", "%25", part)
    return f"%2E{part[1:]}" if part.startswith(".") else part


def _short(part: str, most: int) -> str:
    data = os.fsencode(part)
    if len(data) <= most:
        return part
    digest = hashlib.sha256(data).hexdigest()[:16]
    return f"{data[: most - 24].decode('utf-8', 'ignore')}%-{digest}"
