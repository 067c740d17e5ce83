"""A page with the frames around every boundary of some videos. Used by the command shots; imports shots, samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..shots.boundaries import INSTANT, Boundary
from ..shots.detect import Shots
from .samples import PAGES, jpeg_uri, save_page

MOST = 400  # boundaries of a video on the page; it says how many there are beside


def section(name: str, shots: Shots) -> dict[str, Any]:
    """What the page shows of a video; pictures as text, so that `shots` can go."""
    shown, count = shots.boundaries[:MOST], len(shots.boundaries)
    found = {0: "no boundary", 1: "1 boundary"}.get(count, f"{count} boundaries")
    note = f"{found} in {shots.frames} frames, {float(shots.rate):g} per second"
    if count > MOST:
        note += f"; the first {MOST} are shown"
    return {"name": name, "note": note, "strips": [_strip(shots, each) for each in shown]}


def write_sheet(path: Path, sections: Sequence[dict[str, Any]]) -> None:
    """Write the page; every picture is inside the file."""
    lead = (
        "The last frame before and the first frames after every boundary; of gradual ones also its ends. Below them: "
    )
    lead += "its kind, its frame or frames from 0, when it is, and the network's score, up to 1."
    save_page(path, PAGES.get_template("shots.html.j2").render(title="Shots", lead=lead, videos=sections))


def _strip(shots: Shots, boundary: Boundary) -> dict[str, Any]:
    first, last, kind, score = boundary
    seconds = shots.seconds_T[first]
    text = f"{kind} {first}" + ("" if kind in INSTANT else f"…{last}") + f", {seconds:.2f} s, score {score:.2f}"
    return {"pictures": list(_pictures(shots, boundary)), "text": text}


def _pictures(shots: Shots, boundary: Boundary) -> Iterator[tuple[int, str, str]]:
    """(frame, picture, what it shows) of those that were kept, or of one close by."""
    first, last, kind, _ = boundary
    if kind in INSTANT:
        wanted = {first: f"the first after the {kind}", first + 1: "the one after that"}
    else:
        wanted = {(first + last) // 2: "its middle", first: "the first mixed one", last: "the last mixed one"}
        wanted[last + 1] = f"the first after the {kind}"
    wanted[first - 1] = f"the last before the {kind}"
    told: set[int] = set()
    for frame, role in sorted(wanted.items()):
        near = min(shots.pictures, key=lambda each: abs(each - frame), default=None)
        if near is not None and abs(near - frame) <= 3 and near not in told:
            told.add(near)
            yield near, jpeg_uri(shots.pictures[near], quality=80), f", {role}" if near == frame else ""
