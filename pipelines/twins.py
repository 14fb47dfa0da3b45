"""Which files are one photograph, remembered: what was compared once is not compared again.

An edge between two files follows from their hashes alone, so it is a fact and stands in the catalog (stage `twin`), as
does which files were compared. New files are looked up among the old; a recipe that lets fewer files through its gate
needs no search at all. Other radii are other facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import compute

from catalog.latest import Keys
from catalog.records import TwinRow, schema
from catalog.store import Catalog, config_hash
from filters.dedupe import DedupePolicy, edges_of_new
from filters.hashing import VERSION

pc: Any = compute
Ints = NDArray[np.int64]


def edges_among(
    catalog: Catalog, candidates: pa.Table, policy: DedupePolicy, *, keep: bool = True
) -> Ints:
    """[E, 5] confirmed edges among the candidates that have hashes, as filters.dedupe.DedupeResult has them.

    Args:
        candidates: as pipelines.gate has them, with hashes.
        keep: write down what was compared now; under the catalog's lock.

    Raises:
        filters.neighbors.TooManyPairs: as filters.dedupe.dedupe.
    """
    config = config_hash(
        [VERSION, f"{policy.phash_radius} {policy.dhash_radius} {policy.blank_spread}"]
    )
    hashed = np.flatnonzero(candidates.column("phash").is_valid().to_numpy())
    table = candidates.select(["sha1", *_HASHES]).take(pa.array(hashed))
    keys = Keys(table.column("sha1"))
    # One row for each content: a file that was uploaded twice is compared once.
    one = table.take(pa.array(keys.first))
    known = _known(catalog, config, keys)
    order = np.argsort(~known.compared, kind="stable")
    count = int(known.compared.sum())
    found = known.edges
    if count < len(keys):
        place = one.take(pa.array(order))
        columns = [place.column(name).to_numpy() for name in _HASHES]
        new = edges_of_new(count, *columns, policy=policy)
        new[:, :2] = np.sort(order[new[:, :2]], axis=1)
        if keep:
            _remember(catalog, config, one.column("sha1"), order[count:], new)
        found = np.concatenate([found, new])
    spread = one.column("spread").to_numpy()
    return _by_row(found, keys.of_row, hashed, spread >= policy.blank_spread)


_HASHES = ("phash", "dhash", "phash_mirror", "dhash_mirror", "spread")


@dataclass(frozen=True)
class _Known:
    compared: NDArray[np.bool_]
    """[keys]"""
    edges: Ints
    """[E, 5], between keys that were both compared."""


def _folder_parts(catalog: Catalog, config: str) -> list[Any]:
    return sorted((catalog.parts / "twin" / config).glob("*.parquet"))


def _known(catalog: Catalog, config: str, keys: Keys) -> _Known:
    compared = np.zeros(len(keys), dtype=bool)
    edges = [np.empty((0, 5), dtype=np.int64)]
    for file in _folder_parts(catalog, config):
        with pq.ParquetFile(file) as source:
            part = source.read(use_threads=False)
        single = part.column("twin").is_null()
        alone = keys.places(part.filter(single).column("sha1").combine_chunks())
        compared[alone[alone >= 0]] = True
        pairs = part.filter(pc.invert(single))
        ends = [keys.places(pairs.column(name).combine_chunks()) for name in ("sha1", "twin")]
        both = (ends[0] >= 0) & (ends[1] >= 0)
        said = [pairs.column(n).cast(pa.int64()).to_numpy() for n in _BITS]
        columns = [np.minimum(*ends), np.maximum(*ends), *said]
        edges.append(np.column_stack(columns)[both].astype(np.int64))
    return _Known(compared, np.concatenate(edges))


_BITS = ("phash_bits", "dhash_bits", "mirrored")


def _remember(
    catalog: Catalog, config: str, sha1s: pa.ChunkedArray, compared: Ints, edges: Ints
) -> None:
    """One part: the files that were compared now, and the edges that they have."""
    texts = sha1s.combine_chunks()
    wanted = schema(TwinRow)
    pairs = {
        "sha1": texts.take(pa.array(edges[:, 0])),
        "twin": texts.take(pa.array(edges[:, 1])),
        "phash_bits": pa.array(edges[:, 2]),
        "dhash_bits": pa.array(edges[:, 3]),
        "mirrored": pa.array(edges[:, 4] == 1),
    }
    alone = {"sha1": texts.take(pa.array(compared))}
    nothing = {f.name: pa.nulls(len(compared), f.type) for f in wanted if f.name not in alone}
    rows = [
        pa.table(columns).select(wanted.names).cast(wanted) for columns in (alone | nothing, pairs)
    ]
    name = f"{len(_folder_parts(catalog, config)):06d}"
    catalog.write_rows("twin", config, name, pa.concat_tables(rows))


def _by_row(edges: Ints, of_row: Ints, rows: Ints, comparable: NDArray[np.bool_]) -> Ints:
    """Edges between contents as edges between rows; rows of one content are twins, unless it is blank."""
    order = np.argsort(of_row, kind="stable")
    counts = np.bincount(of_row, minlength=len(comparable))
    starts = np.cumsum(counts) - counts
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
        for content in np.flatnonzero((counts > 1) & comparable).tolist():
            same = members[content].tolist()
            found_rows += [(i, j, 0, 0, 0) for k, i in enumerate(same) for j in same[k + 1 :]]
        found = np.array(found_rows, dtype=np.int64).reshape(-1, 5)
        found[:, :2] = rows[found[:, :2]]
    found[:, :2] = np.sort(found[:, :2], axis=1)
    return found[np.lexsort((found[:, 1], found[:, 0]))]
