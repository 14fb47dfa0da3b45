"""Walks a source: lists its files batch by batch, each with a cursor that goes on exactly behind it.

A cursor is plain JSON and holds all that a walker knows; whoever stores it beside the batch can stop anywhere and
ask nothing twice.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog.records import FileRecord, ListingRow
from crawler.commons import BATCH, PAGE_FIELDS, Commons, ListingError
from crawler.sources import (
    CategorySource,
    SearchSource,
    Source,
    TitleSource,
    UploadWindowSource,
)

Cursor = dict[str, Any]
Seen = tuple[FileRecord, ListingRow]
MOST_TIED = 500
"""Files uploaded in one and the same second that a window can tell apart: the API's largest page."""


@dataclass(frozen=True, kw_only=True)
class ListedBatch:
    """Some files of a source and where it goes on."""

    files: tuple[Seen, ...]
    cursor: Cursor | None
    """None: the source is at its end."""
    problem: str | None = None
    """What a person should know, e.g. that a category does not exist."""


def list_files(
    commons: Commons,
    source: Source,
    cursor: Cursor | None = None,
    *,
    key: str = "",
    base: Path | None = None,
) -> Generator[ListedBatch]:
    """Lists a source from its start or on from `cursor`.

    Args:
        key: name of the source in the evidence.
        base: folder that a TitleSource's relative path starts from; default: the working directory.

    Raises:
        ListingError: the wiki refused a query.
        FileNotFoundError: a list of titles is not there.
        crawler.limits.DoorError: see there.
    """
    if isinstance(source, CategorySource):
        return _category(commons, source, cursor, key)
    if isinstance(source, SearchSource):
        return _search(commons, source, cursor, key)
    if isinstance(source, UploadWindowSource):
        return _window(commons, source, cursor, key)
    return _titles(commons, source, cursor, key, base or Path())


# -- categories ------------------------------------------------------------------------------------


def _category(
    commons: Commons, source: CategorySource, cursor: Cursor | None, key: str
) -> Generator[ListedBatch]:
    """Breadth first. Cursor: queue of (title, depth, path), titles visited, `continue` within the queue's first."""
    if cursor is None:
        root = _category_title(source.root)
        problem = _missing_category(commons, root)
        if problem:
            yield ListedBatch(files=(), cursor=None, problem=problem)
            return
        cursor = {"queue": [[root, 0, root]], "visited": [root], "carry": None}
    queue: list[list[Any]] = [list(entry) for entry in cursor["queue"]]
    visited: list[str] = list(cursor["visited"])
    carry: dict[str, Any] | None = cursor["carry"]
    while queue:
        title, depth, path = queue[0]
        members = {"generator": "categorymembers", "gcmtitle": title, "gcmtype": "file"}
        for batch in commons.batches({**PAGE_FIELDS, **members, "gcmlimit": BATCH}, carry):
            files = _all_seen(commons, batch.pages, key, path)
            if batch.carry is None:
                queue = queue[1:]
                below = _subcategories(commons, title) if depth < source.depth else []
                for name in below:
                    room = len(visited) < source.max_categories
                    if room and name not in visited and _may_enter(name, source):
                        visited = [*visited, name]
                        queue.append([name, depth + 1, f"{path} > {name}"])
            here = {"queue": [*queue], "visited": visited, "carry": batch.carry}
            yield ListedBatch(files=files, cursor=here if queue else None)
        carry = None


def _category_title(name: str) -> str:
    bare = name.removeprefix("Category:").replace("_", " ").strip()
    return f"Category:{bare[:1].upper()}{bare[1:]}"


def _missing_category(commons: Commons, title: str) -> str | None:
    """Why a category cannot be walked; None when it holds something."""
    answer = commons.ask({"prop": "categoryinfo", "titles": title})
    (page,) = (answer.get("query") or {}).get("pages") or [{}]
    held = page.get("categoryinfo") or {}
    if held.get("size", 0) > 0:
        return None
    missing = "missing" in page or "invalid" in page
    return f"{title} {'does not exist' if missing else 'is empty'} on the wiki: take it out of the recipe."


def _subcategories(commons: Commons, title: str) -> list[str]:
    found: list[str] = []
    asked = {"list": "categorymembers", "cmtitle": title, "cmtype": "subcat", "cmlimit": "max"}
    carry: Mapping[str, Any] = {}
    while True:
        answer = commons.ask({**asked, **carry})
        found += [member["title"] for member in answer["query"]["categorymembers"]]
        carry = answer.get("continue") or {}
        if not carry:
            return found


def _may_enter(title: str, source: CategorySource) -> bool:
    bare = title.removeprefix("Category:")
    return not any(re.search(pattern, bare) for pattern in source.deny)


# -- search ----------------------------------------------------------------------------------------


def _search(
    commons: Commons, source: SearchSource, cursor: Cursor | None, key: str
) -> Generator[ListedBatch]:
    """Cursor: the `continue` object."""
    asked = {"generator": "search", "gsrsearch": source.query, "gsrnamespace": 6, "gsrlimit": BATCH}
    if source.sort:
        asked["gsrsort"] = source.sort
    for batch in commons.batches({**PAGE_FIELDS, **asked}, (cursor or {}).get("carry")):
        # Pages come in the order of their ids; `index` is the rank of the hit.
        pages = sorted(batch.pages, key=lambda page: page.get("index", 0))
        yield ListedBatch(
            files=_all_seen(commons, pages, key, f"search: {source.query}"),
            cursor={"carry": batch.carry} if batch.carry else None,
        )


# -- upload windows --------------------------------------------------------------------------------


def _window(
    commons: Commons, source: UploadWindowSource, cursor: Cursor | None, key: str
) -> Generator[ListedBatch]:
    """Steps from the last upload time seen, that time included, and leaves out the page ids seen at it.

    The API's own continuation of allimages by time loses files where upload times tie at the border of two pages.
    Cursor: the time to go on from, and the page ids seen at it.
    """
    start: str = cursor["from"] if cursor else _stamp(source.start)
    at_start: set[int] = set(cursor["seen"]) if cursor else set()
    limit = BATCH
    path = f"uploads {_stamp(source.start)} to {_stamp(source.end)}"
    while True:
        asked = {
            "generator": "allimages",
            "gaisort": "timestamp",
            "gaidir": "newer",
            "gaistart": start,
            "gaiend": _stamp(source.end),
            "gailimit": limit,
        }
        batch = next(commons.batches({**PAGE_FIELDS, **asked}))
        times = {int(page["pageid"]): _upload_time(page) for page in batch.pages}
        last = max(times.values(), default=start)
        if batch.carry is not None and last == start:
            # The whole page was uploaded in one second: only a longer page gets past it.
            if limit == MOST_TIED:
                raise ListingError(
                    f"More than {MOST_TIED} files were uploaded at {start}; leave that second out."
                )
            limit = MOST_TIED
            continue
        limit = BATCH
        fresh = [page for page in batch.pages if int(page["pageid"]) not in at_start]
        fresh.sort(key=lambda page: (_upload_time(page), int(page["pageid"])))
        start, at_start = last, {page_id for page_id, time in times.items() if time == last}
        done = batch.carry is None
        yield ListedBatch(
            files=_all_seen(commons, fresh, key, path),
            cursor=None if done else {"from": start, "seen": sorted(at_start)},
        )
        if done:
            return


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _upload_time(page: Mapping[str, Any]) -> str:
    return str((page.get("imageinfo") or [{}])[0].get("timestamp", ""))


# -- titles and page ids ---------------------------------------------------------------------------


def _titles(
    commons: Commons, source: TitleSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """50 at a time. Cursor: how many were asked for."""
    wanted: list[str | int] = [*source.titles, *source.page_ids]
    if source.path:
        lines = (base / source.path).read_text(encoding="utf-8").splitlines()
        given = [line.strip() for line in lines]
        wanted += [int(x) if x.isdigit() else x for x in given if x and not x.startswith("#")]
    titles = [t if t.startswith("File:") else f"File:{t}" for t in wanted if isinstance(t, str)]
    page_ids = [str(i) for i in wanted if isinstance(i, int)]
    chunks = [("titles", titles[i : i + BATCH]) for i in range(0, len(titles), BATCH)]
    chunks += [("pageids", page_ids[i : i + BATCH]) for i in range(0, len(page_ids), BATCH)]
    first: int = cursor["chunk"] if cursor else 0
    for number, (name, values) in enumerate(chunks[first:], start=first):
        asked = {name: "|".join(values), "redirects": "1"}
        pages = [
            page for batch in commons.batches({**PAGE_FIELDS, **asked}) for page in batch.pages
        ]
        # Missing page ids come without a title; the id is then all there is to call them.
        for page in pages:
            page.setdefault("title", f"page id {page.get('pageid')}")
        more = number + 1 < len(chunks)
        yield ListedBatch(
            files=_all_seen(commons, pages, key, f"list of {name}"),
            cursor={"chunk": number + 1} if more else None,
        )
    if not chunks:
        yield ListedBatch(files=(), cursor=None, problem="The list of titles is empty.")


def _all_seen(
    commons: Commons, pages: list[dict[str, Any]], key: str, path: str
) -> tuple[Seen, ...]:
    return tuple(commons.seen(page, source=key, path=path) for page in pages)
