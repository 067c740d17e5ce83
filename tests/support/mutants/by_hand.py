"""Faults planted by hand in the kernels, and which tests of pixels have to see them.

The .cu files are tested as the emulator runs them, the .cpp files as a library built anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ..paths import REPOSITORY
from .made import copy, digest, write

KERNELS = REPOSITORY / "gpuaug" / "kernels"
HEADERS = tuple(file.name for file in KERNELS.glob("*.h"))
COMPILER = ("c++", "-std=c++17", "-O1", "-fPIC", "-fopenmp", "-ffp-contract=fast")
TESTS = tuple(f"tests/gpuaug/{name}.py" for name in ("kernels/test_odd_shapes", "test_blend", "test_render"))
IMPLEMENTATION = {".cu": "emulated", ".cpp": "host", ".h": "host"}


class Fault(NamedTuple):
    """A text that stands once in a file of gpuaug/kernels, and what is planted in its place.

    implementation: which tests have to see it, where not those of IMPLEMENTATION.
    """

    file: str
    before: str
    after: str
    implementation: str = ""


FAULTS = (
    Fault("blend.cu", "if (job.flat) return i * strides[5];", "if (job.flat) return i;"),
    Fault("blend.cu", "job.flat && job.out_strides[5] == 1 &&", "job.flat &&"),
    Fault("blend.cu", "aligned(out) && job.per_frame % LANES == 0;", "aligned(out);"),
    Fault("blend.cu", "source.strides[5] == 1 && aligned(frame[k])", "aligned(frame[k])"),
    Fault("blend.cu", "wa = frame[0] ? weight[0] : weight[1]", "wa = weight[0]"),
    Fault("blend.cu", "} else if (wa != 1.f) {", "} else if (false) {"),
    Fault("blend.cu", "if (both && i < job.per_frame)", "if (both)", "ptx"),
    Fault("blend.cu", "if (i >= job.per_frame) break;", ""),
    Fault("render.cu", "word + (reach < 4 ? reach : 4)", "word + 4", "ptx"),
    Fault("render.cu", "low.first <= last ? low.part : edge", "low.part"),
    Fault("render.cu", "if (x + c >= (int)job.x) break;", ""),
    Fault("render.cu", "if (any && mirrored != swapped) {", "if (false) {"),
    Fault("render.cu", "swapped = mirrored, any = true;", "any = true;"),
    Fault("host_rows.h", "cast_row(typed, rows.planes, 3 * n);", "cast_row(typed, rows.planes, n);"),
    Fault("host_render.cpp", "if (tap.leader != leader) continue;", ""),
    Fault("host_render.cpp", "if (!job.diagonal) color_row", "if (false) color_row"),
    Fault("host.cpp", "p == wa * 128.f && q == wb * 128.f", "true"),
    Fault("host.cpp", "wa + wb < 1.001f", "true"),
)


def plant(folder: Path) -> list[tuple[Fault, bool]]:
    """Every fault with whether a test saw it, each in a copy of the repository; those of an earlier run are kept."""
    kept, of = folder / "found.json", digest(repr(FAULTS))
    seen = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if seen.get("of") != of:
        copy(folder)
        seen = {"of": of}
    for number, fault in enumerate(FAULTS):
        if str(number) in seen:
            continue
        shutil.copytree(KERNELS, folder / "gpuaug" / "kernels", dirs_exist_ok=True)  # without the fault before
        file = folder / "gpuaug" / "kernels" / fault.file
        text = file.read_text(encoding="utf-8")
        assert text.count(fault.before) == 1, f"{fault.file} must have once: {fault.before}"
        file.write_text(text.replace(fault.before, fault.after), encoding="utf-8")
        library = build(folder, fault.file) if file.suffix in (".cpp", ".h") else None
        seen[str(number)] = not passed(folder, fault.implementation or IMPLEMENTATION[file.suffix], library)
        write(kept, seen)
        print(f"{fault.file}: {number + 1} of {len(FAULTS)} planted by hand", flush=True)
    return [(fault, seen[str(number)]) for number, fault in enumerate(FAULTS)]


def build(folder: Path, changed: str) -> Path:
    """The library of the copy's .cpp files, quickly: unoptimised, and only what the changed file is part of anew."""
    objects = folder / "objects"
    objects.mkdir(exist_ok=True)
    found = []
    for source in sorted((folder / "gpuaug" / "kernels").glob("*.cpp")):
        anew = changed in (source.name, *HEADERS)
        found.append(objects / f"{source.stem}{'-changed' * anew}.o")
        if anew or not found[-1].exists():
            part = found[-1].with_suffix(".part")
            subprocess.run([*COMPILER, "-c", str(source), "-o", str(part)], check=True, capture_output=True)
            part.replace(found[-1])
    library = objects / "host.so"
    subprocess.run([*COMPILER, "-shared", *map(str, found), "-o", str(library)], check=True, capture_output=True)
    return library


def passed(folder: Path, implementation: str, library: Path | None) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", implementation, *TESTS]
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    if library:
        environment["GPUAUG_TEST_LIBRARY"] = str(library)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode > 1:  # below 0: a signal, of a fault that reads or writes where it must not, and is seen by that
        raise SystemExit(f"no tests of the kernels were run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def report(folder: Path) -> list[str]:
    found = plant(folder)
    total, unseen = Counter(fault.file for fault, _ in found), Counter(fault.file for fault, seen in found if not seen)
    lines = ["", f"{len(found) - sum(unseen.values())} of {len(found)} faults planted by hand in the kernels were seen"]
    lines += ["", "| file | planted | seen | not seen |", "|---|---|---|---|"]
    lines += [
        f"| gpuaug/kernels/{file} | {n} | {n - unseen[file]} | {unseen[file] or ''} |" for file, n in total.items()
    ]
    for fault, seen in found:
        if not seen:
            lines += ["", f"gpuaug/kernels/{fault.file}", "```diff", f"-{fault.before}", f"+{fault.after}", "```"]
    return lines
