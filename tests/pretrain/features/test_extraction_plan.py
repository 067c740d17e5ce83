"""What the file of settings says of features, and of which it does not."""

import json

import pytest

from pretrain.features.extraction_plan import check_settings, extraction_settings
from pretrain.features.grid import Grid
from pretrain.features.store import Store


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


def test_features_of_another_model_are_refused_in_one_line_that_says_what_differs(tmp_path):
    model = {"encoder": "tsm_resnet18", "features": 512, "mean": [0.485, 0.456, 0.406], "sha256": "6dba9204eb60fa76"}
    (tmp_path / "features.json").write_text(json.dumps({"fps": 15.0, "models": [model]}))
    store = Store(tmp_path, "npy")
    check_settings(store, {"fps": 15.0, "models": [model]})
    message = "--out must be new or hold features of the same {}, .* has others: {}$"
    other = {**model, "sha256": "e4eed4c4f53521dc", "encoder": "i3d"}
    with pytest.raises(ValueError, match=message.format(
        "models", "encoder tsm_resnet18 there, i3d asked for; sha256 6dba9204eb there, e4eed4c4f5 asked for"
    )):  # fmt: skip
        check_settings(store, {"fps": 15.0, "models": [other]})
    with pytest.raises(ValueError, match=message.format("fps", "15.0 there, 30.0 asked for")):
        check_settings(store, {"fps": 30.0})
    with pytest.raises(ValueError, match=r"models, .* there, .* asked for"):
        check_settings(store, {"models": [model, model]})
