"""Listings of and in categories in the embedded Commons' API."""

from __future__ import annotations

from typing import Any

from crawler.loopback.core import Listed, Wiki, kind_of
from crawler.loopback.pages import Page, iso, parse_title
from crawler.loopback.params import ApiError, Params, bad_continue


def category_members(wiki: Wiki, params: Params, code: str) -> Listed:
    """list=categorymembers."""
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


def all_categories(wiki: Wiki, params: Params, code: str) -> Listed:
    """list=allcategories: all that have members or a page, by name; not as a generator."""
    if code.startswith("g"):
        raise ApiError("badgenerator", "The embedded Commons only lists allcategories.")
    wanted = params.many(f"{code}prop", ("size", "hidden"), "allcategories")
    backwards = params.one_of(f"{code}dir", ("ascending", "descending"), "ascending") != "ascending"
    low, high = (_key(params.get(f"{code}{end}")) for end in ("from", "to"))
    if backwards:
        low, high = high, low
    least, most = params.integer(f"{code}min"), params.integer(f"{code}max")
    prefix = _key(params.get(f"{code}prefix")) or ""
    limit = min(params.limit(f"{code}limit", "allcategories"), wiki.page_size)
    start = params.get(f"{code}continue")
    known = {page.title.name for page in wiki.pages.by_title.values() if page.title.namespace == 14}
    rows: list[tuple[bytes, str, list[str]]] = []
    for name in known | set(wiki.pages.members):
        key = name.replace(" ", "_")
        kinds = [kind_of(page) for page in wiki.pages.members.get(name, [])]
        beyond = start is not None and (key > start if backwards else key < start)
        if beyond or not key.startswith(prefix) or (low and key < low) or (high and key > high):
            continue
        if (least is None or len(kinds) >= least) and (most is None or len(kinds) <= most):
            rows.append((key.encode(), name, kinds))
    rows.sort(reverse=backwards)
    content = "category" if params.get("formatversion") in ("2", "latest") else "*"
    shown: list[dict[str, Any]] = []
    for _, name, kinds in rows[:limit]:
        row: dict[str, Any] = {content: name}
        if "size" in wanted:
            row |= {"size": len(kinds)}
            row |= {f"{kind}s": kinds.count(kind) for kind in ("page", "file", "subcat")}
        if "hidden" in wanted and content == "category":
            # No category of the corpus is hidden; the first format version leaves out what is false.
            row["hidden"] = False
        shown.append(row)
    following = {f"{code}continue": rows[limit][0].decode()} if len(rows) > limit else {}
    return Listed(pages=[], shown=shown, next=following)


def _key(title: str | None) -> str | None:
    return title[:1].upper() + title[1:].replace(" ", "_") if title else None
