"""Tables of candidates from wherever (dumps, queries, other datasets): their rows name the files, nothing is listed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

from crawler.commons import BATCH, Commons
from crawler.listed import Counted, Cursor, ListedBatch, Seen
from crawler.names import LARGEST_ID, named_file
from crawler.relist import Relist
from crawler.walkers._named import asked_for


@dataclass(frozen=True, kw_only=True)
class CandidateSource:
    """Files named by a table: CSV, Parquet or JSON lines from a dump, a query or another dataset; no listing calls.

    What identifies the source is the path as written here. The table's content is not hashed (it may have millions of
    rows, and keys are asked for often), and its size and time of change are no identity, since a copy has others: give
    a changed table another name, or what was listed from the old one stays listed, and its cursor counts old rows.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str
    """.csv, .jsonl, .ndjson (also with .gz) or .parquet."""
    kind: Literal["candidates"] = "candidates"
    title_column: str | None = None
    """Column of titles or addresses. With neither column given: the first of title, page_title, file_title, name,
    file, filename, image and url that there is."""
    page_id_column: str | None = None
    """Column of page ids, which go before titles. With neither column given: the first of page_id,
    pageid and id that there is; where `id` is something else, give title_column."""
    max_files: int | None = None
    """Rows listed at most; None: all."""
    relist: Relist | None = None
    """When to look for new files; None: what was listed to its end stays as it is."""


def walk(
    commons: Commons, source: CandidateSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """50 rows at a time, read as they are needed.

    Rows that name no file are told when the first is met, and counted at the end. Cursor: rows read, how many of them
    named no file, how many of those were told, and the first.

    Raises:
        FileNotFoundError: there is no such file.
        ListingError: it is no table of candidates; the message says what it has.
    """
    path = base / source.path
    read: int = cursor["row"] if cursor else 0
    lost: int = cursor.get("lost", 0) if cursor else 0
    told: int = cursor.get("told", 0) if cursor else 0
    example: str = cursor.get("example", "") if cursor else ""
    rows = _rows(path, source, read)
    chunk = list(islice(rows, BATCH))
    if not chunk:
        problem = f"{path} holds no rows." if read == 0 else None
        yield ListedBatch(files=(), cursor=None, problem=problem)
    while chunk:
        following = list(islice(rows, BATCH))
        named = [_named(text) for text in chunk]
        here = [place for place, name in enumerate(named) if name is None]
        if here and not lost:
            example = f"row {read + here[0] + 1} first: {chunk[here[0]][:80]!r}"
        files: tuple[Seen, ...] = ()
        for kind in (int, str):
            names = list(dict.fromkeys(name for name in named if isinstance(name, kind)))
            if names:
                files += asked_for(commons, names, key, f"candidates of {path.name}")
        read += len(chunk)
        lost += len(here)
        problem = None
        if lost > told and (told == 0 or not following):
            told = lost
            so_far = " so far" if following else ""
            problem = f"{path.name}: {lost} of {read} rows{so_far} name no file, {example}"
        goes_on = {"row": read, "lost": lost, "told": told, "example": example}
        yield ListedBatch(files=files, cursor=goes_on if following else None, problem=problem)
        chunk = following


def count(commons: Commons, source: CandidateSource, base: Path) -> Counted:
    """As many as it has rows; nothing is asked."""
    rows = sum(1 for _ in _rows(base / source.path, source))
    return Counted(files=rows, how="named")


def label(source: CandidateSource) -> str:
    """With its file."""
    return f"candidates {source.path}"


def _rows(path: Path, source: CandidateSource, start: int = 0) -> Iterator[str]:
    # Arrow is loaded for a table, not for every recipe.
    from crawler.walkers._tables import Wanted, candidate_rows

    wanted = Wanted(title=source.title_column, page_id=source.page_id_column)
    return candidate_rows(path, wanted, start)


def _named(text: str) -> int | str | None:
    """Page id or title of a row; None for what cannot be a file: every file's name has an extension."""
    name = named_file(text)
    if isinstance(name, int):
        return name if name <= LARGEST_ID else None
    return name if name is not None and "." in name else None
