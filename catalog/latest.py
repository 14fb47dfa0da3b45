"""What was found of each file, straight from the parts: a few parts in memory at a time, the latest part wins.

The same answer as the views give, for many files at once. A view asks DuckDB for a group per file and measure, which
takes a gigabyte at 200,000 files; here values go to their places in columns that are there already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import compute

from catalog import sums
from catalog.arrow import CODES
from catalog.records import STAGES, VerdictRow, schema
from catalog.store import Catalog

pc: Any = compute
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]

AHEAD = 4
"""Parts that wait to be worked on."""
CODED = ("sha1", "name", "version")
"""Columns of few distinct texts a part, read as such."""


class Keys:
    """The distinct SHA-1s of a column, in the order of a number made of each, and which of its rows have them.

    `first` [keys] is the first row of each, `of_row` [rows] the key of each row.
    """

    def __init__(self, sha1s: pa.ChunkedArray) -> None:
        # A missing SHA-1 becomes an empty text, which sorts like the others and is masked again in `by_row`.
        self._known = np.asarray(sha1s.is_valid())
        texts = _fixed(pc.fill_null(sha1s, "").combine_chunks())
        self._numbers, self.first, self.of_row = np.unique(
            _numbers(texts), return_index=True, return_inverse=True
        )
        self._texts = texts[self.first]
        # The number decides who is equal; this is the proof that it never joined two different ones.
        if (self._texts[self.of_row] != texts).any():
            raise ValueError("Two different SHA-1s have one number: these are no SHA-1s.")

    def __len__(self) -> int:
        return len(self._texts)

    def places(self, sha1s: pa.Array) -> Places:
        """[n] place of each of these among the keys; -1 where it is none of them."""
        if not len(self) or not len(sha1s):
            return np.full(len(sha1s), -1)
        texts = _fixed(sha1s)
        # The nearest number, which may be that of another text: the comparison behind it decides.
        at = np.minimum(np.searchsorted(self._numbers, _numbers(texts)), len(self) - 1)
        return np.where(self._texts[at] == texts, at, -1)

    def by_row(self, values: NDArray[Any], known: Flags) -> pa.Array:
        """[rows of the column] from a value per key; null where it is not `known`, or the column is null."""
        return pa.array(values[self.of_row], mask=~(known[self.of_row] & self._known))


def _fixed(texts: pa.Array) -> NDArray[Any]:
    """[n] bytes of 40; longer texts are cut, and no SHA-1 is."""
    if pc.min(pc.binary_length(texts)).as_py() == pc.max(pc.binary_length(texts)).as_py() == 40:
        packed = texts.cast(pa.binary()).cast(pa.binary(40))
        start = packed.offset * 40
        return np.frombuffer(packed.buffers()[1], "S1", len(packed) * 40, start).view("S40")
    return np.asarray(texts).astype("S40")


_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 1, 3], np.uint64)


def _numbers(texts: NDArray[Any]) -> NDArray[np.uint64]:
    """[n] a number of 64 bits made of each text: quicker to sort and to find than the text."""
    words = np.ascontiguousarray(texts).view(np.uint64).reshape(-1, 5)
    return (words * _MIX).sum(axis=1, dtype=np.uint64)


def seen_in(catalog: Catalog, stage: str, keys: Keys) -> pa.Array:
    """[rows] bool: whether a part of this stage has the file; null where the row has no SHA-1."""
    seen = np.zeros(len(keys), dtype=bool)
    for part in _parts(catalog, stage, keys, ()):
        seen[part.places] = True
    return keys.by_row(seen, np.ones(len(keys), dtype=bool))


def latest_rows(
    catalog: Catalog, stage: str, keys: Keys, columns: Sequence[str], wanted: tuple[str | None, str]
) -> dict[str, pa.Array]:
    """These columns of each file's row, [rows] each, null where there is none.

    Args:
        wanted: (name, version) of the rows; name is None for a stage that keeps one thing of a file.
    """
    names = list(columns)
    # Parts in the order in which they were written: a later row of the same thing overwrites the place of an earlier.
    where = np.full(len(keys), -1)
    kept = [STAGES[stage].empty_table().select(names)]
    end = 0
    for part in _parts(catalog, stage, keys, names):
        hit = np.flatnonzero(part.which([wanted]) == 0)
        some = part.table.select(names).take(pa.array(part.rows[hit]))
        where[part.places[hit]] = np.arange(end, end + len(hit))
        end += len(hit)
        kept.append(some)
    table = pa.concat_tables(kept, promote_options="permissive")
    place = keys.by_row(where, where >= 0)
    return {name: table.column(name).combine_chunks().take(place) for name in names}


def latest_values(
    catalog: Catalog, stage: str, keys: Keys, wanted: Sequence[tuple[str, str]]
) -> dict[str, pa.Array]:
    """Name -> its value of each file, [rows] float64; null where there is none, or none that applies.

    Args:
        stage: measure or score.
        wanted: (name, version), each name once.
    """
    values = [np.zeros(len(keys)) for _ in wanted]
    known = [np.zeros(len(keys), dtype=bool) for _ in wanted]
    for part in _parts(catalog, stage, keys, ("value",)) if wanted else ():
        column = part.table.column("value").combine_chunks()
        valid = np.asarray(column.is_valid())[part.rows]
        which = part.which(wanted)
        # A null was measured and does not apply: it must not hide a value that an earlier part has.
        hit = valid & (which >= 0)
        found = np.asarray(pc.fill_null(column, 0.0))[part.rows][hit]
        name, place = which[hit], part.places[hit]
        # By name, each in one go: those of a name lie in the order in which they count.
        order = np.argsort(name, kind="stable")
        ends = np.cumsum(np.bincount(name, minlength=len(wanted))).tolist()
        for i, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            mine = order[begin:end]
            values[i][place[mine]] = found[mine]
            known[i][place[mine]] = True
    # One after the other, so that no value is there twice but those of one name.
    return {name: keys.by_row(values.pop(0), known.pop(0)) for name, _ in wanted}


@dataclass(frozen=True)
class _Part:
    """A part with some of the keys."""

    table: pa.Table
    rows: Places
    """[n] those with a key, the last first: of several rows of one thing the first is written last, and stays."""
    places: Places
    """[n] place of each of them among the keys."""

    def which(self, wanted: Sequence[tuple[str | None, str]]) -> Places:
        """[n] position of each row's (name, version) in `wanted`; -1 where it is none of them."""
        version = _coded(self.table, "version")
        # Codes of few distinct texts instead of texts: a part of 10,000 rows has a dozen names and versions.
        code, versions = np.asarray(version.indices), version.dictionary.to_pylist()
        found = [(None, v) for v in versions]
        if wanted and wanted[0][0] is not None:
            name = _coded(self.table, "name")
            code = np.asarray(name.indices) * len(versions) + code
            found = [(n, v) for n in name.dictionary.to_pylist() for v in versions]
        position = {pair: i for i, pair in enumerate(wanted)}
        places = np.array([position.get(pair, -1) for pair in found], dtype=np.int64)
        return places[code[self.rows]]


def _parts(catalog: Catalog, stage: str, keys: Keys, columns: Sequence[str]) -> Iterator[_Part]:
    """The parts of a stage that have some of the keys, in the order of the views."""
    have = STAGES[stage].names
    coded = [name for name in CODED if name in have]
    read = partial(read_part, wanted=STAGES[stage], columns=[*coded, *columns], coded=coded)
    tables = _ahead(read, catalog.whole_parts(stage))
    while True:
        with sums.naming(catalog.root, pa.ArrowException, OSError):
            table = next(tables, None)
        if table is None:
            return
        if table.num_rows:
            sha1 = _coded(table, "sha1")
            places = keys.places(sha1.dictionary)[np.asarray(sha1.indices)]
            # Turned around: of several values for one place NumPy keeps the last, and the first row is to stay.
            rows = np.flatnonzero(places >= 0)[::-1]
            if len(rows):
                yield _Part(table, rows, places[rows])


def _ahead(read: Callable[[Path], pa.Table], files: Sequence[Path]) -> Iterator[pa.Table]:
    """What is read of each file, in order; the next few are read while one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[pa.Table]] = deque()
        for file in files:
            waiting.append(pool.submit(read, file))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def read_part(
    file: Path, wanted: pa.Schema, columns: Sequence[str], coded: Sequence[str] = ()
) -> pa.Table:
    """These columns of a part; null where it was written by a version that had none yet."""
    with pq.ParquetFile(file, read_dictionary=list(coded)) as source:
        have = source.schema_arrow.names
        table = source.read([name for name in columns if name in have], use_threads=False)
    for name in columns:
        if name not in have:
            missing = pa.nulls(table.num_rows, wanted.field(name).type)
            table = table.append_column(name, missing)
    return table


def _coded(table: pa.Table, name: str) -> pa.DictionaryArray:
    column = table.column(name).combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column


FEW = ("state", "mime", "license", "license_outcome", "license_reason", "family")
"""Columns of few distinct texts; with `source`, `at_source`, `removed` and `object` they are kept as codes."""
VERDICT = tuple(name for name in schema(VerdictRow).names if name != "page_id")


def at_places(
    catalog: Catalog,
    placed: pa.Table,
    keys: Sequence[str],
    names: Sequence[str],
    gate_version: str,
) -> dict[str, pa.ChunkedArray]:
    """These fields of the records, and the verdicts on them, in the order of `placed` (as `_query` gives it)."""
    rank, part, row = (placed.column(n).to_numpy() for n in ("at_rank", "at_part", "at_row"))
    order = np.lexsort((row, part, rank))
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (np.diff(rank[order]) != 0) | (np.diff(part[order]) != 0)
    begins = np.flatnonzero(starts)
    ends = np.append(begins[1:], len(order))[: len(begins)]
    listed, judged = STAGES["listing"], STAGES["verdict"]
    wanted = [*(listed.field(n) for n in names), *(judged.field(n) for n in VERDICT)]
    kinds = {f.name: CODES if f.name in FEW else f.type for f in wanted}
    coded, coded_verdict = ([n for n in some if n in FEW] for some in (names, VERDICT))
    chunks: dict[str, list[pa.Array]] = {name: [] for name in kinds}
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        first = int(order[begin])
        source, number = keys[int(rank[first])], f"{part[first]:06d}"
        rows = pa.array(row[order[begin:end]])
        file = catalog.parts / "listing" / source / f"{number}.parquet"
        said = catalog.parts / "verdict" / gate_version / f"{source}.{number}.parquet"
        sums.check([file, *([said] if said.exists() else [])])
        with sums.naming(catalog.root, pa.ArrowException, OSError):
            found = [read_part(file, listed, names, coded).take(rows)]
            if said.exists():
                found.append(read_part(said, judged, VERDICT, coded_verdict).take(rows))
        if len(found) == 1:
            found.append(pa.table({n: pa.nulls(len(rows), judged.field(n).type) for n in VERDICT}))
        for table in found:
            for name in table.column_names:
                # Parquet calls the values of a list otherwise, and parts of older versions may know other types.
                chunks[name] += table.column(name).cast(kinds[name]).chunks
    places = pa.array(back)
    # A column at a time, so that only one is there twice.
    return {
        name: pa.chunked_array(chunks.pop(name), kind).unify_dictionaries().take(places)
        for name, kind in kinds.items()
    }
