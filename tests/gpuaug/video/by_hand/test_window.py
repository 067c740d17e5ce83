"""What a window may be."""

import numpy as np
import pytest

from gpuaug import Window


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({}, True),
        ({"start_seconds": 0}, True),
        ({"start_seconds": -1e-9}, False),
        ({"start_seconds": float("inf")}, False),
        ({"start_seconds": float("nan")}, False),
        ({"fps": 1e-9}, True),
        ({"fps": 0}, False),
        ({"fps": -1}, False),
        ({"fps": float("inf")}, False),
        ({"fps": float("nan")}, False),
        ({"frames": 1}, True),
        ({"frames": np.int64(3)}, True),
        ({"frames": 0}, False),
        ({"frames": 1.0}, False),
        ({"edge": "repeat"}, True),
        ({"edge": "reflect"}, False),
    ],
)
def test_bounds(given, right):
    if right:
        window = Window(**{"path": "a", "start_seconds": 1, "fps": 25, "frames": 2, **given})
        assert window.edge == given.get("edge", "error")
    else:
        (name,) = given
        with pytest.raises(ValueError, match=f"^{name} must be .*, got {name}="):
            Window(**{"path": "a", "start_seconds": 1, "fps": 25, "frames": 2, **given})
