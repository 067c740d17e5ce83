"""That the shortest clip asked for decides which segments are kept."""

import json

import pytest

import gpuaug
from pretrain.data.dataset import read_annotations


@pytest.mark.parametrize(("seconds", "kept"), [(None, [1.5, 1.8, 2.1]), (2.0, [2.1]), (1.8, [1.8, 2.1]), (1.9, [2.1])])
def test_segments_as_long_as_a_clip_are_kept(seconds, kept, tmp_path, monkeypatch):
    lengths = (0.5, 1.5, 1.8, 2.1)
    actions = [{"label": "a", "segment": [10 * k, 10 * k + length]} for k, length in enumerate(lengths)]
    (tmp_path / "v.mp4").touch()
    (tmp_path / "a.json").write_text(json.dumps({"database": {"v": {"duration": 40, "annotations": actions}}}))
    video = gpuaug.Video(str(tmp_path / "v.mp4"), duration_seconds=40.0, fps=10.0, frames=400)
    monkeypatch.setattr(gpuaug, "probe", lambda *_, **__: gpuaug.Manifest([video]))
    options = {} if seconds is None else {"clip_seconds": seconds}
    found = read_annotations(tmp_path / "a.json", tmp_path, **options)
    own = [s.end_seconds - s.start_seconds for s in found.segments if s.label >= 0]
    assert own == pytest.approx(kept)
