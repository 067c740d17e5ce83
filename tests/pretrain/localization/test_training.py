"""How long the localiser trains, and what it is shown."""

import numpy as np
import pytest

from pretrain.data.segments import Segments
from pretrain.localization import inputs, localizer
from pretrain.localization.settings import LocalizerSettings


class Enough(Exception):
    pass


def subset(videos, rows=12):
    found, rng = inputs.Subset(), np.random.default_rng(0)
    for k in range(videos):
        sequence = inputs.FeatureSequence.of(rng.normal(size=(rows, 3)).astype(np.float32), np.arange(rows) + 0.5)
        found.add(f"v{k}", sequence, float(rows), Segments.of([(f"v{k}", 2, 6, "a")]))
    return found


@pytest.mark.parametrize(
    ("videos", "batch", "asked", "epochs"),
    [(8, 4, None, 100), (9, 4, None, 67), (40, 4, None, 20), (1, 4, None, 200), (48, 4, None, 20), (8, 4, 3, 3)],
)
def test_a_small_set_is_passed_through_more_often(videos, batch, asked, epochs, monkeypatch):
    """200 steps at least, and 20 passes."""

    def fit(model, count, examples, **options):
        assert count == videos
        assert (options["batch"], options["seed"], options["device"]) == (batch, 5, "cpu")
        assert options["epochs"] == epochs
        raise Enough

    monkeypatch.setattr(localizer, "fit", fit)
    named = {
        "batch": batch,
        "epochs": asked,
        "seed": 5,
        "device": "cpu",
    }
    with pytest.raises(Enough):
        localizer.localize(subset(videos), subset(1), LocalizerSettings(**named, length=10))


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_what_fills_up_a_short_window_stays_zero(memory):
    """Rows without features are neither standardised nor counted."""
    found = inputs.sliding("v", inputs.FeatureSequence.of(np.float32([[1, 5], [3, 5]]), np.arange(2) + 0.5), length=4)
    values = inputs.WindowValues(found, memory)
    assert values.mean_F.tolist() == [2, 5]
    assert values[0][:2].tolist() == [[-1, 0], [1, 0]]
    assert values[0][2:].tolist() == [[0, 0], [0, 0]]
    assert values.of(found[0]).tolist() == values[0].tolist()
