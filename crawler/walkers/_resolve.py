"""What the name of a category leads to: names of categories rot.

They are redirected, by the software or by a template in the page's text, emptied, deleted. So a name is looked up
before it is walked, and what leads nowhere is told instead of passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crawler.commons import BATCH, Commons, ListingError, merge_page, pages_of

MOST_REDIRECTS = 3
"""Soft redirects followed one after the other."""
_SOFT_REDIRECT = re.compile(
    r"\{\{\s*(?P<template>category[ _]?redirect|cat[ _-]?redirect|redirect[ _]?category|category[ _]?move|see[ _]?cat)"
    r"\s*\|\s*(?:1\s*=\s*)?(?:\[\[)?\s*:?(?P<target>[^|{}\[\]]+)",
    re.IGNORECASE,
)
"""{{Category redirect|Target}} and its short forms on Commons."""
_COMMENT = re.compile(r"<!--.*?-->|<nowiki>.*?</nowiki>", re.DOTALL | re.IGNORECASE)
_FORBIDDEN = re.compile(r"[#<>\[\]|{}\x00-\x1f\x7f]")
"""What no title may hold; a | would even be another title in the request."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What the name of a category leads to."""

    name: str
    """As it was given."""
    title: str | None
    """With `Category:`, redirects followed; None where no category is there."""
    files: int = 0
    """Directly in it, by the wiki's own counter."""
    subcats: int = 0
    problem: str | None = None
    """Why there is nothing to walk, for a person."""


@dataclass(kw_only=True)
class _Trail:
    """A name on its way."""

    name: str
    at: str
    page: Mapping[str, Any] = field(default_factory=dict[str, Any])
    passed: set[str] = field(default_factory=set[str])
    lost: str = ""
    """Why its redirects were followed no further."""

    @property
    def size(self) -> int:
        """Members of the category that it is at."""
        return int((self.page.get("categoryinfo") or {}).get("size", 0))


def category_title(name: str) -> str:
    """`Category:Xyz` of a name in any spelling."""
    bare = re.sub(r"^\s*category\s*:", "", name.replace("_", " "), flags=re.IGNORECASE)
    bare = " ".join(bare.split())
    return f"Category:{bare[:1].upper()}{bare[1:]}"


def resolve_categories(
    commons: Commons, names: Sequence[str], *, suggest: bool = True
) -> list[Resolved]:
    """Looks names up, 50 in a request, following hard and soft redirects; same order.

    A soft redirect counts even where some files are left behind in the old category: bots of the wiki move them.

    Args:
        suggest: ask for names that begin alike, one request for each name that leads nowhere.

    Raises:
        ListingError: the wiki refused a query.
    """
    trails = {name: _Trail(name=name, at=category_title(name)) for name in names}
    waiting = [trail for trail in trails.values() if _may_exist(trail.at)]
    for step in range(MOST_REDIRECTS + 1):
        led = _look_up(commons, sorted({trail.at for trail in waiting}))
        followed: list[_Trail] = []
        for trail in waiting:
            trail.passed.add(trail.at)
            trail.at, trail.page = led[trail.at]
            trail.passed.add(trail.at)
            target = _soft_target(trail)
            if target is None:
                continue
            if target in trail.passed:
                trail.lost = "its redirects go round in a circle"
            elif step == MOST_REDIRECTS:
                trail.lost = f"more than {MOST_REDIRECTS} redirects follow each other"
            else:
                trail.at, trail.page = target, {}
                followed.append(trail)
        waiting = [trail for trail in followed if _may_exist(trail.at)]
        if not waiting:
            break
    return [_resolved(commons, trails[name], suggest) for name in names]


def _may_exist(title: str) -> bool:
    bare = title.removeprefix("Category:")
    return bool(bare) and not _FORBIDDEN.search(bare) and len(bare.encode()) <= 255


def _look_up(commons: Commons, titles: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Title -> where it leads (hard redirects followed), and the page with its counters and its text."""
    led: dict[str, tuple[str, dict[str, Any]]] = {}
    for start in range(0, len(titles), BATCH):
        some = titles[start : start + BATCH]
        asked = {
            "prop": "categoryinfo|revisions",
            "rvprop": "content",
            "rvslots": "main",
            "titles": "|".join(some),
            "redirects": "1",
        }
        moves: dict[str, str] = {}
        pages: dict[str, dict[str, Any]] = {}
        goes_on: dict[str, Any] = {}
        known: set[int] = set()
        while True:
            answer = commons.ask({**asked, **goes_on})
            query = answer.get("query") or {}
            for kind in ("normalized", "redirects"):
                moves |= {move["from"]: move["to"] for move in query.get(kind) or []}
            for page in pages_of(answer):
                merge_page(pages.setdefault(str(page.get("title")), {}), page)
            goes_on = dict(answer.get("continue") or {})
            commons.check_way(goes_on, known, asked)
            if not goes_on:
                break
        for title in some:
            target = title
            for _ in moves:
                target = moves.get(target, target)
            led[title] = target, pages.get(target, {"missing": True})
    return led


def _soft_target(trail: _Trail) -> str | None:
    """The category that a template in the page's text names."""
    for revision in trail.page.get("revisions") or []:
        slot = (revision.get("slots") or {}).get("main") or revision
        text = _COMMENT.sub("", str(slot.get("content") or slot.get("*") or ""))
        found = _SOFT_REDIRECT.search(text)
        # The other templates also stand in categories in use, as a proposal or a remark.
        if found and (trail.size == 0 or "redirect" in found["template"].lower()):
            return category_title(found["target"])
    return None


def _resolved(commons: Commons, trail: _Trail, suggest: bool) -> Resolved:
    held = trail.page.get("categoryinfo") or {}
    if trail.size > 0:
        return Resolved(
            name=trail.name,
            title=trail.at,
            files=int(held.get("files", 0)),
            subcats=int(held.get("subcats", 0)),
        )
    title: str | None = None
    near: list[str] = []
    if not _may_exist(trail.at) or "invalid" in trail.page:
        state = "cannot be the name of a category"
    elif int(trail.page.get("ns", 14)) != 14:
        state = "is no category"
    else:
        missing = "missing" in trail.page
        state = "does not exist on the wiki" if missing else "is empty on the wiki"
        title = None if missing else trail.at
        near = _similar(commons, trail.at) if suggest else []
    asked = category_title(trail.name)
    said = f"{trail.at} {state}" if trail.at == asked else f"{asked} leads to {trail.at}: {state}"
    why = f" ({trail.lost})" if trail.lost else ""
    hint = f", or take one of {', '.join(near)}." if near else "."
    return Resolved(
        name=trail.name, title=title, problem=f"{said}{why}: take it out of the recipe{hint}"
    )


def _similar(commons: Commons, title: str) -> list[str]:
    """Up to three categories that hold something and whose names begin alike, the largest first."""
    bare = title.removeprefix("Category:")
    asked = {"list": "allcategories", "acprefix": bare[: max(4, 2 * len(bare) // 3)]}
    try:
        answer = commons.ask({**asked, "acprop": "size", "acmin": 1, "aclimit": 50})
    except ListingError:
        return []
    held = (answer.get("query") or {}).get("allcategories") or []
    held = sorted(held, key=lambda c: -int(c.get("size", 0)))
    return [str(c.get("category", c.get("*"))) for c in held[:3]]
