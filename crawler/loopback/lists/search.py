"""list=search of the embedded Commons: files whose words and properties match."""

from __future__ import annotations

from typing import Any

from crawler.loopback.core import Listed, Wiki
from crawler.loopback.pages import Page, iso
from crawler.loopback.params import ApiError, Params
from crawler.loopback.search import matching_files

CODE = "sr"
KEYS = ("search", "namespace", "limit", "offset", "what", "prop", "info", "sort")
SORTS = (
    *("relevance", "none", "just_match", "random", "user_random"),
    *(f"{what}_{way}" for what in ("create_timestamp", "last_edit") for way in ("asc", "desc")),
)


def listing(wiki: Wiki, params: Params, code: str) -> Listed:
    """Best first; only the File namespace holds anything."""
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
