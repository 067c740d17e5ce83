"""What is read from machine code: on a listing made by hand, and on that of the kernels, whose bars it holds."""

from __future__ import annotations

import re

import pytest

from support.paths import REPOSITORY

sass = pytest.importorskip("benchmarks.sass", reason="needs CuPy", exc_type=ImportError)
LISTING = """
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/               @P0 EXIT ;
        /*0020*/               @P1 BRA `(.L_x_2) ;
.L_x_0:
        /*0030*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0040*/                   LDG.E R8, desc[UR4][R2.64+0x10] ;
        /*0050*/              @!P2 BRA `(.L_x_1) ;
        /*0060*/                   PMTRIG 0x4 ;
        /*0070*/                   FADD R1, R1, R2 ;
        /*0080*/                   FADD R1, R1, R2 ;
.L_x_1:
        /*0090*/                   ISETP.NE.AND P0, PT, R5, UR4, PT ;
        /*00a0*/               @P0 CALL.REL.NOINC `(.L_x_3) ;
        /*00b0*/                   BRA `(.L_x_0) ;
.L_x_2:
        /*00c0*/                   PMTRIG 0x1 ;
        /*00d0*/                   FMUL R1, R1, R2 ;
        /*00e0*/                   FMUL R1, R1, R2 ;
        /*00f0*/                   FMUL R1, R1, R2 ;
.L_x_3:
        /*0100*/                   STG.E.U16 desc[UR4][R2.64], R1 ;
        /*0110*/                   EXIT ;
.L_x_4:
        /*0120*/                   BRA `(.L_x_4);
"""


def count(never, taps=2):
    return sass.follow(sass.parse(LISTING), frozenset(never), taps)


def test_the_way_without_blocks_that_are_never_taken():
    path = count({0, 2})
    assert path["LDG.E.128"] == path["LDG.E"] == 2, "the loop is run once a tap"
    assert path["STG.E.U16"] == path["LDC"] == 1
    assert not path["FADD"]
    assert not path["FMUL"]
    assert not path[sass.MARK]
    assert sum(path.values()) == 3 + 2 * 5 + 1 + 2, "the branch back is taken once"


def test_a_block_that_is_taken_counts():
    assert count({0})["FADD"] == 4
    endless = LISTING.replace("@P0 CALL.REL.NOINC `(.L_x_3)", "NOP").replace("@P0 EXIT", "NOP")
    with pytest.raises(RuntimeError, match="no way through the code"):
        sass.follow(sass.parse(endless), frozenset({0}), 1)


def test_widths():
    assert sass.Code(32, 0, count({0, 2})).widths("LDG") == "32×2 128×2"
    assert sass.Code(32, 0, count({0, 2})).widths("STG") == "16×1"


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize(("case", "most"), [("K = 1", 110), ("K = 2", 200)])
def test_instructions_per_pixel(case, most, arch):
    """The bars of render from RGB to planar bfloat16; nothing is spilled. Before two columns a thread: 246 and 428."""
    case = sass.CASES[f"render, bfloat16 NCTHW, {case}"]
    code = sass.read(case.variant, arch, case.never)
    assert sum(code.path.values()) / case.outputs <= most
    assert code.spilled == 0
    assert code.widths("STG") == "32×12"  # pairs
    assert sum(sass.read(case.variant, arch, frozenset()).path.values()) > sum(code.path.values()), (
        "blocks are left out"
    )


@pytest.mark.slow
def test_fades_of_bytes_have_no_slow_conversions():
    case = sass.CASES["blend, uint8, all cross-faded"]
    path = sass.read(case.variant, "sm_90", case.never).path
    assert not [name for name in path if name.startswith(("I2F", "F2I", "F2F", "FRND", "MUFU"))]
    assert sum(path.values()) / case.outputs <= 16


@pytest.mark.slow
def test_marks_are_all_that_marked_code_has_more():
    variant = sass.CASES["render, bfloat16 NCTHW, K = 1"].variant
    plain, marked = (sass.parse(sass._disassembled(variant, "sm_90", *options)[0]) for options in ((), ("-DMARKED",)))
    counts = [sum(i.name not in (sass.MARK, "NOP") for code in each.values() for i in code) for each in (plain, marked)]
    assert counts[0] == pytest.approx(counts[1], rel=0.01)


@pytest.mark.slow
def test_the_page_shows_the_table():
    """Made again by `python -m benchmarks sass --write`; of the three architectures one is looked at here."""
    text = sass.PAGE.read_text(encoding="utf-8")
    version = ".".join(map(str, sass.cuda.nvrtc.getVersion()))
    assert f"NVRTC {version}" in text
    rows = sass.table(["sm_90"]).splitlines()
    assert len(rows) == 4 + len(sass.CASES)
    assert not [row for row in rows if row not in text.splitlines()]
    assert "Predictions are not measurements" in text


def test_the_calls_name_what_there_is():
    """Benchmarks, their flags and test folders of gpu_calls.sh; nobody runs it where there is no GPU."""
    text = (REPOSITORY / "benchmarks" / "gpu_calls.sh").read_text(encoding="utf-8")
    calls = re.findall(r"^    benchmark \d+ (\w+)(.*)$", text, re.M)
    assert {name for name, _ in calls} == {"render", "edits", "training", "feed", "decode", "windows"}
    common = (REPOSITORY / "benchmarks" / "common.py").read_text(encoding="utf-8")
    for name, flags in calls:
        source = (REPOSITORY / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        for flag in flags.split():
            assert f'"{flag.replace("--no-growth", "--growth")}"' in source + common, flag
    for path in re.findall(r"\b((?:tests|benchmarks)/[\w/.]+)", text):
        assert (REPOSITORY / path).exists(), path
