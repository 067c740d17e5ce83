"""Held-out samples that were not told right: which are kept, what the run folder has, what the report shows of it."""

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import gpuaug
from pretrain.common.distributed import Group
from pretrain.reports.run_files import read_wrong
from pretrain.training.run_folder import RunFolder
from pretrain.training.validation import MOST_WRONG, Validation

MEAN, STD = (0.2, 0.4, 0.6), (0.5, 0.25, 0.1)


def batch(videos):
    """Samples whose red says which they are, 0.01 apart, as the loader normalises them."""
    pixel = torch.full((len(videos), 3, 4, 6, 8), 0.5)
    pixel[:, 0] = torch.arange(len(videos))[:, None, None, None] / 100
    shape = (1, 3, 1, 1, 1)
    clips = (pixel - torch.tensor(MEAN).view(shape)) / torch.tensor(STD).view(shape)
    return SimpleNamespace(clips=clips, video=np.array(videos), segment=np.array(videos) * 10)


@pytest.fixture
def kept():
    """What a validation keeps of a batch of these videos and answers."""

    def keep(videos, truth, prediction, **more):
        validation = Validation(lambda: None, {"kind": ["cut", "none"]}, Group(), colors=(MEAN, STD))
        seen = Counter()
        validation._keep(batch(videos), {"kind": (torch.tensor(truth), torch.tensor(prediction)), **more}, seen)
        return validation.wrong

    return keep


def test_mistakes_are_kept_as_they_were_seen(kept):
    (one,) = kept([3, 4, 5], [0, 1, -1], [0, 0, 1])
    assert (one.score, one.truth, one.prediction, one.segment) == ("kind", "none", "cut", 40)
    assert one.frames_TYXC.shape == (4, 6, 8, 3)
    assert one.frames_TYXC.dtype == np.uint8
    assert one.frames_TYXC[0, 0, 0].tolist() == [3, 128, 128]  # 0.01 and 0.5 of 255


def test_no_video_fills_the_page_and_it_ends(kept):
    wrong = kept([7] * 5 + list(range(20, 40)), [0] * 25, [1] * 25)
    assert [each.segment for each in wrong][:3] == [70, 70, 200]
    assert len(wrong) == MOST_WRONG


def test_scores_of_frames_or_without_classes_have_none(kept):
    frames = (torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64))
    assert kept([1, 2], [0, 0], [0, 0], frames=frames, retrieval=torch.tensor([True, False])) == []


def test_the_run_folder_tells_what_the_report_reads(kept, tmp_path):
    segments = [gpuaug.Segment(f"/data/{k}.mp4", 1.5, 9.0) for k in range(60)]
    record = RunFolder(tmp_path)
    record.wrong(kept([3, 4], [0, 1], [1, 0]), segments)
    problems = []
    (first, picture), (second, _) = read_wrong(tmp_path, problems)
    assert first == "kind: none, truly cut (30.mp4 at 1.50 s)"
    assert second == "kind: cut, truly none (40.mp4 at 1.50 s)"
    assert picture.shape == (6, 4 * 8, 3)
    assert problems == []
    record.wrong([], segments)
    record.close()
    assert read_wrong(tmp_path, problems) == []


def huge(folder):
    Image.new("RGB", (17000, 2)).save(folder / "wrong.jpg")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "wrong.json").write_text("[1]"), "wrong"),
        (lambda folder: (folder / "wrong.jpg").write_bytes(b"GIF89a no picture"), "cannot identify"),
        (huge, "at most 16384 pixels"),
        (lambda folder: ((folder / "wrong.jpg").unlink(), (folder / "wrong.jpg").mkdir()), "must be a regular file"),
    ],
)
def test_files_of_anybody_are_left_out_by_name(kept, tmp_path, spoil, message):
    record = RunFolder(tmp_path)
    record.wrong(kept([0], [0], [1]), [gpuaug.Segment("a.mp4", 0.0, 1.0)])
    record.close()
    spoil(tmp_path)
    problems = []
    assert read_wrong(tmp_path, problems) == []
    assert message in problems[0]


def test_words_of_anybody_stay_words(kept, tmp_path):
    record = RunFolder(tmp_path)
    record.wrong(kept([0], [0], [1]), [gpuaug.Segment("a.mp4", 0.0, 1.0)])
    record.close()
    told = {"samples": [{"score": "x" * 3000, "truth": ["a"], "prediction": None, "start_seconds": "soon"}]}
    (tmp_path / "wrong.json").write_text(json.dumps(told))
    ((words, _),) = read_wrong(tmp_path, [])
    assert len(words) < 2200
    assert "truly ['a'] (?)" in words
