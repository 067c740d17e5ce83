"""What do GPUs execute? `python -m benchmarks sass [--arch sm_90 …] [--write]`, on a machine without a GPU.

Per variant of a kernel and architecture, from the machine code that NVRTC makes: registers, bytes spilled to memory,
loads and stores by width, and the instructions on the path of a thread of a full tile. That is a static count: the
blocks that lead from the kernel's begin to its end, without those of the sources' `Block`s that are never taken in the
case; a loop over taps counts as often as there are taps.

From them a model predicts which share of a plain copy's bandwidth a kernel reaches: its time is that of its memory
traffic, or of issuing its instructions at `ISSUED` of the peak rate, whichever is longer. Predictions are no
measurements. --write puts the table into docs/gpu.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gpuaug.kernels import cuda, kernel_args
from gpuaug.kernels.launches import Variant

from .table import marked, put

PAGE = Path(__file__).parent.parent / "docs" / "gpu.md"
BEGIN, END = "<!-- sass -->", "<!-- /sass -->"
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
ISSUED = 0.75  # of the peak rate of issue, which well-filled kernels reach
MARK = "PMTRIG"  # what a mark is compiled to
FEW = {"NOTHING", "APART", "SWAP", "SINGLE", "MIRRORED", "MIXED"}  # blocks of render that few runs take


class Gpu(NamedTuple):
    """arch: what it executes; issue: warp instructions a second, 4 per SM and cycle; copy: bytes a second, read and
    written, of a plain copy: 0.9 of the memory's bandwidth."""

    arch: str
    issue: float
    copy: float


GPUS = {
    "A100": Gpu("sm_80", 108 * 4 * 1.41e9, 0.9 * 2.04e12),
    "H100": Gpu("sm_90", 132 * 4 * 1.98e9, 0.9 * 3.35e12),
    "H200": Gpu("sm_90", 132 * 4 * 1.98e9, 0.9 * 4.8e12),
}


class Case(NamedTuple):
    """Work of a variant: blocks never taken, outputs of a thread and what they are, and bytes moved per output."""

    variant: Variant
    never: frozenset[str]
    outputs: int
    unit: str
    bytes_moved: float


def render_case(dtype: str, taps: int, layout: int, *blocks: str) -> Case:
    """64 samples of 8 frames of 224² from boxes of 168² to 256² pixels, 212² in the mean; `blocks` are taken, too."""
    read = 3 * taps * 212**2 / 224**2
    never = FEW - set(blocks)
    outputs = kernel_args.ITEMS * kernel_args.COLUMNS
    written = 3 * kernel_args.ITEMSIZE[dtype]
    return Case(Variant("render", dtype, 3, taps, layout, 1), frozenset(never), outputs, "pixel", read + written)


def blend_case(dtype: str, taps: int) -> Case:
    """Whole frames of one tensor: copies, or all cross-faded."""
    never = {"ELEMENTS", "WEIGHT"} | ({"FADE"} if taps == 1 else set())
    outputs = 16 * kernel_args.ITEMS
    return Case(Variant("blend", dtype, 1, taps, 0, 1), frozenset(never), outputs, "byte", 1 + taps)


CASES = {
    "render, bfloat16 NCTHW, K = 1": render_case("bfloat16", 1, 1),
    "render, bfloat16 NCTHW, K = 2": render_case("bfloat16", 2, 1),
    "the same with a colour matrix": render_case("bfloat16", 2, 1, "MIXED"),
    "K = 1, rows that begin at any byte": render_case("bfloat16", 1, 1, "APART"),
    "K = 2, rows that begin at any byte": render_case("bfloat16", 2, 1, "APART"),
    "render, float32 NCTHW, K = 1": render_case("float32", 1, 1),
    "render, float32 NCTHW, K = 2": render_case("float32", 2, 1),
    "render, uint8 NTHWC, K = 1": render_case("uint8", 1, 2),
    "blend, uint8, copies": blend_case("uint8", 1),
    "blend, uint8, all cross-faded": blend_case("uint8", 2),
    "blend, bfloat16, all cross-faded": blend_case("bfloat16", 2),
}


class Code(NamedTuple):
    """What is read of a kernel's machine code; path: the instructions of a full tile, by their names."""

    registers: int
    spilled: int
    path: Counter[str]

    def widths(self, name: str) -> str:
        """Bits of the path's LDG or STG, with their numbers: "32×24 128×2"."""
        found: Counter[int] = Counter()
        for operation, count in self.path.items():
            if operation.split(".")[0] == name:
                found[_width(operation)] += count
        return " ".join(f"{width}×{count}" for width, count in sorted(found.items()))


class Instruction(NamedTuple):
    name: str
    target: str  # of a branch
    conditional: bool
    operand: str


def main(argv: Sequence[str] | None = None) -> int:
    """Compile, read, print; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sass", description=__doc__)
    parser.add_argument("--arch", nargs="+", default=ARCHITECTURES, help=f"default: {' '.join(ARCHITECTURES)}")
    parser.add_argument("--write", action="store_true", help="put the table into docs/gpu.md")
    args = parser.parse_args(argv)
    text = table(args.arch)
    print(text)
    if args.write:
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


def table(architectures: Sequence[str]) -> str:
    """The table in Markdown, between its marks."""
    head = ["variant", "code for", "registers", "spilled bytes", "loads, bits×number", "stores", "instructions"]
    head += ["per output", *(f"predicted: {name}" for name in GPUS)]
    rows = []
    for name, case in CASES.items():
        for arch in architectures:
            code = read(case.variant, arch, case.never)
            count = sum(code.path.values())
            shares = [f"{share(case, count, gpu):.2f}" if gpu.arch == arch else "" for gpu in GPUS.values()]
            each = f"{count / case.outputs:.1f} per {case.unit}"
            loads, stores = code.widths("LDG"), code.widths("STG")
            row = [name, arch, code.registers, code.spilled, loads, stores, count, each, *shares]
            rows.append([str(cell) for cell in row])
    return marked(BEGIN, head, rows, END)


def share(case: Case, instructions: int, gpu: Gpu) -> float:
    """Predicted share of the copy's bandwidth.

    >>> round(share(CASES["blend, uint8, copies"], 320, GPUS["H200"]), 2)
    1.0
    >>> round(share(CASES["render, bfloat16 NCTHW, K = 1"], 1968, GPUS["H200"]), 2)
    0.21
    """
    memory = case.bytes_moved / gpu.copy
    issue = instructions / case.outputs / 32 / (gpu.issue * ISSUED)
    return memory / max(memory, issue)


def read(variant: Variant, arch: str, never: frozenset[str]) -> Code:
    """What a variant is compiled to.

    Raises:
        RuntimeError: where NVIDIA's disassembler is missing, or the code cannot be followed.
    """
    plain, usage = _disassembled(variant, arch)
    marked_code, _ = _disassembled(variant, arch, "-DMARKED")
    names = re.search(r"enum Block {(.*?)}", cuda.source(variant.kernel))
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    if not found or not names:
        raise RuntimeError(f"registers are not named by cuobjdump, or no blocks by the source: {usage}")
    numbers = {name.strip(): number for number, name in enumerate(names[1].split(","))}
    path = follow(parse(marked_code), frozenset(numbers[name] for name in never), variant.taps)
    spilled = sum(_width(name) // 8 for name in re.findall(r"\b(STL[.\w]*)", plain))
    return Code(int(found[1]), spilled, path)


def _disassembled(variant: Variant, arch: str, *options: str) -> tuple[str, str]:
    """nvdisasm's listing, and what cuobjdump says of resources."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "code.cubin"
        file.write_bytes(cuda.machine_code(variant, arch, *options))
        return _run("nvdisasm", "-c", str(file)), _run("cuobjdump", "-res-usage", str(file))


def parse(sass: str) -> dict[str, list[Instruction]]:
    """nvdisasm's listing by labels; "" is the begin."""
    found: dict[str, list[Instruction]] = {"": []}
    here = ""
    for line in sass.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            here = label[1]
            found[here] = []
        elif code := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)\s*(.*?);", line):
            target = re.search(r"`\((\.L_x_\d+)\)", code[3])
            guard = code[1] is not None or bool(re.match(r"!?U?P\d", code[3]))
            branches = code[2].split(".")[0] in ("BRA", "CALL")  # a call that does not return, for sm_80
            found[here].append(Instruction(code[2], target[1] if target and branches else "", guard, code[3].strip()))
    return found


def follow(listing: dict[str, list[Instruction]], never: frozenset[int], taps: int) -> Counter[str]:
    """Names of the instructions on the way from the begin to the end, and how often each is executed.

    Of all ways it is the longest without a block that is `never` taken, by the numbers of their marks. What lies in a
    loop counts `taps` times. RuntimeError where there is no such way.
    """
    pieces, after = _pieces(listing)
    cold = [any(i.name == MARK and _number(i) in never for i in piece) for piece in pieces]
    best: dict[int, tuple[int, list[int]]] = {}  # from a piece to the end: how many, and the pieces
    loops: list[tuple[int, int]] = []  # first and last piece

    def go(i: int, before: tuple[int, ...]) -> tuple[int, list[int]] | None:
        if i in before:
            loops.append((i, before[-1]))
            return None
        if i not in best:
            ways = [way for step in after[i] if not cold[step] and (way := go(step, (*before, i)))]
            if not ways and after[i]:
                return None
            count, rest = max(ways, default=(0, []))
            best[i] = count + len(pieces[i]), [i, *rest]
        return best[i]

    found = go(0, ())
    if found is None:
        raise RuntimeError("there is no way through the code without blocks that are never taken")
    way = found[1]
    inside = {i for first, last in loops for i in _loop(after, first, last)}
    back = {last for first, last in loops if first in way and last not in way and not cold[last]}
    path: Counter[str] = Counter()
    for i in (*way, *back):  # a way back is taken once less than the loop
        for instruction in pieces[i]:
            path[instruction.name] += taps - (i in back) if i in inside else 1
    del path[MARK]
    return path


def _number(mark: Instruction) -> int:
    """The block's: an event is named by its bit."""
    return int(mark.operand, 0).bit_length() - 1


def _loop(after: list[list[int]], first: int, last: int) -> set[int]:
    """The pieces from which `last`, which branches back, is reached without `first`."""
    inside, waiting = {first, last}, [last]
    while waiting:
        here = waiting.pop()
        found = {i for i, steps in enumerate(after) if here in steps} - inside if here != first else set()
        inside |= found
        waiting += found
    return inside


def _pieces(listing: dict[str, list[Instruction]]) -> tuple[list[list[Instruction]], list[list[int]]]:
    """The code in pieces that are run as a whole, and for each which may follow; none where the thread ends."""
    pieces: list[list[Instruction]] = []
    at: dict[str, int] = {}
    for name, code in listing.items():
        at[name] = len(pieces)
        pieces.append([])
        for instruction in code:
            pieces[-1].append(instruction)
            if instruction.target or instruction.name.startswith(("EXIT", "RET")):
                pieces.append([])
    after: list[list[int]] = []
    for i, piece in enumerate(pieces):
        last = piece[-1] if piece else None
        ends = last is not None and (bool(last.target) or last.name.startswith(("EXIT", "RET")))
        steps = [at[last.target]] if last and last.target else []
        if (not ends or (last and last.conditional)) and i + 1 < len(pieces):
            steps.append(i + 1)
        after.append(steps)
    return pieces, after


def _width(name: str) -> int:
    """Bits that a load or a store moves."""
    parts = name.split(".")[1:]
    known = {"U8": 8, "S8": 8, "U16": 16, "S16": 16, "64": 64, "128": 128}
    return next((known[part] for part in parts if part in known), 32)


def _run(tool: str, *arguments: str) -> str:
    path = shutil.which(tool)
    if path is None:  # torch's Triton brings them along
        found = importlib.util.find_spec("triton")
        if found is None or found.origin is None:
            raise RuntimeError(f"{tool} is missing: it comes with CUDA's toolkit and with Triton")
        path = str(Path(found.origin).parent / "backends" / "nvidia" / "bin" / tool)
    return subprocess.run([path, *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    raise SystemExit(main())
