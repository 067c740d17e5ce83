"""Files that others may have sent: no code in them is run, and each is named in one line."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from contextlib import suppress

import numpy as np
import pytest
import torch

from gpuaug.bank import COLUMNS
from pretrain.commands import localize, report, similarity
from pretrain.common.unpickle import tensors, unpickle
from pretrain.models import checkpoint
from support import tiny_training
from support.planted import plant

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.normal(size=(3, 4)).astype(np.float32),
    np.asfortranarray(RNG.normal(size=(3, 4))),
    RNG.normal(size=(6, 6))[::2, ::-1],
    np.zeros((0, 5), np.float16),
    RNG.integers(0, 9, 5).astype(">i4"),
    np.array([True, False]),
    np.array(3.5),
    np.zeros(3, COLUMNS),
]


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_data_come_back(protocol):
    for array in ARRAYS:
        text = pickle.dumps(array, protocol)
        for data in (text, text.replace(b"cnumpy._core.", b"cnumpy.core.")):  # the name in NumPy 1, up to protocol 3
            again = unpickle(data)
            assert type(again) is np.ndarray
            assert (again.dtype, again.shape, again.flags.writeable) == (array.dtype, array.shape, True)
            np.testing.assert_array_equal(again, array)
    plain = {"a": [1, 2.5, None, True], "b": ("é\udcff", {3: []}, b"\0\xff")}
    assert unpickle(pickle.dumps(plain, protocol)) == plain
    numbers = unpickle(pickle.dumps([np.float64(2.5), np.int64(3), np.bool_(True)], protocol))
    assert list(map(type, numbers)) == [float, int, bool]
    assert numbers == [2.5, 3, True]


class Call:
    """Pickles as a call of anything; `state` is put on what it gives."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self):
        return (self.function, self.arguments, *([self.state] if self.state is not None else []))


REBUILD = np.zeros(1).__reduce__()[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (print, "it asks for builtins.print, and only arrays of numbers are read from a pickle"),
        (Call(eval, "1/0"), r"it asks for builtins\.eval"),
        (Call(np.load, "x.npy"), r"it asks for numpy\.load"),
        (np.array([None]), "arrays must be of numbers, got one of O8"),
        (np.zeros(2, [("a", object)]), "arrays must be of numbers, got one of O8"),
        (np.array(["x"]), "arrays must be of numbers, got one of U1"),
        (np.ma.zeros(2), r"it asks for numpy\.ma"),
        (np.ndarray, "only arrays of numbers"),
        (np.dtype("f4"), "only arrays of numbers"),
        ({"a": [REBUILD]}, "only arrays of numbers"),
        # bytes that would become pointers, or memory that is not the array's
        (Call(REBUILD, np.ndarray, (0,), b"b", state=(1, (1,), np.dtype("O"), False, bytes(8))), "one of O8"),
        (Call(REBUILD, np.ndarray, (0,), b"b", state=(1, (9,), np.dtype("f8"), False, bytes(8))), "8 bytes for an"),
        (Call(REBUILD, np.ndarray, (0,), b"b", state=(1, (-1, -1), np.dtype("f8"), False, bytes(8))), "negative"),
        (Call(REBUILD, np.matrix, (0,), b"b"), r"it asks for numpy\.matrix"),
        (Call(np.float64(0).__reduce__()[0], np.dtype("O"), bytes(8)), "one of O8"),
    ],
)
def test_anything_else_is_refused_by_name(content, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        unpickle(pickle.dumps(content))
    assert "\n" not in str(caught.value)


def test_a_type_that_lies_about_its_columns_is_refused():
    """NumPy's own type takes flags that say "no objects" from a pickle, and then takes bytes for pointers."""

    class Lies:
        def __reduce__(self):
            return np.dtype, ("V8", False, True), (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)

    with pytest.raises(ValueError, match="got one of O8"):
        unpickle(pickle.dumps(Call(REBUILD, np.ndarray, (0,), b"b", state=(1, (1,), Lies(), False, bytes(8)))))


def test_a_pickle_cannot_change_the_reader():
    change = pickle.dumps(REBUILD)[:-1] + pickle.dumps({"__defaults__": (1,)})[2:-1] + b"b."  # BUILD, STOP
    with pytest.raises(ValueError, match="a function has no state"):
        unpickle(change)


def test_a_damaged_pickle_is_an_error_of_one_kind():
    data = pickle.dumps({"a": ARRAYS[0], "b": [1.5, "x"]})
    for end in range(len(data)):
        with pytest.raises(ValueError, match="damaged pickle"):
            unpickle(data[:end])
    for at in range(len(data)):
        for bit in (1, 16, 128):
            changed = bytearray(data)
            changed[at] ^= bit
            with suppress(ValueError):  # any other error is one of ours
                unpickle(bytes(changed))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Features as pickles."""
    folder = plant(tmp_path_factory.mktemp("planted"), videos=6)
    for path in (folder / "features").glob("*.npy"):
        path.with_suffix(".pkl").write_bytes(pickle.dumps(np.load(path), protocol=4))
        path.unlink()
    return folder


def test_in_a_folder_of_features(planted, tmp_path, capsys):
    ran, features = tmp_path / "ran", tmp_path / "features"
    shutil.copytree(planted / "features", features)
    (features / "video1.pkl").write_bytes(pickle.dumps(Evil(ran)))
    (features / "video2.pkl").write_bytes(pickle.dumps([1, 2]))
    data = ["--features", str(features), "--annotations", str(planted / "truth.json")]
    quick = ["--epochs", "1", "--batch", "2", "--width", "12", "--samples", "8"]
    assert localize.main([*data, "--out", str(tmp_path / "out.json"), *quick]) == 0
    left_out = "".join(capsys.readouterr())
    named = f"{features}/video1.pkl must be a pickled array: it asks for {os.mkdir.__module__}.mkdir"
    assert left_out.count(named) == 1
    assert f"{features}/video2.pkl must be a pickled array, got list" in left_out
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").write_text('{"step": 1}\n')
    assert report.main([str(run), *data]) == 0  # of the other videos
    error = capsys.readouterr().err
    assert error.count(named) == 1
    assert error.count("\n") == 2
    assert similarity.main(["--video", "video1", "--out", f"{run}/a.png", *data]) == 1
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not ran.exists()


FLAGS = ["--val-batches", 0, "--boundaries", "ds", "ss", "--checkpoint-every", 4]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return tiny_training.make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def _small(monkeypatch):
    tiny_training.install(monkeypatch.setattr)
    yield
    torch.set_num_threads(tiny_training.THREADS)


@pytest.mark.usefixtures("_small")
def test_in_the_checkpoint_of_a_run_folder(videos, tmp_path, capsys):
    ran, out = tmp_path / "ran", tmp_path / "run"
    assert tiny_training.train("--videos", videos, "--out", out, *FLAGS, "--steps", 4) == 0
    log = (out / "log.jsonl").read_bytes()
    state = checkpoint.read(out / checkpoint.NAME)
    checkpoint.save(out, {**state, "step": 2, "feed": [pickle.dumps(Evil(ran))]})
    capsys.readouterr()
    assert tiny_training.train("--videos", videos, "--out", out, *FLAGS, "--steps", 8, "--resume") == 1
    error = capsys.readouterr().err
    assert f"--out {out} cannot be resumed: its checkpoint is of a version that dealt out segments otherwise" in error
    assert "Traceback" not in error
    assert not ran.exists()
    assert (out / "log.jsonl").read_bytes() == log, "nothing is taken back for a run that does not go on"


def test_tensors_of_arrays_survive_a_file_without_code():
    value = {"arrays": ARRAYS, "rest": ("x\udcff", None, 2**40, 0.1, {7: [True]})}
    with io.BytesIO() as file:
        torch.save(tensors(value), file)
        file.seek(0)
        again = torch.load(file, weights_only=True)
    assert again["rest"] == value["rest"]
    for array, tensor in zip(ARRAYS, again["arrays"]):
        columns = {name: array[name] for name in array.dtype.names} if array.dtype.names else {"": array}
        for name, column in columns.items():
            got = (tensor[name] if name else tensor).numpy()
            assert got.dtype == column.dtype.newbyteorder("=")
            np.testing.assert_array_equal(got, column)
