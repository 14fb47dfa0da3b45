"""list=allimages of the embedded Commons: files by name or by the time of their upload."""

from __future__ import annotations

from typing import Any

from crawler.loopback.core import Listed, Wiki
from crawler.loopback.pages import Page, StoredFile, parse_title
from crawler.loopback.params import ApiError, Params, bad_continue
from crawler.loopback.props import IMAGE_INFO, image_info

CODE = "ai"
KEYS = (
    *("sort", "dir", "from", "to", "prefix", "start", "end", "prop", "limit", "continue"),
    *("minsize", "maxsize", "sha1", "mime", "user"),
)


def listing(wiki: Wiki, params: Params, code: str) -> Listed:
    """Rows and pages alike."""
    by_time = params.one_of(f"{code}sort", ("name", "timestamp"), "name") == "timestamp"
    order = params.one_of(f"{code}dir", ("ascending", "descending", "newer", "older"), "ascending")
    backwards = order in ("descending", "older")
    for other in ("from", "to", "prefix") if by_time else ("start", "end", "user"):
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
    user = params.get(f"{code}user")
    return (
        stored.name.startswith(prefix)
        and (least is None or stored.size_bytes >= least)
        and (most is None or stored.size_bytes <= most)
        and (sha1 is None or stored.sha1 == sha1.lower())
        and (user is None or stored.uploader == parse_title(f"User:{user}").name)
        and (not mimes or stored.mime in mimes)
    )
