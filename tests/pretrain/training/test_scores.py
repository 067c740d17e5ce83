"""What the log and the validation say of scores, against numbers counted by hand."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from pretrain.training.scores import ScoreBook, averaged, classified, described, quality


def test_means_of_the_log():
    book = ScoreBook()
    book.add({"a": (tensor([0, 1, 1, -1]), tensor([0, 1, 0, 0])), "hit": tensor([True, False]), "x": tensor(2.0)})
    book.add({"a": (tensor([2]), tensor([2])), "hit": tensor([True, True]), "x": tensor(4.0)})
    assert book.means() == {"a": 0.75, "hit": 0.75, "x": 3.0}
    assert book.means() == {}, "it is empty afterwards"
    book.add({"a": (tensor([-1]), tensor([0])), "none": torch.zeros(0)})
    found = book.means()
    assert list(found) == ["a"]
    assert math.isnan(found["a"])


def test_arrays_keep_whole_numbers_and_truths():
    book = ScoreBook()
    book.add({"video": tensor([3, 4]), "hit": tensor([True]), "half": torch.ones(2, dtype=torch.bfloat16)})
    found = book.arrays()
    assert [found[name].dtype for name in ("video", "hit", "half")] == [np.int64, bool, np.float32]


def test_classes_without_names_are_as_many_as_there_are():
    found = classified(np.array([0, 1]), np.array([0, 1]), [])
    assert list(found["classes"]) == ["0", "1"]
    assert found["confusion"] == [[1, 0], [0, 1]]
    found = classified(np.array([0, 0, 0]), np.array([0, 2, 1]), None)
    assert list(found["classes"]) == ["0"]
    assert found["confusion"] == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert (found["value"], found["constant"], found["samples"]) == (pytest.approx(1 / 3), 1.0, 3)


def test_classified_by_hand():
    found = classified(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0]), ["a", "b", "c"], np.array([5, 5, 6, 6, 7]))
    assert found["value"] == pytest.approx(3 / 5)
    assert found["constant"] == pytest.approx(3 / 5)
    assert found["videos"] == 3
    assert {name: (c["value"], c["samples"], c["videos"]) for name, c in found["classes"].items()} == {
        "a": (pytest.approx(2 / 3), 3, 2), "b": (1.0, 1, 1), "c": (0.0, 1, 1)}  # fmt: skip
    assert found["confusion"] == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_samples_without_a_truth_do_not_count():
    truth, prediction, video = np.array([-1, 0, 1]), np.array([0, 0, 0]), np.array([1, 2, 3])
    found = described((truth, prediction), video, ["a", "b"])
    assert (found["value"], found["samples"], found["videos"]) == (0.5, 2, 2)
    assert described((truth[:1], prediction[:1]), video[:1], None) is None
    assert described(np.zeros(0), np.zeros(0), None) is None
    assert described(np.array([1.0, 3.0]), np.array([1, 1]), None)["value"] == 2.0
    assert averaged(np.array([1.0, 3.0])).keys() == {"value", "low", "high", "samples"}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"loss": 1.0, "x": {"value": 5.0}}, -1.0),
        ({"loss": 1.0}, -1.0),
        ({"loss": 1.0, "x": {"value": 5.0}, "a": {"value": 0.5, "confusion": []}}, 0.5),
        ({"loss": 1.0, "a": {"value": 0.5, "confusion": []}, "b": {"value": 1.0, "confusion": []}}, 0.75),
    ],
)
def test_the_best_model_is_chosen_by_its_accuracies(result, expected):
    assert quality(result) == expected
