"""Small parts become one: the same rows, the same answers, and nothing lost wherever it is cut off."""

import contextlib
import random
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import compact as compact_module
from catalog import files
from catalog.compact import READERS, UNFINISHED, compact, finish
from catalog.plans import write_parquet
from catalog.records import (
    FailureRecord,
    FileRecord,
    ListingRow,
    ObjectRecord,
    RequestRow,
    TwinRow,
    VerdictRow,
    to_table,
)
from catalog.repair import faults
from catalog.store import LISTING, Catalog
from catalog.views import opened
from tests.counts import rounds
from tests.power import LosingDisk, PowerLost

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
WEEKS = 12


def listed(page):
    record = FileRecord(page_id=page, title=f"File:{page}.jpg", sha1=f"{page:040x}")
    row = ListingRow(
        source="s", source_path="Category:X", fetched_at=WHEN, api_version="1", raw_json="{}"
    )
    columns = [*to_table([record], FileRecord).columns, *to_table([row], ListingRow).columns]
    return pa.Table.from_arrays(columns, schema=LISTING)


def weekly(root, weeks=range(WEEKS)):
    """A catalog that got one file a week; every third could not be fetched at first."""
    catalog = Catalog(root)
    for week in weeks:
        key, page = f"{week:040x}", week
        catalog.append_listing("s", listed(page), {"week": week}, {"began": "2026"})
        verdict = VerdictRow(
            page_id=page,
            license=f"L{page}",
            license_outcome="accept",
            license_reason="ok",
            family=None,
        )
        catalog.write_rows("verdict", "6", f"s.{week:06d}", to_table([verdict], VerdictRow))
        for stage in ("download", "hash"):
            # Nothing comes of the hash stage: a part without a row is done, too.
            catalog.plan(stage, [key], ["v@1"], batch_size=8)
            ref = catalog.pending(stage, ["v@1"])[0]
            lost = stage == "download" and week % 3 == 0
            row = ObjectRecord(page_id=page, sha1=key, size_bytes=1)
            rows = [row] if stage == "download" and not lost else []
            failure = FailureRecord(
                stage=stage, key=key, kind="gone", error="", retryable=True, failed_at=WHEN
            )
            wanted = ObjectRecord if stage == "download" else None
            table = to_table(rows, wanted) if wanted else pq.read_table(_empty(catalog, stage))
            catalog.commit(ref, table, [failure] if lost else [])
        twin = TwinRow(sha1=key, twin=f"{week + 1:040x}", phash_bits=1, dhash_bits=1, look=0)
        catalog.write_rows("twin", "radii", f"{week:06d}", to_table([twin], TwinRow))
        asked = RequestRow(
            run_id=f"run{week:02d}",
            started_at=WHEN,
            kind="api",
            host="h",
            url=f"u{week}",
            status=200,
            size_bytes=1,
            seconds=0.1,
            waited_s=0.0,
            retry_after_s=None,
            in_flight=1,
            attempt=1,
            outcome="ok",
        )
        catalog.write_rows("request", asked.run_id, "00000", to_table([asked], RequestRow))
    return catalog


def _empty(catalog, stage):
    return next((catalog.parts / stage).glob("empty*.parquet"))


def told(catalog):
    """What people are told."""
    queries = (
        "SELECT page_id, title, source_key FROM listing ORDER BY part, part_row",
        "SELECT l.page_id, v.license FROM listing l JOIN verdicts v ON v.source_key = l.source_key "
        "AND v.part = l.part AND v.part_row = l.part_row ORDER BY 1",
        "SELECT sha1, page_id FROM objects ORDER BY 1",
        "SELECT stage, key FROM failures ORDER BY 1, 2",
        "SELECT sha1, twin FROM twins ORDER BY 1, 2",
        "SELECT run_id, url FROM requests ORDER BY 1, 2",
    )
    with opened(catalog) as connection:
        return [connection.sql(query).fetchall() for query in queries]


def answers(catalog):
    """What people and stages are told; plans what is not planned."""
    planned = catalog.plan("download", [f"{w:040x}" for w in range(WEEKS)], ["v@1"], batch_size=8)
    return told(catalog), planned, catalog.listing_state("s"), catalog.walk_of("s")


def parts(catalog):
    return sorted(p for p in catalog.root.rglob("*.parquet") if not p.name.startswith("empty"))


def test_a_year_of_small_parts_becomes_few_with_the_same_answers(tmp_path):
    catalog = weekly(tmp_path)
    before, many = answers(catalog), parts(catalog)
    assert [len(rows) for rows in before[0]] == [12, 12, 8, 4, 12, 12]
    assert compact(catalog) > 50
    assert answers(catalog) == before
    assert faults(catalog) == []
    # 12 weeks of two plans with two parts and a failure, of listing, verdict, twins and requests.
    assert len(parts(catalog)) < len(many) / 5
    assert compact(catalog) == 0, "few are left as they are"
    # The next part of the listing comes behind, and the failed ones are planned again and found.
    catalog.append_listing("s", listed(99), None)
    assert catalog.listing_state("s") == (13, None, True)
    catalog.retry("download", [f"{0:040x}"], "v@1", batch_size=8)
    (ref,) = catalog.pending("download", ["v@1"])
    assert catalog.keys_of(ref) == [f"{0:040x}"]


def test_what_is_not_done_or_was_planned_twice_stays_apart(tmp_path):
    catalog = weekly(tmp_path)
    catalog.retry("download", [f"{3:040x}"], "v@1", batch_size=8)
    before = answers(catalog)
    assert len(before[1]) == 1, "the batch that is tried again waits"
    compact(catalog)
    assert answers(catalog) == before
    names = {p.stem for p in (catalog.plans / "download").rglob("*.parquet")}
    assert {"0003", "0012"} <= names


@pytest.mark.slow
def test_power_lost_in_the_middle_loses_nothing_and_the_next_build_finishes(tmp_path):
    before = answers(weekly(tmp_path / "made"))
    chance = random.Random(23)
    for number in range(rounds(40)):
        root = tmp_path / f"{number}"
        shutil.copytree(tmp_path / "made", root)
        catalog = Catalog(root)
        disk = LosingDisk(root, chance.randrange(1, 260), chance=chance)
        with disk, files.using(disk), contextlib.suppress(PowerLost):
            compact(catalog)
        disk.crash()
        again = Catalog(root)
        finish(again)
        assert answers(again) == before, disk.last
        compact(again)
        assert answers(again) == before, disk.last
        assert faults(again, again=True) == [], disk.last


@pytest.mark.slow
def test_nothing_becomes_few_while_somebody_reads_and_who_reads_waits_for_the_end(tmp_path):
    catalog = weekly(tmp_path)
    with catalog.locked():
        pass
    many = parts(catalog)
    with opened(Catalog(tmp_path), "listing") as connection:
        assert compact(catalog) == 0
        assert parts(catalog) == many
        assert connection.sql("SELECT count(*) FROM listing").fetchall() == [(WEEKS,)]
    readers = tmp_path / READERS
    with files.alone(readers, 0.0) as alone, files.alone(readers, 0.0) as another:
        assert (alone, another) == (True, False)
    assert compact(catalog) > 50


@pytest.mark.slow
def test_who_reads_while_parts_go_is_told_each_row_once(tmp_path, monkeypatch):
    catalog = weekly(tmp_path)
    with catalog.locked():
        pass
    before, drop, heard = told(catalog), compact_module._drop_listed, []

    with ThreadPoolExecutor(1) as pool:

        def asked_meanwhile(*given):
            # The rows stand there twice now. Half a second would do, where nothing held the question back.
            if not heard:
                heard.append(pool.submit(told, Catalog(tmp_path)))
                wait(heard, 0.5)
            drop(*given)

        monkeypatch.setattr(compact_module, "_drop_listed", asked_meanwhile)
        assert compact(catalog) > 50
        assert heard[0].result() == before


@pytest.mark.slow
def test_whoever_takes_the_lock_finishes_what_was_cut_off(tmp_path):
    catalog, disk = weekly(tmp_path), LosingDisk(tmp_path, 330, chance=random.Random(1))
    before = answers(catalog)
    with disk, files.using(disk), pytest.raises(PowerLost):
        compact(catalog)
    assert (tmp_path / UNFINISHED).exists()
    again = Catalog(tmp_path)
    assert [len(rows) for rows in told(again)] != [len(rows) for rows in before[0]]
    # A refilter, a takedown, a merge: none of them is a build.
    with again.locked():
        assert answers(again) == before
    assert not (tmp_path / UNFINISHED).exists()


@pytest.mark.slow
def test_a_batch_whose_keys_were_purged_leaves_no_part_behind(tmp_path):
    catalog = weekly(tmp_path)
    plan = sorted((catalog.plans / "download").rglob("*.parquet"))[4]
    write_parquet(plan, pq.read_table(plan).slice(0, 0))
    compact(catalog)
    assert catalog.planned_twice("download") == []
    assert len(list((catalog.parts / "download").glob("*/*.parquet"))) == 1


@pytest.mark.slow
def test_a_worker_that_comes_late_leaves_no_part_without_a_plan(tmp_path):
    catalog = weekly(tmp_path)
    before = answers(catalog)
    part = sorted((catalog.parts / "download").glob("*/*.parquet"))[1]
    rows = pq.read_table(part)
    compact(catalog)
    write_parquet(part, rows)
    assert catalog.planned_twice("download") is None
    finish(catalog)
    assert catalog.planned_twice("download") == []
    assert answers(catalog) == before
