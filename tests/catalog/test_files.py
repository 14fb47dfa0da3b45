"""The one way to write a file: whole or not at all, whoever dies in between."""

import errno
import os
import time
from pathlib import Path

import pytest

from catalog import files
from catalog.errors import Expected
from catalog.files import Disk, DiskBroken, DiskFull, FolderGone, InTheWay, ReadOnly


class Killed(BaseException):
    """As a kill: nothing of ours runs after it but what stands in `finally`."""


class Dying(Disk):
    """A disk whose n-th step is never done."""

    def __init__(self, steps):
        self.left = steps

    def step(self):
        self.left -= 1
        if self.left < 0:
            raise Killed

    def sync(self, path):
        self.step()
        super().sync(path)

    def rename(self, old, new):
        self.step()
        super().rename(old, new)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_put_makes_the_folders_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    files.put(path, "ä")
    assert path.read_bytes() == "ä".encode()
    files.put(path, b"again")
    assert files.get(path) == b"again"
    assert names(path.parent) == ["c.json"]


def test_a_file_that_is_never_finished_does_not_exist(tmp_path):
    with pytest.raises(ZeroDivisionError), files.stream(tmp_path / "a") as sink:
        sink.write(b"half")
        1 / 0  # noqa: B018
    assert names(tmp_path) == []


def test_while_it_is_written_its_name_is_of_the_one_scheme(tmp_path):
    with files.writing(tmp_path / "a.parquet") as temporary:
        assert files.is_temporary(temporary)
        temporary.write_bytes(b"x")
        assert files.listed(tmp_path) == []
        assert not (tmp_path / "a.parquet").exists()
    assert files.listed(tmp_path) == [tmp_path / "a.parquet"]


@pytest.mark.parametrize("steps", range(4))
def test_killed_at_any_step_the_old_content_or_the_new_one_is_there(tmp_path, steps):
    path = tmp_path / "a"
    files.put(path, b"old")
    with files.using(Dying(steps)):
        try:
            files.put(path, b"new")
        except Killed:
            assert steps < 3, "sync of the file, rename, sync of the folder"
    assert path.read_bytes() in (b"old", b"new")
    assert (path.read_bytes() == b"new") == (steps >= 2)


def test_only_one_of_two_writers_puts_what_is_absent(tmp_path):
    assert files.put_if_absent(tmp_path / "plan", b"first")
    assert not files.put_if_absent(tmp_path / "plan", b"second")
    assert files.get(tmp_path / "plan") == b"first"
    assert names(tmp_path) == ["plan"]


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.ENOTSUP])
def test_where_there_are_no_hard_links_absent_is_still_asked(tmp_path, monkeypatch, refusal):
    def refuse(self, target):
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert files.put_if_absent(tmp_path / "plan", b"first")
    assert not files.put_if_absent(tmp_path / "plan", b"second")
    assert names(tmp_path) == ["plan"]


def test_delete_takes_files_and_folders_and_says_whether_they_were_there(tmp_path):
    files.put(tmp_path / "a" / "b", b"x")
    assert files.delete(tmp_path / "a" / "b")
    assert not files.delete(tmp_path / "a" / "b")
    assert files.delete(tmp_path / "a")
    assert not files.delete(tmp_path / "a")


def test_a_link_is_deleted_not_what_it_leads_to(tmp_path):
    files.put(tmp_path / "a" / "b", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert files.delete(tmp_path / "link")
    assert (tmp_path / "a" / "b").exists()


def fill(path, content):
    with files.folder(path, marker="last") as new:
        files.put(new / "data" / "first", content)
        files.put(new / "last", content)


@pytest.mark.parametrize("steps", range(16))
def test_a_folder_is_replaced_whole_at_whichever_step_it_dies(tmp_path, steps):
    path = tmp_path / "dataset"
    fill(path, b"old")
    with files.using(Dying(steps)):
        try:
            with files.folder(path, marker="last") as new:
                # What is inside is written as the caller likes; only the folder's own steps are counted.
                (new / "data").mkdir()
                (new / "data" / "first").write_bytes(b"new")
                (new / "last").write_bytes(b"new")
        except Killed:
            pass
    files.settle(path, marker="last")
    assert (path / "last").read_bytes() == (path / "data" / "first").read_bytes()
    assert names(tmp_path) == ["dataset"]


def test_killed_between_its_renames_the_newest_whole_folder_takes_the_place(tmp_path):
    path = tmp_path / "dataset"
    fill(path, b"old")
    path.rename(tmp_path / ".dataset.00000000.tmp")
    fill(tmp_path / "made", b"new")
    (tmp_path / "made").rename(tmp_path / ".dataset.11111111.tmp")
    (tmp_path / ".dataset.22222222.tmp").mkdir()
    (tmp_path / ".other.33333333.tmp").mkdir()
    files.settle(path, marker="last")
    assert (path / "last").read_bytes() == b"new"
    assert names(tmp_path) == [".other.33333333.tmp", "dataset"]


def test_sweep_takes_what_killed_processes_left_and_nothing_else(tmp_path):
    files.put(tmp_path / "parts" / "a.parquet", b"x")
    left = [".a.parquet.0a1b2c3d.tmp", ".run.tmp", ".lucidlr.duckdb.0a1b2c3d.tmp.wal"]
    for name in left:
        (tmp_path / "parts" / name).write_bytes(b"half")
    (tmp_path / ".set.0a1b2c3d.tmp").mkdir()
    (tmp_path / ".set.0a1b2c3d.tmp" / ".b.0a1b2c3d.tmp").write_bytes(b"half")
    assert files.sweep(tmp_path) == len(left) + 1
    assert names(tmp_path) == ["parts"]
    files.put(tmp_path / "parts" / "b", b"x")
    fresh = tmp_path / "parts" / ".b.0a1b2c3d.tmp"
    for age_s, gone in ((5, 0), (50, 1)):
        fresh.write_bytes(b"half")
        os.utime(fresh, (time.time() - age_s,) * 2)
        assert files.sweep(tmp_path, idle_s=20) == gone
    files.delete(tmp_path / "parts" / "b")
    assert names(tmp_path / "parts") == ["a.parquet"]


def test_what_stands_in_the_way_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InTheWay, match=f"{tmp_path / 'a'} is a folder"):
        files.put(tmp_path / "a", b"x")
    files.put(tmp_path / "b", b"x")
    for below in ("c", "c/d"):
        with pytest.raises(InTheWay, match=f"{tmp_path / 'b'} is a file"):
            files.put(tmp_path / "b" / below, b"x")
    with pytest.raises(InTheWay, match=f"{tmp_path / 'b'} is a file"):
        files.make_folder(tmp_path / "b")
    assert names(tmp_path) == ["a", "b"]


def test_a_folder_takes_the_place_of_a_file(tmp_path):
    files.put(tmp_path / "set", b"x")
    with files.folder(tmp_path / "set", marker="m") as made:
        files.put(made / "m", b"1")
    assert names(tmp_path / "set") == ["m"]


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_is_told_as_what_to_do(tmp_path, kind):
    with (
        pytest.raises(DiskFull, match="make room and run the same command again"),
        files.room_for(tmp_path),
    ):
        raise OSError(kind, os.strerror(kind))


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        (errno.EROFS, ReadOnly, "mounted read-only"),
        (errno.EACCES, ReadOnly, "the right to write there"),
        (errno.EPERM, ReadOnly, "the right to write there"),
        (errno.EIO, DiskBroken, "lucidlr verify"),
        (errno.ENOSPC, DiskFull, "df -i"),
        (errno.EFBIG, DiskFull, "ulimit -f"),
    ],
)
def test_whatever_a_disk_refuses_is_a_sentence(tmp_path, kind, error, said):
    class Refusing(Disk):
        def rename(self, old, new):
            raise OSError(kind, os.strerror(kind), str(new))

    files.put(tmp_path / "a", b"old")
    with files.using(Refusing()), pytest.raises(error, match=said):
        files.put(tmp_path / "a", b"new")
    assert files.get(tmp_path / "a") == b"old"
    assert names(tmp_path) == ["a"]


def test_a_folder_that_goes_while_a_file_is_written_is_told(tmp_path):
    path = tmp_path / "out" / "a"
    with pytest.raises(FolderGone, match="removed or unmounted"), files.stream(path) as sink:
        sink.write(b"x")
        (path.parent).rename(tmp_path / "elsewhere")


def test_a_bug_that_looks_for_another_file_keeps_its_own_error(tmp_path):
    with pytest.raises(FileNotFoundError) as found, files.stream(tmp_path / "a"):
        (tmp_path / "never").read_bytes()
    assert not isinstance(found.value, Expected)


def test_a_name_that_no_folder_can_have_is_a_sentence(tmp_path):
    for one, other in ("ab", "ba"):
        (tmp_path / one).symlink_to(tmp_path / other)
    for name in ("a", "a/b", "x" * 300):
        with pytest.raises(files.NotHere, match="Name another"):
            files.local(tmp_path / name)
    assert files.local(tmp_path / "not there yet") == tmp_path / "not there yet"


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path):
    class Full(Disk):
        def sync(self, path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    files.put(tmp_path / "a", b"old")
    with files.using(Full()), pytest.raises(DiskFull):
        files.put(tmp_path / "a", b"new")
    assert files.get(tmp_path / "a") == b"old"
    assert names(tmp_path) == ["a"]
