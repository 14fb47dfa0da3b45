"""What somebody's images say of themselves, as the records of a build: named fields of JSON or CSV, or the recipe.

Nothing is judged here. A file's key is its page id where a field gives one, else a number made of its SHA-1
(docs/adr/0046-own-files-by-their-sha1.md).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Protocol

from catalog.errors import Missing
from catalog.files import named_text
from catalog.records import OWN_IDS, FileRecord, ListingRow
from crawler.names import file_title

FIELDS = ("license", "license_url", "author", "attribution", "title", "source", "page_id")
"""What a recipe may name a field for. `source`: address of the page that the image comes from."""
Look = Callable[[bytes], tuple[int, int, str] | None]
"""Bytes -> width, height, MIME type of a picture; None: it is none."""
_BY = re.compile(
    r"(?:cc[- ]?|creative commons )?(?:attribution|by)"
    r"((?:[- ](?:sa|nc|nd|sharealike|noncommercial|noderivs|noderivatives))*)"
    r"(?:[- ](\d\.\d))?(?: (?:generic|international|unported))?",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/licenses/(by(?:-[a-z]+)*)/(\d\.\d)(?:/|$)",
    re.IGNORECASE,
)
_ZERO = re.compile(r"(?:cc[- ]?)?(?:0|zero)(?:[- ]1\.0)?(?: universal)?", re.IGNORECASE)
_MARK = re.compile(r"pdm(?:[- ]1\.0)?|pd|public domain(?: mark)?(?: 1\.0)?", re.IGNORECASE)
_SHORT = {"sharealike": "sa", "noncommercial": "nc", "noderivs": "nd", "noderivatives": "nd"}


class Stated(Protocol):
    """What the config of a source says of all its images."""

    @property
    def license(self) -> str | None:
        """Of all."""
        ...

    @property
    def license_url(self) -> str | None:
        """Of all."""
        ...

    @property
    def author(self) -> str | None:
        """Of all."""
        ...

    @property
    def evidence(self) -> str | None:
        """Address."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """Of FIELDS -> name."""
        ...


def check_stated(source: Stated) -> None:
    """Raises ValueError where a config says too little, or what cannot be."""
    odd = sorted(set(source.fields) - set(FIELDS))
    if odd:
        raise ValueError(f"fields names {odd[0]!r}; there are {', '.join(FIELDS)}.")
    if source.license and not (source.evidence and source.license_url):
        raise ValueError(
            "a license that is stated here needs license_url (its text) and evidence: the address of a page that "
            "states it, or says by whom and when it was given."
        )


def license_code(said: str | None, address: str | None) -> str | None:
    """A license as people write it, as extmetadata writes it: `CC BY-SA 2.0` -> `cc-by-sa-2.0`. What is not known stays
    as it is, for the gate to refuse; a version that is only in the address is taken from there."""
    text = (said or "").strip()
    if not text:
        return None
    if _ZERO.fullmatch(text):
        return "cc0"
    if _MARK.fullmatch(text):
        return "pd"
    match = _BY.fullmatch(text.replace("_", "-"))
    if match is None:
        return re.sub(r"\s+", "-", text.lower())
    parts = [part.lower() for part in re.split(r"[- ]", match[1]) if part]
    kind = "-".join(["by", *(_SHORT.get(part, part) for part in parts)])
    version = match[2]
    found = _ADDRESS.match((address or "").strip())
    if version is None and found is not None and found[1].lower() == kind:
        version = found[2]
    return f"cc-{kind}" + (f"-{version}" if version else "")


def own_page_id(sha1: str, *stated: str | None) -> int:
    """A number of 62 bits for an image without a page: OWN_IDS (2 ** 61) plus the first 61 bits of its SHA-1, or where
    something is stated of license and author, of the SHA-1 of both: what is refused under one statement counts for
    the bytes under another."""
    if any(stated):
        text = json.dumps([sha1, *stated], ensure_ascii=False)
        sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return OWN_IDS + (int(sha1[:16], 16) >> 3)


def own_number(given: str | None) -> int | None:
    """The page id that a field gives; None for what is none of a wiki."""
    if given is None or not (given.isascii() and given.isdecimal() and len(given) < 19):
        return None
    return int(given) if 0 < int(given) < OWN_IDS else None


def record_of(
    content: bytes,
    name: str,
    said: Mapping[str, Any],
    source: Stated,
    *,
    look: Look,
    key: str,
    place: Mapping[str, Any],
) -> tuple[FileRecord, ListingRow]:
    """The record of one image, and its evidence.

    Args:
        name: of the file, within its folder or shard; its title as a wiki would write it.
        said: what the JSON or CSV beside it holds.
        place: where its bytes are, for `shelved_bytes`.
    """

    def field(what: str) -> str | None:
        value = said.get(source.fields.get(what, ""))
        text = None if value is None else writable(str(value)).strip()
        return text or None

    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    seen = look(content)
    width, height, mime = seen or (None, None, None)
    named, address = field("license"), field("license_url")
    author, attribution = field("author"), field("attribution")
    if "license" not in source.fields and source.license:
        named, address = source.license, source.license_url
        author = author or source.author
    page = field("source") or source.evidence
    if page is None or not page.lower().startswith(("https://", "http://")):
        # Nobody could be credited without an address; to the gate that is no license.
        named = address = None
    given = field("page_id")
    title = field("title") or writable(name)
    record = FileRecord(
        page_id=own_number(given) or own_page_id(sha1, named, address, author, attribution, page),
        title=file_title(title),
        sha1=sha1,
        file_page_url=page,
        width=width,
        height=height,
        size_bytes=len(content),
        mime=mime,
        media_type="BITMAP" if mime else None,
        categories=(),
        license_code=license_code(named, address),
        license_short_name=named,
        license_url=address,
        artist=author,
        attribution=attribution,
    )
    evidence = {"file": name, "said": dict(said), "stated": source.license}
    return record, ListingRow(
        source=key,
        source_path=writable(json.dumps(place, sort_keys=True, ensure_ascii=False)),
        fetched_at=datetime.now(UTC).replace(microsecond=0),
        api_version="own files",
        raw_json=writable(json.dumps(evidence, sort_keys=True, ensure_ascii=False, default=str)),
    )


def writable(text: str) -> str:
    """With codes like backslash-udce9 for what has no UTF-8: bytes of file names, halves of pairs in JSON.

    JSON that was written so is read back as it was.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def json_object(content: bytes) -> dict[str, Any]:
    """An object of JSON; empty where it is none, so that the gate finds nothing said."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def table_of(text: str, name: str, column: str) -> dict[str, dict[str, Any]]:
    """File -> row of a CSV with a header.

    Raises:
        Missing: it has no such column.
    """
    rows = csv.DictReader(io.StringIO(text))
    if column not in (rows.fieldnames or ()):
        raise Missing(f"{name} has no column {column!r}: it names the file that a row is about.")
    return {str(PurePosixPath(row[column])): dict(row) for row in rows if row[column]}


def read_table(path: Any, column: str) -> dict[str, dict[str, Any]]:
    """The same of a file that a recipe names."""
    return table_of(named_text(path, "a CSV with a row for each file"), str(path), column)
