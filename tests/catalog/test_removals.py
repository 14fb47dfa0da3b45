"""Tombstones and purges on a catalog made by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import views
from catalog.purge import PURGED_TITLE, StillReleased, purge
from catalog.records import (
    AGAIN,
    FileRecord,
    ListingRow,
    MeasureRecord,
    ObjectRecord,
    TombstoneRow,
    to_table,
)
from catalog.release.tombstones import TOMBSTONES
from catalog.removals import add_tombstones, look_up, released_tombstones, removed
from catalog.store import LISTING, Catalog
from crawler.names import named_file

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
PAGES = {1: "Plain.jpg", 2: "Größe 1.jpg", 3: "Old.jpg", 4: "Stays.jpg"}


def sha1(page_id):
    return f"{page_id:040x}"


def seen(source, later=0):
    return ListingRow(
        source=source,
        source_path="p",
        fetched_at=MOMENT + timedelta(days=later),
        api_version="v",
        raw_json='{"secret": 1}',
    )


def listing(records, row):
    files, evidence = to_table(records, FileRecord), to_table([row] * len(records), ListingRow)
    return pa.Table.from_arrays([*files.columns, *evidence.columns], schema=LISTING)


def record(page_id):
    title = f"File:{PAGES[page_id]}"
    url = f"https://upload.wikimedia.org/{page_id}.jpg"
    return FileRecord(page_id=page_id, title=title, sha1=sha1(page_id), url=url, artist="Somebody")


@pytest.fixture
def catalog(tmp_path):
    made = Catalog(tmp_path / "catalog")
    made.append_listing("s", listing([record(n) for n in PAGES], seen("s")), {"at": 4})
    keys = [sha1(n) for n in PAGES]
    (ref,) = made.plan("download", keys, ["original@1"], batch_size=10)
    objects = [ObjectRecord(page_id=n, sha1=sha1(n), size_bytes=1) for n in PAGES]
    made.commit(ref, to_table(objects, ObjectRecord), [])
    (ref,) = made.plan("measure", keys, ["m@1"], batch_size=10)
    values = [MeasureRecord(sha1=key, name="m", version="1", value=1.0) for key in keys]
    made.commit(ref, to_table(values, MeasureRecord), [])
    return made


def stone(page_id, reason, days=0, digest=None, detail="d"):
    return TombstoneRow(
        page_id=page_id,
        sha1=digest or sha1(page_id),
        reason=reason,
        detail=detail,
        removed_at=MOMENT + timedelta(days=days),
    )


def standing(catalog):
    return {row["page_id"]: row["reason"] for row in removed(catalog).to_pylist()}


def test_what_was_restored_has_no_tombstone_but_a_request_stands_for_ever(catalog):
    add_tombstones(catalog, "a", [stone(1, "deleted"), stone(2, "requested"), stone(3, "deleted")])
    add_tombstones(catalog, "b", [stone(1, "restored", 1), stone(2, "restored", 1)])
    assert standing(catalog) == {2: "requested", 3: "deleted"}


def test_of_two_tombstones_in_one_second_the_later_part_counts(catalog):
    add_tombstones(catalog, "z", [stone(1, "deleted")])
    add_tombstones(catalog, "a", [stone(1, "restored")])
    assert standing(catalog) == {}


@pytest.mark.parametrize(
    ("line", "page_id"),
    [
        ("2", 2),
        ("File:Größe 1.jpg", 2),
        ("größe_1.jpg", 2),
        ("https://commons.wikimedia.org/wiki/File:Gr%C3%B6%C3%9Fe_1.jpg", 2),
        ("https://commons.wikimedia.org/w/index.php?title=File:Plain.jpg&action=edit", 1),
        ("https://commons.wikimedia.org/?curid=3", 3),
        ("https://upload.wikimedia.org/wikipedia/commons/a/ab/Old.jpg", 3),
        (sha1(4), 4),
    ],
)
def test_a_removal_list_names_a_file_by_id_title_address_or_hash(catalog, line, page_id):
    found = look_up(catalog, [line, "", "# a remark"], named_file)
    assert (list(found.pages), found.unknown) == ([page_id], [])


def rows(catalog, stage):
    return [
        row
        for file in sorted((catalog.parts / stage).glob("*/*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]


def test_a_purge_empties_the_rows_of_removed_files_and_keeps_place_cursor_and_the_others(catalog):
    add_tombstones(catalog, "a", [stone(1, "deleted")])
    gone = []
    done = purge(catalog, dataset=None, remove_object=lambda digest: gone.append(digest) or True)
    assert gone == [sha1(1)]
    assert (done.pages, done.objects) == (1, 1)
    first, *others = rows(catalog, "listing")
    assert first["page_id"] == 1
    assert (first["title"], first["sha1"], first["artist"]) == (PURGED_TITLE, None, None)
    assert (first["raw_json"], first["state"]) == ("{}", "purged")
    assert [row["title"] for row in others] == [f"File:{PAGES[n]}" for n in (2, 3, 4)]
    assert catalog.listing_state("s") == (4, {"at": 4}, False)
    for stage in ("download", "measure"):
        assert [row["sha1"] for row in rows(catalog, stage)] == [sha1(n) for n in (2, 3, 4)]
    with views.opened(catalog) as connection:
        assert connection.sql("SELECT count(*) FROM files").fetchall() == [(3,)]


def test_a_purged_file_that_comes_back_is_planned_anew(catalog):
    add_tombstones(catalog, "a", [stone(1, "deleted")])
    purge(catalog, dataset=None, remove_object=lambda _: True)
    (ref,) = catalog.plan("measure", [sha1(1), sha1(2)], ["m@1"], batch_size=10)
    assert catalog.keys_of(ref) == [sha1(1)]


def test_a_purge_that_was_killed_is_finished_by_the_next_and_a_third_finds_nothing(catalog):
    add_tombstones(catalog, "a", [stone(1, "deleted")])

    def killed(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        purge(catalog, dataset=None, remove_object=killed)
    assert purge(catalog, dataset=None, remove_object=lambda _: True).parts > 0
    again = purge(catalog, dataset=None, remove_object=lambda _: False)
    assert (again.objects, again.parts) == (0, 0)


def test_old_bytes_that_are_the_present_version_of_some_page_are_kept(catalog):
    # Page 3 was overwritten and then reverted: its present bytes are the old ones.
    add_tombstones(catalog, "a", [stone(3, "overwritten"), stone(4, "overwritten")])
    new = replace(record(4), sha1="f" * 40)
    catalog.append_listing(AGAIN, listing([new], seen(AGAIN, later=1)), None)
    gone = []
    purge(catalog, dataset=None, remove_object=lambda digest: gone.append(digest) or True)
    assert gone == [sha1(4)]
    titles = [row["title"] for row in rows(catalog, "listing")]
    assert titles.count(f"File:{PAGES[3]}") == 1
    assert titles.count(f"File:{PAGES[4]}") == 1, "the row of the new version stays"


def test_what_is_still_in_the_dataset_is_not_purged(catalog, tmp_path):
    add_tombstones(catalog, "a", [stone(1, "deleted")])
    shard = tmp_path / "dataset" / "data" / "cc_by" / "train-00000-of-00001.parquet"
    shard.parent.mkdir(parents=True)
    pq.write_table(pa.table({"page_id": [1, 2], "sha1": [sha1(1), sha1(2)]}), shard)
    with pytest.raises(StillReleased, match="holds 1 of the removed files"):
        purge(catalog, dataset=tmp_path / "dataset", remove_object=lambda _: True)
    assert len(rows(catalog, "measure")) == 4


def released(catalog):
    """(page id, last digit of the SHA-1 or None) -> reason, kind."""
    return {
        (row["page_id"], row["sha1"] and int(row["sha1"], 16)): (row["reason"], row["kind"])
        for row in released_tombstones(catalog).to_pylist()
    }


def test_a_release_tells_page_hash_day_reason_and_kind_of_what_stands_and_nothing_else(catalog):
    add_tombstones(catalog, "a", [stone(1, "deleted", 3), stone(2, "deleted"), stone(3, "tagged")])
    add_tombstones(catalog, "b", [stone(2, "restored", 1), stone(4, "overwritten", 0, sha1(9))])
    table = released_tombstones(catalog)
    assert table.schema.equals(TOMBSTONES)
    assert released(catalog) == {
        (1, 1): ("deleted", "page"),
        (3, 3): ("tagged", "page"),
        (4, 9): ("overwritten", "version"),
    }
    assert f"{table['date'][0]}" == "2026-01-04"


def test_a_request_is_told_as_one_whatever_came_after_it(catalog):
    add_tombstones(catalog, "a", [stone(1, "requested")])
    add_tombstones(catalog, "b", [stone(1, "deleted", 1), stone(1, "restored", 2)])
    assert released(catalog) == {(1, 1): ("requested", "page")}


def test_a_version_that_the_page_was_reverted_to_has_no_tombstone_any_more(catalog):
    add_tombstones(catalog, "a", [stone(3, "overwritten")])
    assert released(catalog) == {}


def test_bytes_that_another_page_rightly_has_are_not_listed_unless_a_person_asked(catalog):
    twin = FileRecord(page_id=7, title="File:Twin.jpg", sha1=sha1(1))
    other = FileRecord(page_id=8, title="File:Twin 2.jpg", sha1=sha1(2))
    catalog.append_listing("s", listing([twin, other], seen("s")), None)
    copy = "2026-01-01: Exact or scaled-down duplicate: [[:File:Twin.jpg]]"
    add_tombstones(catalog, "a", [stone(1, "deleted", detail=copy), stone(2, "requested")])
    assert released(catalog) == {(1, None): ("deleted", "page"), (2, 2): ("requested", "page")}
    # The twin of what was deleted may be gone as well.
    add_tombstones(catalog, "b", [stone(7, "deleted", 1, sha1(1))])
    assert released(catalog)[1, 1] == ("deleted", "page")


def test_bytes_that_were_deleted_for_a_reason_of_their_own_are_listed_though_another_page_has_them(
    catalog,
):
    twin = FileRecord(page_id=7, title="File:Twin.jpg", sha1=sha1(1))
    catalog.append_listing("s", listing([twin], seen("s")), None)
    add_tombstones(catalog, "a", [stone(1, "deleted", detail="2026-01-01: Copyright violation")])
    assert released(catalog) == {(1, 1): ("deleted", "page")}


def test_a_purge_deletes_bytes_that_a_person_asked_for_though_another_page_has_them(catalog):
    twins = [
        FileRecord(page_id=7, title="File:Twin.jpg", sha1=sha1(1)),
        FileRecord(page_id=8, title="File:Twin 2.jpg", sha1=sha1(2)),
    ]
    catalog.append_listing("s", listing(twins, seen("s")), None)
    add_tombstones(catalog, "a", [stone(1, "deleted"), stone(2, "requested")])
    gone = []
    purge(catalog, dataset=None, remove_object=lambda digest: gone.append(digest) or True)
    assert gone == [sha1(2)]
