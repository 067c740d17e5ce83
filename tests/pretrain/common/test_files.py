"""Files are whole whenever they exist, whatever their names; what killed processes leave goes."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from pretrain.common.files import atomic, jsonable, local, new_text, readable, sweep, write_json

GONE = 2**22 + 1  # more than Linux gives a process


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "a/b/x.bin"
    with atomic(path) as part:
        assert part.parent == path.parent
        assert part.name == f".x.bin.{os.getpid()}.part"
        part.write_bytes(b"1")
        assert not path.exists()
    assert path.read_bytes() == b"1"
    with atomic(str(path)) as part:
        part.write_bytes(b"2")
    assert [each.name for each in path.parent.iterdir()] == ["x.bin"]
    assert path.read_bytes() == b"2"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")

    def fail():
        with atomic(path) as part:
            part.write_text("half")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_link_that_lies_in_wait_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".x.{os.getpid()}.part").symlink_to(victim)
    with atomic(tmp_path / "x") as part:
        part.write_text("new")
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(("name", "kept"), [("ä" * 115, True), ("ä" * 115 + "b", False), ("a" * 250, False)])
def test_long_names_leave_room(tmp_path, name, kept):
    """A disk takes 255 bytes; ä is two."""
    with atomic(tmp_path / name) as part:
        part.write_text("x")
        assert len(os.fsencode(part.name)) <= 255
        assert (name in part.name) == kept
    assert (tmp_path / name).read_text() == "x"
    left = tmp_path / f"{part.name.rsplit('.', 2)[0]}.{GONE}.part"
    left.touch()
    sweep(tmp_path / name)
    assert not left.exists()


def test_long_names_that_differ_at_their_end_do_not_meet(tmp_path):
    with atomic(tmp_path / ("a" * 240 + "1")) as one, atomic(tmp_path / ("a" * 240 + "2")) as two:
        assert one != two
        one.touch()
        two.touch()


def test_only_what_dead_processes_left_of_this_file_goes(tmp_path, monkeypatch):
    names = [f".x[1].{GONE}.part", f".x[1].{os.getpid()}.part", f".y.{GONE}.part", ".x[1].word.part", ".x[1].1.part"]
    for name in names:
        (tmp_path / name).touch()

    def kill(process, number):
        assert number == 0
        if process == 1:
            raise PermissionError
        if process == GONE:
            raise ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    sweep(tmp_path / "x[1]")
    assert sorted(os.listdir(tmp_path)) == sorted(names[1:])


def test_texts_are_utf8_with_any_name_in_them_and_compressed_by_their_ending(tmp_path):
    text = "é\n" + os.fsdecode(b"caf\xe9\r\n")
    for name, opened in (("a.txt", open), ("a.gz", gzip.open)):
        with new_text(tmp_path / name) as file:
            file.write(text)
        with opened(tmp_path / name, "rb") as file:
            assert file.read() == b"\xc3\xa9\ncaf\xe9\r\n"


def test_json_ends_with_a_line_and_is_indented(tmp_path):
    write_json(tmp_path / "a.json", {"b": [np.int64(1), float("inf")]})
    assert (tmp_path / "a.json").read_text() == '{\n "b": [\n  1,\n  null\n ]\n}\n'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.bool_(True), True),
        (np.float32("-inf"), None),
        (np.float32(0.5), 0.5),
        (np.str_("a"), "a"),
        (np.zeros((2, 0)), [[], []]),
        ({(1, 2): {3}}, {"(1, 2)": "{3}"}),
        ((None, [True, Path("x")]), [None, [True, "x"]]),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_values_in_jsons_types(value, expected):
    found = jsonable(value)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\0\x08\x0b\x1f\x7f", r"\x00\x08\x0b\x1f\x7f"),
        ("\udc80\udcff", r"\x80\xff"),
        ("\ud800\udbff\udc7f\udfff", r"\ud800\udbff\udc7f" + "\\x3ff"),
        ("é😀", "é😀"),
    ],
)
def test_what_cannot_be_shown_is_written_out(text, expected):
    assert readable(text) == expected


@pytest.mark.parametrize("path", ["http://a/b", "s3://b", "git+ssh://a", Path("https://a/b")])
def test_addresses_are_told(path):
    assert local(path) == "; only local files are read"


@pytest.mark.parametrize("path", ["a", "/http://a", "C:/a", "a:b/c", "1s://x"])
def test_paths_are_none(path):
    assert local(path) == ""
