"""Text, tables and manifests of videos: what is read, and what is refused by file, line and rule."""

from __future__ import annotations

import gzip
import os
from dataclasses import asdict

import pytest

from gpuaug import BadFile, Manifest, Video, read_table, read_text
from gpuaug.video import manifest, table

FULL = Video("a.mp4", "x", 2.5, 30.0, True, 75, 64, 48, 90, "h264", "yuv420p", None, "cut", 3)


def written(folder, text, name="list.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"one\ntwo", "one\ntwo"),
        (b"\xef\xbb\xbfone", "one"),
        ("Grüße".encode(), "Grüße"),
        (gzip.compress(b"packed", mtime=0), "packed"),
        (gzip.compress(b"\xef\xbb\xbfpacked", mtime=0), "packed"),
        (b"", ""),
    ],
)
def test_text(tmp_path, data, text):
    assert read_text(written(tmp_path, data)) == text


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"ab\xff", "byte 2: must be UTF-8 text"),
        (gzip.compress(b"packed", mtime=0)[:-4], r"must be a whole gzip file \("),
        (gzip.compress(b"packed", mtime=0)[:12] + b"\0\0\0", r"must be a whole gzip file \("),
        (b"\x1f\x8bno", r"must be a whole gzip file \("),
    ],
)
def test_text_that_is_none(tmp_path, data, rule):
    with pytest.raises(BadFile, match=rf"list\.csv: {rule}"):
        read_text(written(tmp_path, data))
    with pytest.raises(BadFile, match=r"missing: cannot be read \(No such file or directory\)"):
        read_text(tmp_path / "missing")
    assert read_text(written(tmp_path, b"ab\xff"), errors="surrogateescape") == "ab\udcff"


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, size, fits):
    monkeypatch.setattr(table, "UNPACKED", 1000)
    path = written(tmp_path, gzip.compress(b"a" * size))
    monkeypatch.setattr(table, "TIMES", 1)
    if fits:
        assert len(read_text(path)) == size
    else:
        with pytest.raises(BadFile, match="must not unpack to more than"):
            read_text(path)
        monkeypatch.setattr(table, "TIMES", 100)
        assert len(read_text(path)) == size, "or so many times its own size"


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"], [("line 2", ["1", "2"]), ("line 3", ["3", "4"])]),
        (" a , b\n 1 ,2 \n", ["a", "b"], [("line 2", ["1", "2"])]),
        ("\n\na,b\n\n , \n1,2", ["a", "b"], [("line 6", ["1", "2"])]),
        ("a,b\r\n1,2\r\n", ["a", "b"], [("line 2", ["1", "2"])]),
        ('a,b\n"1, ""x""",2\n', ["a", "b"], [("line 2", ['1, "x"', "2"])]),
        ('a,b\n1, "2"\n', ["a", "b"], [("line 2", ["1", "2"])]),
        ("a\n1\n", ["a"], [("line 2", ["1"])]),
        ("a,,\n1,2,3\n", ["a", "", ""], [("line 2", ["1", "2", "3"])]),
        ("", [], []),
    ],
)
def test_tables(tmp_path, text, columns, rows):
    expected = columns, [(where, dict(zip(columns, values))) for where, values in rows]
    assert read_table(written(tmp_path, text)) == expected
    assert read_table("elsewhere", text) == expected


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a,b\n1\n", "line 2: must have 2 values, got 1"),
        ("a,b\n1,2,3\n", "line 2: must have 2 values, got 3"),
        ("a,b,a\n", "line 1: must have each column once, got 'a' twice"),
        ('a\n"1\n2"\n', "line 2: must close the quotes that it opens, got '\"1'"),
        ('a\n"1"2\n', r"line 2: must be CSV \("),
        ("a\n1\0\n", "line 2: must be UTF-8 text, got a NUL"),
        ("a\n\udcff\n", r"line 2: must be UTF-8 text, got '\\udcff'"),
        ("\udcff\n", "line 1: must be UTF-8 text, got"),
    ],
)
def test_tables_that_are_none(text, rule):
    with pytest.raises(BadFile, match=f"^list: {rule}"):
        read_table("list", text)


def test_names_of_files_may_hold_other_bytes():
    text = "path,label\na\udcff.mp4,x\n"
    assert read_table("list", text, file_names=("path",))[1][0][1]["path"] == "a\udcff.mp4"
    with pytest.raises(BadFile, match="line 2: must be UTF-8 text"):
        read_table("list", text)
    with pytest.raises(BadFile, match="line 2: must be UTF-8 text"):
        read_table("list", "path,label\na,\udcff\n", file_names=("path",))


def test_messages_are_not_too_long():
    error = BadFile("f", "e" * 501, "r" * 500)
    assert str(error) == f"f: {'e' * 500}…: {'r' * 500}"
    assert str(BadFile("f", "", "rule")) == "f: rule"
    assert [table.decoded(text) for text in ("a", "\udc80", "\udcff", "\udc7f", "ü")] == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_a_manifest_gives_back_every_column(tmp_path):
    bad = Video("sub/b.mp4", error='no, "video"\nat all')
    videos = [Video(str(tmp_path / v.path), *list(asdict(v).values())[1:]) for v in (FULL, bad)]
    outside = Video("/elsewhere/c.mp4", note=" spaces ")
    Manifest([*videos, outside]).save(tmp_path / "m.csv")
    assert Manifest.load(tmp_path / "m.csv").videos == [*videos, outside]
    assert (tmp_path / "m.csv").read_text().splitlines()[1].startswith("a.mp4,x,2.5,30.0,True,75,64,48,90,h264,")
    assert os.listdir(tmp_path) == ["m.csv"], "nothing is left beside it"


COLUMNS = "path,label,duration_seconds,fps,variable_rate,frames,width,height,rotation,codec,pixel_format,error"
ROW = "a.mp4,,2.5,30,False,75,64,48,0,h264,yuv420p,"


def test_manifests_of_earlier_versions(tmp_path):
    (video,) = Manifest.load(written(tmp_path, f"{COLUMNS}\n{ROW}\n\n")).videos
    assert video == Video(str(tmp_path / "a.mp4"), None, 2.5, 30.0, False, 75, 64, 48, 0, "h264", "yuv420p")
    with pytest.raises(ValueError, match=r"list\.csv is not a manifest: columns \['error', 'fps'\] are missing"):
        Manifest.load(written(tmp_path, COLUMNS.replace(",error", "").replace(",fps", "")))
    with pytest.raises(BadFile, match="line 2: must have 12 values, got 11"):
        Manifest.load(written(tmp_path, f"{COLUMNS}\n{ROW[:-1]}\n"))
    with pytest.raises(BadFile, match=r"line 2: must be CSV \("):
        Manifest.load(written(tmp_path, f'{COLUMNS}\n"a"b{ROW}\n'))


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        *(("duration_seconds", text, "float") for text in ("-1", "nan", "inf", "x", "")),
        *(("frames", text, "int") for text in ("-1", "1.5", "x", "", "1" * 21)),
        *(("variable_rate", text, "bool") for text in ("true", "1", "")),
        *(("damaged_frames", text, r"int \| None") for text in ("-1", "x", "0.5")),
    ],
)
def test_values_that_a_manifest_does_not_have(tmp_path, name, text, rule):
    header = f"{COLUMNS},damaged_frames".split(",")
    values = dict(zip(header, f"{ROW},2".split(",")))
    values[name] = text
    path = written(tmp_path, ",".join(header) + "\n" + ",".join(values.values()) + "\n")
    with pytest.raises(BadFile, match=rf"line 2: {name} must be {rule}, got '{text[:60]}'"):
        Manifest.load(path)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("0", "duration_seconds", 0.0),
        ("1e3", "fps", 1000.0),
        ("12345678901234567890", "frames", 12345678901234567890),
        ("True", "variable_rate", True),
        ("", "damaged_frames", None),
        ("0", "damaged_frames", 0),
    ],
)
def test_values_that_it_has(tmp_path, text, name, value):
    header = f"{COLUMNS},damaged_frames".split(",")
    values = {**dict(zip(header, f"{ROW},2".split(","))), name: text}
    (video,) = Manifest.load(written(tmp_path, ",".join(header) + "\n" + ",".join(values.values()))).videos
    assert getattr(video, name) == value


def test_columns_of_a_cache_are_a_videos_or_are_not_taken():
    right = {name: value for name, value in asdict(FULL).items() if name not in ("path", "label")}
    assert table.is_video(right)
    assert table.is_video({**right, "error": "broken", "damaged_frames": None, "note": None})
    for name, wrong in (
        ("frames", 75.0),
        ("frames", True),
        ("frames", -1),
        ("fps", 30),
        ("fps", float("inf")),
        ("fps", float("nan")),
        ("fps", -0.5),
        ("codec", None),
        ("note", 3),
        ("variable_rate", 1),
        ("damaged_frames", -1),
    ):
        assert not table.is_video({**right, name: wrong}), (name, wrong)
    assert not table.is_video({**right, "more": 1})
    assert not table.is_video({name: value for name, value in right.items() if name != "fps"})
    assert not table.is_video(list(right))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mp4", True),
        ("a.MKV", True),
        ("a.b.webm", True),
        ("mp4", False),
        (".mp4", False),
        (".a.mp4", False),
        ("a.txt", False),
        ("a.mp4x", False),
        ("a", False),
    ],
)
def test_names_of_videos(name, expected):
    assert manifest._named_as_video(name) == expected
