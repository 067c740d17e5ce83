"""The gallery: every kind is on the page and moves as its plan says; the documents' strips are what the code draws."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

import gpuaug
from gpuaug.transitions import FAMILIES, NAMES
from pretrain.commands.edited import gallery
from pretrain.reports.gallery import BEFORE, FRAMES, LASTS, LONG, SIZE, drawn, read, shown, write_strips

STRIPS = Path(__file__).parents[3] / "docs" / "transitions"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    assert gallery.main(["-o", str(folder)]) == 0
    return (folder / "gallery.html").read_text(encoding="utf-8")


def test_every_kind_is_on_the_page(page):
    assert re.findall(r"<figcaption>(\w+)", page) == list(NAMES)
    assert re.findall(r'<section id="(\w+)">', page) == list(FAMILIES)
    assert page.count("prefers-reduced-motion") == len(NAMES)
    assert "http://" not in page
    assert "https://" not in page


def test_what_moves_is_what_the_plan_shows(page):
    moving = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    assert len(moving) == len(NAMES)
    kinds = [kind for family in shown(drawn(SIZE)).values() for kind in family]
    for number in (NAMES.index("push_left"), NAMES.index("circle_open")):
        frames = ImageSequence.Iterator(Image.open(io.BytesIO(base64.b64decode(moving[number]))))
        found = np.stack([np.asarray(frame.convert("RGB")) for frame in frames]).astype(int)
        off = [np.abs(found - np.roll(kinds[number].frames_TYXC, k, 0)).mean() for k in (0, 1)]
        assert off[0] < 4 < off[1], off


def test_they_begin_with_one_clip_and_end_with_the_other():
    clips = drawn((18, 32))
    for family, kinds in shown(clips).items():
        for kind in kinds:
            assert np.array_equal(kind.frames_TYXC[:BEFORE], clips[0, :BEFORE]), kind.name
            assert kind.frames_TYXC.shape == (FRAMES, 18, 32, 3)
            if family != "time":
                begin = 0 if family == "cut" else LASTS - 1
                assert np.array_equal(kind.frames_TYXC[BEFORE + begin :], clips[1, begin : FRAMES - BEFORE]), kind.name
            assert kind.strip.shape == (18, 5 * 32 + 4 * 2, 3)


def test_two_videos_of_ones_own(tmp_path, capsys):
    for k, size in enumerate([(48, 64), (80, 40)]):
        frames = (np.full((*size, 3), 40 + 90 * k + 2 * i, np.uint8) for i in range(60))
        gpuaug.write_video(tmp_path / f"{k}.mp4", frames, 15)
    videos = [str(tmp_path / f"{k}.mp4") for k in range(2)]
    clips = read(videos, (36, 64))
    assert clips.shape == (2, LONG, 36, 64, 3)
    level = clips.mean((2, 3, 4))
    begin = (60 - LONG) / 2  # the middle
    np.testing.assert_allclose(level[0], 40 + 2 * (np.floor(begin) + np.arange(LONG)), atol=3)
    np.testing.assert_allclose(level[1] - level[0], 90, atol=3)
    assert gallery.main([*videos, "-o", str(tmp_path / "page")]) == 0
    text = (tmp_path / "page" / "gallery.html").read_text(encoding="utf-8")
    assert f"{len(NAMES)} kinds in {len(FAMILIES)} families, over 0.mp4 and 1.mp4." in text
    out = capsys.readouterr()
    assert out.out.splitlines() == [str(tmp_path / "page" / "gallery.html")]
    assert out.err.startswith("next: open the page")


def test_bad_input_is_one_line(tmp_path, capsys):
    (tmp_path / "no.mp4").write_bytes(b"no video")
    (tmp_path / "file").write_text("")
    out = ["-o", str(tmp_path / "out")]
    for words, status, message in (
        (["one.mp4", *out], 2, "VIDEO must be two videos or none, got 1"),
        ([str(tmp_path / "no.mp4")] * 2 + out, 1, "no.mp4 cannot be used: "),
        (["-o", str(tmp_path / "file")], 1, "file must be a folder, and is a file"),
        ([], 2, "the following arguments are required: -o/--out"),
    ):
        assert gallery.main(words) == status
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_strips_in_the_documents_are_current(tmp_path):
    files = write_strips(tmp_path)
    assert (
        {file.name for file in files} == {file.name for file in STRIPS.glob("*.png")} == {f"{f}.png" for f in FAMILIES}
    )
    for file in files:
        new, old = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (file, STRIPS / file.name))
        assert new.shape == old.shape, file.name
        assert np.abs(new - old).max() <= 2, f"{file.name}: made by `gpuaug gallery -o DIR --strips docs/transitions`"
    assert sum(file.stat().st_size for file in STRIPS.glob("*.png")) < 400_000
