"""What a report says in words, its Markdown, and runs side by side."""

import base64
import json
import re
from xml.etree import ElementTree

import pytest

from pretrain.commands import report
from pretrain.reports.run_files import RunFiles
from pretrain.reports.verdict import verdict

CONFIG = {"task": "bsp", "encoder": {"name": "small"}, "machine": {"cores": 2}, "versions": {"torch": "2"}}


def run(*values, low=None, high=None, constant=0.5, status="finished"):
    score = {"low": low, "high": high} | ({} if constant is None else {"constant": constant})
    rows = [{"step": k, "validation": {"boundary": score | {"value": value}}} for k, value in enumerate(values, 1)]
    return RunFiles(rows, CONFIG, {"status": status, "steps": len(values)})


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (run(0.9, low=0.8, high=0.95), ["boundary was learned: 0.900 held out (95 %: 0.800–0.950), where always"]),
        (run(0.52, low=0.45, high=0.6), ["boundary was not learned, as far as so few samples tell: 0.520"]),
        (run(0.3, low=0.2, high=0.4), ["boundary is worse than a constant answer: 0.300"]),
        (run(0.3, constant=None), ["boundary is 0.300 held out; what chance gives is not known."]),
        (run(0.5, 0.6, 0.7, low=0.6, high=0.8), ["boundary was learned", "boundary was still rising at the end"]),
        (run(0.5, 0.7, 0.7, low=0.6, high=0.8), ["boundary was learned"]),
        (
            run(0.9, low=0.8, high=0.95, status="stopped"),
            ["These are the numbers of a run that has not finished", "bou"],
        ),
        (run(None), ["boundary was not measured."]),
        (RunFiles([{"step": 1}], {}, {"status": "finished"}), ["Nothing was held out"]),
    ],
)
def test_verdict(found, words):
    sentences = verdict(found)
    assert len(sentences) == len(words)
    assert all(sentence.startswith(start) for sentence, start in zip(sentences, words)), sentences


def write(folder):
    folder.mkdir()
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "samples": 8, "constant": 0.25, "confusion": [[3, 1], [2, 2]]}
    rows = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "validation": {"loss": 1.1, "boundary": score}}]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def test_runs_side_by_side_and_as_markdown(tmp_path, capsys):
    one, two = (write(tmp_path / name) for name in ("one", "t|wo"))
    out = tmp_path / "both.html"
    assert report.main([str(one), str(two), "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "The runs side by side" in page
    assert re.findall(r"<td>(one|t\|wo)</td>", page) == ["one", "t|wo"]
    assert 'alt="loss, scores and learning rate over the steps: loss from 2 to 1, boundary 0.5"' in page
    assert 'alt="confusion matrix of boundary: 5 of 8 held-out samples are right"' in page
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', page)
    assert [ElementTree.fromstring(base64.b64decode(each)).tag[-3:] for each in pictures] == ["svg"] * 3
    capsys.readouterr()
    assert report.main([str(one), str(two), "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "## one: bsp with small" in text
    assert "## t\\|wo: bsp" in text
    assert "| boundary | 0.5 | 0.4–0.6 | 0.25 |" in text
    assert not (one / "report.html").exists()
