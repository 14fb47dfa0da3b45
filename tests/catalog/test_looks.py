"""What stands at a place in a catalog has to look like it, whatever its sum says."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import repair, sums, views
from catalog.latest import Keys, latest_values
from catalog.looks import looks_right
from catalog.plans import config_hash
from catalog.records import LISTING, STAGES, HashRecord, MeasureRecord, schema, to_table
from catalog.store import Catalog

ROWS = to_table([MeasureRecord(sha1="0" * 40, name="piqe", version="1", value=1.0)], MeasureRecord)
SHAPES = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"PAR1 nothing PAR1"),
    "another table": lambda path: pq.write_table(pa.table({"x": [1]}), path),
    "a column less": lambda path: pq.write_table(ROWS.drop_columns(["value"]), path),
    "another type": lambda path: pq.write_table(retyped("value", ["1"]), path),
    "nothing where something has to be": lambda path: pq.write_table(emptied("sha1"), path),
}


def retyped(name, values):
    return ROWS.set_column(ROWS.column_names.index(name), name, pa.array(values))


def emptied(name):
    nothing = pa.nulls(1, ROWS.schema.field(name).type)
    return ROWS.set_column(ROWS.column_names.index(name), name, nothing)


def forge(path):
    """Its sum says that it is what was written."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    sums.sum_file(path).write_text(f"{digest}  {path.name}\n")
    sums.forget()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_part_with_a_forged_sum_is_damaged_where_it_looks_like_none(tmp_path, shape):
    catalog = Catalog(tmp_path)
    catalog.write_rows("measure", "c", "0000-00000", ROWS)
    path = catalog.parts / "measure" / "c" / "0000-00000.parquet"
    forge(path)
    assert sums.is_whole(path)
    SHAPES[shape](path)
    forge(path)
    with pytest.raises(sums.Damaged, match=r"0000-00000.parquet.*verify --repair"):
        catalog.whole_parts("measure")


def test_pages_that_cannot_be_unpacked_are_named_whatever_the_sum_says(tmp_path):
    catalog = Catalog(tmp_path)
    catalog.write_rows("measure", "c", "0000-00000", ROWS)
    path = catalog.parts / "measure" / "c" / "0000-00000.parquet"
    content = bytearray(path.read_bytes())
    at = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    content[at + 5 : at + 40] = bytes(b ^ 0xFF for b in content[at + 5 : at + 40])
    path.write_bytes(bytes(content))
    forge(path)
    assert sums.is_whole(path), "its footer is"
    with pytest.raises(sums.Damaged, match=path.name), views.opened(catalog) as connection:
        connection.execute("SELECT * FROM measures").fetchall()
    with pytest.raises(sums.Damaged, match=path.name), catalog.locked():
        pq.read_table(path)
    with pytest.raises(sums.Damaged, match=path.name):
        latest_values(catalog, "measure", Keys(pa.chunked_array([["0" * 40]])), [("piqe", "1")])
    assert [fault.path for fault in repair.faults(catalog, again=True)] == [path]
    repair.heal(catalog, lambda text: None, deep=True)
    assert not path.exists()


def test_a_part_of_an_older_version_is_known_by_the_empty_one_that_this_version_left(tmp_path):
    catalog = Catalog(tmp_path)
    older = schema(HashRecord).remove(schema(HashRecord).get_field_index("camera"))
    path = catalog.parts / "hash" / "c" / "0000-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(older.empty_table(), path)
    assert not looks_right(path)
    empty = catalog.parts / "hash" / f"empty-{config_hash(older.names)}.parquet"
    pq.write_table(older.empty_table(), empty)
    assert looks_right(empty)
    assert looks_right(path)


def test_an_empty_part_is_what_its_name_says(tmp_path):
    catalog = Catalog(tmp_path)
    for stage in STAGES:
        (empty,) = (catalog.parts / stage).glob("*.parquet")
        assert looks_right(empty)
        pq.write_table(pa.table({"x": [1]}), empty)
        assert not looks_right(empty)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"batch": ["0000-00000"], "key": ["1"]}, None),
        ({"batch": ["0000-00000"], "key": ["1"]}, b"{"),
        ({"batch": ["0000-00000"], "key": ["1"]}, b"[3]"),
        ({"batch": ["0000-00000"], "key": [1]}, b'["a@1"]'),
        ({"batch": ["0000-00000"]}, b'["a@1"]'),
    ],
)
def test_a_plan_says_its_versions_and_has_batches_and_keys(tmp_path, columns, said):
    catalog = Catalog(tmp_path)
    catalog.plan("measure", ["1"], ["a@1"], batch_size=8)
    (path,) = catalog.plans.rglob("*.parquet")
    assert looks_right(path)
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(said and {b"lucidlr.versions": said}), path)
    forge(path)
    with pytest.raises(sums.Damaged, match=path.name):
        catalog.pending("measure", None)


RIGHT = {
    "runs": {"command": "lucidlr build x", "recipe_hash": "0", "seconds": 1.5, "stopped": None},
    "recipes": {"recipe": {"name": "x"}, "limit": None},
    "rules": [
        {"rule": "a", "value": "b", "threshold": "c", "why": "d"}
        | dict.fromkeys(("passes", "not_measured", "fails", "alone", "first"), 1)
    ],
    "shortfalls": [{"dimension": "a", "value": "b", "wanted": 1, "got": 0}],
    "limits": {"api_per_minute": 100.0, "local": True},
}


def test_a_damaged_id_comes_from_beside_the_originals_and_stops_nothing(tmp_path):
    catalog = Catalog(tmp_path)
    named = catalog.identify()
    catalog.plan("measure", ["1"], ["a@1"], batch_size=8)
    for text in (b"", b"\xff\xff", b"x" * 32, b"[1]"):
        (tmp_path / ".catalog-id").write_bytes(text)
        assert [ref.catalog for ref in catalog.pending("measure", None)] == [""]
        assert catalog.identify() == named
        assert (tmp_path / ".catalog-id").read_text() == named + "\n"


@pytest.mark.parametrize("name", ["._000000", "000000 (conflicted copy)", "000000~"])
def test_what_a_file_manager_left_in_a_listing_is_set_aside(tmp_path, name):
    catalog = Catalog(tmp_path)
    catalog.append_listing("src", LISTING.empty_table(), {"at": 1})
    part = catalog.parts / "listing" / "src" / "000000.parquet"
    left = part.with_name(f"{name}.parquet")
    left.write_bytes(part.read_bytes())
    with pytest.raises(sums.Damaged, match="000000"):
        catalog.listing_state("src")
    assert [fault.path for fault in repair.faults(catalog)] == [left]
    repair.heal(catalog, lambda text: None)
    assert not left.exists()


def test_a_folder_in_the_place_of_a_record_is_set_aside(tmp_path):
    catalog = Catalog(tmp_path)
    (tmp_path / "runs" / "x.json").mkdir(parents=True)
    repair.heal(catalog, lambda text: None)
    assert not (tmp_path / "runs" / "x.json").exists()


@pytest.mark.parametrize("folder", RIGHT)
def test_a_record_of_another_shape_is_damaged(tmp_path, folder):
    path = tmp_path / folder / "a.json"
    sums.put(path, json.dumps(RIGHT[folder]))
    sums.forget()
    assert sums.is_whole(path)
    row = RIGHT[folder]
    odd = ["", "{", "null", "5", '"x"', "\xff", "[" * 200_000, "[[1]]", '{"a": [1]}']
    odd += [json.dumps([row] if isinstance(row, dict) else row[0])]
    fields = row if isinstance(row, dict) else row[0]
    for value in (["x"], {"a": 1}):
        changed = dict.fromkeys(fields, value)
        odd.append(json.dumps(changed if isinstance(row, dict) else [changed]))
    for text in odd:
        path.write_bytes(text.encode("latin-1"))
        forge(path)
        assert not sums.is_whole(path), text[:50]
