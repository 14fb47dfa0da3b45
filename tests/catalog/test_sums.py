"""A sum beside every file of the catalog, checked before the file is read."""

import errno
import os
import subprocess

import pyarrow as pa
import pytest

from catalog import files, sums
from catalog.plans import write_parquet
from catalog.repair import heal
from catalog.store import Catalog
from catalog.sums import Damaged

TABLE = pa.table({"a": [1, 2, 3]})


def flip(path, bit):
    """One bit of a file turned over, its time and size as they were: as a disk does it."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    sums.forget()


def test_sha256sum_checks_a_part(tmp_path):
    write_parquet(tmp_path / "a.parquet", TABLE)
    done = subprocess.run(["sha256sum", "-c", "a.parquet.sha256"], cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_every_bit_of_a_part_counts(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, TABLE)
    for bit in range(0, 8 * path.stat().st_size, 97):
        sums.forget()
        assert sums.is_whole(path)
        flip(path, bit)
        sums.forget()
        assert not sums.is_whole(path), bit
        flip(path, bit)


@pytest.mark.parametrize("cut", [0, 1, 0.5])
def test_a_file_that_was_cut_is_damaged_and_named(tmp_path, cut):
    path = tmp_path / "a.parquet"
    write_parquet(path, TABLE)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content)) if cut != 1 else -1])
    with pytest.raises(Damaged, match=r"a\.parquet.*verify --repair"):
        sums.check([path])


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    sums.put(path, "{}")
    sums.forget()
    read = []
    monkeypatch.setattr(sums, "sha256_of", lambda p, _: read.append(p) or sums.known(p)[0])
    assert [sums.is_whole(path) for _ in range(3)] == [True] * 3
    assert len(read) == 1
    os.utime(path, ns=(1, 1))
    assert sums.is_whole(path)
    assert len(read) == 2


def test_the_sum_is_there_before_the_file_is_and_both_while_it_is_replaced(tmp_path):
    path, seen = tmp_path / "a.json", []

    class Watching(files.Disk):
        def rename(self, old, new):
            super().rename(old, new)
            seen.append((new.name, len(sums.known(path)), path.exists()))

    with files.using(Watching()):
        sums.put(path, "1")
        sums.put(path, "2")
    assert seen == [
        ("a.json.sha256", 1, False),
        ("a.json", 1, True),
        ("a.json.sha256", 2, True),
        ("a.json", 2, True),
        ("a.json.sha256", 1, True),
    ]
    assert sums.is_whole(path)


def test_a_file_of_an_older_version_only_has_to_be_readable_and_gets_its_sum(tmp_path):
    for name in ("whole.parquet", "cut.parquet"):
        write_parquet(tmp_path / name, TABLE)
        sums.sum_file(tmp_path / name).unlink()
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(cut.read_bytes()[:-9])
    (tmp_path / "half.json").write_text('{"a": 1')
    assert sums.is_whole(tmp_path / "whole.parquet")
    assert sums.adopt(tmp_path / "whole.parquet")
    assert sums.known(tmp_path / "whole.parquet")
    for name in ("cut.parquet", "half.json"):
        assert not sums.is_whole(tmp_path / name)
        assert not sums.adopt(tmp_path / name)
        assert not sums.known(tmp_path / name)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "0" * 63 + "  a.json\n", "\xff", "0" * 64 + "  b.json\n"]
)
def test_a_damaged_sum_is_taken_for_none(tmp_path, text):
    sums.put(tmp_path / "a.json", "{}")
    sums.sum_file(tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    sums.forget()
    assert sums.known(tmp_path / "a.json") == ()
    assert sums.is_whole(tmp_path / "a.json")


@pytest.mark.parametrize("how", ["folder", "loop", "no file", "sector"])
def test_what_is_no_file_or_cannot_be_read_back_is_damaged(tmp_path, monkeypatch, how):
    path = tmp_path / "a.json"
    sums.put(path, "{}")
    sums.forget()
    if how == "sector":

        def broken(*_):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(sums, "sha256_of", broken)
    else:
        path.unlink()
    if how == "folder":
        path.mkdir()
    if how == "loop":
        path.symlink_to(path)
    assert not sums.is_whole(path)


def test_what_may_not_be_read_is_no_damage(tmp_path, monkeypatch):
    sums.put(tmp_path / "a.json", "{}")
    sums.forget()

    def forbidden(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sums, "sha256_of", forbidden)
    with pytest.raises(PermissionError):
        sums.is_whole(tmp_path / "a.json")


def test_a_folder_where_a_sum_should_be_is_taken_for_none_and_makes_room(tmp_path):
    sums.put(tmp_path / "a.json", "{}")
    sums.sum_file(tmp_path / "a.json").unlink()
    sums.sum_file(tmp_path / "a.json").mkdir()
    sums.forget()
    assert sums.is_whole(tmp_path / "a.json")
    assert sums.adopt(tmp_path / "a.json")
    assert len(sums.known(tmp_path / "a.json")) == 1


def test_numbers_of_parts_and_plans_never_come_twice(tmp_path):
    catalog = Catalog(tmp_path)
    (first,) = catalog.plan("measure", ["a"], ["blur@1"], batch_size=8)
    catalog.commit(first, catalog_table(), [])
    plan = catalog.plans / "measure" / first.config / "0000.parquet"
    files.delete(plan)
    (again,) = catalog.plan("measure", ["a"], ["blur@1"], batch_size=8)
    assert again.batch == "0001-00000", (
        "0000-00000 is committed: a plan of that number would be done already"
    )


@pytest.mark.parametrize("how", ["loop", "nowhere", "folder"])
def test_what_stands_in_the_place_of_a_part_is_cleared_away(tmp_path, how):
    catalog = Catalog(tmp_path)
    (ref,) = catalog.plan("measure", ["a"], ["blur@1"], batch_size=8)
    catalog.commit(ref, catalog_table(), [])
    path = catalog.parts / "measure" / ref.config / f"{ref.batch}.parquet"
    path.unlink()
    if how == "folder":
        path.mkdir()
    else:
        path.symlink_to(path if how == "loop" else "/nowhere")
    sums.forget()
    (fault,) = heal(catalog, lambda text: None)
    assert fault.path == path
    assert not path.exists() and not path.is_symlink()
    assert [ref.batch for ref in catalog.pending("measure", None)] == [ref.batch]


def catalog_table():
    from catalog.records import MeasureRecord, to_table

    return to_table([MeasureRecord(sha1="a", name="blur", version="1", value=1.0)], MeasureRecord)
