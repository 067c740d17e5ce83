"""A video's proposals come from several windows, each with its own features; whose video is trained on is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pretrain.localization import localizer


class Maps(torch.nn.Module):
    def forward(self, values_NFT):
        return torch.zeros(1, 2, 8), torch.zeros(1, 2, 8, 8)


def test_features_of_a_proposal_are_those_of_its_window(monkeypatch):
    windows = [
        SimpleNamespace(
            snippets=8, values=np.full((8, 3), level, np.float32), to_seconds=lambda found, k=k: found + 10 * k
        )
        for k, level in enumerate((1.0, 5.0))
    ]
    found = iter(
        [(np.array([[0.0, 2.0]]), np.array([0.5])), (np.array([[1.0, 3.0], [4.0, 9.0]]), np.array([0.9, 0.7]))]
    )
    monkeypatch.setattr(localizer, "decode", lambda boundary, confidence, snippets: next(found))
    values = SimpleNamespace(mean_F=np.zeros(3), of=lambda window: window.values)
    seconds, score, feature = localizer._proposals(Maps(), values, windows, 18.0, 9, "cpu")
    order = np.argsort(-score)
    assert seconds[order].tolist() == [[11, 13], [14, 18], [0, 2]]  # not beyond the video's end
    assert feature[order].tolist() == [[5] * 3, [5] * 3, [1] * 3]


def test_one_file_under_two_names_is_not_trained_on_and_localised(monkeypatch, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    videos = {"a": {"path": str(film)}, "b": {"path": str(film)}, "c": {}}
    monkeypatch.setattr(localizer, "read_settings", lambda folder: {"videos": videos, "trained_on": ["d"]})

    def subset(*names):
        return SimpleNamespace(sequences=dict.fromkeys(names))

    assert localizer.trained_videos(tmp_path, subset("a"), subset("c")) == {"a", "d"}
    for train, test, word in (("a", "b", "as --train-subset"), ("a", "d", "by the networks that made")):
        with pytest.raises(ValueError, match=word):
            localizer.trained_videos(tmp_path, subset(train), subset(test))
