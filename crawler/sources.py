"""Where files are listed: the sources of a recipe, and the wiki they are on.

A source is data; crawler/listing.py knows how to walk each kind.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class SiteConfig:
    """The wiki to ask, and the hosts that its originals are on; no other host is contacted."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    host: str = "commons.wikimedia.org"
    """Host of the API, with the port where it is not the usual one."""
    path: str = "/w/"
    """Path of api.php, with slashes."""
    scheme: Literal["https", "http"] = "https"
    """http is for local wikis."""
    media_hosts: tuple[str, ...] = ("upload.wikimedia.org",)
    """Hosts of the originals."""
    structured_data: bool = False
    """Ask for the licence statements (P275, P6216) of files that the rest of the gate accepts: one more request for 50
    of them. Commons has structured data; a plain MediaWiki does not."""


@dataclass(frozen=True, kw_only=True)
class CategorySource:
    """Files of a category and of the categories below it, breadth first, each category once."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    root: str
    """With or without `Category:`."""
    kind: Literal["category"] = "category"
    depth: int = 2
    """0: the root alone. Commons' categories drift off topic within three or four steps."""
    max_categories: int = 1000
    """Categories visited at most."""
    max_files: int | None = None
    """Rows listed at most; None: all."""
    deny: tuple[str, ...] = ()
    """Regular expressions; a category whose name has a match is not entered."""

    def __post_init__(self) -> None:
        for pattern in self.deny:
            re.compile(pattern)


@dataclass(frozen=True, kw_only=True)
class SearchSource:
    """Hits of a search in the file namespace; CirrusSearch keywords where the wiki has them."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    query: str
    """As typed into the search box."""
    kind: Literal["search"] = "search"
    sort: str | None = None
    """e.g. create_timestamp_asc on Commons, so that the order is stable; None: the wiki's default."""
    max_files: int | None = None
    """Rows listed at most; Commons shows no more than 10,000 hits of one query."""


@dataclass(frozen=True, kw_only=True)
class UploadWindowSource:
    """Files whose current version was uploaded in a window of time, oldest first."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    start: datetime
    """First moment, with its zone, e.g. 2010-05-01T00:00:00Z."""
    end: datetime
    """Last moment."""
    kind: Literal["upload_window"] = "upload_window"
    max_files: int | None = None
    """Rows listed at most; None: all."""

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("start and end need a time zone: write 2010-05-01T00:00:00Z.")
        if self.start >= self.end:
            raise ValueError("start is before end.")


@dataclass(frozen=True, kw_only=True)
class TitleSource:
    """Named files: titles or page ids, here or in a text file with one per line."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["titles"] = "titles"
    titles: tuple[str, ...] = ()
    """With or without `File:`."""
    page_ids: tuple[int, ...] = ()
    """Survive a move of the file."""
    path: str | None = None
    """Text file: a title or a page id a line; blank lines and lines that start with # are skipped."""
    max_files: int | None = None
    """Rows listed at most; None: all."""

    def __post_init__(self) -> None:
        if not (self.titles or self.page_ids or self.path):
            raise ValueError("a titles source needs titles, page_ids or a path.")


@dataclass(frozen=True, kw_only=True)
class SearchShardSource:
    """A search with more hits than CirrusSearch shows, cut into windows by width, file size and date of creation."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    query: str
    """As typed into the search box, without filew, filesize and creationdate."""
    kind: Literal["search_shards"] = "search_shards"
    width: tuple[int, int] = (256, 4096)
    """Pixels, both included."""
    size_kib: tuple[int, int] = (1, 4096)
    """KiB, both included; the search engine counts in KiB."""
    created_from: date | None = None
    """First day of creation of the file page; without both days windows are cut by width and size only."""
    created_to: date | None = None
    """Last day."""
    sort: str | None = "create_timestamp_asc"
    """So that the order of the hits is stable."""
    max_files: int | None = None
    """Rows listed at most; None: all."""

    def __post_init__(self) -> None:
        for name in ("width", "size_kib"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} is a pair, the smaller first.")
        if (self.created_from is None) != (self.created_to is None):
            raise ValueError("give both created_from and created_to, or neither.")
        if self.created_from and self.created_to and self.created_from > self.created_to:
            raise ValueError("created_from is not after created_to.")


TITLE_COLUMNS = ("title", "page_title", "file_title", "name", "file", "filename", "image", "url")
PAGE_ID_COLUMNS = ("page_id", "pageid", "id")
"""Columns that are looked for in a table of candidates, in this order, case ignored."""


@dataclass(frozen=True, kw_only=True)
class CandidateSource:
    """Files named by a table: CSV, Parquet or JSON lines from a dump, a query or another dataset; no listing calls.

    What identifies the source is the path as written here. The table's content is not hashed (it may have millions of
    rows, and keys are asked for often), and its size and time of change are no identity, since a copy has others: give
    a changed table another name, or what was listed from the old one stays listed, and its cursor counts old rows.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str
    """.csv, .jsonl, .ndjson (also with .gz) or .parquet."""
    kind: Literal["candidates"] = "candidates"
    title_column: str | None = None
    """Column of titles or addresses. With neither column given: the first of TITLE_COLUMNS that there is."""
    page_id_column: str | None = None
    """Column of page ids, which go before titles. With neither column given: the first of PAGE_ID_COLUMNS that there
    is; where `id` is something else, give title_column."""
    max_files: int | None = None
    """Rows listed at most; None: all."""


Source = (
    CategorySource
    | SearchSource
    | SearchShardSource
    | UploadWindowSource
    | TitleSource
    | CandidateSource
)


def source_key(source: Source, *, wiki: str) -> str:
    """12 hex digits for what defines a source on a wiki; its cap does not, so that a higher cap goes on listing."""
    content = {key: value for key, value in asdict(source).items() if key != "max_files"}
    text = json.dumps([wiki, content], sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
