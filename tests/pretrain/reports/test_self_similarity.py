"""Figure 2 of TSP: the matrix, the numbers, the picture."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics.pairwise import cosine_similarity

from pretrain.commands import similarity
from pretrain.common.files import write_json
from pretrain.data.annotations import read_actions
from pretrain.features.store import Features, Store
from pretrain.reports import self_similarity

FPS, CLIP, STRIDE = 10.0, 10, 5


def write_features(folder, videos):
    store = Store(folder)
    for name, rows in videos.items():
        store.write(name, np.float32(rows))
    write_json(store.settings_file, {"fps": FPS, "clip_frames": CLIP, "stride_frames": STRIDE, "axes": "T,F"})
    return str(folder)


@pytest.fixture
def files(tmp_path):
    """Twenty clips from 0 to 10.5 s; those with their middle in [3, 6) are alike, the others random."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 16))
    center = (np.arange(20) * STRIDE + CLIP / 2) / FPS
    rows[(center >= 3) & (center < 6)] = rng.normal(size=16)
    good = write_features(tmp_path / "good", {"v_divingclip1": rows, "swim": rows})
    flat = write_features(tmp_path / "flat", {"v_divingclip1": np.ones((20, 4)), "swim": np.ones((20, 4))})
    database = {"divingclip1": {"subset": "validation", "annotations": [{"segment": [3.0, 6.0], "label": "dive"}]}}
    (tmp_path / "truth.json").write_text(json.dumps({"database": database}))
    return good, flat, str(tmp_path / "truth.json")


def test_cosine_is_that_of_another_library():
    rows = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    np.testing.assert_allclose(self_similarity.cosine(rows), cosine_similarity(rows.astype(float)), atol=1e-12)
    assert self_similarity.cosine(np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [[0, 0], [0, 1]]
    with pytest.raises(ValueError, match=r"features must be \(T, F\), one row per clip, got shape \(5,\)"):
        self_similarity.cosine(rows[0])


def test_contrast_is_the_mean_over_pairs():
    rng = np.random.default_rng(0)
    matrix, center, actions = rng.random((12, 12)), np.arange(12) + 0.5, np.array([[1, 4], [6.5, 8], [20, 30]])
    member = [{g for g, (start, end) in enumerate(actions) if start <= c < end} for c in center]
    pairs = [(i, j) for i in range(12) for j in range(12) if i != j]
    inside = np.mean([matrix[i, j] for i, j in pairs if member[i] & member[j]])
    across = np.mean([matrix[i, j] for i, j in pairs if member[i] and not member[j]])
    assert self_similarity.contrast(matrix, center, actions) == pytest.approx((inside, across))
    assert np.isnan(self_similarity.contrast(matrix, center, np.zeros((0, 2)))).all()


def test_the_picture_has_a_panel_per_set_and_video(files, tmp_path, capsys):
    good, flat, truth = files
    out = tmp_path / "pictures" / "figure2.png"
    argv = ["--features", good, flat, "--annotations", truth, "--video", "v_divingclip1", "swim", "--out", str(out)]
    assert similarity.main(argv) == 0
    assert capsys.readouterr().out.strip() == str(out)
    with Image.open(out) as picture:
        width, height = picture.size
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert (width, height) == (2 * 528, 2 * 504)
    green = (abs(pixels - [0x35, 0xC7, 0x5A]) < 30).all(2)
    assert green[:, : width // 2].sum() > 500, "lines where an action is annotated"
    assert green[:, width // 2 :].sum() == 0, "none where there is none"


def test_numbers_and_axes_are_in_seconds(files, tmp_path):
    good, flat, truth = files
    sets = {path: Features(path) for path in (good, flat)}
    found = self_similarity.draw(sets, ["v_divingclip1"], read_actions(truth), tmp_path / "x.png")
    assert found[good, "v_divingclip1"].inside == pytest.approx(1)
    assert abs(found[good, "v_divingclip1"].across) < 0.3
    assert found[flat, "v_divingclip1"] == pytest.approx((1, 1))
    thin = self_similarity.draw(sets, ["v_divingclip1"], read_actions(truth), tmp_path / "x.png", rows=7)
    assert thin[good, "v_divingclip1"].inside == pytest.approx(1)


def test_names_are_no_formulas(tmp_path):
    write_features(tmp_path / "$^$", {"$^$": np.ones((3, 2))})
    self_similarity.draw({"$^$": Features(tmp_path / "$^$")}, ["$^$"], {}, tmp_path / "x.png")


def test_the_first_annotated_video_is_the_default(files, tmp_path):
    good, _, truth = files
    assert similarity.main(["--features", good, "--annotations", truth, "--out", str(tmp_path / "x.png")]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--video", "run"], "--video must have features in every set, 'run' has none in"),
        (["--features", "nowhere"], "features must be in a folder or an HDF5 file, got none in nowhere"),
    ],
)
def test_bad_input_is_one_line(files, tmp_path, capsys, change, message):
    good, _, truth = files
    argv = ["--features", good, "--annotations", truth, "--out", str(tmp_path / "x.png"), *change]
    assert similarity.main(argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("similarity: ")
    assert message in error
    assert error.count("\n") == 1


def test_without_a_common_video_there_is_nothing_to_draw(files, tmp_path, capsys):
    good, _, _ = files
    other = tmp_path / "other.csv"
    other.write_text("path,start_seconds,end_seconds,label\nrun.mp4,0,1,run\n")
    assert similarity.main(["--features", good, "--annotations", str(other), "--out", str(tmp_path / "x.png")]) == 1
    assert "must have an action in a video that has features, got none in 2" in capsys.readouterr().err
    assert similarity.main(["--features", good]) == 2
