"""What the file of settings says of features, and of which it does not."""

import json

import numpy as np
import pytest

from gpuaug.video.manifest import Manifest, Video
from pretrain.data.overlap import Named
from pretrain.features import extraction_plan
from pretrain.features.extraction_plan import (
    ExtractionPlan,
    check_settings,
    extraction_settings,
    metadata,
    plan_extraction,
)
from pretrain.features.grid import Grid
from pretrain.features.sliding import VideoClips
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


def planned(monkeypatch, store, *paths, error=(), **options):
    videos = [Video(path, duration_seconds=2.0, fps=25.0, width=4, height=2) for path in paths]
    videos += [Video(path, error="broken") for path in error]
    asked = []
    monkeypatch.setattr(extraction_plan.gpuaug, "probe", lambda given: asked.append(given) or Manifest(videos))
    settings = {"fps": options.pop("fps", 10.0), "clip_frames": options.pop("clip", 4), "stride_frames": 3}
    plan = plan_extraction(["given"], store, settings, frame_bytes=lambda video: 3 * video.width, **options)
    assert asked == [["given"]]
    return plan


def test_names_of_videos(monkeypatch, tmp_path):
    store = Store(tmp_path / "out")
    plan = planned(monkeypatch, store, "/v/x/a.b.mp4", "/v/y/c.mp4", error=["/v/z.mp4"])
    assert [clips.name for clips in plan.videos] == ["a.b", "c"]
    assert plan.failed == {"/v/z.mp4": "broken"}
    assert [(clips.grid, clips.bytes) for clips in plan.videos] == [(Grid(10.0, 4, 3), 12)] * 2
    assert planned(monkeypatch, store, "/v/x/a.mp4", fps="native").videos[0].grid.fps == 25.0
    names = [clips.name for clips in planned(monkeypatch, store, "/v/x/a.mp4", "/v/y/a.mp4", names="path").videos]
    assert names == ["x/a", "y/a"]
    names = [clips.name for clips in planned(monkeypatch, store, "/v/a.mp4", "/v/a.mkv", names="file").videos]
    assert names == ["a.mp4", "a.mkv"]
    folders, suffixes = ("/v/x/a.mp4", "/v/y/a.mp4"), ("/v/a.mp4", "/v/a.mkv")
    for paths, names, hint in ((folders, "stem", "path"), (suffixes, "stem", "file"), (suffixes, "path", "file")):
        with pytest.raises(ValueError, match=rf"^names must differ \(use --names {hint}\), got 'a' for {paths[0]} and"):
            planned(monkeypatch, store, *paths, names=names)


def test_videos_below_one_clip(monkeypatch, tmp_path):
    """20 frames at 10 per second."""
    store = Store(tmp_path / "out")
    assert len(planned(monkeypatch, store, "/v/a.mp4", clip=21).videos) == 1
    plan = planned(monkeypatch, store, "/v/a.mp4", clip=21, too_short="skip")
    assert (plan.videos, plan.skipped) == ([], {"/v/a.mp4": "20 frames at 10 per second, a clip has 21"})
    assert len(planned(monkeypatch, store, "/v/a.mp4", clip=20, too_short="skip").videos) == 1


def test_the_file_of_settings_by_hand(tmp_path):
    store = Store(tmp_path)
    store.write(".a", np.ones((2, 3), np.float32))
    store.write("old", np.ones((2, 3), np.float32))
    (tmp_path / "features.json").write_text(
        '{"videos": {"old": {"path": "old.mp4", "padded": true}, "gone": {"path": "g"}}, "trained_on": ["then"], '
        '"damaged_frames": {"old.mp4": 2}}'
    )
    clips = [VideoClips(name, Video(f"{name}.mp4", duration_seconds=2.0), Grid(10.0, 4, 3), 1)
             for name in (".a", "b", "c")]  # fmt: skip
    plan = ExtractionPlan(clips, {}, {"x.mp4": "broken"}, {"s.mp4": "too short"})
    trained_on = [Named(id="z"), Named("b.mp4"), Named("elsewhere.mp4")]
    found = metadata({"fps": 10.0}, plan, {".a": "%2Ea"}, {"b.mp4": "cut"}, store, trained_on)
    assert found == {
        "fps": 10.0,
        "complete": False,
        "videos": {
            ".a": {"path": ".a.mp4", "duration_seconds": 2.0, "fps": 10.0, "frames": 20, "rows": 6, "padded": False,
                   "stored_as": "%2Ea"},
            "old": {"path": "old.mp4", "padded": True},
        },
        "padded": ["old"],
        "skipped": {"s.mp4": "too short"},
        "failed": {"b.mp4": "cut", "x.mp4": "broken"},
        "damaged_frames": {"old.mp4": 2},
        "trained_on": ["b", "then", "z"],
    }  # fmt: skip
    whole = metadata({}, plan, {".a": "%2Ea"}, {"b.mp4": "cut", "c.mp4": "cut"}, store)
    assert (whole["complete"], whole["trained_on"]) == (True, ["then"])


@pytest.mark.parametrize("world", [1, 2])
def test_long_videos_come_first_and_go_where_least_is_to_do(world):
    seconds = {"a": 1.0, "b": 5.0, "c": 1.0, "d": 3.0, "e": 9.0}
    videos = [VideoClips(name, Video(name, duration_seconds=s), Grid(10, 5, 5), 1) for name, s in seconds.items()]
    shares = ExtractionPlan(videos, finished={"e": "e"}).shard(world)
    names = [[clips.name for clips in share] for share in shares]
    assert names == ([["b", "d", "a", "c"]] if world == 1 else [["b"], ["d", "a", "c"]])
