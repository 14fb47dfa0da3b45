"""An API page object -> FileRecord. Pure; knows both format versions and the shapes that extmetadata comes in.

extmetadata fields are `{"value": ..., "source": ...}`; a value is text, HTML, a number, or a dict by language with
`_type: lang`; the whole is an empty list when there is nothing. What cannot be read becomes None, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from catalog.records import FileRecord

_ABSENT = (None, False)
_PAGE_HOST = "https://commons.wikimedia.org"


def parse_page(page: dict[str, Any]) -> FileRecord:
    """One page of `query.pages` as a record; fields that the answer does not hold are None.

    A page that is not there, cannot be there, or has no visible file comes back with that `state`.
    """
    infos = page.get("imageinfo") or []
    info: Mapping[str, Any] = infos[0] if infos else {}
    meta = _Extmetadata(info.get("extmetadata"))
    artist_html = meta.text("Artist")
    credit_html = meta.text("Credit")
    return FileRecord(
        state=_state(page, info),
        page_id=_integer(page.get("pageid")),
        title=str(page.get("title") or page.get("invalidreason") or "").replace("_", " "),
        sha1=_lower(info.get("sha1")),
        url=info.get("url"),
        file_page_url=info.get("descriptionurl"),
        width=_integer(info.get("width")),
        height=_integer(info.get("height")),
        size_bytes=_integer(info.get("size")),
        mime=info.get("mime"),
        media_type=info.get("mediatype"),
        uploaded_at=_moment(info.get("timestamp")),
        uploader=info.get("user"),
        revision_id=_revision(page),
        categories=_categories(page),
        license_code=_lower(meta.text("License")),
        license_short_name=meta.plain("LicenseShortName"),
        license_url=meta.plain("LicenseUrl"),
        usage_terms=meta.plain("UsageTerms"),
        copyrighted=meta.truth("Copyrighted"),
        non_free=meta.truth("NonFree"),
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
    """Text of an HTML fragment: blocks and list items joined by blanks, white space folded; None when empty."""
    if html is None:
        return None
    if "<" in html or "&" in html:
        root = _parse(html)
        if root is None:
            return None
        for node in list(root.iter("style", "script")):
            node.drop_tree()
        for node in root.iter("br", "p", "div", "li", "ul", "ol", "td", "tr", "dd"):
            node.text = " " + (node.text or "")
            node.tail = " " + (node.tail or "")
        html = str(root.text_content())
    text = re.sub(r"[\s\u200b\u200e\u200f]+", " ", html).strip()
    return text or None


def first_link(html: str | None) -> str | None:
    """Absolute URL of the first link of an HTML fragment; None without one."""
    if html is None or "<a" not in html:
        return None
    root = _parse(html)
    if root is None:
        return None
    for link in root.iter("a"):
        target = str(link.get("href") or "")
        if target.startswith("//"):
            return "https:" + target
        if target.startswith("/"):
            return _PAGE_HOST + target
        if re.match(r"https?://", target):
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
        """The value as it came, of the first language where there are several; None when absent or empty."""
        field = self.fields.get(name)
        value: Any = field.get("value") if isinstance(field, dict) else None
        if isinstance(value, dict):
            languages = {k: v for k, v in value.items() if k != "_type"}
            value = languages.get("en", next(iter(languages.values()), None))
        if isinstance(value, list):
            value = " ".join(str(item) for item in value)
        return None if value is None or not str(value).strip() else str(value).strip()

    def plain(self, name: str) -> str | None:
        """The value without HTML."""
        return html_to_text(self.text(name))

    def truth(self, name: str) -> bool | None:
        """True, False, or None where it is absent; NonFree is written as `true`."""
        text = self.text(name)
        return None if text is None else text.lower() in ("true", "1", "yes")

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
    if any(info.get(key) not in _ABSENT for key in ("filehidden", "suppressed", "filemissing")):
        return "hidden"
    return "ok" if info else "no_file"


def _categories(page: Mapping[str, Any]) -> tuple[str, ...] | None:
    if "categories" not in page:
        return None
    titles: Iterable[str] = (str(c.get("title", "")) for c in page["categories"])
    return tuple(sorted({title.partition(":")[2] or title for title in titles}))


def _revision(page: Mapping[str, Any]) -> int | None:
    revisions = page.get("revisions") or [{}]
    return _integer(page.get("lastrevid") or revisions[0].get("revid"))


def _integer(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None


def _lower(value: Any) -> str | None:
    return str(value).lower() if value else None


def _moment(value: Any) -> datetime | None:
    try:
        return None if not value else datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        return None
