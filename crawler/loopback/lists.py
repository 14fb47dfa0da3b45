"""Listings in the embedded Commons' API, by themselves or as generators: rows, and where the next answer goes on."""

from __future__ import annotations

from typing import Any

from crawler.loopback.core import Listed, Module, Wiki, kind_of, named
from crawler.loopback.pages import Page, StoredFile, iso, parse_title
from crawler.loopback.params import ApiError, Params, bad_continue
from crawler.loopback.props import IMAGE_INFO, image_info
from crawler.loopback.search import matching_files


def _category_members(wiki: Wiki, params: Params, code: str) -> Listed:
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


def _all_images(wiki: Wiki, params: Params, code: str) -> Listed:
    by_time = params.one_of(f"{code}sort", ("name", "timestamp"), "name") == "timestamp"
    order = params.one_of(f"{code}dir", ("ascending", "descending", "newer", "older"), "ascending")
    backwards = order in ("descending", "older")
    for other in ("from", "to", "prefix") if by_time else ("start", "end"):
        if params.get(f"{code}{other}") is not None:
            needed = "name" if by_time else "timestamp"
            only = f'"{code}{other}" may only be used with "{code}sort={needed}".'
            raise ApiError("invalidparammix", only)
    wanted = params.many(f"{code}prop", IMAGE_INFO, "allimages", ("timestamp", "url"))
    limit = min(params.limit(f"{code}limit", "allimages"), wiki.page_size)
    low, high = (
        (params.timestamp(f"{code}start"), params.timestamp(f"{code}end"))
        if by_time
        else (_db_key(params.get(f"{code}from")), _db_key(params.get(f"{code}to")))
    )
    if backwards:
        low, high = high, low
    start = params.get(f"{code}continue")
    if start is not None and by_time and not start.partition("|")[0].isdigit():
        raise bad_continue()
    rows: list[tuple[Any, Page]] = []
    for page in wiki.pages.files:
        assert page.file is not None
        main = page.file.uploaded if by_time else page.file.name
        if (low and main < low) or (high and main > high) or not _fits(page.file, params, code):
            continue
        rows.append(((main, page.file.name) if by_time else (main,), page))
    rows.sort(key=lambda row: tuple(part.encode() for part in row[0]), reverse=backwards)
    if start is not None:
        first = tuple(x.encode() for x in (start.split("|", 1) if by_time else [start]))
        keys = [tuple(part.encode() for part in row[0]) for row in rows]
        rows = [
            r for r, k in zip(rows, keys, strict=True) if (k <= first if backwards else k >= first)
        ]
    following = {f"{code}continue": "|".join(rows[limit][0])} if len(rows) > limit else {}
    listed = [page for _, page in rows[:limit]]
    shown = [
        {
            "name": page.file.name,
            **image_info(wiki, page.title, page.file, wanted, []),
            "ns": 6,
            "title": page.title.text,
        }
        for page in listed
        if page.file is not None
    ]
    return Listed(pages=listed, shown=shown, next=following)


def _db_key(title: str | None) -> str | None:
    return title[:1].upper() + title[1:].replace(" ", "_") if title else None


def _fits(stored: StoredFile, params: Params, code: str) -> bool:
    prefix = _db_key(params.get(f"{code}prefix")) or ""
    least, most = params.integer(f"{code}minsize"), params.integer(f"{code}maxsize")
    sha1, mimes = params.get(f"{code}sha1"), params.values(f"{code}mime")
    return (
        stored.name.startswith(prefix)
        and (least is None or stored.size_bytes >= least)
        and (most is None or stored.size_bytes <= most)
        and (sha1 is None or stored.sha1 == sha1.lower())
        and (not mimes or stored.mime in mimes)
    )


SORTS = (
    *("relevance", "none", "just_match", "random", "user_random"),
    *(f"{what}_{way}" for what in ("create_timestamp", "last_edit") for way in ("asc", "desc")),
)


def _search(wiki: Wiki, params: Params, code: str) -> Listed:
    text = params.get(f"{code}search")
    if not text:
        raise ApiError("missingparam", f'The "{code}search" parameter must be set.')
    spaces = params.values(f"{code}namespace") or ["0"]
    limit = min(params.limit(f"{code}limit", "search"), wiki.page_size)
    offset = params.integer(f"{code}offset") or 0
    titles_only = params.one_of(f"{code}what", ("text", "title", "nearmatch"), "text") == "title"
    found: list[Page] = []
    if "6" in spaces:
        found, problems = matching_files(wiki.pages.files, text, titles_only=titles_only)
        for problem in problems:
            params.warn("search", problem)
    if offset + limit > wiki.most_hits:
        raise ApiError("cirrussearch-offset-too-large", "Could not retrieve results that deep.")
    sort = params.one_of(f"{code}sort", SORTS, "relevance")
    if sort.startswith(("create_timestamp", "last_edit")):
        found.sort(
            key=lambda page: page.file.uploaded if page.file else "", reverse=sort.endswith("desc")
        )
    listed = found[offset : offset + limit]
    more = len(found) > offset + limit
    shown: list[dict[str, Any]] = [
        {
            "ns": 6,
            "title": page.title.text,
            "pageid": page.page_id,
            "size": page.length,
            "wordcount": len(page.file.words.split()) if page.file else 0,
            "snippet": "",
            "timestamp": iso(page.touched),
        }
        for page in listed
    ]
    return Listed(
        pages=listed,
        shown=shown,
        next={f"{code}offset": offset + limit} if more else {},
        first=offset + 1,
        extra={"searchinfo": {"totalhits": len(found)}},
    )


LISTS = named(
    Module(
        name="categorymembers",
        code="cm",
        listing=_category_members,
        keys=("title", "pageid", "prop", "type", "limit", "sort", "dir", "continue"),
    ),
    Module(
        name="allimages",
        code="ai",
        listing=_all_images,
        keys=(
            "sort",
            "dir",
            "from",
            "to",
            "prefix",
            "start",
            "end",
            "prop",
            "limit",
            "continue",
            "minsize",
            "maxsize",
            "sha1",
            "mime",
        ),
    ),
    Module(
        name="search",
        code="sr",
        listing=_search,
        keys=("search", "namespace", "limit", "offset", "what", "prop", "info", "sort"),
    ),
)
