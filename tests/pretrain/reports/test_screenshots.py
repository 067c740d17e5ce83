"""The pages as a browser shows them, at the width of a desk and of a phone: nothing is wider than the window.

Needs chromium (Debian's package, which .ci/run installs); skipped without it.
"""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import gpuaug
from pretrain.commands import report
from pretrain.commands.edited import gallery
from pretrain.data.dataset import Segment
from pretrain.reports.samples import write_page
from pretrain.tasks.card import Card, Timeline

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(BROWSER is None, reason="no chromium: the pages are not looked at (apt install chromium)"),
]
LONG = "a_name_without_a_place_to_break_it_" * 4
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]


def preview(folder):
    line = Timeline(20.0, [(Segment("v", 5.0, 9.0, 1, 0), LONG)], (6.0, 7.6), [(0.0, 1.6)])
    plan = gpuaug.Plan.take([0], [np.arange(8.0)])
    frames = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    cards = [Card(LONG, frames, plan, {0: LONG}, np.zeros((8, 1)), kind="dc", note=LONG, boundary=3, timeline=line)]
    write_page(folder / "page.html", LONG, LONG, cards, [(LONG, LONG)])


def run(folder):
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "samples": 8, "constant": 0.25, "confusion": [[3, 1], [2, 2]]}
    rows = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "validation": {"loss": 1.1, "boundary": score}}]
    for name in ("run", LONG):
        (folder / name).mkdir()
        (folder / name / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / name / "summary.json").write_text(json.dumps({"skipped": [[LONG, LONG]], "status": "finished"}))
    assert report.main([str(folder / "run"), str(folder / LONG), "--out", str(folder / "page.html")]) == 0


def transitions(folder):
    assert gallery.main(["-o", str(folder)]) == 0
    (folder / "gallery.html").rename(folder / "page.html")


def wider(folder, width):
    """By how many pixels the page is wider than a window of that width: asked of the page in a frame, by a script."""
    frame = f'<iframe id=f src="page.html" style="width:{width}px;height:800px;border:0"></iframe>'
    script = (
        "onload = () => { let d = f.contentDocument.documentElement; document.title = d.scrollWidth - d.clientWidth }"
    )
    (folder / "frame.html").write_text(f"<!doctype html><title>none</title>{frame}<script>{script}</script>")
    call = [BROWSER, *FLAGS, "--allow-file-access-from-files", "--dump-dom", f"file://{folder / 'frame.html'}"]
    shown = subprocess.run(call, capture_output=True, text=True, timeout=120, check=True).stdout
    return int(re.search(r"<title>(-?\d+)</title>", shown)[1])


@pytest.mark.parametrize("make", [preview, run, transitions])
def test_no_page_is_wider_than_the_window(make, tmp_path):
    make(tmp_path)
    for width, height in ((1280, 900), (390, 844)):
        assert wider(tmp_path, width) == 0, width
        picture = tmp_path / f"{width}.png"
        call = [BROWSER, *FLAGS, f"--window-size={width},{height}", f"--screenshot={picture}"]
        subprocess.run([*call, f"file://{tmp_path / 'page.html'}"], capture_output=True, timeout=120, check=True)
        assert picture.stat().st_size > 10_000, "an empty page"


def test_a_page_that_is_too_wide_is_found(tmp_path):
    (tmp_path / "page.html").write_text("<!doctype html><body style='margin:0'><div style='width:700px'>x</div>")
    assert (wider(tmp_path, 390), wider(tmp_path, 1280)) == (310, 0)
