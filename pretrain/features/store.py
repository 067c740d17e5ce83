"""Feature files: which clips become rows, and one file per video or one HDF5 file for all, in the localisers' forms.

Row i of a video covers frames i·stride … i·stride + clip − 1 of the video as shown at `fps`, and stands for the middle
of that time. A JSON file beside the features states this, so that nobody has to guess it.

Legend: T rows (clips) of a video, F features.
"""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..common.files import atomic, new_text
from ..common.unpickle import unpickle
from .grid import Grid

HDF5 = (".h5", ".hdf5")
SUFFIX = {"npy": ".npy", "pickle": ".pkl", "csv": ".csv"}


class Store:
    """The finished features under one path; a file is complete as soon as it has its name.

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

    def finished(self) -> set[str]:
        """Names of the videos whose features are there."""
        suffix, found = SUFFIX[self.form], set()
        if self.folder.is_dir():
            files = (p.relative_to(self.folder).as_posix() for p in self.folder.rglob(f"*{suffix}") if p.name[0] != ".")
            found = {name.removesuffix(suffix) for name in files}
        if self.single and self.out.exists():
            with h5py.File(self.out) as file:
                found |= set(_datasets(file))
        return found

    def sweep(self) -> None:
        """Delete what killed runs have left half-written."""
        for part in [*self.folder.rglob(".*.part"), *self.out.parent.glob(f".{self.out.name}.*.part")]:
            part.unlink(missing_ok=True)

    def write(self, name: str, rows: NDArray[np.float32]) -> None:
        """Put the features of a video, (T, F) or (F,), in place."""
        path = self.folder / (name + SUFFIX[self.form])
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

    def merge(self, settings: Mapping[str, Any]) -> None:
        """Move all parts into the HDF5 file, with `settings` as an attribute; nothing to do for a folder."""
        if not self.single:
            return
        parts = sorted(p for p in self.folder.rglob("*.npy") if p.name[0] != ".")
        with atomic(self.out) as part, h5py.File(part, "w") as new:
            if self.out.exists():
                with h5py.File(self.out) as old:
                    for name in _datasets(old):
                        old.copy(old[name], new, name)
            for path in parts:
                name = path.relative_to(self.folder).as_posix().removesuffix(".npy")
                if name not in new:
                    new.create_dataset(name, data=np.load(path))
            new.attrs["settings"] = json.dumps(settings)
        shutil.rmtree(self.folder, ignore_errors=True)


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
            self._file = h5py.File(self.path)
            self.names = _datasets(self._file)
        else:
            self.form = next((f for f in SUFFIX if any(self.path.rglob("[!.]*" + SUFFIX[f]))), "npy")
            self.names = sorted(Store(self.path, self.form).finished())
        if not self.names:
            raise ValueError(f"features must be in a folder or an HDF5 file, got none in {path}")

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        if self._file is not None:
            return np.asarray(self._file[name], np.float32)
        path = self.path / (name + SUFFIX[self.form])
        if not path.exists():
            raise KeyError(name)
        if self.form == "npy":
            return np.load(path)
        if self.form == "pickle":
            return _unpickled(path)
        return np.loadtxt(path, np.float32, delimiter=",", skiprows=1, ndmin=2)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def grid(self, name: str) -> Grid:
        """The clips of a video's rows. Errors (ValueError): the features' JSON file does not tell."""
        try:
            fps = self.settings["fps"]
            fps = self.settings["videos"][name]["fps"] if fps == "native" else fps
            return Grid(fps, self.settings["clip_frames"], self.settings["stride_frames"])
        except KeyError as error:
            raise ValueError(f"{_settings_file(self.path)} must state {error} to place the rows of {name}") from None

    def center_seconds(self, name: str) -> NDArray[np.float64]:
        """float64 (T,): the times that the rows of a video stand for. Errors as in `grid`."""
        if self._file is not None:
            rows = self._file[name].shape[0]
        else:
            rows = len(np.load(self.path / f"{name}.npy", mmap_mode="r") if self.form == "npy" else self[name])
        if self.settings.get("rescaled_rows"):
            return (np.arange(rows) + 0.5) / rows * self.settings["videos"][name]["duration_seconds"]
        return self.grid(name).center_seconds(rows)


def read_settings(out: str | Path) -> dict[str, Any]:
    """What the JSON file beside features says, {} if there is none."""
    file = _settings_file(Path(out))
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


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


def _datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return sorted(names)
