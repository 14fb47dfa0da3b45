"""Two releases compared: every difference is found once, under its name, and a removal says why."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.records import Decision, to_table
from catalog.release.diff import DIFF, diff_datasets
from catalog.release.export import export_dataset
from catalog.release.manifest import DatasetError, load_manifest
from catalog.release.tombstones import TOMBSTONES
from catalog.store import LISTING, Catalog
from pipelines.release.export import diff_lines
from tests.catalog.release.release_samples import reader, release


@pytest.fixture(scope="module")
def made():
    return release()


@pytest.fixture(scope="module")
def old(made, tmp_path_factory):
    return export(made, tmp_path_factory.mktemp("old") / "dataset")


def export(made, out, *, recipe_hash="r1", **options):
    samples, store = made
    export_dataset(
        samples,
        read_bytes=reader(store),
        out=out,
        recipe={},
        recipe_hash=recipe_hash,
        name="tiny",
        **options,
    )
    return out


def changed(samples, page_id, **values):
    """The table with other values in the row of one page."""
    row = samples["page_id"].to_pylist().index(page_id)
    for name, value in values.items():
        at = samples.column_names.index(name)
        column = samples[name].to_pylist()
        column[row] = value
        samples = samples.set_column(at, name, pa.array(column, samples.schema.field(name).type))
    return samples


def without(samples, *pages):
    return samples.filter(pa.array([page not in pages for page in samples["page_id"].to_pylist()]))


def stones(*rows):
    day = date(2026, 1, 1)
    return pa.Table.from_pylist(
        [
            {"page_id": page, "sha1": sha1, "date": day, "reason": why, "kind": kind}
            for page, sha1, why, kind in rows
        ],
        TOMBSTONES,
    )


def test_a_release_does_not_differ_from_itself(old):
    found = diff_datasets(old, old)
    assert (found.changes, found.kinds, found.reasons, found.first) == ({}, {}, {}, [])
    assert found.unchanged == 24


def test_each_change_has_its_name_and_tells_before_and_after(made, old, tmp_path):
    samples, store = made
    content = b"other bytes"
    sha1 = hashlib.sha1(content).hexdigest()
    store = {**store, sha1: content}
    new = changed(samples, 1000, sha1=sha1)
    new = changed(new, 1007, title="File:Moved.jpg")
    new = changed(new, 1014, license="CC-BY-SA-2.0")
    new = changed(new, 1021, split="test", labels=["noise"])
    new = changed(new, 1035, artist="X", license="CC-BY-4.0", family="cc_by")
    new = changed(new, 1042, measures={"laplacian": 1.5, "jpeg_quality": None})
    # Rows that stay the same, in another order and with another fingerprint of the recipe.
    found = diff_datasets(
        old,
        export((new.take(list(range(23, -1, -1))), store), tmp_path / "new", recipe_hash="r2"),
        shown=99,
    )
    assert found.changes == {"changed": 6}
    assert found.unchanged == 18
    rows = {row["page_id"]: row for row in found.first}
    # The credit names title and author, so it changes with them: `other`.
    assert {page: row["kinds"] for page, row in rows.items()} == {
        1000: ["overwritten"],
        1007: ["moved", "other"],
        1014: ["relicensed"],
        1021: ["labels", "split"],
        1035: ["family", "other", "relicensed"],
        1042: ["other"],
    }
    assert found.kinds["relicensed"] == 2
    titles = [c for c in rows[1007]["columns"] if c["column"] == "title"]
    assert titles == [{"column": "title", "before": "File:Tile 1.jpg", "after": "File:Moved.jpg"}]
    assert {c["column"]: c["after"] for c in rows[1042]["columns"]} == {
        "measures.laplacian": "1.5",
        "measures.jpeg_quality": None,
    }
    assert found.columns["labels"] == 1


def test_added_and_removed_rows_are_told_apart_by_direction(made, old, tmp_path):
    samples, store = made
    new = export((without(samples, 1000, 1007), store), tmp_path / "new")
    there, back = diff_datasets(old, new), diff_datasets(new, old)
    assert (there.changes, back.changes) == ({"removed": 2}, {"added": 2})
    assert [row["page_id"] for row in back.first] == [1000, 1007]
    assert [row["title_after"] for row in back.first] == ["File:Tile 0.jpg", "File:Tile 1.jpg"]
    assert back.reasons == there.added == {}
    assert there.unchanged == back.unchanged == 22


def test_a_removal_says_why_tombstone_before_decision_before_recipe(made, old, tmp_path):
    samples, store = made
    gone = (1000, 1007, 1014, 1021, 1035)
    graves = stones(
        (1000, None, "requested", "page"),
        (5, samples["sha1"][1].as_py(), "requested", "page"),  # the bytes of page 1007
    )
    new = export(
        (without(samples, *gone), store),
        tmp_path / "new",
        recipe_hash="r2",
        tombstones=graves,
    )
    catalog = Catalog(tmp_path / "catalog")
    for recipe, pages in (("r1", {1035: "too_small"}), ("r2", dict.fromkeys(gone[:4], "degraded"))):
        made_by = to_table([decision(recipe, *item) for item in pages.items()], Decision)
        catalog.write_rows("decision", recipe, "all", made_by)
    told = diff_datasets(old, new, catalog=catalog, shown=9)
    assert {row["page_id"]: row["reason"] for row in told.first} == {
        1000: "tombstone:requested",
        1007: "tombstone:requested",
        1014: "decision:degraded",
        1021: "decision:degraded",
        # Decided under another recipe only, which says nothing of this release.
        1035: "recipe_changed",
    }
    assert diff_datasets(old, new).reasons == {"recipe_changed": 3, "tombstone:requested": 2}
    same = export((without(samples, 1000), store), tmp_path / "same")
    assert diff_datasets(old, same).reasons == {"unknown": 1}


def test_an_addition_says_why_newly_listed_before_the_old_decision_before_the_recipe(
    made, old, tmp_path
):
    samples, store = made
    added = (1000, 1007, 1014)
    before = export((without(samples, *added), store), tmp_path / "before", recipe_hash="r0")
    catalog = Catalog(tmp_path / "catalog")
    ended = datetime(2026, 3, 1, tzinfo=UTC)
    (catalog.root / "runs").mkdir(exist_ok=True)
    run = {"command": "lucidlr build x", "recipe_hash": "r0", "finished_at": ended.isoformat()}
    run["dataset_hash"] = load_manifest(before).dataset_hash
    (catalog.root / "runs" / "1.json").write_text(json.dumps(run))
    listed = [
        {
            **dict.fromkeys(LISTING.names),
            "page_id": page,
            "fetched_at": ended + timedelta(days=days),
        }
        # The second listing of a page does not make it new.
        for page, days in ((1000, 2), (1007, -2), (1007, 2), (1014, -2))
    ]
    needed = [f.name for f in LISTING if not f.nullable and pa.types.is_string(f.type)]
    rows = [{**row, **dict.fromkeys(needed, "x")} for row in listed]
    catalog.append_listing("source", pa.Table.from_pylist(rows, LISTING), None)
    catalog.write_rows(
        "decision", "r0", "all", to_table([decision("r0", 1007, "degraded")], Decision)
    )
    told = diff_datasets(before, old, catalog=catalog)
    assert {row["page_id"]: row["reason"] for row in told.first} == {
        1000: "newly_listed",
        1007: "was:degraded",
        1014: "recipe_changed",
    }
    assert told.added == {"newly_listed": 1, "recipe_changed": 1, "was:degraded": 1}
    lines = "\n".join(diff_lines(told))
    assert "1  listed since" in lines
    assert "1  was:degraded" in lines
    same = export((without(samples, *added), store), tmp_path / "same")
    assert diff_datasets(same, old).added == {"same_recipe": 3}


def decision(recipe_hash, page_id, reason):
    return Decision(
        recipe_hash=recipe_hash,
        page_id=page_id,
        sha1=None,
        title="File:X.jpg",
        keep=False,
        reason=reason,
        failed_rules=(),
        license_outcome="accept",
        license=None,
        license_reason="ok",
        family=None,
        cluster_id=None,
        duplicate_of=None,
        labels=(),
        severity=None,
        split=None,
    )


def test_the_title_of_what_was_taken_down_is_not_told_again(made, old, tmp_path):
    samples, store = made
    graves = stones((1000, None, "requested", "page"))
    new = export((without(samples, 1000, 1007), store), tmp_path / "new", tombstones=graves)
    report, table = tmp_path / "d.json", tmp_path / "d.parquet"
    found = diff_datasets(old, new, to_json=report, to_parquet=table)
    assert [row["title_before"] for row in found.first] == [None, "File:Tile 1.jpg"]
    assert "Tile 0.jpg" not in report.read_text()
    assert "Tile 0.jpg" not in str(pq.read_table(table).to_pylist())


def test_the_files_hold_every_row_that_differs(made, old, tmp_path):
    samples, store = made
    new = changed(without(samples, 1000, 1007, 1014), 1021, title='File:Ä "quoted".jpg')
    folder = export((new, store), tmp_path / "new")
    report, table = tmp_path / "d.json", tmp_path / "d.parquet"
    found = diff_datasets(old, folder, to_json=report, to_parquet=table, shown=1)
    assert len(found.first) == 2
    held = json.loads(report.read_text(encoding="utf-8"))
    assert held["changes"] == {"removed": 3, "changed": 1}
    assert held["old"]["rows"] == 24
    rows = pq.read_table(table)
    assert rows.schema.equals(DIFF)
    assert rows.to_pylist() == held["rows"]
    assert [row["page_id"] for row in held["rows"]] == [1000, 1007, 1014, 1021]
    assert held["rows"][3]["title_after"] == 'File:Ä "quoted".jpg'
    equal = diff_datasets(old, old, to_json=report, to_parquet=table)
    assert equal.unchanged == 24
    assert json.loads(report.read_text())["rows"] == pq.read_table(table).to_pylist() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.json", "d.parquet", "new"]


def test_columns_that_only_one_release_has_are_named_and_not_compared(made, old, tmp_path):
    samples, store = made
    at = samples.column_names.index("measures")
    other = [{"laplacian": row["laplacian"], "tv": 1.0} for row in samples["measures"].to_pylist()]
    new = samples.set_column(at, "measures", pa.array(other))
    found = diff_datasets(old, export((new, store), tmp_path / "new"))
    assert found.columns_added == ("measures.tv",)
    assert found.columns_removed == ("measures.jpeg_quality",)
    assert found.changes == {}


def test_a_folder_that_is_no_dataset_or_lacks_a_shard_is_refused(made, old, tmp_path):
    with pytest.raises(DatasetError, match=r"no manifest\.json"):
        diff_datasets(old, tmp_path)
    new = export(made, tmp_path / "new")
    (new / "tombstones.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=r"tombstones\.parquet is damaged"):
        diff_datasets(old, new)
    shard = next(new.glob("data/*/train-*.parquet"))
    for spoil in (lambda: shard.write_bytes(shard.read_bytes()[:-20]), shard.unlink):
        spoil()
        with pytest.raises(DatasetError, match=r"train-.*parquet is missing or damaged"):
            diff_datasets(old, new, to_json=tmp_path / "d.json")
    assert not (tmp_path / "d.json").exists()


def test_the_photographs_are_not_read(made, old, tmp_path):
    """Damaged where the photographs stand, the shards still compare: only the light columns are read."""
    new = export(made, tmp_path / "new")
    for shard in new.glob("data/*/*.parquet"):
        parts = pq.ParquetFile(shard).metadata
        content = bytearray(shard.read_bytes())
        for group in range(parts.num_row_groups):
            image = parts.row_group(group).column(0)
            assert image.path_in_schema == "image.bytes"
            start, size = image.data_page_offset, image.total_compressed_size
            content[start : start + size] = b"\xff" * size
        shard.write_bytes(content)
    assert diff_datasets(old, new).unchanged == 24


@pytest.mark.parametrize(
    "text", ["", "{no", "\udcff", "[" * 100_000, "5", '{"schema_version": "x"}']
)
def test_a_manifest_of_another_shape_is_told(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError, match=r"manifest\.json is (damaged|not of schema)"):
        load_manifest(tmp_path)
