"""Category trees, breadth first, each category once."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from catalog.records import FileRecord
from crawler.commons import BATCH, PAGE_FIELDS, Commons
from crawler.listed import Counted, Cursor, ListedBatch, all_seen
from crawler.relist import Relist
from crawler.walkers._resolve import Resolved, category_title, resolve_categories

__all__ = ["CategorySource", "Resolved", "category_title", "resolve_categories"]

MOST_NAMED = 5
"""Subcategories named in one sentence to a person."""
MOST_COUNTING_REQUESTS = 40
"""Requests spent on counting one tree; a larger tree is counted in part, and said so."""


@dataclass(frozen=True, kw_only=True)
class CategorySource:
    """Files of a category and of the categories below it, breadth first, each category once."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    root: str
    """With or without `Category:`."""
    kind: Literal["category"] = "category"
    depth: int = 2
    """0: the root alone. Commons' categories drift off topic within three or four steps."""
    max_categories: int = 1000
    """Categories visited at most."""
    max_files: int | None = None
    """Rows listed at most; None: all."""
    relist: Relist | None = None
    """When to look for new files; None: what was listed to its end stays as it is."""
    deny: tuple[str, ...] = ()
    """Regular expressions; a category whose name has a match is not entered."""

    def __post_init__(self) -> None:
        for pattern in self.deny:
            re.compile(pattern)


def walk(
    commons: Commons, source: CategorySource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """Breadth first. Cursor: queue of (title, depth, path), titles visited, `continue` within the queue's first."""
    yield from _walked(commons, source, cursor, key, None)


def again(
    commons: Commons,
    source: CategorySource,
    cursor: Cursor | None,
    key: str,
    base: Path,
    since: datetime,
    known: Callable[[FileRecord], bool],
) -> Generator[ListedBatch]:
    """The same tree, each category from what was added last until a whole answer of known files."""
    yield from _walked(commons, source, cursor, key, known)


def _walked(
    commons: Commons,
    source: CategorySource,
    cursor: Cursor | None,
    key: str,
    known: Callable[[FileRecord], bool] | None,
) -> Generator[ListedBatch]:
    """With `known`: newest first, until known ground."""
    if cursor is None:
        (root,) = resolve_categories(commons, [source.root])
        if root.problem or root.title is None:
            yield ListedBatch(files=(), cursor=None, problem=root.problem)
            return
        asked = category_title(source.root)
        path = root.title if root.title == asked else f"{asked} > {root.title}"
        cursor = {"queue": [[root.title, 0, path]], "visited": [root.title], "carry": None}
    queue: list[list[Any]] = [list(entry) for entry in cursor["queue"]]
    visited: list[str] = list(cursor["visited"])
    carry: dict[str, Any] | None = cursor["carry"]
    while queue:
        title, depth, path = queue[0]
        members = {"generator": "categorymembers", "gcmtitle": title, "gcmtype": "file"}
        if known is not None:
            members |= {"gcmsort": "timestamp", "gcmdir": "older"}
        for batch in commons.batches({**PAGE_FIELDS, **members, "gcmlimit": BATCH}, carry):
            files = all_seen(commons, batch.pages, key, path)
            problem = None
            seen_before = known is not None and bool(files) and all(known(f) for f, _ in files)
            more = None if seen_before else batch.carry
            if more is None:
                queue = queue[1:]
                room = depth < source.depth and len(visited) < source.max_categories
                below = _subcategories(commons, title) if room else []
                below = [m for m in below if m["title"] not in visited]
                below = [m for m in below if _may_enter(m["title"], source)]
                names, problem = _followed(commons, title, below)
                for name in names:
                    room = len(visited) < source.max_categories
                    if room and name not in visited and _may_enter(name, source):
                        visited = [*visited, name]
                        queue.append([name, depth + 1, f"{path} > {name}"])
            here = {"queue": [*queue], "visited": visited, "carry": more}
            yield ListedBatch(files=files, cursor=here if queue else None, problem=problem)
            if more is None:
                break
        carry = None


def count(commons: Commons, source: CategorySource, base: Path) -> Counted:
    """Files in the tree, by the counters that the wiki keeps (a file in several categories counts several times), how
    far that is known, requests for the steps, and batches: every category has one of its own, however small."""
    (found,) = resolve_categories(commons, [source.root])
    if found.title is None:
        return Counted(
            files=0, how="counted", listing_requests=2, batches=0, requests_per_batch=1.0
        )
    root = found.title
    level, visited, files, batches = [root], {root}, 0, 0
    listing = 1
    spent, whole = 0, True
    for depth in range(source.depth + 1):
        for i in range(0, len(level), BATCH):
            counts = _files_in(commons, level[i : i + BATCH])
            files += sum(counts)
            batches += sum(max(1, -(-count // BATCH)) for count in counts)
        spent += -(-len(level) // BATCH)
        listing += len(level) if depth < source.depth else 0
        if depth == source.depth:
            break
        below: list[str] = []
        for name in level:
            if spent >= MOST_COUNTING_REQUESTS:
                whole = False
                break
            answer = commons.ask(
                {"list": "categorymembers", "cmtitle": name, "cmtype": "subcat", "cmlimit": "max"}
            )
            spent += 1
            whole = whole and not answer.get("continue")
            for member in (answer.get("query") or {}).get("categorymembers") or []:
                title = str(member.get("title", ""))
                bare = title.removeprefix("Category:")
                denied = any(re.search(pattern, bare) for pattern in source.deny)
                if (
                    title
                    and title not in visited
                    and not denied
                    and len(visited) < source.max_categories
                ):
                    visited.add(title)
                    below.append(title)
        level = below
    how = "counted" if whole else "at least"
    return Counted(
        files=files,
        how=how,
        listing_requests=listing,
        batches=batches,
        requests_per_batch=1.0,
    )


def label(source: CategorySource) -> str:
    """With its depth."""
    return f"category {source.root.removeprefix('Category:')} (depth {source.depth})"


def _followed(
    commons: Commons, parent: str, members: Sequence[dict[str, Any]]
) -> tuple[list[str], str | None]:
    """Titles of subcategories; empty ones are replaced by what they redirect to, or left out and told.

    Only empty ones are looked up, 50 in a request: a category that is redirected is emptied, too.
    """
    empty = [str(m["title"]) for m in members if m["empty"]]
    found = resolve_categories(commons, empty, suggest=False) if empty else []
    led = {resolved.name: resolved for resolved in found}
    lost = [name for name, resolved in led.items() if resolved.problem or not resolved.title]
    titles = [str(m["title"]) for m in members if m["title"] not in lost]
    titles = [str(led[title].title) if title in led else title for title in titles]
    if not lost:
        return titles, None
    more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
    named = ", ".join(lost[:MOST_NAMED])
    return titles, f"Subcategories of {parent} that hold nothing were left out: {named}{more}."


def _subcategories(commons: Commons, title: str) -> list[dict[str, Any]]:
    """title, and `empty` where the wiki counts nothing in it; 500 in a request."""
    found: list[dict[str, Any]] = []
    asked = {
        "generator": "categorymembers",
        "gcmtitle": title,
        "gcmtype": "subcat",
        "gcmlimit": "max",
        "prop": "categoryinfo",
    }
    for batch in commons.batches(asked):
        # Pages come in the order of their ids; listings are in the order of names.
        pages = sorted(batch.pages, key=lambda page: str(page.get("title", "")).upper())
        for page in pages:
            held = page.get("categoryinfo") or {}
            if "title" in page:
                found.append({"title": str(page["title"]), "empty": not held.get("size", 0)})
    return found


def _may_enter(title: str, source: CategorySource) -> bool:
    bare = title.removeprefix("Category:")
    return not any(re.search(pattern, bare) for pattern in source.deny)


def _files_in(commons: Commons, titles: Sequence[str]) -> list[int]:
    """Files directly in each of these categories."""
    if not titles:
        return []
    answer = commons.ask({"prop": "categoryinfo", "titles": "|".join(titles)})
    pages = (answer.get("query") or {}).get("pages") or []
    return [int((page.get("categoryinfo") or {}).get("files", 0)) for page in pages]
