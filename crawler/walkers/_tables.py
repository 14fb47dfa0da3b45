"""Reads tables of candidates row by row: CSV, Parquet and JSON lines, as dumps, queries and other datasets come."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.errors import Missing
from crawler.commons import ListingError
from crawler.names import LARGEST_ID

SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".parquet")
LONGEST_FIELD = 2**26
"""Characters of one field of a CSV: descriptions are long, and Python's own limit is 131,072."""
ROWS_AT_ONCE = 10_000
"""Rows of a Parquet file in memory."""
TITLE_COLUMNS = ("title", "page_title", "file_title", "name", "file", "filename", "image", "url")
PAGE_ID_COLUMNS = ("page_id", "pageid", "id")
"""Columns that are looked for where none is named, in this order, case ignored."""
_HEAD = 100
"""Objects of a file of JSON lines that its columns are taken from: each may leave some out."""
_PAGE_ID = re.compile(r"M?(\d+)(?:\.0+)?")
"""1234, M1234 (the id of its structured data), or 1234.0 (a column with gaps, written by pandas)."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The columns that a source names, if it names any."""

    title: str | None
    page_id: str | None


def candidate_rows(path: Path, wanted: Wanted, start: int = 0) -> Iterator[str]:
    """What each row names, from row `start` (the first is 0) on: its page id where it has one, else its title.

    Blank lines are no rows; a row that holds neither is empty, or what stands in the column of page ids.

    Raises:
        catalog.errors.Missing: there is no such file.
        ListingError: it is no table of candidates; the message says what it has.
    """
    if not path.is_file():
        raise Missing(f"There is no {path} (a source of the recipe names it).")
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise ListingError(f"{path} is none of {', '.join(SUFFIXES)}.")
    try:
        if name.endswith(".parquet"):
            yield from _parquet(path, wanted, start)
        else:
            read = _csv if name.endswith((".csv", ".csv.gz")) else _json_lines
            yield from islice(read(path, wanted), start, None)
    except (csv.Error, pa.ArrowException, UnicodeDecodeError, zlib.error) as error:
        raise ListingError(f"{path} cannot be read: {error}") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise ListingError(f"{path} is damaged or cut short: {error}") from error


def _columns(known: Sequence[str], wanted: Wanted, path: Path) -> list[tuple[str, bool]]:
    """The columns to look at and whether they hold page ids, those first.

    Raises:
        ListingError: none of them is there.
    """
    given = [(wanted.page_id, True), (wanted.title, False)]
    found = [(name, ids) for name, ids in given if name is not None]
    missing = [name for name, _ in found if name not in known]
    if not found:
        lowered = {name.lower(): name for name in reversed(known)}
        for options, ids in ((PAGE_ID_COLUMNS, True), (TITLE_COLUMNS, False)):
            found += [(lowered[name], ids) for name in options if name in lowered][:1]
    if missing or not found:
        raise ListingError(
            f"{path} has no column {', '.join(missing) or 'of titles or page ids'}; there are: "
            f"{', '.join(known) or 'none'}. Name one as title_column or page_id_column."
        )
    return found


def _pick(values: Sequence[Any], columns: Sequence[tuple[str, bool]]) -> str:
    """The first page id among them, else the first title, else what stands there instead."""
    texts = ["" if value is None else str(value).strip() for value in values]
    for text, (_, ids) in zip(texts, columns, strict=True):
        number = _PAGE_ID.fullmatch(text) if ids else None
        if number and 0 < int(number[1]) <= LARGEST_ID:
            return number[1]
        if text and not ids:
            return text
    return next((text for text in texts if text), "")


def _parquet(path: Path, wanted: Wanted, start: int) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        columns = _columns(file.schema_arrow.names, wanted, path)
        groups: list[int] = []
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            # Whole groups before the start are not even read.
            if not groups and start >= rows:
                start -= rows
            else:
                groups.append(number)
        names = [name for name, _ in columns]
        batches = file.iter_batches(batch_size=ROWS_AT_ONCE, columns=names, row_groups=groups)
        for batch in batches if groups else ():
            lists = [batch.column(name).to_pylist() for name in names]
            for values in islice(zip(*lists, strict=True), start, None):
                yield _pick(values, columns)
            start = max(0, start - batch.num_rows)


def _text(path: Path) -> io.TextIOBase:
    if path.name.lower().endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _csv(path: Path, wanted: Wanted) -> Iterator[str]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    with _text(path) as lines:
        reader = csv.reader(lines)
        header = [name.strip() for name in next(reader, [])]
        columns = _columns(header, wanted, path)
        places = [header.index(name) for name, _ in columns]
        for row in reader:
            if row:
                yield _pick([row[i] if i < len(row) else "" for i in places], columns)


def _json_lines(path: Path, wanted: Wanted) -> Iterator[str]:
    with _text(path) as lines:
        values = _parsed(lines, path)
        head = list(islice(values, _HEAD))
        known = list(
            dict.fromkeys(key for value in head if isinstance(value, dict) for key in value)
        )
        columns = _columns(known, wanted, path) if known else []
        for value in chain(head, values):
            if isinstance(value, dict):
                yield _pick([value.get(name) for name, _ in columns], columns)
            else:
                # A bare title or page id a line.
                yield _pick([value], [("", True)])


def _parsed(lines: io.TextIOBase, path: Path) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise ListingError(f"{path}, line {number}, is not JSON: {error}") from error
