"""Properties in the embedded Commons' API: what is said about pages that were asked for or listed."""

from __future__ import annotations

import json
from typing import Any

from crawler.loopback.core import Module, Values, Wiki, kind_of, named
from crawler.loopback.pages import Page, StoredFile, Title, iso, wiki_quote
from crawler.loopback.params import ApiError, Params, bad_continue

IMAGE_INFO = (
    "timestamp",
    "user",
    "url",
    "size",
    "dimensions",
    "sha1",
    "mime",
    "mediatype",
    "bitdepth",
    "canonicaltitle",
    "extmetadata",
)


def _image_info(
    wiki: Wiki, params: Params, pages: dict[int, Page], absent: dict[int, Title], values: Values
) -> dict[str, Any]:
    wanted = params.many("iiprop", IMAGE_INFO, "imageinfo", ("timestamp", "user"))
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
    rows = (
        [] if show == ["hidden"] else [(i, c) for i in sorted(pages) for c in pages[i].categories]
    )
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
    default = ("ids", "flags", "timestamp", "user", "comment")
    wanted = params.many("rvprop", (*default, "content"), "revisions", default)
    slots = params.many("rvslots", ("main",), "revisions")
    if "content" in wanted and not slots:
        raise ApiError("rvslots", "The embedded Commons tells the text of pages with rvslots=main.")
    content = "content" if params.get("formatversion") in ("2", "latest") else "*"
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
        if slots:
            row["slots"] = {"main": {}}
        if "content" in wanted:
            kind = {"contentmodel": "wikitext", "contentformat": "text/x-wiki"}
            row["slots"]["main"] = kind | {content: _text(page)}
        values[key]["revisions"] = [row]
    return {}


def _text(page: Page) -> str:
    """Wikitext of a redirect or a category; that of other pages is not kept, and empty."""
    if page.redirect is not None:
        return f"#REDIRECT [[{page.redirect}]]"
    above = page.categories if page.title.namespace == 14 else []
    return "\n".join(f"[[Category:{name}]]" for name in above)


def _category_info(
    wiki: Wiki, params: Params, pages: dict[int, Page], absent: dict[int, Title], values: Values
) -> dict[str, Any]:
    titles = {key: page.title for key, page in pages.items()} | absent
    for key, title in titles.items():
        members = wiki.pages.members.get(title.name, [])
        if title.namespace != 14 or not (members or key in pages):
            continue
        kinds = [kind_of(page) for page in members]
        values[key]["categoryinfo"] = {
            "size": len(kinds),
            "pages": kinds.count("page"),
            "files": kinds.count("file"),
            "subcats": kinds.count("subcat"),
            "hidden": False,
        }
    return {}


PROPS = named(
    Module(
        name="imageinfo",
        code="ii",
        prop=_image_info,
        keys=(
            "prop",
            "limit",
            "extmetadatafilter",
            "extmetadatalanguage",
            "extmetadatamultilang",
            "continue",
        ),
    ),
    Module(
        name="categories", code="cl", prop=_categories, keys=("prop", "show", "limit", "continue")
    ),
    Module(name="info", code="in", prop=_info, keys=()),
    Module(name="revisions", code="rv", prop=_revisions, keys=("prop", "slots")),
    Module(name="categoryinfo", code="ci", prop=_category_info, keys=("continue",)),
)
