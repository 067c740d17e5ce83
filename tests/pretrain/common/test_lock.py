"""A folder is one process's at a time."""

import errno
import os

import pytest

from pretrain.common import lock
from pretrain.common.lock import FolderLock

pytest.importorskip("fcntl")


@pytest.mark.parametrize("file", [True, False])
def test_one_at_a_time_and_the_next_afterwards(tmp_path, file):
    folder = tmp_path / "a/b"
    with FolderLock(folder, "--out b", pytest.fail, file=file):
        assert os.listdir(folder) == [".lock"] * file
        with pytest.raises(ValueError, match=r"^--out b is in use by another run: wait for its end, or give another$"):
            FolderLock(folder, "--out b", pytest.fail, file=file)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ValueError, match="in use"):
            FolderLock(folder, "--out b", pytest.fail, file=file)
        assert len(os.listdir("/proc/self/fd")) == before, "the file is closed again"
    second = FolderLock(folder, "--out b", pytest.fail, file=file)
    second.close()
    second.close()
    FolderLock(folder, "--out b", pytest.fail, file=file).close()


def test_without_a_word_the_file_is_made(tmp_path):
    with FolderLock(tmp_path, "x", pytest.fail):
        assert os.listdir(tmp_path) == [".lock"]
    assert os.stat(tmp_path / ".lock").st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    old = os.umask(0)
    os.umask(old)
    return old


@pytest.mark.parametrize(("number", "in_use"), [(errno.EACCES, True), (errno.ENOLCK, False), (errno.ENOTSUP, False)])
def test_what_the_disk_answers(tmp_path, monkeypatch, number, in_use):
    def flock(file, how):
        assert how == lock.fcntl.LOCK_EX | lock.fcntl.LOCK_NB
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    said = []
    if in_use:
        with pytest.raises(ValueError, match="in use"):
            FolderLock(tmp_path, "x", said.append)
    else:
        FolderLock(tmp_path, "x", said.append).close()
    expected = [f"{tmp_path} cannot be locked ({os.strerror(number)}): let no other run write there"]
    assert said == expected * (not in_use)


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        FolderLock(tmp_path, "x", pytest.fail)
    assert not (tmp_path / "elsewhere").exists()


def test_a_system_without_locks_has_the_folder_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    for _ in range(2):
        with FolderLock(tmp_path / "x", "x", pytest.fail):
            assert os.listdir(tmp_path / "x") == []
