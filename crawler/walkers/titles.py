"""Named files: titles and page ids from the recipe, and tables of candidates from wherever (dumps, queries, datasets).

Nothing is listed here; 50 files cost one request, which also asks for their metadata.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import islice
from pathlib import Path

from crawler.commons import BATCH, PAGE_FIELDS, Commons
from crawler.listed import Cursor, ListedBatch, Seen, all_seen
from crawler.names import named_file
from crawler.sources import CandidateSource, TitleSource
from crawler.walkers.tables import LARGEST_ID, candidate_rows

__all__ = ["candidate_rows", "walk_candidates", "walk_titles"]


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
    rows = candidate_rows(path, source, read)
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
                files += _asked_for(commons, names, key, f"candidates of {path.name}")
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


def _named(text: str) -> int | str | None:
    """Page id or title of a row; None for what cannot be a file: every file's name has an extension."""
    name = named_file(text)
    if isinstance(name, int):
        return name if name <= LARGEST_ID else None
    return name if name is not None and "." in name else None
