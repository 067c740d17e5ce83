"""Parts of the detector by hand: windows, pictures that are kept, what its network sees, where weights come from."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from pretrain.shots import detect
from pretrain.shots.boundaries import FAMILIES, Boundary, Thresholds
from pretrain.shots.detect import Detector, Shots
from pretrain.shots.frames import THUMB, Frames
from pretrain.shots.network import FEATURES, SIZE, Outputs, ShotNetwork


def part(begin, end):
    """Frames that say their number in all that they have."""
    number = np.arange(begin, end)
    pixels = number.astype(np.uint8)[:, None, None, None]
    return Frames(pixels, pixels + 100, number / 10)


@pytest.mark.parametrize(
    ("parts", "chunk", "context", "expected"),
    [
        ([(0, 4)], 4, 1, [(0, 0, 3), (2, 1, 2)]),
        ([(0, 4), (4, 8), (8, 9)], 4, 1, [(0, 0, 3), (2, 1, 5), (6, 1, 3)]),
        ([(0, 3)], 6, 2, [(0, 0, 3)]),
        ([(0, 6), (6, 12)], 6, 2, [(0, 0, 4), (2, 2, 8), (8, 2, 4)]),
        ([(0, 5), (5, 10)], 6, 2, [(0, 0, 8), (6, 2, 4)]),
        ([], 6, 2, []),
    ],
)
def test_windows_and_the_range_that_is_given_out_of_each(parts, chunk, context, expected):
    """(first frame of the window, begin, end); the ranges are the whole video, with `context` frames on either side."""
    found = list(detect._windows((part(*each) for each in parts), chunk, context))
    assert [(int(window.small[0, 0, 0, 0]), begin, end) for window, begin, end in found] == expected
    shown = [window.seconds[begin:end] for window, begin, end in found]
    last = parts[-1][1] if parts else 0
    np.testing.assert_allclose(np.concatenate([[], *shown]), np.arange(last) / 10)
    for window, begin, end in found:
        np.testing.assert_array_equal(window.thumbs[:, 0, 0, 0], window.small[:, 0, 0, 0] + 100)
        assert begin >= min(context, round(10 * window.seconds[0]))
        assert len(window.small) - end >= min(context, last - round(10 * window.seconds[end - 1]) - 1)


def marks(count, *frames, value=0.3):
    mark = np.zeros((count, 3), np.float32)
    for number, frame in enumerate(frames):
        mark[frame, number % 3] = value
    return mark


@pytest.mark.parametrize(
    ("frames", "first", "last", "done", "expected"),
    [
        ([10], 0, 20, 0, {9, 10, 11}),
        ([4, 5, 6, 7, 8], 0, 20, 0, {3, 4, 6, 8, 9}),
        ([4, 6], 0, 20, 0, {3, 4, 5, 6, 7}),
        ([0, 19], 0, 20, 0, {0, 1, 18, 19}),
        ([1, 16], 4, 15, 100, {111}),
        ([3, 15], 4, 15, 100, {99, 100, 110, 111}),
        ([], 0, 20, 0, set()),
    ],
)
def test_pictures_at_and_beside_what_may_be_a_boundary(frames, first, last, done, expected):
    """Of the range that is given out and one frame on either side, whose number in the video is done − first more."""
    thumbs = part(0, 20).thumbs
    found = detect._pictures(marks(20, *frames), thumbs, first, last, done)
    assert set(found) == expected
    assert all(picture[0, 0, 0] == number - done + first + 100 for number, picture in found.items())
    assert not any(np.shares_memory(picture, thumbs) for picture in found.values())
    assert detect._pictures(marks(20, *frames, value=0.29), thumbs, first, last, done) == {}


@pytest.mark.parametrize(
    ("boundaries", "expected"),
    [
        ([], [(0, 29)]),
        ([(0, 0, "cut")], [(0, 29)]),
        ([(0, 4, "fade")], [(5, 29)]),
        ([(1, 1, "jump")], [(0, 0), (1, 29)]),
        ([(29, 29, "cut")], [(0, 28), (29, 29)]),
        ([(20, 29, "wipe")], [(0, 19)]),
        ([(20, 28, "wipe")], [(0, 19), (29, 29)]),
        ([(5, 9, "wipe"), (10, 12, "push")], [(0, 4), (13, 29)]),
    ],
)
def test_shots_of_one_frame_and_none(boundaries, expected):
    found = Shots(Fraction(25), 30, [Boundary(*each) for each in boundaries], np.arange(30) / 25, None, None)
    assert found.shots() == expected
    assert found.pictures == {}


@pytest.fixture
def detector(tmp_path):
    """One of random weights and thresholds of its own."""
    torch.manual_seed(0)
    parts = {"network": ShotNetwork().state_dict(), "outputs": Outputs(FEATURES, FAMILIES).state_dict()}
    torch.save({**parts, "families": list(FAMILIES), "thresholds": {"cut": 0.75}}, tmp_path / "weights.pt")
    return Detector(tmp_path / "weights.pt")


def test_the_network_is_given_normalised_pictures_and_its_outputs_become_probabilities(detector):
    given = []
    detector.network = lambda clip: given.append(clip) or clip
    detector.outputs = lambda clip: (torch.tensor([[[0.0, 2.0, -2.0]]]), torch.tensor([[[0.0, np.log(3.0)]]]))
    picture = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    picture[1, 5, 6] = (255, 0, 51)
    mark, family = detector.look(picture)
    (clip,) = given
    assert clip.shape == (1, 3, 2, SIZE, SIZE)
    assert clip[0, :, 1, 5, 6].tolist() == pytest.approx([0.55 / 0.225, -2.0, -0.25 / 0.225])
    assert clip[0, :, 0].unique().tolist() == pytest.approx([-2.0])
    assert mark[0].tolist() == pytest.approx([0.5, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])
    assert family[0].tolist() == pytest.approx([0.25, 0.75])


def test_what_is_asked_of_a_video_reaches_its_parts(detector, monkeypatch):
    """Two windows of a video of 40 frames, with a cut of 0.8 at frame 20 by the network."""
    asked, done = [], []

    def look(small):
        mark = np.where(small[:, 0, 0, :1] == 20, [[0.8, 0, 0]], 0).astype(np.float32)
        return mark, np.tile(np.eye(8, dtype=np.float32)[3], (len(mark), 1))

    original = detect.boundaries
    monkeypatch.setattr(detect, "boundaries", lambda *given: asked.append(given) or original(*given))
    monkeypatch.setattr(detect, "CHUNK", 20)
    monkeypatch.setattr(detect, "CONTEXT", 4)
    monkeypatch.setattr(detector, "look", look)
    video = np.arange(40, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 8, 8, 3), np.uint8)
    found = detector(video, rate=10, progress=done.append)
    assert done == [16, 20, 4]
    assert (found.rate, found.frames, found.pictures) == (10, 40, {})
    np.testing.assert_allclose(found.seconds_T, np.arange(40) / 10)
    assert [tuple(each) for each in found.boundaries] == [(20, 20, "cut", pytest.approx(0.8))]
    ((mark, family, families, thresholds),) = asked
    assert (mark.shape, family.shape, family[:, 3].min()) == ((40, 3), (40, 8), 1)
    assert (families, thresholds) == (FAMILIES, Thresholds(cut=0.75))
    kept = detector(video, pictures=True)
    assert {number: picture.shape for number, picture in kept.pictures.items()} == dict.fromkeys(
        (19, 20, 21), (*THUMB, 3)
    )
    assert [int(kept.pictures[number][0, 0, 0]) for number in (19, 20, 21)] == [19, 20, 21]
    assert kept.rate == 25
    detector.thresholds = Thresholds(cut=0.85)
    assert detector(video).boundaries == []


def test_boundaries_alone_are_of_the_weights_and_the_rate_given(monkeypatch):
    asked = []

    class Fake:
        def __init__(self, weights):
            asked.append(weights)

        def __call__(self, video, *, rate):
            asked.append((video, rate))
            return Shots(Fraction(25), 1, [Boundary(0, 0, "cut")], None, None, None)

    monkeypatch.setattr(detect, "Detector", Fake)
    assert detect.detect("a.mp4", weights="w.pt", rate=12) == [Boundary(0, 0, "cut")]
    assert asked == ["w.pt", ("a.mp4", 12)]


def test_thresholds_are_those_given_else_of_the_weights_else_the_usual(detector, tmp_path):
    detector.thresholds = Thresholds(inside=0.25)
    detector.save(tmp_path / "a.pt")
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    assert state["thresholds"] == {"cut": 0.5, "gradual": 0.3, "inside": 0.25, "jump": 0.5}
    assert {value.dtype for value in state["network"].values()} <= {torch.float16, torch.int64}
    again = Detector(tmp_path / "a.pt")
    assert (again.thresholds, again.families, again.device.type) == (Thresholds(inside=0.25), FAMILIES, "cpu")
    assert Detector(tmp_path / "a.pt", thresholds=Thresholds(jump=0.9)).thresholds == Thresholds(jump=0.9)
    torch.save({name: value for name, value in state.items() if name != "thresholds"}, tmp_path / "b.pt")
    assert Detector(tmp_path / "b.pt").thresholds == Thresholds()
    assert not again.network.training
    assert not again.outputs.training


def test_a_runs_folder_stands_for_its_best_checkpoint_else_its_newest(detector, tmp_path):
    def checkpoint(name, value):
        model = {f"encoder.net.{k}": v for k, v in detector.network.state_dict().items()}
        model |= {f"head.outputs.{k}": torch.full_like(v, value) for k, v in detector.outputs.state_dict().items()}
        torch.save({"model": {**model, "head.other": torch.zeros(1)}, "thresholds": {"cut": 0.1}}, tmp_path / name)

    checkpoint("checkpoint.pt", 1.0)
    assert next(Detector(tmp_path).outputs.parameters()).unique().tolist() == [1.0]
    checkpoint("best.pt", 2.0)
    best = Detector(tmp_path)
    assert next(best.outputs.parameters()).unique().tolist() == [2.0]
    assert best.families == FAMILIES
    (first, *_), (second, *_) = (each.network.state_dict().values() for each in (best, detector))
    assert torch.equal(first, second)
    assert next(Detector(tmp_path / "checkpoint.pt").outputs.parameters()).unique().tolist() == [1.0]


@pytest.mark.parametrize(
    "content", [[1, 2], {"network": {}, "outputs": {}}, {"network": {}, "families": []}, {"outputs": {}}]
)
def test_files_of_anything_else_are_not_of_the_detector(content, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=rf"^weights {tmp_path}/a\.pt are not of the shot detector$"):
        Detector(tmp_path / "a.pt")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=rf"^weights {tmp_path} are not of the shot detector: \w+: "):
        Detector(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=rf"^weights must be a file, there is no {tmp_path}/checkpoint\.pt$"):
        Detector(tmp_path)
