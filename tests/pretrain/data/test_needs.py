"""What a data set lacks for a task, in words."""

import pytest

from gpuaug import Video
from pretrain.data.dataset import Dataset, Segment
from pretrain.data.needs import Needs, lacking

PAIRS = Needs(two_classes="dc", same_class="sc", otherwise="give --boundaries ds ss")
WHERE = "--annotations says where actions are"
BALANCE = Needs(label="actions", background="balance", otherwise="leave out --balance", given_by=WHERE)


def labelled(*labels):
    """A data set of one video per label, or tuple of labels of its segments; None is background."""
    rows = [each if isinstance(each, tuple) else (each,) for each in labels]
    classes = sorted({label for row in rows for label in row if label})
    number = {label: classes.index(label) for label in classes} | {None: -1}
    segments = [Segment(f"{k}", 0.0, 1.0, number[label], k) for k, row in enumerate(rows) for label in row]
    return Dataset(segments, classes, [Video(f"{k}") for k in range(len(rows))])


@pytest.mark.parametrize(
    ("dataset", "needs", "words"),
    [
        (
            labelled(None, None),
            PAIRS,
            ["must have labels for dc and sc, the 2 videos have none", "a folder of its own"],
        ),
        (labelled(None), PAIRS, ["the 1 video has none", "or give --boundaries ds ss"]),
        (labelled("a", "a"), PAIRS, ["videos of two classes for dc, the 2 videos have only 'a'", "--boundaries ds ss"]),
        (labelled("a", "b"), PAIRS, ["two videos of a class for sc, the 2 videos have 1 of each", "--boundaries"]),
        (labelled("a", None), Needs(label="--mode action"), []),
        (labelled(None), Needs(label="--mode action"), ["must have labels for --mode action", "path,label"]),
        (labelled("a", "b", "b"), PAIRS, []),
        (labelled(None, None), Needs(), []),
        (
            labelled(("a", "a"), "b"),
            BALANCE,
            ["must have background beside actions for balance", "or leave out --balance"],
        ),
        (labelled(None), BALANCE, ["must have labels for actions and balance", "--annotations says where"]),
        (labelled(("a", None)), BALANCE, []),
    ],
)
def test_what_is_lacking_is_said_with_the_flag_that_helps(dataset, needs, words):
    found = lacking(dataset, needs, "--val-videos")
    assert bool(found) == bool(words)
    assert not found or found.startswith("--val-videos must have ")
    for each in words:
        assert each in found


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([0, 0], ["a"], "2 videos, 1 classes; 2 segments, all labelled"),
        ([-1, -1], [], "2 videos; 2 segments, none labelled"),
        ([0, -1], ["a"], "2 videos, 1 classes; 1 labelled and 1 other segments"),
    ],
)
def test_a_data_set_in_words_tells_of_what_there_is(labels, classes, words):
    segments = [Segment(f"{k}", 0.0, 1.0, label, k) for k, label in enumerate(labels)]
    assert str(Dataset(segments, classes, [Video(f"{k}") for k in range(len(labels))])) == words
