"""Listings in the embedded Commons' API, by themselves or as generators: rows, and where the next answer goes on."""

from __future__ import annotations

from typing import Any

from crawler.loopback.categories import all_categories, category_members
from crawler.loopback.core import Listed, Module, Wiki, named
from crawler.loopback.pages import Page, StoredFile, iso
from crawler.loopback.params import ApiError, Params, bad_continue
from crawler.loopback.props import IMAGE_INFO, image_info
from crawler.loopback.search import matching_files


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
    if offset >= wiki.most_hits:
        most = f"Up to {wiki.most_hits} search results are supported"
        said = (
            f"Could not retrieve results. {most}, but results starting at {offset} were requested."
        )
        raise ApiError("cirrussearch-offset-too-large", said)
    sort = params.one_of(f"{code}sort", SORTS, "relevance")
    if sort.startswith(("create_timestamp", "last_edit")):
        found.sort(
            key=lambda page: page.file.uploaded if page.file else "", reverse=sort.endswith("desc")
        )
    # As CirrusSearch: the last page is shortened, and continued all the same.
    listed = found[offset : min(offset + limit, wiki.most_hits)]
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
        listing=category_members,
        keys=("title", "pageid", "prop", "type", "limit", "sort", "dir", "continue"),
    ),
    Module(
        name="allcategories",
        code="ac",
        listing=all_categories,
        keys=("from", "to", "prefix", "dir", "min", "max", "limit", "prop", "continue"),
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
