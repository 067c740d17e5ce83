"""Feature files and their settings as anybody may have sent them: refused by name, with the rule, in one line."""

import json

import h5py
import numpy as np
import pytest

from pretrain.features.store import Features


def test_numbers_in_other_files_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "sent.h5", "w") as file:
        file.create_dataset("ours", data=np.ones((2, 4), np.float32))
        file.create_dataset("theirs", (2, 4), np.float32, external=str(tmp_path / "secret"))
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    features = Features(tmp_path / "sent.h5")
    assert list(features) == ["ours", "theirs"]
    assert features["ours"].tolist() == np.ones((2, 4)).tolist()
    with pytest.raises(ValueError, match="'theirs': must hold its numbers itself"):
        features["theirs"]


def test_features_that_claim_more_than_they_hold(tmp_path):
    """A few bytes that would fill the memory."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000, 2048), }"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n")
    with pytest.raises(ValueError, match="mmap length is greater than file size"):
        Features(tmp_path)["a"]
    with h5py.File(tmp_path / "sent.h5", "w") as file:
        file.create_dataset("a", (10**9, 2048), np.float32, chunks=(1024, 2048), compression="gzip")
    with pytest.raises(ValueError, match="'a': must not unpack to more than 100 times what is stored"):
        Features(tmp_path / "sent.h5")["a"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[1]", "must be a JSON object"),
        ("{", "must be JSON"),
        ('{"videos": 3}', "must be a JSON object"),
        ('{"videos": {"a": 3}}', "a: must be a JSON object"),
        ('{"videos": {"a": {"stored_as": ["x"]}}}', "'a': path and stored_as must be text"),
        ('{"videos": {"a": {"path": 7}}}', "'a': path and stored_as must be text"),
        ('{"trained_on": [3]}', "trained_on: must be ids of videos"),
        ("[" * 100_000, "must be JSON of moderate depth"),
    ],
)
def test_broken_settings_are_named(tmp_path, text, rule):
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    (tmp_path / "features.json").write_text(text)
    with pytest.raises(ValueError, match=rf"features\.json.*{rule}"):
        Features(tmp_path)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"fps": "ten", "clip_frames": 8, "stride_frames": 8}, "fps must be a number, got 'ten'"),
        ({"fps": 10, "clip_frames": [8], "stride_frames": 8}, "clip_frames must be a number"),
        ({"fps": 10, "clip_frames": 8}, "must state 'stride_frames'"),
        ({"fps": 10, "clip_frames": 8, "stride_frames": 0}, "stride must be ≥ 1"),
        ({"fps": 0, "clip_frames": 8, "stride_frames": 8}, "fps must be above 0"),
        ({"fps": "native", "clip_frames": 8, "stride_frames": 8}, "must state 'fps' to place the rows of a"),
        ({"rescaled_rows": 100}, "must state 'duration_seconds' to place the rows of a"),
        ({"rescaled_rows": 100, "videos": {"a": {"duration_seconds": True}}}, "duration_seconds must be a number"),
    ],
)
def test_settings_that_do_not_place_rows(tmp_path, settings, rule):
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    (tmp_path / "features.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=rule):
        Features(tmp_path).center_seconds("a")
