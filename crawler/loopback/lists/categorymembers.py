"""list=categorymembers of the embedded Commons: what stands in a category."""

from __future__ import annotations

from typing import Any

from crawler.loopback.core import Listed, Wiki, kind_of
from crawler.loopback.pages import Page, iso, parse_title
from crawler.loopback.params import ApiError, Params, bad_continue

CODE = "cm"
KEYS = ("title", "pageid", "prop", "type", "limit", "sort", "dir", "continue")


def listing(wiki: Wiki, params: Params, code: str) -> Listed:
    """By sort key, or by the time of the last change."""
    given, number = params.get(f"{code}title"), params.integer(f"{code}pageid")
    if not given and number is None:
        need = f'One of the parameters "{code}title" and "{code}pageid" is required.'
        raise ApiError("missingparam", need)
    title = parse_title(given or "")
    if number is not None:
        if number not in wiki.pages.by_id:
            raise ApiError("nosuchpageid", f"There is no page with ID {number}.")
        title = wiki.pages.by_id[number].title
    if title.reason:
        raise ApiError("invalidtitle", f'Bad title "{given}".')
    if title.namespace != 14:
        raise ApiError("invalidcategory", f'"{given}" is not a category.')
    types = ("page", "subcat", "file")
    kinds = params.many(f"{code}type", types, "categorymembers", types)
    wanted = params.many(
        f"{code}prop",
        ("ids", "title", "sortkey", "sortkeyprefix", "type", "timestamp"),
        "categorymembers",
        ("ids", "title"),
    )
    by_time = params.one_of(f"{code}sort", ("sortkey", "timestamp"), "sortkey") == "timestamp"
    order = params.one_of(
        f"{code}dir", ("asc", "desc", "ascending", "descending", "newer", "older"), "asc"
    )
    backwards = order in ("desc", "descending", "older")
    limit = min(params.limit(f"{code}limit", "categorymembers"), wiki.page_size)
    start = params.get(f"{code}continue")

    def place(page: Page) -> tuple[Any, ...]:
        if by_time:
            return (page.touched, page.page_id)
        rank = types.index(kind_of(page))
        return (-rank if backwards else rank, page.sort_key, page.page_id)

    first = _member_place(start, by_time, types, backwards) if start is not None else None
    members = [p for p in wiki.pages.members.get(title.name, []) if kind_of(p) in kinds]
    members.sort(key=place, reverse=backwards)
    if first is not None:
        members = [p for p in members if (place(p) <= first if backwards else place(p) >= first)]
    listed, rest = members[:limit], members[limit:]
    following: dict[str, Any] = {}
    if rest:
        then = rest[0]
        mark = (
            f"{then.touched}|{then.page_id}"
            if by_time
            else f"{kind_of(then)}|{then.sort_key.hex()}|{then.page_id}"
        )
        following = {f"{code}continue": mark}
    return Listed(pages=listed, shown=[_member(p, wanted) for p in listed], next=following)


def _member_place(
    start: str, by_time: bool, types: tuple[str, ...], backwards: bool
) -> tuple[Any, ...]:
    parts = start.split("|")
    try:
        if by_time:
            stamp, number = parts
            return (stamp, int(number))
        kind, key, number = parts
        rank = types.index(kind)
        return (-rank if backwards else rank, bytes.fromhex(key), int(number))
    except ValueError:
        raise bad_continue() from None


def _member(page: Page, wanted: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if "ids" in wanted:
        row["pageid"] = page.page_id
    if "title" in wanted:
        row |= {"ns": page.title.namespace, "title": page.title.text}
    if "sortkey" in wanted:
        row["sortkey"] = page.sort_key.hex()
    if "sortkeyprefix" in wanted:
        row["sortkeyprefix"] = ""
    if "type" in wanted:
        row["type"] = kind_of(page)
    if "timestamp" in wanted:
        row["timestamp"] = iso(page.touched)
    return row
