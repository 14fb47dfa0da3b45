"""An API page object -> FileRecord. Pure; knows both format versions and the shapes that extmetadata comes in.

extmetadata fields are `{"value": ..., "source": ...}`; a value is text, HTML, a number, or a dict by language with
`_type: lang`; the whole is an empty list when there is nothing. What cannot be read becomes None, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from catalog.records import FileRecord
from crawler.visible import author_of, first_link, fold, parse_html, text_of

__all__ = ["first_link", "html_to_text", "parse_page"]

_ABSENT = (None, False)
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ue000\ufffe\uffff]")
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")
LONGEST_TEXT, LONGEST_NOTE, LONGEST_HTML = 2_000, 20_000, 20_000
"""Characters that are kept of a name or credit, of a description or permission, and of HTML; the answer itself is kept
whole as evidence."""
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def parse_page(page: dict[str, Any]) -> FileRecord:
    """One page of `query.pages` as a record; fields that the answer does not hold are None.

    A page that is not there, cannot be there, or has no visible file comes back with that `state`.
    """
    info = _first(page.get("imageinfo"))
    meta = _Extmetadata(info.get("extmetadata"))
    artist_html = meta.text("Artist")
    credit_html = meta.text("Credit")
    author = author_of(artist_html)
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
        artist=_cut(author.name, LONGEST_TEXT),
        artist_html=_cut(artist_html, LONGEST_HTML),
        artist_url=author.url if author.url and len(author.url) <= LONGEST_TEXT else None,
        author_count=_integer(meta.text("AuthorCount")),
        credit=_cut(html_to_text(credit_html), LONGEST_TEXT),
        credit_html=_cut(credit_html, LONGEST_HTML),
        object_name=meta.plain("ObjectName"),
        description=meta.plain("ImageDescription", LONGEST_NOTE),
        date_original=meta.plain("DateTimeOriginal"),
        permission=meta.plain("Permission", LONGEST_NOTE),
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
    if "<" in html or "&" in html:
        return text_of(parse_html(html))
    return fold(_UNREADABLE.sub("", html))


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

    def plain(self, name: str, longest: int = LONGEST_TEXT) -> str | None:
        """The value without HTML, cut where it is longer than a reader would read."""
        return _cut(html_to_text(self.text(name)), longest)

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
    if info.get("filehidden") not in _ABSENT:
        return "hidden"
    # `suppressed` goes with a hidden user or comment, too; the file is hidden only where it has no address.
    if info.get("suppressed") not in _ABSENT and not info.get("url"):
        return "hidden"
    # A redirect has the picture of its target and categories of its own: nothing on it says what the target forbids.
    if page.get("redirect") not in _ABSENT:
        return "redirect"
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


def _cut(text: str | None, longest: int) -> str | None:
    """The text, or its beginning with an ellipsis."""
    return text if text is None or len(text) <= longest else text[: longest - 1] + "\u2026"


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
