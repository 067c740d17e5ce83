"""The page of samples, read back by an HTML parser: frames, bars, legend, timeline, and names that look like markup."""

from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import gpuaug
from pretrain.data.dataset import Segment
from pretrain.reports.samples import COLORS, WIDTH, pictures, write_page
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
        if tag not in ("img", "meta"):
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
    clips, times = np.array([[[7, 5]] * 4]), np.array([[[0, 9], [1, 10], [2, 11], [3, 12]]], float)
    plan = gpuaug.Plan(clips, times, np.array([[[1, 0], [0.75, 0.25], [0, 1], [0, 1]]], np.float32))
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    return Card("title", frames, plan, {7: "seven", 5: "five"}, **more)


def page(tmp_path, *cards, title="t", lead="l"):
    write_page(tmp_path / "pages" / "page.html", title, lead, cards)
    return Page(tmp_path / "pages" / "page.html")


def test_frames_bars_and_legend(tmp_path):
    found = page(tmp_path, card(note="note", boundary=2), card(span=(1, 3)))
    assert found.texts("h2") == ["1. title", "2. title"]
    frames = [has["class"] for has in found.all("img")]
    assert frames == ["", "", "new", "", "", "span", "span", ""]
    assert all(has["src"].startswith("data:image/jpeg;base64,") for has in found.all("img"))
    assert [has["alt"] for has in found.all("img")][2:6] == [
        "frame 2, the first after the boundary",
        "frame 3",
        "frame 0",
        "frame 1, of the action",
    ]
    bars = [(float(b["x"]) / (WIDTH + 2), float(b["y"]), float(b["height"]), b["fill"]) for b in found.all("rect")]
    seven, five = COLORS[:2]
    expected = [(0, 0, 34, seven), (1, 0, 25.5, seven), (1, 25.5, 8.5, five), (2, 0, 34, five), (3, 0, 34, five)]
    assert bars == expected * 2
    assert found.texts("text") == ["frame 0", "frame 1 × 0.75", "frame 11", "frame 12"] * 2  # 8.5 pixels have no room
    assert found.texts("li") == ["seven", "five"] * 2
    assert found.all("meta", name="viewport")


def test_timeline(tmp_path):
    actions = [(Segment("v", 5.0, 9.0, 1, 0), "<b>"), (Segment("v", 12.0, 20.0, 7, 0), "swim")]
    found = page(tmp_path, card(timeline=Timeline(20.0, actions, (6.0, 7.6), [(0.0, 1.6)])))
    scale = 8 * WIDTH / 20
    boxes = [(float(has["x"]), float(has["width"])) for has in found.all("svg") if "x" in has]
    assert boxes == [(round(5 * scale, 1), round(4 * scale, 1)), (round(12 * scale, 1), round(8 * scale, 1))]
    assert [has["fill"] for has in found.all("rect", width="100%")] == [COLORS[1], COLORS[7 - len(COLORS)]]
    assert found.texts("title")[1:] == ["<b>, 5.00 … 9.00 s", "swim, 12.00 … 20.00 s"]
    other, this = found.all("rect", **{"class": "clip"})
    assert (other["fill"], this["fill"]) == ("#1d2530", "#d0112b")
    assert float(this["x"]) == pytest.approx(6 * scale, abs=0.06)
    assert float(this["width"]) == pytest.approx(1.6 * scale, abs=0.06)
    assert "20.0 s" in found.texts("text")


def test_names_of_files_and_classes_stay_text(tmp_path):
    line = Timeline(20.0, [(Segment(NASTY, 5.0, 9.0, 0, 0), NASTY)], (6.0, 7.6), [])
    nasty = Card(NASTY, card().frames_TYXC, card().plan, {7: NASTY, 5: "five"}, note=NASTY, timeline=line)
    found = page(tmp_path, nasty, title=NASTY, lead=NASTY)
    assert not found.all("script")
    assert not any("onload" in has for _, has in found.found)
    assert {text for _, text in found.text if "{{7*7}}" in text} == {NASTY, f"1. {NASTY}", f"{NASTY}, 5.00 … 9.00 s"}
    assert (
        sum("{{7*7}}" in text for _, text in found.text) == 8
    )  # title twice, lead, heading, note, action twice, legend


def test_pictures_are_the_clips_before_normalisation():
    shown = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), np.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
    clips = (torch.from_numpy(shown).permute(0, 4, 1, 2, 3) / 255 - torch.tensor(mean).reshape(-1, 1, 1, 1)) / (
        torch.tensor(std).reshape(-1, 1, 1, 1)
    )
    np.testing.assert_array_equal(pictures(clips, mean, std), shown)
