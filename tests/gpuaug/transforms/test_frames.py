"""What frames show after an edit of clips that were edited before, against answers by hand."""

import numpy as np

from gpuaug import Plan
from gpuaug.transforms.frames import Frames


def test_between_frames_of_one_clip_times_are_mixed_and_elsewhere_the_nearer_is_shown():
    columns = {"clip": [0, 0, 1, 1, 1], "time": [5.0, 6.0, 20.0, 24.0, 30.0], "kind": [-1] * 5, "shot": [0, 0, 0, 0, 1]}
    before = Frames({name: np.array([column]) for name, column in columns.items()})
    positions = [0, 0.25, 0.5, 1, 1.25, 1.5, 1.75, 2.5, 3.25, 3.5, 4]  # a cut after frame 1, another shot after frame 3
    after = before.after(Plan.take(0, positions)).columns
    assert after["clip"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]
    assert after["time"].tolist() == [[5, 5.25, 5.5, 6, 6, 20, 20, 22, 24, 30, 30]]
