"""Category trees, breadth first, each category once; and finding the category that a name means.

Names of categories rot: they are redirected, by the software or by a template in the page's text, emptied, deleted.
What a name leads to is looked up before it is walked, and what leads nowhere is told instead of passed over.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crawler.commons import BATCH, PAGE_FIELDS, Commons, ListingError, pages_of
from crawler.listed import Cursor, ListedBatch, all_seen
from crawler.sources import CategorySource

MOST_REDIRECTS = 3
"""Soft redirects followed one after the other."""
_SOFT_REDIRECT = re.compile(
    r"\{\{\s*(?:category[ _]?redirect|cat[ _-]?redirect|catredirect|category[ _]?move|redirect[ _]?category|"
    r"seecat|see[ _]?cat)\s*\|\s*(?:1\s*=\s*)?:?(?P<target>[^|{}]+)",
    re.IGNORECASE,
)
"""{{Category redirect|Target}} and its short forms on Commons."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What the name of a category leads to."""

    name: str
    """As it was given."""
    title: str | None
    """With `Category:`, redirects followed; None where nothing is there."""
    files: int = 0
    """Directly in it."""
    subcats: int = 0
    problem: str | None = None
    """Why it cannot be walked, for a person."""


def category_title(name: str) -> str:
    """`Category:Xyz` of a name in any spelling."""
    bare = re.sub(r"^\s*category\s*:", "", name.replace("_", " "), flags=re.IGNORECASE)
    bare = " ".join(bare.split())
    return f"Category:{bare[:1].upper()}{bare[1:]}"


def resolve_categories(commons: Commons, names: Sequence[str]) -> list[Resolved]:
    """Looks names up, 50 in a request, following hard and soft redirects; same order.

    Raises:
        ListingError: the wiki refused a query.
    """
    given = {name: category_title(name) for name in names}
    at = dict(given)
    found: dict[str, Mapping[str, Any]] = {}
    passed: dict[str, set[str]] = {name: {title} for name, title in at.items()}
    waiting = list(dict.fromkeys(names))
    for _ in range(MOST_REDIRECTS + 1):
        pages = _look_up(commons, sorted({at[name] for name in waiting}))
        for name in waiting:
            at[name], found[name] = pages[at[name]]
        empty = [name for name in waiting if _is_empty(found[name])]
        targets = _soft_redirects(commons, sorted({at[name] for name in empty}))
        waiting = []
        for name in empty:
            target = targets.get(at[name])
            if target and target not in passed[name]:
                passed[name].add(target)
                at[name] = target
                waiting.append(name)
        if not waiting:
            break
    return [_resolved(commons, name, at[name], found[name]) for name in names]


def _look_up(commons: Commons, titles: Sequence[str]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Title -> where it leads (hard redirects followed), and the page."""
    led: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for start in range(0, len(titles), BATCH):
        some = titles[start : start + BATCH]
        answer = commons.ask({"prop": "categoryinfo", "titles": "|".join(some), "redirects": "1"})
        query = answer.get("query") or {}
        moves = {
            move["from"]: move["to"]
            for kind in ("normalized", "redirects")
            for move in query.get(kind) or []
        }
        pages = {str(page.get("title")): page for page in pages_of(answer)}
        for title in some:
            target = title
            for _ in range(len(moves) + 1):
                target = moves.get(target, target)
            led[title] = target, pages.get(target, {"missing": True})
    return led


def _is_empty(page: Mapping[str, Any]) -> bool:
    return not (page.get("categoryinfo") or {}).get("size", 0)


def _soft_redirects(commons: Commons, titles: Sequence[str]) -> dict[str, str]:
    """Title -> the category that a template in its text names."""
    found: dict[str, str] = {}
    for start in range(0, len(titles), BATCH):
        asked = {
            "prop": "revisions",
            "rvprop": "content",
            "rvslots": "main",
            "titles": "|".join(titles[start : start + BATCH]),
        }
        for page in pages_of(commons.ask(asked)):
            for revision in page.get("revisions") or []:
                slot = (revision.get("slots") or {}).get("main") or revision
                match = _SOFT_REDIRECT.search(str(slot.get("content") or slot.get("*") or ""))
                if match:
                    found[str(page["title"])] = category_title(match["target"])
    return found


def _resolved(commons: Commons, name: str, title: str, page: Mapping[str, Any]) -> Resolved:
    held = page.get("categoryinfo") or {}
    if held.get("size", 0) > 0:
        return Resolved(
            name=name, title=title, files=held.get("files", 0), subcats=held.get("subcats", 0)
        )
    missing = "missing" in page or "invalid" in page
    said = f"{title} {'does not exist' if missing else 'is empty'} on the wiki: take it out of the recipe"
    near = _similar(commons, title) if "invalid" not in page else []
    hint = f", or take one of {', '.join(near)}." if near else "."
    return Resolved(name=name, title=None if missing else title, problem=said + hint)


def _similar(commons: Commons, title: str) -> list[str]:
    """Up to three categories with files whose names begin alike."""
    bare = title.removeprefix("Category:")
    prefix = bare[: max(4, 2 * len(bare) // 3)]
    asked = {"list": "allcategories", "acprefix": prefix, "acprop": "size", "aclimit": "20"}
    try:
        answer = commons.ask(asked)
    except ListingError:
        return []
    held = (answer.get("query") or {}).get("allcategories") or []
    full = [c for c in held if c.get("size", 0) > 0]
    full.sort(key=lambda c: -int(c.get("size", 0)))
    return [str(c.get("category", c.get("*"))) for c in full[:3]]


def walk_category(
    commons: Commons, source: CategorySource, cursor: Cursor | None, key: str
) -> Generator[ListedBatch]:
    """Breadth first. Cursor: queue of (title, depth, path), titles visited, `continue` within the queue's first."""
    if cursor is None:
        (root,) = resolve_categories(commons, [source.root])
        if root.problem or root.title is None:
            yield ListedBatch(files=(), cursor=None, problem=root.problem)
            return
        asked = category_title(source.root)
        path = root.title if root.title == asked else f"{asked} > {root.title}"
        cursor = {
            "queue": [[root.title, 0, path]],
            "visited": list(dict.fromkeys([asked, root.title])),
            "carry": None,
        }
    queue: list[list[Any]] = [list(entry) for entry in cursor["queue"]]
    visited: list[str] = list(cursor["visited"])
    carry: dict[str, Any] | None = cursor["carry"]
    while queue:
        title, depth, path = queue[0]
        members = {"generator": "categorymembers", "gcmtitle": title, "gcmtype": "file"}
        for batch in commons.batches({**PAGE_FIELDS, **members, "gcmlimit": BATCH}, carry):
            files = all_seen(commons, batch.pages, key, path)
            problem = None
            if batch.carry is None:
                queue = queue[1:]
                below = _subcategories(commons, title) if depth < source.depth else []
                below, problem = _followed(commons, below)
                for name in below:
                    room = len(visited) < source.max_categories
                    if room and name not in visited and _may_enter(name, source):
                        visited = [*visited, name]
                        queue.append([name, depth + 1, f"{path} > {name}"])
            here = {"queue": [*queue], "visited": visited, "carry": batch.carry}
            yield ListedBatch(files=files, cursor=here if queue else None, problem=problem)
        carry = None


def _followed(
    commons: Commons, members: Sequence[Mapping[str, Any]]
) -> tuple[list[str], str | None]:
    """Titles of subcategories, empty ones replaced by what they redirect to or told."""
    empty = [str(m["title"]) for m in members if m.get("empty")]
    led = {resolved.name: resolved for resolved in resolve_categories(commons, empty)}
    titles = [
        str(led[m["title"]].title or "") if m["title"] in led else str(m["title"]) for m in members
    ]
    problems = [resolved.problem for resolved in led.values() if resolved.problem]
    return [title for title in titles if title], problems[0] if problems else None


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
        found += [{"title": page["title"], "empty": _is_empty(page)} for page in pages]
    return found


def _may_enter(title: str, source: CategorySource) -> bool:
    bare = title.removeprefix("Category:")
    return not any(re.search(pattern, bare) for pattern in source.deny)
