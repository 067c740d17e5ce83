"""Feature files: which clips become rows, and one file per video or one HDF5 file for all, in the localisers' forms.

Row i of a video covers frames i·stride … i·stride + clip − 1 of the video as shown at `fps`, and stands for the middle
of that time. A JSON file beside the features states this, so that nobody has to guess it.

Legend: T rows (clips) of a video, F features.
"""

from __future__ import annotations

import csv
import errno
import json
import pickle
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..common.files import atomic, new_text, sweep
from ..common.unpickle import unpickle
from ..data.formats import BadFile, brief, list_of, mapping_of, read_json
from .grid import Grid
from .names import flat_name, stored_name

HDF5 = (".h5", ".hdf5")
SUFFIX = {"npy": ".npy", "pickle": ".pkl", "csv": ".csv"}
UNPACKED, TIMES = 1 << 28, 100  # a data set in HDF5 may have this many bytes, or this many times those stored
NAME_REFUSED = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


class Store:
    """The finished features under one path; a file is complete as soon as it has its name.

    Features are found by their videos' names; the keys that they are stored under differ where those cannot be stored.

    Args:
        out: a folder for one file per video, or a name ending in .h5 or .hdf5 for one HDF5 file with one dataset per
            video; until `merge` the latter's parts are in the folder OUT.parts.
        form: "npy", "pickle" (TSP's .pkl files) or "csv" (one header line; BMN, BSN, MMAction2) for a folder.
    """

    def __init__(self, out: str | Path, form: str = "npy") -> None:
        if form not in SUFFIX:
            raise ValueError(f"format must be one of {', '.join(SUFFIX)}, got format={form!r}")
        self.out = Path(out)
        self.single = self.out.suffix in HDF5
        if self.single and form != "npy":
            raise ValueError(f"format must be left out where out is an HDF5 file, got format={form!r}, out={out}")
        self.form = form
        self.folder = self.out.with_name(self.out.name + ".parts") if self.single else self.out

    @property
    def settings_file(self) -> Path:
        return _settings_file(self.out)

    def key(self, name: str) -> str:
        """What a video's features are to be stored under."""
        return stored_name(name, SUFFIX[self.form], utf8=self.single)

    def keys(self) -> set[str]:
        """What all finished features are stored under."""
        found = set(_files(self.folder, SUFFIX[self.form]))
        if self.single and self.out.exists():
            with _open(self.out) as file:
                found |= set(_datasets(file))
        return found

    def finished(self, names: Iterable[str]) -> dict[str, str]:
        """{name: key} of those videos whose features are stored."""
        keys, found = self.keys(), {}
        for name in names:
            key = self.key(name)
            for each in (key, flat_name(key)) if self.single else (key,):
                if each in keys:
                    found[name] = each
        return found

    def sweep(self) -> None:
        """Delete what killed runs have left half-written."""
        for part in self.folder.rglob(".*.part"):
            if re.search(r"\.\d+\.part$", part.name):
                part.unlink(missing_ok=True)
        for path in (self.out, self.settings_file):
            sweep(path)

    def write(self, name: str, rows: NDArray[np.float32]) -> None:
        """Put the features of a video, (T, F) or (F,), in place.

        Errors: ValueError for a name that this disk does not take, which costs that video only; OSError else.
        """
        path = self.folder / (self.key(name) + SUFFIX[self.form])
        try:
            self._write(path, rows)
        except OSError as error:
            if error.errno not in NAME_REFUSED:
                raise
            raise ValueError(f"its features cannot be stored under the name {name[:80]!a} ({error.strerror})") from None

    def _write(self, path: Path, rows: NDArray[np.float32]) -> None:
        if self.form == "csv":
            with new_text(path) as text:
                table = csv.writer(text, lineterminator="\n")
                table.writerow([f"f{i}" for i in range(rows.shape[-1])])
                table.writerows(np.atleast_2d(rows).tolist())
            return
        with atomic(path) as part, open(part, "wb") as file:
            if self.form == "npy":
                np.save(file, rows)
            else:
                pickle.dump(rows, file, protocol=4)

    def merge(self, settings: Mapping[str, Any]) -> dict[str, str]:
        """Move all parts into the HDF5 file, with `settings` as an attribute; nothing to do for a folder.

        {key: reason} of parts that cannot be read, which are lost: the videos are extracted again next time.
        """
        if not self.single:
            return {}
        lost = {}
        with atomic(self.out) as part, h5py.File(part, "w") as new:
            if self.out.exists():
                with _open(self.out) as old:
                    for key in _datasets(old):
                        old.copy(old[key], new, key)
            there = set(_datasets(new))
            for key in _files(self.folder, ".npy"):
                if not there & {key, flat_name(key)}:
                    try:
                        rows = np.load(self.folder / f"{key}.npy")
                    except (OSError, ValueError, EOFError) as error:
                        lost[key] = f"its features could not be read again ({error})"
                        continue
                    new.create_dataset(key if _free(new, key) else flat_name(key), data=rows)
            new.attrs["settings"] = json.dumps(settings)
        shutil.rmtree(self.folder, ignore_errors=True)
        return lost


class Features(Mapping[str, NDArray[np.float32]]):
    """Finished features by video name, read when asked for. `settings` is what their JSON file says, {} without one.

    Errors (ValueError): no features at `path`; a pickle that holds anything but an array of numbers, which is not run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.settings = read_settings(self.path)
        self._file = None
        if self.path.suffix in HDF5:
            if not self.path.exists():
                raise ValueError(f"features must be a folder or an HDF5 file, there is no {path}")
            self._file = _open(self.path)
            keys = _datasets(self._file)
        else:
            found = {form: _files(self.path, suffix) for form, suffix in SUFFIX.items()}
            self.form = next((form for form, files in found.items() if files), "npy")
            keys = found[self.form]
        safe = {
            each["stored_as"]: name for name, each in self.settings.get("videos", {}).items() if "stored_as" in each
        }
        self._key = {safe.get(key, key): key for key in keys}
        self.names = sorted(self._key)
        if not self.names:
            raise ValueError(f"features must be in a folder or an HDF5 file, got none in {path}")

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self.part(name)

    def part(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Rows start…stop − 1 of a video; of HDF5 and .npy no others are read."""
        key = self._key[name]
        if self._file is not None:
            own = _own(self._file, key)
            return np.asarray(own[start:stop] if own.shape else own[()], np.float32)
        path = self.path / (key + SUFFIX[self.form])
        if self.form == "npy":
            rows = np.load(path, mmap_mode="r")  # which does not make room for more than the file has
            return np.array(rows[start:stop] if rows.ndim else rows)
        rows = (
            _unpickled(path)
            if self.form == "pickle"
            else np.loadtxt(path, np.float32, delimiter=",", skiprows=1, ndmin=2)
        )
        return rows[start:stop] if rows.ndim else rows

    def __contains__(self, name: object) -> bool:
        return name in self._key

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def grid(self, name: str) -> Grid:
        """The clips of a video's rows. Errors (ValueError): the features' JSON file does not tell."""
        fps = self._stated("fps")
        fps = self._stated("fps", name) if fps == "native" else fps
        return Grid(fps, self._stated("clip_frames"), self._stated("stride_frames"))

    def _stated(self, key: str, name: str = "") -> Any:
        """A number of the JSON file, or of what it says of a video; the word native is one, too."""
        about = self.settings.get("videos", {}).get(name, {}) if name else self.settings
        if (value := about.get(key)) is None:
            where = f" to place the rows of {name}" if name else ""
            raise ValueError(f"{_settings_file(self.path)} must state {key!r}{where}")
        if value != "native" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{_settings_file(self.path)}: {key} must be a number, got {brief(value)}")
        return value

    def center_seconds(self, name: str, rows: int | None = None) -> NDArray[np.float64]:
        """float64 (T,): the times that the rows of a video stand for; T is looked up if not given. Errors as `grid`."""
        if rows is None and self._file is not None:
            rows = self._file[self._key[name]].shape[0]
        elif rows is None:
            file = self.path / f"{self._key[name]}.npy"
            rows = len(np.load(file, mmap_mode="r") if self.form == "npy" else self[name])
        if self.settings.get("rescaled_rows"):
            return (np.arange(rows) + 0.5) / rows * self._stated("duration_seconds", name)
        return self.grid(name).center_seconds(rows)


def read_settings(out: str | Path) -> dict[str, Any]:
    """What the JSON file beside features says, {} if there is none. Errors: BadFile."""
    file = _settings_file(Path(out))
    found = read_json(file) if file.exists() else {}
    for name, about in mapping_of(file, "videos", found.get("videos", {})).items():
        mapping_of(file, name, about)
        if not isinstance(about.get("path", ""), str) or not isinstance(about.get("stored_as", ""), str):
            raise BadFile(file, repr(name), "path and stored_as must be text")
    if not all(isinstance(each, str) for each in list_of(file, "", "trained_on", found.get("trained_on", []))):
        raise BadFile(file, "trained_on", "must be ids of videos")
    return found


def _unpickled(path: Path) -> NDArray[np.float32]:
    try:
        rows = unpickle(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} must be a pickled array: {error}") from None
    if not isinstance(rows, np.ndarray):
        raise ValueError(f"{path} must be a pickled array, got {type(rows).__name__}")
    return rows


def _settings_file(out: Path) -> Path:
    return out.with_suffix(".json") if out.suffix in HDF5 else out / "features.json"


def _files(folder: Path, suffix: str) -> list[str]:
    """Keys of the feature files in a folder, sorted."""
    files = folder.rglob(f"*{suffix}") if folder.is_dir() else ()
    names = (path.relative_to(folder).as_posix() for path in files if path.name[0] != "." and not path.is_dir())
    return sorted(name.removesuffix(suffix) for name in names)


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path)
    except OSError as error:
        raise BadFile(path, "", f"must be a whole HDF5 file ({error})") from None


def _datasets(file: h5py.File) -> list[str]:
    """Keys of the features in an HDF5 file, sorted; links to other files are not followed."""
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return sorted(names)


def _own(file: h5py.File, key: str) -> h5py.Dataset:
    """A data set whose numbers are in the file itself, and about as large as they are."""
    found = file[key]
    if found.nbytes > max(UNPACKED, TIMES * found.id.get_storage_size()):
        raise BadFile(file.filename, repr(key), f"must not unpack to more than {TIMES} times what is stored of it")
    if found.external or found.is_virtual:
        raise BadFile(file.filename, repr(key), "must hold its numbers itself, they are in other files")
    return found


def _free(file: h5py.File, key: str) -> bool:
    """Whether features can be stored under a key: nothing else has it, and no folder of it is itself features."""
    parts = key.split("/")
    above = ("/".join(parts[:k]) for k in range(1, len(parts)))
    return key not in file and not any(isinstance(file.get(each), h5py.Dataset) for each in above)
