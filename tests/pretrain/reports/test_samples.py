"""The page of samples, read back by an HTML parser: frames, bars, legend, timeline, and names that look like markup."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

import gpuaug
from pretrain.data.dataset import Segment
from pretrain.reports.samples import COLORS, FRAME_MS, WIDTH, pictures, write_page
from pretrain.tasks.card import Card, Timeline

NASTY = """<script>alert("1")</script>' onload='x' {{7*7}} {% raw %} &lt;"""


class Page(HTMLParser):
    """Elements with their attributes, and all text by element."""

    def __init__(self, file):
        super().__init__()
        self.found, self.text, self._open = [], [], []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("img", "meta", "source"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, "elements are closed in order"

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        if data.strip():
            self.text.append((self._open[-1], data.strip()))

    def all(self, tag, **attributes):
        return [has for name, has in self.found if name == tag and attributes.items() <= has.items()]

    def texts(self, tag):
        return [text for name, text in self.text if name == tag]


def card(**more):
    """Frames 0…3: clip 7, a mix of 7 and 5, clip 5 twice."""
    clips, times = np.array([[[7, 5]] * 4]), np.array([[0, 9], [1, 10], [2, 11], [3, 12]], float)
    plan = gpuaug.Plan(clips, times[None], np.array([[[1, 0], [0.75, 0.25], [0, 1], [0, 1]]], np.float32))
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    return Card("title", frames, plan, {7: "seven", 5: "five"}, times / 10, **more)


def page(tmp_path, *cards, title="t", lead="l"):
    write_page(tmp_path / "pages" / "page.html", title, lead, cards)
    return Page(tmp_path / "pages" / "page.html")


def test_frames_bars_and_legend(tmp_path):
    found = page(tmp_path, card(note="note", boundary=2), card(span=(1, 3)))
    assert found.texts("h2") == ["How to read it", "1. title", "2. title"]
    frames = [has for has in found.all("img") if has["class"] != "moving"]
    assert [has["class"] for has in frames] == ["", "", "new", "", "", "span", "span", ""]
    assert all(has["src"].startswith("data:image/jpeg;base64,") for has in frames)
    assert [has["alt"] for has in frames][1:6] == [
        "frame 2 of 4: seven at 0.10 s × 0.75, five at 1.00 s × 0.25",
        "frame 3 of 4: five at 1.10 s, the first after the boundary",
        "frame 4 of 4: five at 1.20 s",
        "frame 1 of 4: seven at 0.00 s",
        "frame 2 of 4: seven at 0.10 s × 0.75, five at 1.00 s × 0.25, of the action",
    ]
    bars = [(float(b["x"]) / (WIDTH + 2), float(b["y"]), float(b["height"]), b["fill"]) for b in found.all("rect")]
    seven, five = COLORS[:2]
    expected = [(0, 0, 34, seven), (1, 0, 25.5, seven), (1, 25.5, 8.5, five), (2, 0, 34, five), (3, 0, 34, five)]
    assert bars == expected * 2
    assert found.texts("text") == ["0.00 s", "0.10 s × 0.75", "1.10 s", "1.20 s"] * 2  # 8.5 pixels have no room
    assert found.texts("li")[-4:] == ["seven", "five"] * 2
    assert [has["class"] for has in found.all("i") if "class" in has] == ["new", "span"]  # of the legend
    assert found.all("meta", name="viewport")


def test_timeline(tmp_path):
    actions = [(Segment("v", 5.0, 9.0, 1, 0), "<b>"), (Segment("v", 12.0, 20.0, 7, 0), "swim")]
    found = page(tmp_path, card(timeline=Timeline(20.0, actions, (6.0, 7.6), [(0.0, 1.6)])))
    scale = 8 * WIDTH / 20
    boxes = [(float(has["x"]), float(has["width"])) for has in found.all("svg") if "x" in has]
    assert boxes == [(round(5 * scale, 1), round(4 * scale, 1)), (round(12 * scale, 1), round(8 * scale, 1))]
    assert [has["fill"] for has in found.all("rect", width="100%")] == [COLORS[1], COLORS[7 - len(COLORS)]]
    assert found.texts("title")[1:] == ["<b>, 5.00 … 9.00 s", "swim, 12.00 … 20.00 s"]
    assert len(found.all("rect", **{"class": "clip others"})) == 1
    (this,) = found.all("rect", **{"class": "clip this"})
    assert float(this["x"]) == pytest.approx(6 * scale, abs=0.06)
    assert float(this["width"]) == pytest.approx(1.6 * scale, abs=0.06)
    assert "20.0 s" in found.texts("text")


def test_the_names_of_actions_that_overlap_are_seen(tmp_path):
    """What is drawn later covers what is below: an action's start may not be covered by one that began before."""
    spans = [("second", 4.0, 9.0), ("first", 0.0, 5.0), ("whole", 0.0, 20.0)]
    actions = [(Segment("v", start, end, k, 0), name) for k, (name, start, end) in enumerate(spans)]
    found = page(tmp_path, card(timeline=Timeline(20.0, actions, (6.0, 7.6), [])))
    assert [text.split(",")[0] for text in found.texts("title")[1:]] == ["whole", "first", "second"]


def test_what_rounds_to_the_whole_of_a_frame_is_shown_as_it(tmp_path):
    usual = card()
    plan = gpuaug.Plan(usual.plan.clip, usual.plan.time, usual.plan.weight * np.float32(0.999))
    found = page(tmp_path, dataclasses.replace(usual, plan=plan))
    assert found.texts("text") == ["0.00 s", "0.10 s × 0.75", "1.10 s", "1.20 s"]


def test_names_of_files_and_classes_stay_text(tmp_path):
    line = Timeline(20.0, [(Segment(NASTY, 5.0, 9.0, 0, 0), NASTY)], (6.0, 7.6), [])
    usual = card()
    names = {7: NASTY, 5: "five"}
    nasty = Card(NASTY, usual.frames_TYXC, usual.plan, names, usual.seconds_TK, kind="k", note=NASTY, timeline=line)
    found = page(tmp_path, nasty, title=NASTY, lead=NASTY)
    assert not found.all("script")
    assert not any("onload" in has for _, has in found.found)
    assert {text for _, text in found.text if "{{7*7}}" in text} == {NASTY, f"1. {NASTY}", f"{NASTY}, 5.00 … 9.00 s"}
    assert (
        sum("{{7*7}}" in text for _, text in found.text) == 8
    )  # title twice, lead, heading, note, action twice, legend


def test_the_sample_moves(tmp_path):
    frames = np.arange(4, dtype=np.uint8)[:, None, None, None] * 60 + np.zeros((4, 8, 8, 3), np.uint8)
    found = page(tmp_path, dataclasses.replace(card(boundary=2), frames_TYXC=frames))
    (moving,) = found.all("img", **{"class": "moving"})
    assert moving["alt"] == "in motion: title; boundary before frame 3"
    film = Image.open(io.BytesIO(base64.b64decode(moving["src"].removeprefix("data:image/webp;base64,"))))
    shown = []
    for n in range(film.n_frames):
        film.seek(n)
        shown.append((round(float(np.asarray(film.convert("RGB")).mean()) / 60), film.info["duration"]))
    assert shown == [(k, FRAME_MS) for k in range(4)]
    assert film.info["loop"] == 0


def luminance(color):
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_all_text_is_enough(tmp_path):
    """WCAG AA: 4.5, of text on cards, pages and bars, in the light and the dark scheme."""
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.01)  # which would not do
    page(tmp_path, card())
    style = (tmp_path / "pages" / "page.html").read_text(encoding="utf-8")
    schemes = [dict(re.findall(r"--(\w+): (#\w+)", part)) for part in re.findall(r":root \{(.*?)\}", style, re.S)]
    assert len(schemes) == 2
    for scheme in schemes:
        full = {
            name: value if len(value) == 7 else "#" + "".join(2 * c for c in value[1:])
            for name, value in scheme.items()
        }
        for text in ("text", "soft", "link"):
            for ground in ("page", "card"):
                assert contrast(full[text], full[ground]) >= 4.5, (text, ground)
    for color in COLORS:
        assert contrast("#ffffff", color) >= 4.5, color


def test_pictures_are_the_clips_before_normalisation():
    shown = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), np.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
    clips = (torch.from_numpy(shown).permute(0, 4, 1, 2, 3) / 255 - torch.tensor(mean).reshape(-1, 1, 1, 1)) / (
        torch.tensor(std).reshape(-1, 1, 1, 1)
    )
    np.testing.assert_array_equal(pictures(clips, mean, std), shown)
