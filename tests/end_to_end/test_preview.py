"""`python -m pretrain preview` of every task, on files and classes whose names look like markup."""

import re

import pytest

import pretrain.commands.preview
from pretrain.commands import preview
from support import tiny_training

NASTY = """<img src=x onerror='alert(1)'>{{7*7}}"""
ESCAPED = "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;{{7*7}}"


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(pretrain.commands.preview, "encoder", tiny_training.small)


def check(page, samples):
    """The page's headings; it has so many samples, and no name became markup."""
    assert page.count("<section><h2>") == samples + 1  # and the legend
    assert page.count(ESCAPED) >= samples
    assert "<img src=x" not in page
    assert all(
        source.startswith(("data:image/jpeg;base64,", "data:image/webp;base64,"))
        for source in re.findall(r'src="([^"]*)"', page)
    )
    return re.findall(r"<h2>\d+\. (.*?)<small>", page)


def test_bsp(tmp_path, capsys):
    videos = tiny_training.make_videos(tmp_path / "videos")
    (folder := sorted(path for path in videos.iterdir() if path.is_dir())[0]).rename(folder.with_name(NASTY))
    for file in list(videos.glob("*/*.*")):
        file.rename(file.with_name(NASTY + file.name))
    flags = [*tiny_training.FLAGS, "--videos", str(videos), "--out", str(tmp_path / "out"), "--samples", "12"]
    assert preview.main(flags) == 0
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / "out" / "preview.html"))
    titles = check((tmp_path / "out" / "preview.html").read_text(encoding="utf-8"), 12)
    assert {title[-4:] for title in titles} <= {"(dc)", "(sc)", "(ds)", "(ss)"}


@pytest.mark.parametrize(("task", "cards"), [("pal", 6), ("tsp", 3)])
def test_untrimmed(task, cards, tmp_path):
    videos = tiny_training.make_long_videos(tmp_path / "videos")
    for file in list(videos.glob("*.avi")):
        file.rename(file.with_name(NASTY + file.name))
    annotations = videos / "annotations.json"
    annotations.write_text(annotations.read_text().replace('"video_', f'"{NASTY}video_'))
    flags = [*tiny_training.FLAGS, *tiny_training.untrimmed_flags(task, videos), "--out", str(tmp_path), "-n", "3"]
    assert preview.main(flags) == 0
    titles = check((tmp_path / "preview.html").read_text(encoding="utf-8"), cards)
    assert all(title.startswith("Pair ") == (task == "pal") for title in titles)


@pytest.mark.parametrize("reuse", ["1", "2"])
def test_names_and_times_are_of_the_windows_shown(reuse, tmp_path):
    """Also where a window is used up by what shows it, as TSP's recipe has it: the card's title is from the target."""
    videos = tiny_training.make_long_videos(tmp_path / "videos")
    flags = [*tiny_training.FLAGS, *tiny_training.untrimmed_flags("tsp", videos), "--reuse-max", reuse]
    assert preview.main([*flags, "--out", str(tmp_path), "-n", "6"]) == 0
    page = (tmp_path / "preview.html").read_text(encoding="utf-8")
    told = re.findall(r"<h2>\d+\. .*?<small>(\S+), ([\d.]+) … [\d.]+ s</small>", page)
    shown = re.findall(r'alt="frame 1 of 8: (\S+): .*? at ([\d.]+) s', page)
    assert len(told) == 6
    assert told == shown


def test_wrong_usage(tmp_path, capsys):
    flags = [*tiny_training.FLAGS, "--videos", str(tmp_path), "--out", str(tmp_path)]
    assert preview.main([*flags, "--samples", "0"]) == 2
    assert "error: --samples must be ≥ 1, got 0" in capsys.readouterr().err
