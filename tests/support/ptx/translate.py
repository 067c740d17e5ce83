"""Runs on the CPU what a GPU would be given: the PTX that NVRTC makes of a kernel, translated to C++.

A thread's registers are a struct, so that at a barrier one thread can be left and the next be run. Arithmetic is that of the
instructions (one rounding in an fma, none less and none more), every access is checked against the memory that belongs
to the job and against its alignment. Not modelled: the assembler behind PTX, the order of threads, speed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# ruff: noqa: E501

TYPES = {
    **{f"{kind}{bits}": f"{'s' if kind == 's' else 'u'}{bits}" for kind in "bus" for bits in (8, 16, 32, 64)},
    "f32": "float", "pred": "bool",
}  # fmt: skip
REGISTERS = {"p": "pred", "rs": "b16", "r": "b32", "rd": "b64", "f": "f32"}  # by the letters of a register's name
SPECIAL = {f"%{name}.{axis}": f"{name}[{i}]" for name in ("ctaid", "tid", "ntid") for i, axis in enumerate("xyz")}
COMPARE = {"eq": "{}=={}", "ne": "{}!={}", "lt": "{}<{}", "le": "{}<={}", "gt": "{}>{}", "ge": "{}>={}"}
COMPARE |= {"lo": "{}<{}", "ls": "{}<={}", "hi": "{}>{}", "hs": "{}>={}"}
COMPARE |= {"neu": "!({}=={})", "ltu": "!({}>={})", "leu": "!({}>{})", "gtu": "!({}<={})", "geu": "!({}<{})"}
ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%", "and": "&", "or": "|", "xor": "^"}


class Instruction(NamedTuple):
    """One line: its parts by dots, and its operands."""

    parts: list[str]
    operands: list[str]

    @property
    def type(self) -> str:
        return self.parts[-1]

    def has(self, *names: str) -> bool:
        return any(name in self.parts[1:] for name in names)


class Translator:
    """The C++ of one kernel. Its entry is `run(parameters, grid, threads)`."""

    def __init__(self, ptx: str) -> None:
        text = re.sub(r"//.*", "", ptx)
        self.registers: dict[str, str] = {}
        self.shared: dict[str, int] = {}
        self.shared_bytes = self.barriers = 0
        head, _, body = text[text.index(".entry") :].partition("{")
        self.parameters, at = {}, 0
        for align, kind, name, count in re.findall(
            r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(\w+)(?:\[(\d+)\])?", head
        ):
            size = int(count) if count else int(kind[1:]) // 8
            step = int(align) if align else size
            at = -(-at // step) * step
            self.parameters[name] = at
            at += size
        self.body = [self.line(line.strip()) for line in body.rpartition("}")[0].splitlines() if line.strip()]

    def line(self, line: str) -> str:
        if line.startswith((".reg", ".pragma", ".loc", ".file")) or line in "{}":
            return ""
        if found := re.match(r"\.shared\s+\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]", line):
            self.shared[found[2]] = -(-self.shared_bytes // int(found[1])) * int(found[1])
            self.shared_bytes = self.shared[found[2]] + int(found[3])
            return ""
        if found := re.match(r"(\$\w+):$", line):
            return label(found[1]) + ":;"
        found = re.match(r"(?:@(!?)%(p\d+)\s+)?([a-z][\w.:]*)\s*(.*?);$", line)
        if not found:
            raise ValueError(f"no PTX that is known: {line}")
        negated, guard, operation, operands = found.groups()
        code = self.instruction(Instruction(operation.replace("::", ".").split("."), split(operands)), line)
        return f"if({'!' if negated else ''}s.{guard}){{{code}}}" if guard else code

    def value(self, text: str, kind: str) -> str:
        """An operand as a value of this type."""
        if text in SPECIAL:
            return f"({TYPES[kind]}){SPECIAL[text]}"
        if text.startswith("%"):
            have = REGISTERS[re.match(r"%([a-z]+)", text)[1]]
            name = f"s.{text[1:]}"
            if have == kind == "f32" or have == kind == "pred":
                return name
            if kind == "f32":
                return f"as_float((u32){name})"
            return f"({TYPES[kind]})" + (f"bits_of({name})" if have == "f32" else name)
        if found := re.match(r"0[fF]([0-9a-fA-F]{8})$", text):
            return f"as_float(0x{found[1]}u)" if kind == "f32" else f"({TYPES[kind]})0x{found[1]}u"
        if text in self.shared:
            return f"({TYPES[kind]})(shared+{self.shared[text]})"
        if text in self.parameters:
            return f"({TYPES[kind]})(parameters+{self.parameters[text]})"
        return f"({TYPES[kind]})({text}LL)"

    def assign(self, register: str, kind: str, value: str) -> str:
        """A value of this type into a register of whatever type that has."""
        have = REGISTERS[re.match(r"%([a-z]+)", register)[1]]
        self.registers[register[1:]] = TYPES[have]
        if have == "f32" and kind != "f32":
            value = f"as_float((u32)({value}))"
        elif have != "f32" and kind == "f32":
            value = f"bits_of({value})"
        return f"s.{register[1:]}=({TYPES[have]})({value});"

    def address(self, text: str) -> str:
        found = re.match(r"\[([%\w]+)(?:\+(-?\d+))?\]$", text)
        return f"({self.value(found[1], 'u64')}+({found[2] or 0}LL))"

    def instruction(self, i: Instruction, line: str) -> str:
        name, kind = i.parts[0], i.type
        operation = getattr(self, f"_{name}", None)
        if operation:
            return operation(i)
        given = [self.value(text, kind) for text in i.operands[1:]] if kind in TYPES else []
        if kind == "f32":
            given = [f"flushed({each})" for each in given] if i.has("ftz") else given
            result = self.float_result(i, given)
            if i.has("sat") and result is not None:  # to [0, 1], what is no number to 0
                result = f"std::fmin(std::fmax({result},0.f),1.f)"
        else:
            result = self.integer_result(i, given)
        if result is None:
            raise ValueError(f"no instruction that is known: {line}")
        return self.assign(i.operands[0], kind, f"flushed({result})" if kind == "f32" and i.has("ftz") else result)

    def float_result(self, i: Instruction, given: list[str]) -> str | None:
        name = i.parts[0]
        if i.has("rm") and name == "add":
            return f"add_down({','.join(given)})"
        if i.has("rp", "rz", "rm"):
            return None
        if name in ("add", "sub", "mul"):
            return f"({given[0]}{ARITHMETIC[name]}{given[1]})"
        calls = {"fma": "std::fmaf", "min": "smaller", "max": "larger", "abs": "std::fabs", "neg": "-"}
        return f"{calls[name]}({','.join(given)})" if name in calls else None

    def integer_result(self, i: Instruction, given: list[str]) -> str | None:
        name, kind = i.parts[0], i.type
        if name in ("mul", "mad") and i.has("wide"):
            wide = TYPES[kind[0] + str(2 * int(kind[1:]))]
            product = f"(({wide}){given[0]}*({wide}){given[1]})"
            return product if name == "mul" else f"({product}+{self.value(i.operands[3], kind[0] + wide[1:])})"
        if i.has("hi"):
            return (
                f"(({TYPES[kind[0] + '64']}){given[0]}*({TYPES[kind[0] + '64']}){given[1]}>>32)"
                if kind[1:] == "32"
                else None
            )
        if name == "mad":
            return f"({given[0]}*{given[1]}+{given[2]})"
        if name in ARITHMETIC:
            return f"({given[0]}{ARITHMETIC[name]}{given[1]})"
        if name in ("not", "neg"):
            return f"{'!' if kind == 'pred' else '~' if name == 'not' else '-'}{given[0]}"
        calls = {"min": "smaller", "max": "larger", "prmt": "prmt", "bfi": "insert", "bfe": "extract", "lop3": "lop3"}
        calls |= {"shl": "shifted_left", "shr": "shifted_right"}
        if name in ("shl", "shr"):
            given[1] = self.value(i.operands[2], "u32")
        elif name in ("bfi", "bfe"):
            given[-2:] = [self.value(text, "u32") for text in i.operands[-2:]]
            if kind[0] == "s":
                return None
        elif name == "shf":
            if not i.has("wrap"):
                return None
            return f"funnel_{'right' if i.has('r') else 'left'}({','.join(given)})"
        return f"{calls[name]}({','.join(given)})" if name in calls else None

    # ---- instructions of another form than: result, operands of one type -----------------------------------------

    def _bra(self, i: Instruction) -> str:
        return f"goto {label(i.operands[0])};"

    def _ret(self, i: Instruction) -> str:
        return "s.at=-1;return;"

    def _bar(self, i: Instruction) -> str:
        self.barriers += 1
        return f"s.at={self.barriers};return;after{self.barriers}:;"

    def _mov(self, i: Instruction) -> str:
        to, source = i.operands
        if to.startswith("{"):
            parts = split(to.strip("{}"))
            width = int(i.type[1:]) // len(parts)
            taken = "".join(
                self.assign(part, f"u{width}", f"(v>>{width * k})") for k, part in enumerate(parts) if part != "_"
            )
            return f"{{u64 v=(u64){self.value(source, f'u{i.type[1:]}')};{taken}}}"
        if source.startswith("{"):
            parts = split(source.strip("{}"))
            width = int(i.type[1:]) // len(parts)
            return self.assign(
                to,
                i.type,
                "|".join(f"((u64){self.value(part, f'u{width}')}<<{width * k})" for k, part in enumerate(parts)),
            )
        if i.type == "pred":
            return f"{self.assign(to, 'pred', 'true' if source in ('1', '-1') else 'false')}"
        return self.assign(to, i.type, self.value(source, i.type))

    def _cvta(self, i: Instruction) -> str:
        return self.assign(i.operands[0], "u64", self.value(i.operands[1], "u64"))

    def _ld(self, i: Instruction) -> str:
        of, how = TYPES[i.type], "parameter" if i.has("param") else "load"
        at = self.address(i.operands[1])
        if not i.operands[0].startswith("{"):
            return self.assign(i.operands[0], i.type, f"{how}<{of}>({at})")
        parts, width = split(i.operands[0].strip("{}")), int(i.type[1:]) // 32
        count = len(parts) * width
        get = [
            f"v.part[{k}]" if width == 1 else f"((u64)v.part[{2 * k + 1}]<<32|v.part[{2 * k}])"
            for k in range(len(parts))
        ]
        taken = "".join(self.assign(part, f"u{32 * width}", each) for part, each in zip(parts, get) if part != "_")
        return f"{{Vector<{count}> v={how}<Vector<{count}>>({at});{taken}}}"

    def _st(self, i: Instruction) -> str:
        at, source = self.address(i.operands[0]), i.operands[1]
        if not source.startswith("{"):
            return f"store<{TYPES[i.type]}>({at},{self.value(source, i.type)});"
        parts = split(source.strip("{}"))
        if i.type[1:] == "16":
            words = [
                f"(u32)({self.value(a, 'u16')}|(u32){self.value(b, 'u16')}<<16)"
                for a, b in zip(parts[::2], parts[1::2])
            ]
        elif i.type[1:] == "64":
            words = [f"(u32)({self.value(part, 'u64')}>>{shift})" for part in parts for shift in (0, 32)]
        else:
            words = [self.value(part, "u32") for part in parts]
        return f"store<Vector<{len(words)}>>({at},Vector<{len(words)}>{{{{{','.join(words)}}}}});"

    def _selp(self, i: Instruction) -> str:
        a, b = (self.value(text, i.type) for text in i.operands[1:3])
        return self.assign(i.operands[0], i.type, f"({self.value(i.operands[3], 'pred')}?{a}:{b})")

    def _setp(self, i: Instruction) -> str:
        a, b = (self.value(text, i.type) for text in i.operands[1:3])
        if i.type == "f32" and i.has("ftz"):
            a, b = f"flushed({a})", f"flushed({b})"
        found = f"({COMPARE[i.parts[1]].format(a, b)})"
        if i.has("and", "or"):
            found = f"({found}{'&&' if i.has('and') else '||'}{self.value(i.operands[3].lstrip('!'), 'pred')})"
        return self.assign(i.operands[0], "pred", found)

    def _cvt(self, i: Instruction) -> str:
        to, of = i.parts[-2], i.parts[-1]
        given = [self.value(text, "u16" if of in ("f16", "bf16") else of) for text in i.operands[1:]]
        if i.has("ftz") and of == "f32":
            given = [f"flushed({each})" for each in given]
        if to in ("bf16x2", "f16x2"):
            cast = f"to_{to[:-2]}"
            return self.assign(i.operands[0], "b32", f"((u32){cast}({given[0]})<<16|{cast}({given[1]}))")
        if to in ("bf16", "f16") and of == "f32":
            return self.assign(i.operands[0], "b16", f"to_{to}({given[0]})")
        if of == "f16":
            return self.assign(i.operands[0], "f32", f"of_f16({given[0]})")
        if to == "f32" and of == "f32":
            if i.has("sat"):  # to [0, 1], what is no number to 0
                given[0] = f"std::fmin(std::fmax({given[0]},0.f),1.f)"
            return self.assign(i.operands[0], "f32", f"std::floor({given[0]})" if i.has("rmi") else given[0])
        if of == "f32":
            if not (i.has("rzi") and to == "s32"):
                raise ValueError(f"no conversion that is known: {i}")
            return self.assign(i.operands[0], "s32", f"to_s32({given[0]})")
        return self.assign(i.operands[0], to, f"({TYPES[to]}){given[0]}")

    def program(self) -> str:
        registers = "".join(f"{kind} {name};" for name, kind in self.registers.items())
        entries = "".join(f"case {k}: goto after{k};" for k in range(1, self.barriers + 1))
        body = "\n".join(line for line in self.body if line)
        return f"""#include "machine.h"
struct Thread {{ int at; {registers} }};
static void step(Thread& s, u64 parameters, u64 shared, const u32* ctaid, const u32* tid, const u32* ntid) {{
switch (s.at) {{ {entries} default: break; }}
{body}
s.at=-1;
}}
extern "C" long run(const char* parameters, const u32* grid, u32 threads, const u64* allowed, int count, u64* fault) {{
    return run_blocks<Thread>(step, (u64)parameters, grid, threads, {self.barriers}, {self.shared_bytes},
                              (const Range*)allowed, count, fault);
}}
"""


def label(name: str) -> str:
    return name.replace("$", "L")


def split(text: str) -> list[str]:
    """Operands; braces and brackets hold their commas together."""
    return [part.strip() for part in re.findall(r"(?:[^,{\[]|\{[^}]*\}|\[[^\]]*\])+", text)]
