"""Time tables that are kept on disk: a file is read as a whole once, whoever asks later."""

import contextlib
import dataclasses
import os
import pickle
import shutil
import sqlite3

import numpy as np
import pytest

from gpuaug import Decoder, Window, probe
from gpuaug.video import decoder as decoder_module
from gpuaug.video.frame_index import FrameIndex, read_index
from gpuaug.video.probe_cache import pack, unpack
from gpuaug.video.reader import Reader
from support.assets import ENCODED, ffmpeg
from support.decoding.odd_files import joined
from support.decoding.tables import table

ODD = ["ts", "mpeg4_b_avi", "h264_avi", "vp8", "refresh", "edit_list", "open_gop", "turned_90"]


@pytest.fixture
def whole_reads(monkeypatch):
    """Names of files of which all packets were read, or all pictures decoded."""
    found = []

    def told(real):
        def read(what):
            found.append(os.path.basename(getattr(what, "path", what)))
            return real(what)

        return read

    for name in ("read_index", "learn_order"):
        monkeypatch.setattr(decoder_module, name, told(getattr(decoder_module, name)))
    return found


def frames(path, cache, start=0.2):
    with Decoder(size=(32, 32), threads=1, cache=cache) as decoder:
        (clip,), failures = decoder.decode([Window(str(path), start, 25, 4)])
    assert not failures
    return clip


def test_a_table_comes_back_as_it_was(assets):
    for name in ENCODED:
        index = read_index(str(assets[name]))
        again = FrameIndex.restored(index.path, unpack(pack(index.saved())))
        for field in dataclasses.fields(index):
            before, after = getattr(index, field.name), getattr(again, field.name)
            if field.name == "state":
                assert (before and before.told) == (after and after.told), name
            elif isinstance(before, np.ndarray):
                assert (before.dtype, before.tolist()) == (after.dtype, after.tolist()), (name, field.name)
            else:
                assert (before, type(before)) == (after, type(after)), (name, field.name)


def test_numbers_of_any_size_are_packed():
    for values in ([], [7], [-(2**63), 2**63 - 1, 0], [0, 127, -128], [0, 128], [2**31, 0], [5, 5, 5]):
        array = np.array(values, np.int64)
        assert unpack(pack({"a": array}))["a"].tolist() == values
    stamps = np.arange(0, 27_000 * 3003, 3003)
    assert len(pack({"stamp_N": stamps})) < 300, "an even rate takes no room"


@pytest.mark.parametrize("name", ODD)
def test_the_second_decoder_reads_no_file_as_a_whole(name, assets, tmp_path, whole_reads):
    first = frames(assets[name], tmp_path / "cache")
    assert whole_reads
    whole_reads.clear()
    assert frames(assets[name], tmp_path / "cache").equal(first)
    assert whole_reads == []
    assert frames(assets[name], False).equal(first)
    assert whole_reads


def test_what_probe_has_read_is_known(assets, tmp_path, whole_reads):
    probe(assets["cfr"], cache=tmp_path / "cache")
    frames(assets["cfr"], tmp_path / "cache")
    assert whole_reads == []


def test_parameter_sets_that_change_are_kept(assets, tmp_path, whole_reads):
    path = joined(tmp_path / "two.ts", assets["ts"], assets["open_gop_ts"])
    first = frames(path, tmp_path / "cache", 2.5)
    whole_reads.clear()
    assert frames(path, tmp_path / "cache", 2.5).equal(first)
    assert whole_reads == []


def test_a_changed_file_is_read_again(assets, tmp_path, whole_reads):
    path = tmp_path / "video.mp4"
    shutil.copy(assets["cfr"], path)
    frames(path, tmp_path / "cache")
    shutil.copy(assets["ntsc"], path)
    whole_reads.clear()
    assert frames(path, tmp_path / "cache").equal(frames(path, False))
    assert whole_reads == ["video.mp4"] * 2


@pytest.mark.parametrize("damage", ["another version", "bits", "no bytes", "other fields", "fewer frames"])
def test_rows_of_another_program_are_read_again(damage, assets, tmp_path, whole_reads):
    cache = tmp_path / "cache"
    first = frames(assets["cfr"], cache)
    with contextlib.closing(sqlite3.connect(cache)) as rows, rows:
        (data,) = rows.execute("SELECT data FROM tables").fetchone()
        fields = unpack(data)
        changed = {
            "bits": data[:40] + bytes([data[40] ^ 1]) + data[41:],
            "no bytes": "text",
            "other fields": pack({"stamp_N": np.arange(3)}),
            "fewer frames": pack(fields | {"packet_N": fields["packet_N"][:9]}),
        }
        if damage in changed:
            rows.execute("UPDATE tables SET data = ?", (changed[damage],))
        else:
            rows.execute("UPDATE tables SET version = '0'")
    whole_reads.clear()
    assert frames(assets["cfr"], cache).equal(first)
    assert whole_reads == ["cfr.mp4"]


def test_side_data_of_packets_is_not_kept():
    index = table([0, 1, 2])
    assert index.saved() is not None
    told = type("State", (), {"told": [type("Told", (), {"side": b"palette"})]})
    assert dataclasses.replace(index, state=told).saved() is None


def test_forked_and_pickled_decoders_know_the_tables(assets, tmp_path, whole_reads):
    cache = tmp_path / "cache"
    frames(assets["cfr"], cache)
    whole_reads.clear()
    with Decoder(size=(32, 32), threads=1, cache=cache) as decoder:
        with pickle.loads(pickle.dumps(decoder)) as again:
            assert again.decode([Window(str(assets["cfr"]), 0, 25, 1)])[1] == []
        child = os.fork()
        if child == 0:
            failures = decoder.decode([Window(str(assets["cfr"]), 0, 25, 1)])[1]
            os._exit(bool(failures or whole_reads))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert whole_reads == []


@pytest.mark.slow
def test_a_second_start_reads_less_than_a_hundredth(tmp_path, monkeypatch):
    """Of a long file, where a window is small against it."""
    read = []
    real = Reader.read

    def counted(self, size):
        data = real(self, size)
        read.append(len(data))
        return data

    monkeypatch.setattr(Reader, "read", counted)
    noise = ["-f", "lavfi", "-i", "nullsrc=s=160x120:r=25:d=60,geq=random(1)*255:128:128"]
    ffmpeg(*noise, "-c:v", "mpeg4", "-q:v", 2, "-g", 5, tmp_path / "long.mp4")
    probe(tmp_path / "long.mp4", cache=tmp_path / "cache")
    frames(tmp_path / "long.mp4", tmp_path / "cache", 30)
    first = sum(read)
    assert first > 20_000_000
    read.clear()
    probe(tmp_path / "long.mp4", cache=tmp_path / "cache")
    frames(tmp_path / "long.mp4", tmp_path / "cache", 30)
    assert sum(read) < first / 100
