"""The page of shots: which pictures stand for a boundary, how many boundaries there are room for, what is said."""

import base64
import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from pretrain.reports import contact_sheet
from pretrain.reports.contact_sheet import section, write_sheet
from pretrain.shots.boundaries import Boundary
from pretrain.shots.detect import Shots


def shots(*boundaries, pictures=(), frames=100, rate=Fraction(25)):
    kept = {k: np.full((8, 12, 3), k % 256, np.uint8) for k in pictures}
    return Shots(rate, frames, list(boundaries), np.arange(frames) / float(rate), None, None, kept)


def strip(boundary, pictures):
    """[(frame, role)] of the only boundary."""
    (found,) = section("a.mp4", shots(boundary, pictures=pictures))["strips"]
    return [(frame, role) for frame, _, role in found["pictures"]]


@pytest.mark.parametrize("kind", ["cut", "jump"])
def test_an_instant_has_three_pictures(kind):
    assert strip(Boundary(20, 20, kind, 0.5), range(100)) == [
        (19, f", the last before the {kind}"), (20, f", the first after the {kind}"), (21, ", the one after that")
    ]  # fmt: skip


def test_a_gradual_transition_has_five():
    assert strip(Boundary(20, 31, "wipe", 0.5), range(100)) == [
        (19, ", the last before the wipe"), (20, ", the first mixed one"), (25, ", its middle"),
        (31, ", the last mixed one"), (32, ", the first after the wipe"),
    ]  # fmt: skip
    assert [frame for frame, _ in strip(Boundary(20, 21, "wipe", 0.5), range(100))] == [19, 20, 21, 22]
    assert strip(Boundary(20, 21, "wipe", 0.5), range(100))[1][1] == ", the first mixed one"


@pytest.mark.parametrize(
    ("pictures", "shown"),
    [
        ([16], [(16, "")]),  # for 19
        ([15], []),
        ([24], [(24, "")]),  # for 21
        ([25], []),
        ([17, 18], [(18, "")]),  # the nearest one of 19, 20 and 21, once
        ([18, 20, 23], [(18, ""), (20, ", the first after the cut")]),
        ([], []),
    ],
)
def test_a_picture_close_by_stands_in_once_and_without_a_role(pictures, shown):
    assert strip(Boundary(20, 20, "cut", 0.5), pictures) == shown


def test_what_is_said():
    cut, wipe = Boundary(50, 50, "cut", 0.987), Boundary(60, 64, "wipe", 0.5)
    found = section("film", shots(cut, wipe, rate=Fraction(30000, 1001)))
    assert found["name"] == "film"
    assert found["note"] == "2 boundaries in 100 frames, 29.97 per second"
    assert [each["text"] for each in found["strips"]] == [
        "cut 50, 1.67 s, score 0.99",
        "wipe 60…64, 2.00 s, score 0.50",
    ]
    assert section("film", shots())["note"] == "no boundary in 100 frames, 25 per second"
    assert section("film", shots(cut))["note"] == "1 boundary in 100 frames, 25 per second"


@pytest.mark.parametrize(("count", "shown", "more"), [(3, 3, ""), (4, 3, "; the first 3 are shown")])
def test_of_many_the_first_ones_are_shown(count, shown, more, monkeypatch):
    assert contact_sheet.MOST == 400
    monkeypatch.setattr(contact_sheet, "MOST", 3)
    found = section("film", shots(*(Boundary(5 * k, 5 * k, "cut", 0.5) for k in range(1, count + 1))))
    assert len(found["strips"]) == shown
    assert found["note"] == f"{count} boundaries in 100 frames, 25 per second{more}"


def test_the_page_has_its_pictures_inside(tmp_path):
    part = section("<film>", shots(Boundary(20, 20, "cut", 0.5), pictures=[19, 20, 21]))
    write_sheet(tmp_path / "new" / "shots.html", [part])
    page = (tmp_path / "new" / "shots.html").read_text(encoding="utf-8")
    assert "&lt;film&gt;" in page
    assert "cut 20, 0.80 s, score 0.50" in page
    assert "The last frame before and the first frames after every boundary" in page
    uris = [uri for _, uri, _ in part["strips"][0]["pictures"]]
    assert [page.count(uri) for uri in uris] == [1, 1, 1]
    picture = Image.open(io.BytesIO(base64.b64decode(uris[2].partition(",")[2])))
    assert (picture.format, picture.size) == ("JPEG", (12, 8))
    assert abs(int(np.asarray(picture)[4, 4, 0]) - 21) <= 2
