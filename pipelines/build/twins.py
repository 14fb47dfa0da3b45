"""Which files are one photograph, remembered: what was compared once is not compared again.

An edge between two files follows from their hashes alone, so it is a fact and stands in the catalog (stage `twin`), as
does which files were compared. New files are looked up among the old; a recipe that lets fewer files through its gate
needs no search at all. Other radii are other facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import compute

from catalog import sums
from catalog.latest import Keys, latest_rows
from catalog.plans import config_hash, next_number
from catalog.records import TwinRow, schema
from catalog.store import Catalog
from filters.duplicates.confirm import VERSION as CONFIRM_VERSION
from filters.duplicates.dedupe import DedupePolicy, confirmed_edges, edges_of_new
from filters.duplicates.hashing import LOOKS, MIRRORED, VERSION

pc: Any = compute
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
LOOK_COUNT = len(LOOKS)


def edges_among(
    catalog: Catalog,
    candidates: pa.Table,
    policy: DedupePolicy,
    *,
    version: str | None = None,
    keep: bool = True,
) -> Ints:
    """[E, 5] confirmed edges among the candidates that have hashes, as filters.duplicates.dedupe.DedupeResult has them.

    Args:
        candidates: as pipelines.build.gate has them, with hashes.
        version: of the hashes; None: the present one.
        keep: write down what was compared now; under the catalog's lock.

    Raises:
        filters.neighbors.TooManyPairs: as filters.duplicates.dedupe.dedupe.
    """
    # Edges hold for one set of radii: other radii are other facts, kept beside these.
    version = version or VERSION
    radii = f"{policy.phash_radius} {policy.dhash_radius} {policy.blank_spread}"
    config = config_hash([version, CONFIRM_VERSION, radii])
    valid = candidates.column("phash").is_valid()
    hashed = np.flatnonzero(valid.to_numpy())
    sha1s = candidates.column("sha1").filter(valid)
    keys = Keys(sha1s)
    known = _known(catalog, config, keys)
    found = known.edges
    new = np.flatnonzero(~known.compared)
    if len(new):
        # New ones are compared with all that were compared before, also with those that are no candidates now: else two
        # recipes over parts of a catalog would leave pairs between these parts unseen for ever.
        old = np.flatnonzero(known.compared)
        # One row for each content: a file that was uploaded twice is compared once. Hashes are read only here, where
        # something is compared: they take as much room as all measures.
        first = pa.array(keys.first)
        held = [sha1s.take(first.take(pa.array(some))) for some in (old, new)]
        place = pa.concat_tables(
            [_hashes_of(catalog, some, version) for some in (held[0], known.others, held[1])]
        ).combine_chunks()
        before = place.num_rows - len(new)
        compared = place.column("sha1")
        edges = edges_of_new(
            before,
            *looks_of(place),
            place.column("spread").to_numpy(),
            policy=policy,
            thumbnails=lambda rows: _thumbnails(catalog, compared.take(pa.array(rows)), version),
        )
        if keep:
            _remember(catalog, config, compared, before, edges)
        # Back from places in that table to keys; what is no candidate now has none and its edges are only remembered.
        key_of = np.concatenate([old, np.full(before - len(old), -1), new])
        ends = key_of[edges[:, :2]]
        ours = (ends >= 0).all(axis=1)
        edges = np.column_stack([np.sort(ends, axis=1), edges[:, 2:]])[ours]
        found = np.concatenate([found, edges])
    return _by_row(found, keys.of_row, hashed, len(keys))


def edges_within(
    hashed: pa.Table, policy: DedupePolicy, thumbnails: Callable[[Ints], Sequence[bytes | None]]
) -> Ints:
    """The same of rows that have no catalog; nothing is remembered.

    Args:
        hashed: [N] sha1 and the hashes; all of them have hashes.
        thumbnails: gives those of some rows.
    """
    keys = Keys(hashed.column("sha1"))
    one = hashed.take(pa.array(keys.first))
    spread = one.column("spread").to_numpy()
    edges = confirmed_edges(
        *looks_of(one), spread, policy, lambda rows: thumbnails(np.asarray(keys.first)[rows])
    )
    return _by_row(edges, keys.of_row, np.arange(hashed.num_rows), len(keys))


_HASHES = (
    *("phash", "dhash", "phash_mirror", "dhash_mirror", "spread", "seen_phash", "seen_dhash"),
)


def looks_of(hashed: pa.Table) -> tuple[Hashes, Hashes, Hashes, Hashes]:
    """pHash and dHash [N] as seen, and of the other looks [N, L], of rows that have hashes.

    Rows of before there were looks have the file's own hashes and those of its mirror image.
    """
    names = hashed.column_names
    lengths = pc.list_value_length(hashed.column("seen_phash")) if "seen_phash" in names else None
    if lengths is not None and pc.all(pc.equal(pc.fill_null(lengths, 0), LOOK_COUNT)).as_py():
        seen = [
            pc.list_flatten(hashed.column(name).combine_chunks()).to_numpy().reshape(-1, LOOK_COUNT)
            for name in ("seen_phash", "seen_dhash")
        ]
        return seen[0][:, 0].copy(), seen[1][:, 0].copy(), seen[0][:, 1:], seen[1][:, 1:]
    columns = [hashed.column(name).to_numpy() for name in _HASHES[:4]]
    return columns[0], columns[1], columns[2][:, None], columns[3][:, None]


def same_bytes(sha1s: pa.ChunkedArray) -> Ints:
    """[E, 5] pairs of rows with one SHA-1: twins, whatever there is to see in them."""
    keys = Keys(sha1s)
    nothing = np.empty((0, 5), dtype=np.int64)
    return _by_row(nothing, keys.of_row, np.arange(len(sha1s)), len(keys))


def _thumbnails(catalog: Catalog, sha1s: pa.ChunkedArray, version: str) -> list[bytes | None]:
    found = latest_rows(catalog, "hash", Keys(sha1s), ("thumbnail",), (None, version))
    return found["thumbnail"].to_pylist()


@dataclass(frozen=True)
class _Known:
    compared: NDArray[np.bool_]
    """[keys]"""
    others: pa.Array
    """SHA-1s that were compared and are no keys."""
    edges: Ints
    """[E, 5], between keys that were both compared."""


def _hashes_of(catalog: Catalog, sha1s: Any, version: str) -> pa.Table:
    """`sha1` and the hashes of these files, without those whose hashes are gone."""
    column = pa.chunked_array(sha1s if isinstance(sha1s, pa.ChunkedArray) else [sha1s], pa.string())
    hashes = latest_rows(catalog, "hash", Keys(column), _HASHES, (None, version))
    table = pa.table({"sha1": column, **hashes})
    return table.filter(table.column("phash").is_valid())


def _folder_parts(catalog: Catalog, config: str) -> list[Any]:
    found = sorted((catalog.parts / "twin" / config).glob("*.parquet"))
    sums.check(found)
    return found


def _known(catalog: Catalog, config: str, keys: Keys) -> _Known:
    compared = np.zeros(len(keys), dtype=bool)
    others = [pa.array([], pa.string())]
    edges = [np.empty((0, 5), dtype=np.int64)]
    for file in _folder_parts(catalog, config):
        with pq.ParquetFile(file) as source:
            part = source.read(use_threads=False)
        # A row without a twin says that the file was compared; pairs are rows of their own.
        single = part.column("twin").is_null()
        alone = part.filter(single).column("sha1").combine_chunks()
        places = keys.places(alone)
        compared[places[places >= 0]] = True
        others.append(alone.filter(pa.array(places < 0)))
        pairs = part.filter(pc.invert(single))
        ends = [keys.places(pairs.column(name).combine_chunks()) for name in ("sha1", "twin")]
        # Of pairs with a file that is no candidate now nothing is said here.
        both = (ends[0] >= 0) & (ends[1] >= 0)
        said = [pairs.column(n).cast(pa.int64()).to_numpy() for n in _BITS]
        columns = [np.minimum(*ends), np.maximum(*ends), *said]
        edges.append(np.column_stack(columns)[both].astype(np.int64))
    return _Known(compared, pa.concat_arrays(others), np.concatenate(edges))


_BITS = ("phash_bits", "dhash_bits", "look")


def _remember(
    catalog: Catalog, config: str, sha1s: pa.ChunkedArray, before: int, edges: Ints
) -> None:
    """One part: the files that were compared now (from row `before` on), and the edges that they have."""
    texts = sha1s.combine_chunks()
    wanted = schema(TwinRow)
    pairs = {
        "sha1": texts.take(pa.array(edges[:, 0])),
        "twin": texts.take(pa.array(edges[:, 1])),
        "phash_bits": pa.array(edges[:, 2]),
        "dhash_bits": pa.array(edges[:, 3]),
        "mirrored": pa.array(np.isin(edges[:, 4], MIRRORED)),
        "look": pa.array(edges[:, 4]),
    }
    # Only the new files: those before them have their row from when they were new.
    alone = {"sha1": texts.slice(before)}
    nothing = {f.name: pa.nulls(len(texts) - before, f.type) for f in wanted if f.name != "sha1"}
    rows = [
        pa.table(columns).select(wanted.names).cast(wanted) for columns in (alone | nothing, pairs)
    ]
    name = f"{next_number(catalog.parts / 'twin' / config):06d}"
    catalog.write_rows("twin", config, name, pa.concat_tables(rows))


def _by_row(edges: Ints, of_row: Ints, rows: Ints, contents: int) -> Ints:
    """Edges between contents as edges between rows; rows of one content are twins, blank or not."""
    order = np.argsort(of_row, kind="stable")
    counts = np.bincount(of_row, minlength=contents)
    starts = np.cumsum(counts) - counts
    # The usual case, every content in one file, without a loop in Python.
    if counts.max(initial=0) <= 1:
        found = edges.copy()
        found[:, :2] = rows[order[edges[:, :2]]]
    else:
        members = [order[s : s + n] for s, n in zip(starts.tolist(), counts.tolist(), strict=True)]
        found_rows = [
            (int(i), int(j), *said)
            for a, b, *said in edges.tolist()
            for i in members[a]
            for j in members[b]
        ]
        for content in np.flatnonzero(counts > 1).tolist():
            same = members[content].tolist()
            found_rows += [(i, j, 0, 0, 0) for k, i in enumerate(same) for j in same[k + 1 :]]
        found = np.array(found_rows, dtype=np.int64).reshape(-1, 5)
        found[:, :2] = rows[found[:, :2]]
    found[:, :2] = np.sort(found[:, :2], axis=1)
    return found[np.lexsort((found[:, 1], found[:, 0]))]
