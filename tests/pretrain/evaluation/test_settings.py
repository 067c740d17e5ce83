"""What `evaluate` is told, per task."""

import numpy as np
import pytest

from pretrain.commands.evaluate import main
from pretrain.common.settings import BadSetting, flags_of
from pretrain.evaluation.detection import ACTIVITYNET, LENGTHS_SECONDS, THUMOS
from pretrain.evaluation.evaluate import TASKS
from pretrain.evaluation.settings import DetectionSettings, edges, tious

FILES = ["--truth", "a", "--predictions", "b"]


def test_defaults_are_those_of_the_metrics():
    settings = DetectionSettings(truth="a", predictions="b")
    assert tuple(edges(settings.lengths)) == LENGTHS_SECONDS
    assert (tious(settings.thresholds) == ACTIVITYNET).all()
    assert (tious("thumos") == THUMOS).all()
    np.testing.assert_array_equal(tious("0.5,1"), [0.5, 1.0])


@pytest.mark.parametrize("text", ["", "0", "1.5", "0.5,high", "nan", "0.5;0.7"])
def test_thresholds_that_are_none(text):
    with pytest.raises(BadSetting, match=r"^thresholds must be activitynet, thumos or numbers in \(0, 1\]"):
        DetectionSettings(truth="a", predictions="b", thresholds=text)


@pytest.mark.parametrize("text", ["", "1", "1,1", "2,1", "1,nan", "1,x"])
def test_lengths_that_are_none(text):
    with pytest.raises(BadSetting, match=r"^lengths must be two or more increasing seconds"):
        DetectionSettings(truth="a", predictions="b", lengths=text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["steps"], "--truth must be given"),
        (["grounding", *FILES, "--convention", "2d-tan"], "--durations must be given for --convention 2d-tan"),
        (["steps", *FILES, "--rule", "half"], "argument --rule: invalid choice: 'half'"),
        (["grounding", *FILES, "--ties", "later"], "unrecognized arguments: --ties later"),
    ],
)
def test_wrong_usage_is_one_line(words, message, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize("task", TASKS)
def test_every_flag_is_explained(task, capsys):
    assert main([task, "--help"]) == 0
    kind, _ = TASKS[task]
    text = " ".join(capsys.readouterr().out.split())
    assert all(each.metadata["help"] in text for each in flags_of(kind))
