"""What is read straight from the parts is what the views say, whatever the order and the number of the parts."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import views
from catalog.latest import Keys, latest_rows, latest_values, seen_in
from catalog.looks import config_hash
from catalog.records import EmbeddingRecord, HashRecord, MeasureRecord, ScoreRecord, to_table
from catalog.store import Catalog
from tests.counts import rounds

SHA1S = [f"{i:040x}" for i in range(12)]
WANTED = (("blur", "1"), ("noise", "2"), ("nowhere", "1"))


def hashed(sha1, version, number):
    return HashRecord(
        sha1=sha1,
        version=version,
        phash=2**64 - 1 - number,
        dhash=number,
        phash_mirror=0,
        dhash_mirror=0,
        spread=1.5,
        decoded_width=number,
        decoded_height=1,
    )


@st.composite
def part_rows(draw):
    """Rows of some parts: (sha1, name, version, value); parts contradict each other."""
    row = st.tuples(
        st.sampled_from(SHA1S),
        st.sampled_from(["blur", "noise"]),
        st.sampled_from(["1", "2"]),
        st.one_of(st.none(), st.integers(0, 1000)),
    )
    return draw(st.lists(st.lists(row, max_size=25), max_size=5))


def asked(sha1s, values):
    return dict(zip(sha1s, values.to_pylist(), strict=True))


@settings(max_examples=rounds(400), deadline=None)
@given(part_rows(), st.randoms(use_true_random=False))
def test_values_are_those_of_the_view(tmp_path_factory, parts, chance):
    catalog = Catalog(tmp_path_factory.mktemp("catalog"))
    for number, rows in enumerate(parts):
        # A thing stands once in a part, as a stage writes it; later parts of one folder win.
        once = {row[:3]: row for row in rows}.values()
        table = to_table(
            [MeasureRecord(sha1=s, name=n, version=v, value=x) for s, n, v, x in once],
            MeasureRecord,
        )
        catalog.write_rows("measure", "config", f"{number:04d}-00000", table)
    sha1s = [*SHA1S, None, SHA1S[0], "unknown"]
    chance.shuffle(sha1s)
    keys = Keys(
        pa.chunked_array([pa.array(sha1s[:5], pa.string()), pa.array(sha1s[5:], pa.string())])
    )
    found = latest_values(catalog, "measure", keys, WANTED)
    # A value that does not apply any more leaves the last one that did.
    query = (
        'SELECT name, version, sha1, arg_max("value", filename) FROM '
        f"{views.scan(catalog, 'measure')} GROUP BY ALL"
    )
    with views.opened(catalog, "measures") as connection:
        said = {(n, v, s): x for n, v, s, x in connection.sql(query).fetchall()}
    for name, version in WANTED:
        expected = [said.get((name, version, sha1)) for sha1 in sha1s]
        assert found[name].to_pylist() == expected
        assert found[name].type == pa.float64()
    assert seen_in(catalog, "measure", keys).to_pylist() == [
        None if sha1 is None else any(sha1 == row[0] for rows in parts for row in rows)
        for sha1 in sha1s
    ]


def test_the_latest_part_wins_and_within_a_part_the_first_row(tmp_path):
    catalog = Catalog(tmp_path)
    a, b = SHA1S[:2]
    first = [hashed(a, "1", 1), hashed(b, "1", 2), hashed(b, "1", 3), hashed(a, "2", 9)]
    catalog.write_rows("hash", "config", "0000-00000", to_table(first, HashRecord))
    catalog.write_rows("hash", "config", "0001-00000", to_table([hashed(a, "1", 4)], HashRecord))
    keys = Keys(pa.chunked_array([[a, b, SHA1S[2], None, a]]))
    found = latest_rows(catalog, "hash", keys, ("phash", "decoded_width"), (None, "1"))
    assert found["decoded_width"].to_pylist() == [4, 2, None, None, 4]
    assert found["phash"].to_pylist()[0] == 2**64 - 1 - 4
    assert found["phash"].type == pa.uint64()
    nothing = latest_rows(catalog, "hash", keys, ("spread",), (None, "3"))
    assert nothing["spread"].to_pylist() == [None] * 5
    with views.opened(catalog, "hashes") as connection:
        rows = connection.sql(
            "SELECT sha1, decoded_width FROM hashes WHERE version = '1'"
        ).fetchall()
    assert dict(rows) == {a: 4, b: 2}


def test_rows_of_one_name_only_and_binary_columns(tmp_path):
    catalog = Catalog(tmp_path)
    rows = [
        EmbeddingRecord(
            sha1=SHA1S[0],
            name=name,
            version="1",
            weights_sha256="w",
            license="MIT",
            vector=vector,
            thumbnail=b"t",
        )
        for name, vector in (("one", b"\x00\xff"), ("two", b"\x01"))
    ]
    catalog.write_rows("embed", "config", "0000-00000", to_table(rows, EmbeddingRecord))
    keys = Keys(pa.chunked_array([SHA1S[:2]]))
    found = latest_rows(catalog, "embed", keys, ("vector", "thumbnail"), ("two", "1"))
    assert found["vector"].to_pylist() == [b"\x01", None]
    assert found["thumbnail"].to_pylist() == [b"t", None]


def test_no_candidates_and_no_parts_are_no_trouble(tmp_path):
    catalog = Catalog(tmp_path)
    none = Keys(pa.chunked_array([pa.array([], pa.string())]))
    some = Keys(pa.chunked_array([SHA1S[:1]]))
    assert seen_in(catalog, "download", none).to_pylist() == []
    assert latest_values(catalog, "score", some, [("x", "1")])["x"].to_pylist() == [None]
    assert latest_values(catalog, "score", some, []) == {}
    assert latest_rows(catalog, "hash", none, ("phash",), (None, "1"))["phash"].to_pylist() == []


def test_a_part_of_an_older_version_lacks_columns(tmp_path):
    catalog = Catalog(tmp_path)
    table = to_table([hashed(SHA1S[0], "1", 5)], HashRecord).drop_columns(["decoded_width"])
    path = catalog.parts / "hash" / "config" / "0000-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    # That version left an empty part of its columns.
    empty = f"empty-{config_hash(table.column_names)}.parquet"
    pq.write_table(table.slice(0, 0), catalog.parts / "hash" / empty)
    keys = Keys(pa.chunked_array([SHA1S[:1]]))
    found = latest_rows(catalog, "hash", keys, ("dhash", "decoded_width"), (None, "1"))
    assert found["dhash"].to_pylist() == [5]
    assert found["decoded_width"].to_pylist() == [None]


@pytest.mark.parametrize("row_group", [3, 1000])
def test_row_groups_with_dictionaries_of_their_own(tmp_path, row_group):
    catalog = Catalog(tmp_path)
    rows = [
        ScoreRecord(
            sha1=sha1,
            name=name,
            version="1",
            value=float(i),
            lower_better=True,
            weights_sha256=None,
            license="x",
            device="cpu",
            precision="float32",
        )
        for i, (sha1, name) in enumerate((s, n) for s in SHA1S for n in ("blur", "other"))
    ]
    path = catalog.parts / "score" / "config" / "0000-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(to_table(rows, ScoreRecord), path, row_group_size=row_group)
    keys = Keys(pa.chunked_array([SHA1S]))
    found = latest_values(catalog, "score", keys, [("blur", "1")])["blur"]
    assert found.to_pylist() == np.arange(0.0, 24.0, 2.0).tolist()
