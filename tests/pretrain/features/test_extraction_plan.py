"""What the file of settings says of features, and of which it does not."""

import pytest

from pretrain.features.extraction_plan import extraction_settings
from pretrain.features.grid import Grid


@pytest.mark.parametrize(
    ("pool", "rescale", "native", "stated"),
    [(None, None, False, True), (None, 100, False, False), ("max", None, False, False), (None, None, True, False)],
)
def test_the_localisers_own_settings_stand_where_they_fit(pool, rescale, native, stated):
    """Rows of clips at a fixed rate; neither one vector, nor rescaled, nor at each video's rate."""
    models = [{"features": 3}, {"features": 4}]
    about = extraction_settings(Grid(15.0, 16, 8), native, models, pool=pool, rescale=rescale, crops=1)
    assert ("actionformer" in about) == ("opentad" in about) == stated
    assert (about["fps"], about["axes"]) == ("native" if native else 15.0, "F" if pool else "T,F")
    assert (about["features"], about["clip_frames"], about["stride_frames"], about["crops"]) == (7, 16, 8, 1)
    if stated:
        assert about["actionformer"] == {"default_fps": 15.0, "feat_stride": 8, "num_frames": 16}
        assert about["opentad"] == {"fps": 15.0, "feature_stride": 8, "offset_frames": 8}


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps):
    with pytest.raises(ValueError, match="fps must be above 0"):
        Grid(fps, 8, 8)
