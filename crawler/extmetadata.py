"""An API page object -> FileRecord. Pure; knows both format versions and the shapes that extmetadata comes in.

extmetadata fields are `{"value": ..., "source": ...}`; a value is text, HTML, a number, or a dict by language with
`_type: lang`; the whole is an empty list when there is nothing. What cannot be read becomes None, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from catalog.records import FileRecord

_ABSENT = (None, False)
_PAGE_HOST = "https://commons.wikimedia.org"
# Stands between two list items until the white space around it is folded; from Unicode's private use area.
_ITEM = "\ue000"
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ue000\ufffe\uffff]")
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def parse_page(page: dict[str, Any]) -> FileRecord:
    """One page of `query.pages` as a record; fields that the answer does not hold are None.

    A page that is not there, cannot be there, or has no visible file comes back with that `state`.
    """
    info = _first(page.get("imageinfo"))
    meta = _Extmetadata(info.get("extmetadata"))
    artist_html = meta.text("Artist")
    credit_html = meta.text("Credit")
    return FileRecord(
        state=_state(page, info),
        page_id=_integer(page.get("pageid")),
        title=(_word(page.get("title") or page.get("invalidreason")) or "").replace("_", " "),
        sha1=_lower(info.get("sha1")),
        url=_word(info.get("url")),
        file_page_url=_word(info.get("descriptionurl")),
        width=_integer(info.get("width")),
        height=_integer(info.get("height")),
        size_bytes=_integer(info.get("size")),
        mime=_word(info.get("mime")),
        media_type=_word(info.get("mediatype")),
        uploaded_at=_moment(info.get("timestamp")),
        uploader=_word(info.get("user")),
        revision_id=_revision(page),
        categories=_categories(page),
        license_code=_lower(meta.text("License")),
        license_short_name=meta.plain("LicenseShortName"),
        license_url=meta.plain("LicenseUrl"),
        usage_terms=meta.plain("UsageTerms"),
        copyrighted=meta.truth("Copyrighted"),
        # Whatever a template writes there, it writes it because the file is not free.
        non_free=meta.truth("NonFree", otherwise=True),
        attribution_required=meta.truth("AttributionRequired"),
        attribution=meta.plain("Attribution"),
        artist=html_to_text(artist_html),
        artist_html=artist_html,
        artist_url=first_link(artist_html),
        author_count=_integer(meta.text("AuthorCount")),
        credit=html_to_text(credit_html),
        credit_html=credit_html,
        object_name=meta.plain("ObjectName"),
        description=meta.plain("ImageDescription"),
        date_original=meta.plain("DateTimeOriginal"),
        permission=meta.plain("Permission"),
        restrictions=meta.items("Restrictions"),
        deletion_reason=meta.plain("DeletionReason"),
    )


def html_to_text(html: str | None) -> str | None:
    """What a reader of an HTML fragment sees: blocks joined by blanks, list items by `; `, white space folded.

    None when nothing is left. Hidden elements are dropped: Commons' templates put QuickStatements and repetitions
    for machines into them.
    """
    if html is None:
        return None
    html = _UNREADABLE.sub("", html)
    if "<" in html or "&" in html:
        root = _parse(html)
        if root is None:
            return None
        unseen = [node for node in root.xpath(".//*[@style]") if _HIDDEN.search(node.get("style"))]
        for node in [*root.iter("style", "script"), *unseen]:
            node.drop_tree()
        for node in root.iter("br", "p", "div", "li", "ul", "ol", "td", "tr", "dd"):
            node.text = " " + (node.text or "")
            node.tail = " " + (node.tail or "")
        for item in root.iter("li"):
            before = next(item.itersiblings("li", preceding=True), None)
            if before is not None and before.text_content().strip():
                item.text = _ITEM + item.text
        html = str(root.text_content())
    text = re.sub(r"[\s\u200b\u200e\u200f]+", " ", html).strip()
    text = re.sub(f" ?{_ITEM} ?", "; ", text).strip()
    return text or None


def first_link(html: str | None) -> str | None:
    """Absolute URL of the first link of an HTML fragment; None without one."""
    if html is None or "<a" not in html.lower():
        return None
    root = _parse(_UNREADABLE.sub("", html))
    if root is None:
        return None
    for link in root.iter("a"):
        target = str(link.get("href") or "").strip()
        if target.startswith("//"):
            return "https:" + target
        if target.startswith("/"):
            return _PAGE_HOST + target
        if re.match(r"https?://", target, re.IGNORECASE):
            return target
    return None


def _parse(html: str) -> Any:
    # lxml's modules are compiled and untyped.
    etree: Any = import_module("lxml.etree")
    lxml_html: Any = import_module("lxml.html")
    try:
        return lxml_html.fragment_fromstring(html, create_parent="div")
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


class _Extmetadata:
    """The fields of an extmetadata object, whatever shape it comes in."""

    def __init__(self, fields: Any) -> None:
        self.fields: Mapping[str, Any] = fields if isinstance(fields, dict) else {}

    def text(self, name: str) -> str | None:
        """The value as it came, of several languages English or else the first; None when absent or empty."""
        field = self.fields.get(name)
        value: Any = field.get("value") if isinstance(field, dict) else None
        if isinstance(value, dict):
            texts = [value.get("en"), *(v for k, v in value.items() if k != "_type")]
            value = next((text for text in texts if text), None)
        if isinstance(value, list):
            value = " ".join(str(item) for item in value)
        return None if value is None else _word(str(value).strip())

    def plain(self, name: str) -> str | None:
        """The value without HTML."""
        return html_to_text(self.text(name))

    def truth(self, name: str, *, otherwise: bool | None = None) -> bool | None:
        """True, False, None where it is absent, `otherwise` where it says neither."""
        text = self.text(name)
        if text is None:
            return None
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else otherwise

    def items(self, name: str) -> tuple[str, ...] | None:
        """A pipe-separated list; empty where the field is there and empty, None where it is absent."""
        if name not in self.fields:
            return None
        text = self.text(name) or ""
        return tuple(item.strip() for item in text.split("|") if item.strip())


def _state(page: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    if page.get("invalid") not in _ABSENT:
        return "invalid"
    # A file of a shared repository has no page here but is known.
    if page.get("missing") not in _ABSENT and page.get("known") in _ABSENT:
        return "missing"
    if any(info.get(key) not in _ABSENT for key in ("filehidden", "suppressed")):
        return "hidden"
    return "ok" if info and info.get("filemissing") in _ABSENT else "no_file"


def _categories(page: Mapping[str, Any]) -> tuple[str, ...] | None:
    listed = page.get("categories")
    if not isinstance(listed, list):
        return None
    titles = [_word(item.get("title")) for item in listed if isinstance(item, dict)]
    return tuple(sorted({title.partition(":")[2] or title for title in titles if title}))


def _revision(page: Mapping[str, Any]) -> int | None:
    return _integer(page.get("lastrevid") or _first(page.get("revisions")).get("revid"))


def _first(items: Any) -> Mapping[str, Any]:
    """The first object of a list; format version 1 may number the items instead."""
    if isinstance(items, dict):
        items = list(items.values())
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def _integer(value: Any) -> int | None:
    try:
        number = None if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # Parquet holds 64 bits.
    return number if number is None or -(2**63) <= number < 2**63 else None


def _word(value: Any) -> str | None:
    """Text that UTF-8 can hold; None for what is no text, or empty."""
    return _LONE_SURROGATES.sub("\ufffd", value) or None if isinstance(value, str) else None


def _lower(value: Any) -> str | None:
    text = _word(value)
    return text.lower() if text else None


def _moment(value: Any) -> datetime | None:
    """A timestamp in UTC, whole seconds; the API's are UTC where they name no zone."""
    try:
        moment = datetime.fromisoformat(str(value)) if value else None
        if moment is None:
            return None
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return zoned.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
