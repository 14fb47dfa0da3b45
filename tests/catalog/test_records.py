"""Records go to Arrow and Parquet and come back as they were."""

from dataclasses import fields
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import records
from catalog.records import FileRecord, Hash64, HashRecord, from_table, schema, to_table

RECORD_TYPES = [
    records.FileRecord,
    records.ListingRow,
    records.ObjectRecord,
    records.RequestRow,
    records.HashRecord,
    records.MeasureRecord,
    records.ScoreRecord,
    records.EmbeddingRecord,
    records.FailureRecord,
    records.LedgerRow,
    records.Decision,
]


@pytest.mark.parametrize("record_type", RECORD_TYPES)
def test_every_record_type_has_a_schema_with_a_column_per_field(record_type):
    assert schema(record_type).names == [field.name for field in fields(record_type)]


@given(
    title=st.text(min_size=1).filter(lambda t: t.isprintable()),
    page_id=st.none() | st.integers(min_value=1, max_value=2**62),
    categories=st.none() | st.lists(st.text(alphabet="abcé 中")).map(tuple),
    copyrighted=st.none() | st.booleans(),
    uploaded_at=st.none()
    | st.datetimes(
        min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
    ).map(lambda d: d.replace(microsecond=0)),
)
def test_a_file_record_survives_the_round_trip(
    title, page_id, categories, copyrighted, uploaded_at
):
    record = FileRecord(
        title=title,
        page_id=page_id,
        categories=categories,
        copyrighted=copyrighted,
        uploaded_at=uploaded_at,
    )
    assert from_table(to_table([record], FileRecord), FileRecord) == [record]


def test_a_hash_with_its_highest_bit_set_survives_parquet(tmp_path):
    record = HashRecord(
        sha1="0" * 40,
        version="1",
        phash=Hash64(2**64 - 1),
        dhash=Hash64(2**63),
        phash_mirror=Hash64(0),
        dhash_mirror=Hash64(1),
        spread=12.5,
        decoded_width=640,
        decoded_height=480,
    )
    path = tmp_path / "hash.parquet"
    pq.write_table(to_table([record], HashRecord), path)
    assert from_table(pq.read_table(path), HashRecord) == [record]


def test_no_records_give_an_empty_table_with_the_schema():
    assert to_table([], FileRecord).schema == schema(FileRecord)
    assert to_table([], FileRecord).num_rows == 0


def test_a_missing_column_is_an_error_that_names_it():
    with pytest.raises(KeyError, match="title"):
        from_table(pa.table({"page_id": [1]}), FileRecord)
