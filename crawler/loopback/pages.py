"""The pages of the embedded Commons: a folder of photos and a manifest, read once, and MediaWiki's rules for titles.

Page ids come from titles and revision ids from what the manifest says, so that both are the same on every start, and
stay when other files come or go.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from catalog.errors import Expected
from crawler.loopback.metadata import categories, extmetadata, first_upper, wiki_quote

NAMESPACES = {
    -2: "Media", -1: "Special", 0: "", 1: "Talk", 2: "User", 3: "User talk", 4: "Commons", 5: "Commons talk",
    6: "File", 7: "File talk", 8: "MediaWiki", 9: "MediaWiki talk", 10: "Template", 11: "Template talk",
    12: "Help", 13: "Help talk", 14: "Category", 15: "Category talk",
}  # fmt: skip
_BY_NAME = {
    name.lower(): number for number, name in NAMESPACES.items() if name
} | {"image": 6, "image talk": 7, "project": 4, "project talk": 5}  # fmt: skip
_BY_SUFFIX = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif",
    ".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff", ".svg": "image/svg+xml",
}  # fmt: skip
_ILLEGAL = re.compile(
    r"[^ %!\"$&'()*,\-./0-9:;=?@A-Z\\^_`a-z~+\u0080-\ufffc\U00010000-\U0010ffff]|%[0-9A-Fa-f]{2}"
)
LONGEST_TITLE_BYTES = 255
Look = Callable[[bytes], tuple[int, int, str] | None]
"""Bytes of a file -> width, height and MIME type as a wiki tells them; None: they cannot be told."""


class ManifestError(Expected, ValueError):
    """The manifest cannot be served; the message names the item and what to change."""


class Title(NamedTuple):
    """A title after MediaWiki's normalisation; `reason` is set, and the rest void, where it is invalid."""

    namespace: int
    name: str
    """Without the prefix, with spaces."""
    reason: str = ""

    @property
    def text(self) -> str:
        """With the prefix, with spaces."""
        prefix = NAMESPACES[self.namespace]
        return f"{prefix}:{self.name}" if prefix else self.name


def parse_title(given: str) -> Title:
    """MediaWiki's normalisation: blanks, HTML entities, namespace names in any case, first letter, fragment."""
    # A reference to a character that may not be becomes U+FFFD, which no title may hold.
    decoded = re.sub(r"&#?\w+;", lambda found: html.unescape(found[0]) or "\ufffd", given)
    text = unicodedata.normalize("NFC", decoded)
    text = re.sub(r"[\u200e\u200f\u202a-\u202e]+", "", text)
    text = re.sub(
        r"[ _\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+", " ", text
    ).strip(" ")
    namespace = 0
    prefix, colon, rest = text.removeprefix(":").lstrip().partition(":")
    if colon and prefix.strip().lower() in _BY_NAME:
        namespace, text = _BY_NAME[prefix.strip().lower()], rest.strip()
    else:
        text = text.removeprefix(":").strip()
    text = text.partition("#")[0].strip()
    if not text:
        return Title(0, "", "The title is empty but for its namespace.")
    illegal = _ILLEGAL.search(text)
    if illegal:
        return Title(0, "", f'The title contains invalid characters: "{illegal.group()}".')
    if any(part in (".", "..") for part in text.split("/")):
        return Title(0, "", "The title is a relative path.")
    if "~~~" in text:
        return Title(0, "", "The title contains ~~~, which would be a signature.")
    if len(text.encode()) > LONGEST_TITLE_BYTES:
        return Title(0, "", f"The title is longer than {LONGEST_TITLE_BYTES} bytes in UTF-8.")
    return Title(namespace, first_upper(text))


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """The original behind a file page, and what the API says about it."""

    path: Path
    name: str
    """Without the prefix, with underscores: the key that listings sort and continue by."""
    sha1: str
    size_bytes: int
    width: int
    height: int
    mime: str
    uploaded: str
    """YYYYMMDDHHMMSS."""
    uploader: str
    metadata: dict[str, dict[str, Any]]
    words: str
    """What a search looks at, in lower case."""
    fault: str | None
    statements: dict[str, list[str]] = field(default_factory=dict)
    """Structured data: property -> item ids."""

    @property
    def media_type(self) -> str:
        """BITMAP or DRAWING."""
        return "DRAWING" if self.mime == "image/svg+xml" else "BITMAP"

    @property
    def timestamp(self) -> str:
        """ISO 8601."""
        return iso(self.uploaded)

    @property
    def path_on_host(self) -> str:
        """MediaWiki's hashed path, e.g. a/ab/Name.jpg, quoted."""
        digest = hashlib.md5(self.name.encode(), usedforsecurity=False).hexdigest()
        return f"{digest[0]}/{digest[:2]}/{quote(self.name, safe='-_.~')}"


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page that exists."""

    page_id: int
    revision_id: int
    title: Title
    categories: list[str] = field(default_factory=list)
    redirect: str | None = None
    """Title of the target."""
    file: StoredFile | None = None
    length: int = 0
    touched: str = "20200101000000"

    @property
    def sort_key(self) -> bytes:
        """Of the `uppercase` collation: what category listings are ordered by."""
        return self.title.name.upper().encode()


@dataclass(frozen=True, kw_only=True)
class Pages:
    """All that the embedded Commons knows; `members` also holds categories that have no page of their own."""

    by_title: dict[str, Page]
    by_id: dict[int, Page]
    members: dict[str, list[Page]]
    by_path: dict[str, Page]
    """Unquoted hashed path -> file page."""

    @property
    def files(self) -> list[Page]:
        """Pages with a file of their own, by name."""
        found = [p for p in self.by_title.values() if p.file is not None]
        return sorted(found, key=lambda p: p.title.name.replace(" ", "_").encode())


def iso(stamp: str) -> str:
    """YYYYMMDDHHMMSS as ISO 8601."""
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[8:10]}:{stamp[10:12]}:{stamp[12:14]}Z"


def read_pages(
    folder: Path,
    items: list[dict[str, Any]],
    parents: Mapping[str, list[str]],
    redirects: Mapping[str, str],
    site: str,
    look: Look | None = None,
) -> Pages:
    """Reads every photo once (SHA-1 and header) and makes all pages.

    `parents` maps category pages to their categories (names without prefix), `redirects` titles to titles (with it).
    `site` is what links in extmetadata start with. `look` tells sizes that the manifest does not (0 x 0 without it).

    Raises:
        ManifestError: a file is not in the folder, or two items have the same name.
    """
    taken: dict[int, Page] = {}
    by_title: dict[str, Page] = {}
    by_path: dict[str, Page] = {}

    def add(title: Title, content: Any, page_id: int | None = None, **values: Any) -> Page:
        number = page_id or _number(title.text)
        while number in taken:
            number += 1
        revision = _number(json.dumps([title.text, content], sort_keys=True))
        page = Page(page_id=number, revision_id=revision, title=title, **values)
        taken[number] = by_title[title.text] = page
        return page

    category_titles = {parse_title(f"Category:{name}").text for name in parents}
    file_titles = {parse_title(f"File:{item['filename']}").text for item in items}

    def exists(title: str) -> bool:
        # Authors have a user page here, as most have on Commons: credits then link to it, not to an edit form.
        return title.startswith("User:") or title in file_titles or title in category_titles

    for index, item in enumerate(items):
        title = parse_title(f"File:{item['filename']}")
        if title.reason or title.text in by_title:
            problem = title.reason or "Another item has the same name."
            raise ManifestError(f"Item {index} of the manifest, {item['filename']!r}: {problem}")
        stored = _stored(folder, item, index, look, extmetadata_of=(site, exists))
        page = add(
            title,
            item,
            item.get("page_id"),
            categories=categories(item),
            file=stored,
            length=len(json.dumps(item)),
            touched=stored.uploaded,
        )
        by_path[_plain_path(stored)] = page
    for name, above in parents.items():
        title = parse_title(f"Category:{name}")
        add(title, sorted(above), categories=categories({"categories": above}))
    for given, target in redirects.items():
        add(parse_title(given), target, redirect=parse_title(target).text)
    members: dict[str, list[Page]] = {}
    for page in by_title.values():
        for name in page.categories:
            members.setdefault(name, []).append(page)
    return Pages(by_title=by_title, by_id=taken, members=members, by_path=by_path)


def _number(text: str) -> int:
    """A page or revision id: 28 bits of a hash, never 0."""
    return int(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:7], 16) + 1


def _plain_path(stored: StoredFile) -> str:
    return stored.path_on_host.rpartition("/")[0] + "/" + stored.name


def _stored(
    folder: Path,
    item: dict[str, Any],
    index: int,
    look: Look | None,
    *,
    extmetadata_of: tuple[Any, Any],
) -> StoredFile:
    path = folder / item.get("path", item["filename"])
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(
            f"Item {index} of the manifest, {item['filename']!r}: {path} does not exist; "
            "make the corpus again."
        ) from None
    # The same rule as the seeding of the real MediaWiki: distinct times in the order of the manifest.
    start = datetime(2020, 1, 1) + timedelta(seconds=61213 * index)
    uploaded = item.get("uploaded") or start.strftime("%Y%m%d%H%M%S")
    width, height, mime = _measure(path, content, look)
    words = [item["filename"].replace("_", " "), item.get("description") or "", *categories(item)]
    return StoredFile(
        path=path,
        name=parse_title(f"File:{item['filename']}").name.replace(" ", "_"),
        sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        size_bytes=len(content),
        width=item.get("width", width),
        height=item.get("height", height),
        mime=item.get("mime") or mime,
        uploaded=uploaded,
        uploader=item.get("uploader") or "Uploader",
        metadata=extmetadata(item, uploaded, *extmetadata_of),
        words=" ".join(words).lower(),
        fault=item.get("fault"),
        statements=item.get("sdc") or {},
    )


def _measure(path: Path, content: bytes, look: Look | None) -> tuple[int, int, str]:
    """Width, height and mime; what nobody can open is still served, with 0 x 0 pixels."""
    by_suffix = _BY_SUFFIX.get(path.suffix.lower(), "application/octet-stream")
    if by_suffix == "image/svg+xml":
        sizes = [
            re.search(rb"<svg[^>]*\s" + side + rb"=[\"'](\d+)", content)
            for side in (b"width", b"height")
        ]
        width, height = (int(size.group(1)) if size else 512 for size in sizes)
        return width, height, by_suffix
    return (look(content) if look is not None else None) or (0, 0, by_suffix)


__all__ = [
    "NAMESPACES",
    "ManifestError",
    "Page",
    "Pages",
    "StoredFile",
    "Title",
    "iso",
    "parse_title",
    "read_pages",
    "wiki_quote",
]
