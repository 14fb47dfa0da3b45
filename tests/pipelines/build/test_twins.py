"""What was compared once is remembered, and what is remembered is what a search of all would find."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from catalog import views
from catalog.purge import purge
from catalog.records import HashRecord, TombstoneRow, schema, to_table
from catalog.store import Catalog
from filters.duplicates.dedupe import DedupePolicy, confirmed_edges
from filters.duplicates.hashing import VERSION as HASHES
from pipelines.build import twins
from pipelines.build.twins import edges_among, same_bytes

POLICY = DedupePolicy()
COUNT = 300


def candidates(seed=0):
    """As the gate gives them: every fifth is near the one before; two share a SHA-1, two are blank, some unhashed."""
    chance = np.random.default_rng(seed)
    hashes = chance.integers(0, 2**64, (4, COUNT), dtype=np.uint64)
    for i in range(5, COUNT, 5):
        flips = np.uint64(1) << chance.integers(0, 64, 4).astype(np.uint64)
        order = [2, 3, 0, 1] if i % 10 else [0, 1, 2, 3]
        hashes[:, i] = hashes[order, i - 1] ^ flips
    sha1s = [f"{i:040x}" for i in range(COUNT)]
    spread = np.full(COUNT, 40.0)
    for again, first in ((7, 3), (200, 100)):
        sha1s[again], hashes[:, again] = sha1s[first], hashes[:, first]
    spread[[100, 200]] = 0.1
    unhashed = np.arange(COUNT) % 11 == 8
    names = ("phash", "dhash", "phash_mirror", "dhash_mirror")
    return pa.table(
        {
            "sha1": sha1s,
            **{name: pa.array(hashes[n], mask=unhashed) for n, name in enumerate(names)},
            "spread": pa.array(spread, mask=unhashed),
        }
    )


def with_hashes(catalog, table):
    """The stage `hash` as a build leaves it."""
    hashed = table.filter(table.column("phash").is_valid())
    count = hashed.num_rows
    rows = {
        **{name: hashed.column(name) for name in hashed.column_names},
        "version": [HASHES] * count,
        "decoded_width": [9] * count,
        "decoded_height": [9] * count,
        # As they were hashed before there were looks; of hashes that are made up there is no picture: they confirm each
        # other without thumbnails.
        "seen_phash": [[]] * count,
        "seen_dhash": [[]] * count,
        "thumbnail": [b""] * count,
        "camera": pa.nulls(count, pa.string()),
    }
    wanted = schema(HashRecord)
    catalog.write_rows("hash", "x", "0000-00000", pa.table(rows).select(wanted.names).cast(wanted))


def searched(table):
    """Edges of one search of all, between rows of the table."""
    rows = np.flatnonzero(table.column("phash").is_valid().to_numpy())
    some = table.take(pa.array(rows))
    columns = [some.column(name).to_numpy() for name in table.column_names[1:]]
    edges = np.concatenate(
        [confirmed_edges(*columns, policy=POLICY), same_bytes(some.column("sha1"))]
    )
    return {(int(rows[i]), int(rows[j]), p, flip) for i, j, p, _, flip in edges.tolist()}


def told(edges):
    return {(i, j, p, flip) for i, j, p, _, flip in edges.tolist()}


def parts(catalog):
    return sorted((catalog.parts / "twin").glob("*/*.parquet"))


@pytest.mark.parametrize("fresh_share", [0, 10**9])
def test_in_steps_and_in_any_order_the_edges_are_those_of_one_search(
    tmp_path, monkeypatch, fresh_share
):
    monkeypatch.setattr("filters.duplicates.dedupe.FRESH_SHARE", fresh_share)
    catalog = Catalog(tmp_path)
    table = candidates()
    with_hashes(catalog, table)
    assert searched(table), "there must be something to find"
    for end in (40, 180, COUNT):
        some = table.slice(0, end)
        assert told(edges_among(catalog, some, POLICY)) == searched(some)
    assert len(parts(catalog)) == 3
    mixed = table.take(pa.array(np.random.default_rng(1).permutation(COUNT)))
    assert told(edges_among(catalog, mixed, POLICY)) == searched(mixed)
    few = mixed.slice(50, 60)
    assert told(edges_among(catalog, few, POLICY)) == searched(few)
    assert len(parts(catalog)) == 3


@pytest.mark.parametrize("fresh_share", [0, 10**9])
def test_recipes_over_parts_of_a_catalog_leave_no_pair_between_the_parts_unseen(
    tmp_path, monkeypatch, fresh_share
):
    monkeypatch.setattr("filters.duplicates.dedupe.FRESH_SHARE", fresh_share)
    catalog = Catalog(tmp_path)
    # Shuffled, so that near ones stand in different parts.
    table = candidates().take(pa.array(np.random.default_rng(2).permutation(COUNT)))
    with_hashes(catalog, table)
    for begin, end in ((0, 130), (100, 230), (220, COUNT)):
        some = table.slice(begin, end - begin)
        assert told(edges_among(catalog, some, POLICY)) == searched(some)
    monkeypatch.setattr(twins, "edges_of_new", None)
    assert told(edges_among(catalog, table, POLICY)) == searched(table)


def test_what_is_known_is_not_searched_again(tmp_path, monkeypatch):
    catalog = Catalog(tmp_path)
    table = candidates()
    with_hashes(catalog, table)
    first = edges_among(catalog, table, POLICY)
    monkeypatch.setattr(twins, "edges_of_new", None)
    assert np.array_equal(edges_among(catalog, table, POLICY), first)


def test_other_radii_are_other_facts_and_asking_writes_nothing(tmp_path):
    catalog = Catalog(tmp_path)
    table = candidates()
    with_hashes(catalog, table)
    edges_among(catalog, table, POLICY)
    before = parts(catalog)
    strict = DedupePolicy(phash_radius=0)
    found = edges_among(catalog, table, strict, keep=False)
    assert parts(catalog) == before
    assert told(found) < searched(table)
    edges_among(catalog, table, strict)
    assert len(parts(catalog)) == 2


def test_nothing_hashed_is_nothing_found(tmp_path):
    catalog = Catalog(tmp_path)
    assert edges_among(catalog, candidates().slice(0, 0), POLICY).shape == (0, 5)
    assert edges_among(catalog, candidates().slice(8, 1), POLICY).shape == (0, 5)
    assert parts(catalog) == []


def test_people_see_the_pairs_and_a_purge_forgets_them(tmp_path):
    catalog = Catalog(tmp_path)
    with_hashes(catalog, candidates())
    edges_among(catalog, candidates(), POLICY)
    with views.opened(catalog, "twins") as connection:
        pairs = connection.sql("SELECT sha1, twin, mirrored FROM twins").fetchall()
    assert pairs
    assert {mirrored for *_, mirrored in pairs} == {True, False}
    gone = pairs[0][0]
    stone = TombstoneRow(
        page_id=1,
        sha1=gone,
        reason="deleted",
        detail="",
        removed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    catalog.write_rows("tombstone", "test", "000000", to_table([stone], TombstoneRow))
    purge(catalog, dataset=None, remove_object=lambda sha1: True)
    for file in parts(catalog):
        assert gone.encode() not in Path(file).read_bytes()
    with views.opened(catalog, "twins") as connection:
        left = connection.sql("SELECT sha1, twin, mirrored FROM twins").fetchall()
    assert set(left) == {pair for pair in pairs if gone not in pair[:2]}


def test_identical_bytes_are_twins_even_where_there_is_nothing_to_see(tmp_path):
    catalog, table = Catalog(tmp_path), candidates()
    with_hashes(catalog, table)
    found = told(edges_among(catalog, table, POLICY))
    assert table.column("spread")[100].as_py() < POLICY.blank_spread
    assert (100, 200, 0, 0) in found
