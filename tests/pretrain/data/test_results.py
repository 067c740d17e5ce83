"""Files of predictions: what they must have."""

import json

import pytest

from pretrain.data.formats import BadFile
from pretrain.data.results import read_activitynet_results, read_video_scores


def written(tmp_path, entry):
    (tmp_path / "r.json").write_text(json.dumps({"results": {"v": [entry]}}))
    return tmp_path / "r.json"


def test_predictions_need_a_label_unless_they_are_proposals(tmp_path):
    path = written(tmp_path, {"segment": [0, 1], "score": 0.5})
    with pytest.raises(BadFile, match=r"r.json: 'v' result 0.*label"):
        read_activitynet_results(path)
    assert read_activitynet_results(path, labelled=False).label.tolist() == [""]


def test_scores_of_videos_name_the_place_of_what_is_wrong(tmp_path):
    for entry in ({"score": 0.5}, {"label": "a"}, {"label": 3, "score": 0.5}, 7):
        with pytest.raises(BadFile, match=r"^[^ ]*r\.json: 'v' result 0"):
            read_video_scores(written(tmp_path, entry))
    (tmp_path / "r.json").write_text(json.dumps({"results": {"v": 3}}))
    with pytest.raises(BadFile, match=r"^[^ ]*r\.json: v"):
        read_video_scores(tmp_path / "r.json")
    assert read_video_scores(written(tmp_path, {"label": "a", "score": 0.5})) == {"v": {"a": 0.5}}
