"""Named files: titles and page ids from the recipe, and tables of candidates from wherever (dumps, queries, datasets).

Nothing is listed here; 50 files cost one request, which also asks for their metadata.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from catalog.titles import named_file
from crawler.commons import BATCH, PAGE_FIELDS, Commons, ListingError
from crawler.listed import Cursor, ListedBatch, Seen, all_seen
from crawler.sources import PAGE_ID_COLUMNS, TITLE_COLUMNS, CandidateSource, TitleSource

SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".parquet")


def walk_titles(
    commons: Commons, source: TitleSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """50 at a time. Cursor: how many times was asked."""
    wanted: list[str | int] = [*source.titles, *source.page_ids]
    if source.path:
        lines = (base / source.path).read_text(encoding="utf-8").splitlines()
        given = [line.strip() for line in lines]
        wanted += [int(x) if x.isdigit() else x for x in given if x and not x.startswith("#")]
    titles = [t if t.startswith("File:") else f"File:{t}" for t in wanted if isinstance(t, str)]
    page_ids = [i for i in wanted if isinstance(i, int)]
    chunks: list[Sequence[str | int]] = [
        titles[i : i + BATCH] for i in range(0, len(titles), BATCH)
    ]
    chunks += [page_ids[i : i + BATCH] for i in range(0, len(page_ids), BATCH)]
    first: int = cursor["chunk"] if cursor else 0
    for number, names in enumerate(chunks[first:], start=first):
        more = number + 1 < len(chunks)
        kind = "page ids" if isinstance(names[0], int) else "titles"
        yield ListedBatch(
            files=_asked_for(commons, names, key, f"list of {kind}"),
            cursor={"chunk": number + 1} if more else None,
        )
    if not chunks:
        yield ListedBatch(files=(), cursor=None, problem="The list of titles is empty.")


def _asked_for(
    commons: Commons, names: Sequence[str | int], key: str, path: str
) -> tuple[Seen, ...]:
    """The files of these names, either titles or page ids."""
    parameter = "pageids" if isinstance(names[0], int) else "titles"
    asked = {parameter: "|".join(str(name) for name in names), "redirects": "1"}
    pages = [page for batch in commons.batches({**PAGE_FIELDS, **asked}) for page in batch.pages]
    # Missing page ids come without a title; the id is then all there is to call them.
    for page in pages:
        page.setdefault("title", f"page id {page.get('pageid')}")
    return all_seen(commons, pages, key, path)


def walk_candidates(
    commons: Commons, source: CandidateSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """50 rows at a time, read as they are needed. Cursor: how many rows were read.

    Raises:
        FileNotFoundError: there is no such file.
        ListingError: it is no table of candidates; the message says what it has.
    """
    path = base / source.path
    start: int = cursor["row"] if cursor else 0
    rows = islice(candidate_rows(path, source), start, None)
    read = start
    chunk = list(islice(rows, BATCH))
    if not chunk and start == 0:
        yield ListedBatch(files=(), cursor=None, problem=f"{path} holds no rows.")
    while chunk:
        following = list(islice(rows, BATCH))
        named = [named_file(text) for text in chunk]
        lost = [n for n, name in enumerate(named) if name is None]
        files: tuple[Seen, ...] = ()
        for kind in (int, str):
            names = list(dict.fromkeys(name for name in named if isinstance(name, kind)))
            if names:
                files += _asked_for(commons, names, key, f"candidates of {path.name}")
        problem = None
        if lost:
            problem = (
                f"{path.name}: {len(lost)} of the rows {read + 1} to {read + len(chunk)} name no file, "
                f"row {read + lost[0] + 1} first: {chunk[lost[0]][:80]!r}"
            )
        read += len(chunk)
        yield ListedBatch(files=files, cursor={"row": read} if following else None, problem=problem)
        chunk = following


def candidate_rows(path: Path, source: CandidateSource) -> Iterator[str]:
    """What each row names: its page id where it has one, else its title.

    Raises:
        FileNotFoundError, ListingError: as walk_candidates.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path} (a source of the recipe names it).")
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _parquet(path, source)
    if name.endswith((".csv", ".csv.gz")):
        return _csv(path, source)
    if name.endswith(SUFFIXES):
        return _json_lines(path, source)
    raise ListingError(f"{path} is none of {', '.join(SUFFIXES)}.")


def _columns(known: Sequence[str], source: CandidateSource, path: Path) -> list[str]:
    """The columns to look at, page ids first.

    Raises:
        ListingError: none of them is there.
    """
    asked = [c for c in (source.page_id_column, source.title_column) if c is not None]
    missing = [column for column in asked if column not in known]
    lowered = {column.lower(): column for column in reversed(known)}
    found = asked or [
        lowered[names[0]]
        for names in (
            [name for name in options if name in lowered]
            for options in (PAGE_ID_COLUMNS, TITLE_COLUMNS)
        )
        if names
    ]
    if missing or not found:
        raise ListingError(
            f"{path} has no column {', '.join(missing) or 'of titles or page ids'}; there are: {', '.join(known)}. "
            "Name one as title_column or page_id_column."
        )
    return found


def _pick(values: Sequence[Any]) -> str:
    """The first value that is there, as text."""
    for value in values:
        if value is not None and str(value).strip():
            is_whole = isinstance(value, float) and value.is_integer()
            return str(int(value)) if is_whole else str(value).strip()
    return ""


def _parquet(path: Path, source: CandidateSource) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        columns = _columns(file.schema_arrow.names, source, path)
        for batch in file.iter_batches(batch_size=10_000, columns=columns):
            lists = [batch.column(column).to_pylist() for column in columns]
            for values in zip(*lists, strict=True):
                yield _pick(values)


def _text(path: Path) -> io.TextIOBase:
    if path.name.lower().endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _csv(path: Path, source: CandidateSource) -> Iterator[str]:
    with _text(path) as lines:
        reader = csv.reader(lines)
        header = next(reader, [])
        places = [header.index(column) for column in _columns(header, source, path)]
        for row in reader:
            if row:
                yield _pick([row[i] for i in places if i < len(row)])


def _json_lines(path: Path, source: CandidateSource) -> Iterator[str]:
    columns: list[str] | None = None
    with _text(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise ListingError(f"{path}, line {number}, is not JSON: {error}") from error
            if isinstance(value, dict):
                columns = columns or _columns(list(value), source, path)
                yield _pick([value.get(column) for column in columns])
            else:
                # A bare title or page id a line.
                yield _pick([value])
