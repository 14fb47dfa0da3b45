"""The modules of the embedded Commons' API: what each property says about pages and what each listing lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crawler.loopback_pages import (
    NAMESPACES,
    Page,
    Pages,
    StoredFile,
    Title,
    iso,
    parse_title,
    wiki_quote,
)
from crawler.loopback_params import ApiError, Params, bad_continue
from crawler.loopback_search import matching_files

Values = dict[int, dict[str, Any]]


@dataclass(kw_only=True)
class Wiki:
    """What the modules read."""

    pages: Pages
    site: str
    """https://commons.wikimedia.org"""
    upload: str
    """https://upload.wikimedia.org/wikipedia/commons"""
    page_size: int
    max_result_bytes: int


@dataclass(kw_only=True)
class Listed:
    """One answer of a listing."""

    pages: list[Page]
    shown: list[dict[str, Any]]
    next: dict[str, Any] = field(default_factory=dict)
    first: int = 1
    """Rank of the first row, for searches."""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module, its prefix, and the parameters it knows."""

    name: str
    code: str
    keys: tuple[str, ...]
    prop: Callable[[Wiki, Params, dict[int, Page], dict[int, Title], Values], dict[str, Any]] | None = None  # fmt: skip
    listing: Callable[[Wiki, Params, str], Listed] | None = None
    meta: Callable[[Wiki, Params], dict[str, Any]] | None = None

    def read_only(self, params: Params, prefix: str = "") -> None:
        """The module has said everything; its parameters are still known ones."""
        params.read(*(f"{prefix}{self.code}{key}" for key in self.keys))

    def run_prop(
        self,
        wiki: Wiki,
        params: Params,
        pages: dict[int, Page],
        absent: dict[int, Title],
        values: Values,
    ) -> dict[str, Any]:
        """Fills `values`; returns what continues it."""
        assert self.prop is not None
        self.read_only(params)
        return self.prop(wiki, params, pages, absent, values)

    def run_list(self, wiki: Wiki, params: Params, prefix: str = "") -> Listed:
        """One answer's rows; `prefix` is g for a generator."""
        assert self.listing is not None
        self.read_only(params, prefix)
        return self.listing(wiki, params, prefix + self.code)

    def run_meta(self, wiki: Wiki, params: Params) -> dict[str, Any]:
        """Keys of `query`."""
        assert self.meta is not None
        self.read_only(params)
        return self.meta(wiki, params)


# -- properties -----------------------------------------------------------------------------------

_II = ("timestamp", "user", "url", "size", "dimensions", "sha1", "mime", "mediatype", "bitdepth", "canonicaltitle", "extmetadata")  # fmt: skip


def _image_info(
    wiki: Wiki, params: Params, pages: dict[int, Page], absent: dict[int, Title], values: Values
) -> dict[str, Any]:
    wanted = params.many("iiprop", _II, "imageinfo", ("timestamp", "user"))
    chosen = params.values("iiextmetadatafilter", 500)
    params.limit("iilimit", "imageinfo", 1)
    for key, title in absent.items():
        if title.namespace == 6:
            values[key]["imagerepository"] = ""
    start = params.get("iicontinue")
    if start is not None and "|" not in start:
        raise bad_continue()
    used = shown = 0
    for key, page, stored in _with_files(wiki, pages):
        if start is not None and stored.name < start.rpartition("|")[0]:
            continue
        info = image_info(wiki, page.title, stored, wanted, chosen)
        used += len(json.dumps(info, ensure_ascii=False).encode())
        # One file is always said, so that a client gets on.
        if used > wiki.max_result_bytes and shown:
            most = f"{wiki.max_result_bytes:,}"
            params.warn("result", f"This result was truncated: it would exceed {most} bytes.")
            return {"iicontinue": f"{stored.name}|{stored.uploaded}"}
        values[key] |= {"imagerepository": "local", "imageinfo": [info]}
        shown += 1
    return {}


def _with_files(wiki: Wiki, pages: dict[int, Page]) -> list[tuple[int, Page, StoredFile]]:
    """Pages with their file, or that of the page they redirect to, by file name."""
    found: list[tuple[int, Page, StoredFile]] = []
    for key, page in pages.items():
        target = wiki.pages.by_title.get(page.redirect) if page.redirect else page
        if target is not None and target.file is not None:
            found.append((key, target, target.file))
    return sorted(found, key=lambda row: row[2].name)


def image_info(
    wiki: Wiki, title: Title, stored: StoredFile, wanted: list[str], chosen: list[str]
) -> dict[str, Any]:
    """The properties `wanted` of one file; `chosen` are the extmetadata fields, none for all."""
    info: dict[str, Any] = {}
    if "timestamp" in wanted:
        info["timestamp"] = stored.timestamp
    if "user" in wanted:
        info["user"] = stored.uploader
    if "size" in wanted or "dimensions" in wanted:
        info |= {"size": stored.size_bytes, "width": stored.width, "height": stored.height}
    if "canonicaltitle" in wanted:
        info["canonicaltitle"] = title.text
    if "url" in wanted:
        info["url"] = f"{wiki.upload}/{stored.path_on_host}"
        info["descriptionurl"] = f"{wiki.site}/wiki/{wiki_quote(title.text)}"
    if "sha1" in wanted:
        info["sha1"] = stored.sha1
    if "extmetadata" in wanted:
        fields = {k: v for k, v in stored.metadata.items() if not chosen or k in chosen}
        # PHP's empty array has no keys, so it comes out as a list.
        info["extmetadata"] = fields or []
    if "mime" in wanted:
        info["mime"] = stored.mime
    if "mediatype" in wanted:
        info["mediatype"] = stored.media_type
    if "bitdepth" in wanted:
        info["bitdepth"] = 8 if stored.mime in ("image/jpeg", "image/png") else 0
    return info


def _categories(
    wiki: Wiki, params: Params, pages: dict[int, Page], absent: dict[int, Title], values: Values
) -> dict[str, Any]:
    wanted = params.many("clprop", ("sortkey", "timestamp", "hidden"), "categories")
    show = params.many("clshow", ("hidden", "!hidden"), "categories")
    if len(show) == 2:
        raise ApiError("show", "clshow may not hold a value and its opposite.")
    limit = params.limit("cllimit", "categories")
    first: tuple[int, str] | None = None
    start = params.get("clcontinue")
    if start is not None:
        number, bar, name = start.partition("|")
        if not bar or not number.isdigit():
            raise bad_continue()
        first = int(number), name
    # No category of the corpus is hidden.
    rows = [] if show == ["hidden"] else [(i, c) for i in sorted(pages) for c in pages[i].categories]  # fmt: skip
    shown = 0
    for number, category in rows:
        key = category.replace(" ", "_")
        if first is not None and (number, key.encode()) < (first[0], first[1].encode()):
            continue
        if shown == limit:
            return {"clcontinue": f"{number}|{key}"}
        row: dict[str, Any] = {"ns": 14, "title": f"Category:{category}"}
        if "sortkey" in wanted:
            row |= {"sortkey": pages[number].sort_key.hex(), "sortkeyprefix": ""}
        if "timestamp" in wanted:
            row["timestamp"] = iso(pages[number].touched)
        if "hidden" in wanted:
            row["hidden"] = False
        values[number].setdefault("categories", []).append(row)
        shown += 1
    return {}


_LANGUAGE = {
    "contentmodel": "wikitext",
    "pagelanguage": "en",
    "pagelanguagehtmlcode": "en",
    "pagelanguagedir": "ltr",
}


def _info(
    wiki: Wiki, params: Params, pages: dict[int, Page], absent: dict[int, Title], values: Values
) -> dict[str, Any]:
    for key in absent:
        values[key] |= _LANGUAGE
    for key, page in pages.items():
        values[key] |= _LANGUAGE | {
            "touched": iso(page.touched),
            "lastrevid": page.revision_id,
            "length": page.length,
            "redirect": page.redirect is not None,
            "new": True,
        }
        if page.redirect is None:
            del values[key]["redirect"]
    return {}


def _revisions(
    wiki: Wiki, params: Params, pages: dict[int, Page], absent: dict[int, Title], values: Values
) -> dict[str, Any]:
    known = ("ids", "flags", "timestamp", "user", "comment")
    wanted = params.many("rvprop", known, "revisions", known)
    for key, page in pages.items():
        row: dict[str, Any] = {}
        if "ids" in wanted:
            row |= {"revid": page.revision_id, "parentid": 0}
        if "flags" in wanted:
            row["minor"] = False
        if "user" in wanted:
            row["user"] = page.file.uploader if page.file else "Admin"
        if "timestamp" in wanted:
            row["timestamp"] = iso(page.touched)
        if "comment" in wanted:
            row["comment"] = ""
        values[key]["revisions"] = [row]
    return {}


def _category_info(
    wiki: Wiki, params: Params, pages: dict[int, Page], absent: dict[int, Title], values: Values
) -> dict[str, Any]:
    titles = {key: page.title for key, page in pages.items()} | absent
    for key, title in titles.items():
        members = wiki.pages.members.get(title.name, [])
        if title.namespace != 14 or not (members or key in pages):
            continue
        kinds = [_kind(page) for page in members]
        values[key]["categoryinfo"] = {
            "size": len(kinds),
            "pages": kinds.count("page"),
            "files": kinds.count("file"),
            "subcats": kinds.count("subcat"),
            "hidden": False,
        }
    return {}


# -- listings -------------------------------------------------------------------------------------


def _kind(page: Page) -> str:
    return {6: "file", 14: "subcat"}.get(page.title.namespace, "page")


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
    order = params.one_of(f"{code}dir", ("asc", "desc", "ascending", "descending", "newer", "older"), "asc")  # fmt: skip
    backwards = order in ("desc", "descending", "older")
    limit = min(params.limit(f"{code}limit", "categorymembers"), wiki.page_size)
    start = params.get(f"{code}continue")

    def place(page: Page) -> tuple[Any, ...]:
        if by_time:
            return (page.touched, page.page_id)
        rank = types.index(_kind(page))
        return (-rank if backwards else rank, page.sort_key, page.page_id)

    first = _member_place(start, by_time, types, backwards) if start is not None else None
    members = [p for p in wiki.pages.members.get(title.name, []) if _kind(p) in kinds]
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
            else f"{_kind(then)}|{then.sort_key.hex()}|{then.page_id}"
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
        row["type"] = _kind(page)
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
    wanted = params.many(f"{code}prop", _II, "allimages", ("timestamp", "url"))
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
        rows = [r for r, k in zip(rows, keys, strict=True) if (k <= first if backwards else k >= first)]  # fmt: skip
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


# -- the site -------------------------------------------------------------------------------------


def _site_info(wiki: Wiki, params: Params) -> dict[str, Any]:
    wanted = params.many("siprop", ("general", "namespaces", "statistics"), "siteinfo", ("general",))  # fmt: skip
    v2 = params.get("formatversion") in ("2", "latest")
    out: dict[str, Any] = {}
    if "general" in wanted:
        out["general"] = {
            "mainpage": "Main Page",
            "base": f"{wiki.site}/wiki/Main_Page",
            "sitename": "Embedded Commons",
            # Old enough for every client, and honest about what the shapes were compared with.
            "generator": "MediaWiki 1.39.17",
            "case": "first-letter",
            "lang": "en",
            "timezone": "UTC",
            "articlepath": "/wiki/$1",
            "scriptpath": "/w",
            "script": "/w/index.php",
            "server": wiki.site,
            "servername": wiki.site.partition("//")[2],
            "wikiid": "commonswiki",
            "categorycollation": "uppercase",
            "writeapi": False,
        }
    if "namespaces" in wanted:
        name_key = "name" if v2 else "*"
        out["namespaces"] = {
            str(number): {
                "id": number,
                "case": "first-letter",
                name_key: name,
                **({"canonical": name} if name else {"content": True}),
            }
            for number, name in NAMESPACES.items()
        }
    if "statistics" in wanted:
        count = len(wiki.pages.files)
        out["statistics"] = {"pages": len(wiki.pages.by_id), "images": count, "jobs": 0}
    return out


def _user_info(wiki: Wiki, params: Params) -> dict[str, Any]:
    known = ("groups", "rights", "blockinfo", "hasmsg")
    wanted = params.many("uiprop", known, "userinfo")
    user: dict[str, Any] = {"id": 0, "name": "127.0.0.1", "anon": True}
    if "groups" in wanted:
        user["groups"] = ["*"]
    if "rights" in wanted:
        user["rights"] = ["read"]
    return {"userinfo": user}


def _named(*modules: Module) -> Mapping[str, Module]:
    return {module.name: module for module in modules}


PROPS = _named(
    Module(name="imageinfo", code="ii", prop=_image_info, keys=("prop", "limit", "extmetadatafilter", "extmetadatalanguage", "extmetadatamultilang", "continue")),
    Module(name="categories", code="cl", prop=_categories, keys=("prop", "show", "limit", "continue")),
    Module(name="info", code="in", prop=_info, keys=()),
    Module(name="revisions", code="rv", prop=_revisions, keys=("prop",)),
    Module(name="categoryinfo", code="ci", prop=_category_info, keys=("continue",)),
)  # fmt: skip
LISTS = _named(
    Module(name="categorymembers", code="cm", listing=_category_members, keys=("title", "pageid", "prop", "type", "limit", "sort", "dir", "continue")),
    Module(name="allimages", code="ai", listing=_all_images, keys=("sort", "dir", "from", "to", "prefix", "start", "end", "prop", "limit", "continue", "minsize", "maxsize", "sha1", "mime")),
    Module(name="search", code="sr", listing=_search, keys=("search", "namespace", "limit", "offset", "what", "prop", "info")),
)  # fmt: skip
META = _named(
    Module(name="siteinfo", code="si", meta=_site_info, keys=("prop",)),
    Module(name="userinfo", code="ui", meta=_user_info, keys=("prop",)),
)

__all__ = ["LISTS", "META", "PROPS", "Listed", "Module", "Wiki", "image_info"]
