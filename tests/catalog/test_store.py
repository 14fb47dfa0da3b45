"""Parts, plans and locks: what makes a build resumable."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import link, store, sums, views
from catalog.files import DiskFull
from catalog.plans import write_parquet
from catalog.records import FailureRecord, FileRecord, ListingRow, MeasureRecord, to_table
from catalog.store import Catalog, CatalogLocked

BLUR, NOISE = "blur@1", "noise@1"


def measured(keys, version, value=1.0):
    name, number = version.split("@")
    rows = [MeasureRecord(sha1=k, name=name, version=number, value=value) for k in keys]
    return to_table(rows, MeasureRecord)


def failed(key, at=datetime(2024, 1, 1, tzinfo=UTC), kind="corrupt"):
    return FailureRecord(
        stage="measure", key=key, kind=kind, error="e", retryable=True, failed_at=at
    )


def finish(catalog, refs):
    for ref in refs:
        for version in ref.versions:
            catalog.commit(ref, measured(catalog.keys_of(ref), version), [])


def test_a_plan_is_frozen_in_batches_that_keep_the_order(tmp_path):
    catalog = Catalog(tmp_path)
    refs = catalog.plan("measure", ["c", "a", "b"], [BLUR], batch_size=2)
    assert [catalog.keys_of(ref) for ref in refs] == [["c", "a"], ["b"]]
    assert [ref.size for ref in refs] == [2, 1]


def test_what_is_committed_is_not_pending_and_the_rest_is(tmp_path):
    catalog = Catalog(tmp_path)
    first, second = catalog.plan("measure", ["a", "b", "c"], [BLUR], batch_size=2)
    catalog.commit(first, measured(["a", "b"], BLUR), [])
    again = Catalog(tmp_path).plan("measure", ["a", "b", "c"], [BLUR], batch_size=1)
    assert again == [second]


def test_new_keys_are_planned_behind_the_old_ones(tmp_path):
    catalog = Catalog(tmp_path)
    finish(catalog, catalog.plan("measure", ["a", "b"], [BLUR], batch_size=8))
    (ref,) = catalog.plan("measure", ["b", "c", "a"], [BLUR], batch_size=8)
    assert catalog.keys_of(ref) == ["c"]


def test_a_new_measure_is_planned_alone_over_the_old_images(tmp_path):
    catalog = Catalog(tmp_path)
    finish(catalog, catalog.plan("measure", ["a", "b"], [BLUR], batch_size=8))
    refs = catalog.plan("measure", ["a", "b", "c"], [BLUR, NOISE], batch_size=8)
    work = {(ref.versions, tuple(catalog.keys_of(ref))) for ref in refs}
    assert work == {((NOISE,), ("a", "b")), ((BLUR, NOISE), ("c",))}


def test_a_batch_done_twice_gives_one_row_per_key_and_version(tmp_path):
    catalog = Catalog(tmp_path)
    (ref,) = catalog.plan("measure", ["a"], [BLUR], batch_size=8)
    catalog.commit(ref, measured(["a"], BLUR, 1.0), [])
    catalog.retry("measure", ["a"], BLUR, batch_size=8)
    (again,) = catalog.pending("measure", [BLUR])
    catalog.commit(again, measured(["a"], BLUR, 2.0), [])
    with views.opened(catalog) as connection:
        rows = connection.execute('SELECT sha1, "value" FROM measures').fetchall()
    assert rows == [("a", 2.0)]


def test_a_failure_is_open_until_its_key_succeeds(tmp_path):
    catalog = Catalog(tmp_path)
    (ref,) = catalog.plan("measure", ["a", "b"], [BLUR], batch_size=8)
    catalog.commit(ref, measured(["b"], BLUR), [failed("a")])
    assert views.failures(catalog).column("key").to_pylist() == ["a"]
    assert catalog.plan("measure", ["a", "b"], [BLUR], batch_size=8) == []
    catalog.retry("measure", ["a"], BLUR, batch_size=8)
    finish(catalog, catalog.pending("measure", [BLUR]))
    assert views.failures(catalog).num_rows == 0


def test_views_exist_before_any_stage_has_run(tmp_path):
    with views.opened(Catalog(tmp_path)) as connection:
        for view in ("files", "evidence", "objects", "hashes", "measures", "scores", "ledger"):
            assert connection.execute(f"SELECT count(*) FROM {view}").fetchall() == [(0,)]


def test_an_interrupted_write_leaves_no_part(tmp_path, monkeypatch):
    def breaks_off(table, sink, **options):
        sink.write(b"PAR1 half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(store.pq, "write_table", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        write_parquet(tmp_path / "part.parquet", pa.table({"a": [1]}))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    def full(table, sink, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.pq, "write_table", full)
    with pytest.raises(DiskFull, match="make room and run the same command again"):
        write_parquet(tmp_path / "part.parquet", pa.table({"a": [1]}))


def test_a_listing_goes_on_from_the_cursor_of_its_last_part(tmp_path):
    catalog = Catalog(tmp_path)
    assert catalog.listing_state("src") == (0, None, False)
    catalog.append_listing("src", store.LISTING.empty_table(), {"continue": "x"})
    assert catalog.listing_state("src") == (0, {"continue": "x"}, False)
    catalog.append_listing("src", store.LISTING.empty_table(), None)
    assert catalog.listing_state("src") == (0, None, True)


HOLD = """
import sys, time
from catalog.store import Catalog
with Catalog(sys.argv[1]).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_build_says_who_holds_the_lock_and_a_killed_holder_frees_it(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(CatalogLocked, match=f"process {holder.pid} on"),
            Catalog(tmp_path).locked(),
        ):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(10)
        with Catalog(tmp_path).locked():
            held = json.loads((tmp_path / "locks" / "build.holder.json").read_text())
            assert held["pid"] == os.getpid()
    finally:
        holder.kill()


def test_what_a_killed_build_left_half_written_is_cleared_under_the_lock(tmp_path):
    catalog = Catalog(tmp_path)
    left = catalog.parts / "hash" / ".0000-00000.parquet.1234.tmp"
    left.write_bytes(b"PAR1 half")
    time.sleep(0)
    with catalog.locked():
        assert not left.exists()


def test_a_catalog_of_an_older_version_is_read_its_new_columns_are_null(tmp_path):
    row = ListingRow(
        source="s",
        source_path="p",
        fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
        api_version="v",
        raw_json="{}",
        sdc_json="{}",
    )
    files = to_table([FileRecord(page_id=1, title="File:A.jpg", sha1="a" * 40)], FileRecord)
    table = pa.Table.from_arrays(
        [*files.columns, *to_table([row], ListingRow).columns], schema=store.LISTING
    )
    catalog = Catalog(tmp_path / "catalog")
    for empty in catalog.parts.glob("*/empty*.parquet"):
        # As an older version named it: with the columns of then, whatever they were.
        sums.sum_file(empty).unlink()
        empty.rename(empty.with_name("empty.parquet"))
    old = catalog.parts / "listing" / "s" / "000000.parquet"
    old.parent.mkdir(parents=True)
    kept = table.drop_columns(["sdc_json"]).replace_schema_metadata({store.CURSOR: b"null"})
    pq.write_table(kept, old)
    with views.opened(Catalog(tmp_path / "catalog")) as connection:
        assert connection.sql("SELECT title, sdc_json FROM listing").fetchall() == [
            ("File:A.jpg", None)
        ]
        assert connection.sql("SELECT count(*) FROM evidence").fetchall() == [(1,)]
    link.write_evidence(catalog, tmp_path / "evidence.parquet")
    assert pq.read_table(tmp_path / "evidence.parquet").column("sdc_json").to_pylist() == [None]


def test_a_listing_goes_on_behind_what_another_process_wrote(tmp_path):
    catalog = Catalog(tmp_path)
    empty = store.LISTING.empty_table()
    for cursor in ({"at": 1}, {"at": 2}):
        catalog.append_listing("src", empty, cursor)
    store.Catalog(catalog.root).append_listing("src", empty, {"at": 3})
    catalog.append_listing("src", empty, {"at": 4})
    parts = sorted(p.name for p in (catalog.parts / "listing" / "src").glob("*.parquet"))
    assert parts == [f"{n:06d}.parquet" for n in range(4)]
    assert catalog.listing_state("src")[1] == {"at": 4}
    # What was set aside as damaged is listed again in its place.
    (catalog.parts / "listing" / "src" / "000003.parquet").unlink()
    assert catalog.next_listing("src") == "000003"


def test_the_same_decisions_are_not_written_twice(tmp_path):
    catalog = Catalog(tmp_path)
    cells = {f"size:{cell}": pa.array(["a", None, "b", "c"]) for cell in ("text", "verdict")}
    cells["size:threshold"], cells["size:value"] = pa.nulls(4, pa.string()), pa.array([1.5] * 4)
    rows = pa.table({"page_id": [1, 2, 3, 4], **cells})
    path = catalog.parts / "ledger" / "r" / "all.parquet"
    assert catalog.write_rows_if_new("ledger", "r", "all", rows)
    before = path.stat()
    os.utime(path, (1, 1))
    assert not catalog.write_rows_if_new("ledger", "r", "all", rows)
    after = path.stat()
    # The same file, as of now: whoever asks for the last decision goes by its time.
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert after.st_mtime > before.st_mtime - 1
    assert pq.read_table(path).replace_schema_metadata() == rows.replace_schema_metadata()
    changed = rows.set_column(0, "page_id", pa.array([5, 2, 3, 4]))
    assert catalog.write_rows_if_new("ledger", "r", "all", changed)
    # A damaged one is none.
    path.write_bytes(path.read_bytes()[:-9])
    assert catalog.write_rows_if_new("ledger", "r", "all", changed)
    assert pq.read_table(path).num_rows == 4


def test_a_view_compares_parts_only_for_what_was_planned_twice(tmp_path):
    catalog = Catalog(tmp_path)
    keys = [f"{n:040x}" for n in range(6)]
    finish(catalog, catalog.plan("measure", keys, [BLUR], batch_size=2))
    finish(catalog, catalog.plan("measure", keys[:3], [NOISE], batch_size=2))
    assert catalog.planned_twice("measure") == []
    assert "QUALIFY" not in views._latest(catalog, "measure", "sha1, name, version")
    # One original was lost, and is measured again; its later value counts, the others' stay.
    catalog.retry("measure", keys[1:2], BLUR, batch_size=2)
    (ref,) = catalog.pending("measure", [BLUR])
    catalog.commit(ref, measured(keys[1:2], BLUR, 7.0), [])
    assert catalog.planned_twice("measure") == keys[1:2]
    with views.opened(catalog, "measures") as connection:
        found = connection.execute(
            "SELECT sha1, value FROM measures WHERE name = 'blur'"
        ).fetchall()
    assert sorted(found) == [(k, 7.0 if k == keys[1] else 1.0) for k in keys]
    # A part that no plan here asked for: all rows are compared.
    catalog.write_rows("measure", "other", "9999-00000", measured(keys[:1], BLUR, 9.0))
    assert catalog.planned_twice("measure") is None
    with views.opened(catalog, "measures") as connection:
        found = connection.execute(
            "SELECT sha1, value FROM measures WHERE name = 'blur'"
        ).fetchall()
    assert len(found) == 6
    assert dict(found)[keys[0]] == 9.0
