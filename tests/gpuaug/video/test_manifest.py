"""Finding, labelling and remembering files; the command. (What is read from real files: test_shared_data.py.)"""

import csv
import dataclasses
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gpuaug.__main__ as command
from gpuaug import Manifest, Video, probe
from gpuaug.video import manifest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(assets, tmp_path):
    """ROOT/{a,b}/{1,2}.mp4, ROOT/top.MKV, and things to be left alone."""
    root = tmp_path / "videos"
    for label in ("b", "a"):
        (root / label).mkdir(parents=True)
        for name in ("2.mp4", "1.mp4"):
            os.link(assets["cfr"], root / label / name)
    os.link(assets["mkv"], root / "top.MKV")
    (root / "a" / "._1.mp4").write_bytes(b"resource fork")
    (root / "notes.txt").write_text("not a video")
    (root / ".hidden").mkdir()
    os.link(assets["cfr"], root / ".hidden" / "x.mp4")
    return root


def names(found: Manifest, root: Path):
    return [(str(Path(video.path).relative_to(root)), video.label) for video in found.videos]


def test_folders_are_classes(folder):
    found = [("top.MKV", None), ("a/1.mp4", "a"), ("a/2.mp4", "a"), ("b/1.mp4", "b"), ("b/2.mp4", "b")]
    assert names(probe(folder), folder) == found
    assert names(probe([folder / "b", folder / "top.MKV"]), folder) == [("b/1.mp4", None), ("b/2.mp4", None), found[0]]


def test_links_that_go_round_in_circles(folder):
    (folder / "a" / "up").symlink_to(folder)
    (folder / "a" / "self").symlink_to(folder / "a")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "c").symlink_to(folder / "b")
    assert len(probe(folder).videos) == 5


def test_columns(assets):
    video = probe(assets["cfr"]).videos[0]
    expected = Video(str(assets["cfr"]), None, 2.0, 25.0, False, 50, 160, 96, 0, "h264", "yuv420p", None)
    assert video == expected
    assert probe(assets["vfr"]).videos[0].variable_rate
    turned, wide = probe([assets["turned_90"], assets["sar"]]).videos
    assert (turned.width, turned.height, turned.rotation) == (160, 96, 90)
    assert (wide.width, wide.height) == (213, 96)
    ntsc, rounded = probe([assets["ntsc"], assets["mkv"]]).videos
    assert ntsc.fps == pytest.approx(30000 / 1001, rel=1e-6)
    assert rounded.fps == pytest.approx(30000 / 1001, rel=1e-3)
    assert not rounded.variable_rate  # 33 and 34 ms


def test_a_csv_gives_labels(folder, tmp_path):
    table = tmp_path / "list.csv"
    table.write_text(
        'path,label,fold\nvideos/a/1.mp4,jump,1\n"videos/b/2.mp4","run, fast",2\nvideos/top.MKV,,1\nnone.mp4,x,1\n'
    )
    found = probe(table)
    assert [(v.label, v.error) for v in found.videos] == [
        ("jump", None), ("run, fast", None), (None, None), ("x", "no such file"),
    ]  # fmt: skip
    assert found.usable[0].frames == 50
    (tmp_path / "bad.csv").write_text("file,label\na.mp4,x\n")
    with pytest.raises(ValueError, match="must have a column named path, got columns"):
        probe(tmp_path / "bad.csv")
    with pytest.raises(FileNotFoundError, match=r"no such file or folder: .*nowhere"):
        probe(tmp_path / "nowhere")


def test_a_csv_may_have_spaces_and_a_byte_order_mark(folder, tmp_path):
    table = tmp_path / "list.csv"
    table.write_text(
        '\ufeffpath, label\r\nvideos/a/1.mp4, jump \r\n\r\nvideos/b/2.mp4, "run, fast"\r\n', encoding="utf-8"
    )
    assert [(v.label, v.error) for v in probe(table).videos] == [("jump", None), ("run, fast", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'path,label\na.mp4,"dive\nb.mp4,swim\nc.mp4,swim\n',
            r"line 2: must close the quotes that it opens, got 'a.mp4",
        ),
        (b'path,label\na.mp4,"dive\nb.mp4,swim"\nc.mp4,swim\n', r"line 2: must close the quotes that it opens"),
        (b'path,label\na.mp4,dive"\nb.mp4,swim\n', r"line 2: must close the quotes that it opens"),
        (b'path,label\na.mp4,"dive" deep\n', r"line 2: must be CSV \("),
        (b"path,label\na.mp4,dive\na.mp4,swim\n", r"line 3: a file must have one label, 'a.mp4' has 'dive' and 'swim'"),
        (b"path,label\na.mp4,dive\nx/../a.mp4,swim\n", r"line 3: a file must have one label"),
        (b"path,label\na.mp4,dive\nlink.mp4,\n", r"line 3: a file must have one label, 'link.mp4' has 'dive' and ''"),
        ("path,label\na.mp4,plongée\n".encode("latin-1"), r"line 2: must be UTF-8 text, got 'plong\\udce9e'"),
        ("path,label\nplongée.mp4,dive\n".encode("latin-1"), r"line 2: must be UTF-8 text or name a file"),
        ("path,label\na.mp4,dive\n".encode("utf-16"), r"line 1: must be UTF-8 text, got a NUL"),
        (b"path,label\na\0.mp4,dive\n", r"line 2: must be UTF-8 text, got a NUL"),
        (b"path,label\na.mp4\n", r"line 2: must have 2 values, got 1"),
        (b"path,label\n,dive\n", r"line 2: must name a file, got an empty path"),
        (b"path,label,label\na.mp4,dive,swim\n", r"line 1: must have each column once, got 'label' twice"),
        (b"\x1f\x8bpath", r"must be a whole gzip file"),
    ],
)
def test_a_csv_that_would_lose_something_is_refused(assets, tmp_path, content, message):
    os.link(assets["cfr"], tmp_path / "a.mp4")
    os.symlink("a.mp4", tmp_path / "link.mp4")
    (tmp_path / "x").mkdir()
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        probe(tmp_path / "list.csv")
    assert str(error.value).startswith(f"{tmp_path / 'list.csv'}: ")
    assert "\n" not in str(error.value)


def test_save_and_load(folder, tmp_path, assets):
    (folder / "a" / "broken.mp4").write_text('text, with "quotes"')
    found = probe([folder, assets["vfr"]])
    found.save(tmp_path / "videos.csv")
    assert Manifest.load(tmp_path / "videos.csv") == found
    assert probe(tmp_path / "videos.csv") == found  # a manifest is such a CSV, too
    with open(tmp_path / "videos.csv", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert paths[0] == "videos/top.MKV"
    assert os.path.isabs(paths[-1])
    with pytest.raises(ValueError, match="is not a manifest: columns"):
        Manifest.load(folder / "notes.txt")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("ok.mp4", "must have 14 values, got 1"),
        ("a.mp4,,nan,1,True,1,1,1,0,h264,rgb,,,", "duration_seconds must be float, got 'nan'"),
        ("a.mp4,,1,1,True,-1,1,1,0,h264,rgb,,,", "frames must be int, got '-1'"),
        (f"a.mp4,,1,1,True,{'9' * 5000},1,1,0,h264,rgb,,,", "frames must be int, got '9999"),
        ("a.mp4,,1,1,yes,1,1,1,0,h264,rgb,,,", "variable_rate must be bool, got 'yes'"),
        ('"a.mp4,,1,1,True,1,1,1,0,h264,rgb,,,', "must be CSV"),
        (f"{'x' * 200_000},,1,1,True,1,1,1,0,h264,rgb,,,", "must be CSV"),
    ],
)
def test_a_bad_row_of_a_manifest_is_named(row, rule, tmp_path):
    names = ",".join(field.name for field in dataclasses.fields(Video))
    (tmp_path / "m.csv").write_text(f"{names}\n{row}\n")
    with pytest.raises(ValueError, match=re.escape(rule)) as error:
        Manifest.load(tmp_path / "m.csv")
    assert str(error.value).startswith(f"{tmp_path / 'm.csv'}: line 2: ")
    assert "\n" not in str(error.value)


def test_a_manifest_that_cannot_be_written_leaves_the_old_one_and_no_part(folder, tmp_path):
    found = probe(folder)
    found.save(tmp_path / "m.csv")
    broken = Manifest([*found.videos, dataclasses.replace(found.videos[0], path="\ud800.mp4")])
    with pytest.raises(UnicodeEncodeError):
        broken.save(tmp_path / "m.csv")
    assert Manifest.load(tmp_path / "m.csv") == found
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


def test_names_that_are_not_text(assets, tmp_path):
    strange = [
        os.path.join(os.fsencode(tmp_path), name) for name in (b"a\xff.mp4", 'ü,"\n.mp4'.encode(), b"clip:01.mp4")
    ]
    for name in strange:
        os.link(assets["cfr"], name)
    for _ in range(2):  # the second time from the cache
        found = probe(tmp_path, cache=tmp_path / "cache")
        assert sorted(os.fsencode(video.path) for video in found.usable) == sorted(strange)
    found.save(tmp_path / "m.csv")
    assert Manifest.load(tmp_path / "m.csv") == found
    os.unlink(strange[1])  # a line break in a name: `load` knows what it wrote, a list of videos is a line each
    found = probe(tmp_path)
    found.save(tmp_path / "m.csv")
    assert probe(tmp_path / "m.csv") == probe([video.path for video in found.videos])


class TestCommand:
    def run(self, *arguments):
        return command.main(["probe", *map(str, arguments)])

    def test_a_folder(self, folder, tmp_path, capsys):
        (folder / "bad.mp4").touch()
        assert self.run(folder, "-o", tmp_path / "new" / "m.csv") == 0
        out, err = capsys.readouterr()
        assert out.startswith("5 usable videos, 0.00 hours, 2 classes; 1 unusable\nwritten to ")
        assert err == f"  {folder}/bad.mp4: empty file\n"
        assert len(Manifest.load(tmp_path / "new" / "m.csv").videos) == 6

    @pytest.mark.parametrize(
        ("arguments", "status", "message"),
        [
            (["nowhere"], 1, "error: no such file or folder: nowhere\n"),
            (["s3://b/a.mp4"], 1, "error: no such file or folder: s3://b/a.mp4; only local files are read\n"),
            (["x", "--nocache"], 2, "probe: error: there is no flag --nocache; did you mean --no-cache?\n"),
            (["x", "--no-cach"], 2, "probe: error: there is no flag --no-cach; did you mean --no-cache?\n"),
            (["x", "--zzz=3"], 2, "probe: error: there is no flag --zzz\n"),
            ([], 2, "the following arguments are required: PATH"),
            (
                ["x", "-o", "/dev/null/m/m.csv"],
                2,
                "--out /dev/null/m/m.csv: /dev/null/m cannot be made (Not a directory)",
            ),
            (["x", "--workers", "0"], 2, "--workers must be >= 1, got 0"),
            (["--help"], 0, ""),
        ],
    )
    def test_usage(self, arguments, status, message, capsys):
        assert self.run(*arguments) == status
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == (status > 0), "one line"

    def test_stopped(self, folder, capsys, monkeypatch):
        def stop(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(command, "probe", stop)
        assert [self.run(folder), self.run(folder, "--no-cache")] == [1, 1]
        assert capsys.readouterr().err == "stopped; what was read is remembered\nstopped\n"

    def test_nothing_usable_is_a_failure(self, tmp_path):
        assert self.run(tmp_path) == 1

    @pytest.mark.end_to_end
    def test_as_a_program(self):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        call = [sys.executable, "-m", "gpuaug"]
        for arguments, status in ((["probe", "nowhere"], 1), (["fly"], 2)):
            run = subprocess.run([*call, *arguments], capture_output=True, text=True, check=False, env=environment)
            assert run.returncode == status
            assert "Traceback" not in run.stderr


def test_a_progress_bar_after_a_second(folder, capsys, monkeypatch):
    original = manifest._read
    monkeypatch.setattr(manifest, "_read", lambda path: time.sleep(0.6) or original(path))
    probe(folder, cache=False, workers=1, progress=True)
    assert "reading videos" in capsys.readouterr().err
    monkeypatch.setattr(manifest, "_read", original)
    probe(folder, cache=False, progress=True)
    assert "reading videos" not in capsys.readouterr().err
