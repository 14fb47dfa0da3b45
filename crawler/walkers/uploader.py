"""Uploads of one person: files whose current version is theirs, oldest first."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from catalog.records import FileRecord
from crawler.commons import Commons
from crawler.listed import Counted, Cursor, ListedBatch
from crawler.relist import OVERLAP, Relist
from crawler.walkers._by_time import walk_by_time

MOST_COUNTING_REQUESTS = 4
"""Requests of 500 rows spent on counting; who has uploaded more is counted in part, and it is said so."""
COMMONS_BEGAN = datetime(2001, 1, 1, tzinfo=UTC)
"""Before any upload to any MediaWiki."""


@dataclass(frozen=True, kw_only=True)
class UploaderSource:
    """Files whose current version was uploaded by one user, oldest first."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    user: str
    """Name of the account, with or without `User:`; its case counts, but for the first letter."""
    kind: Literal["uploader"] = "uploader"
    max_files: int | None = None
    """Rows listed at most; None: all."""
    relist: Relist | None = None
    """When to look for new files; None: what was listed to its end stays as it is."""

    def __post_init__(self) -> None:
        if not _name(self.user) or set("#<>[]|{}") & set(self.user):
            raise ValueError(f"user: {self.user!r} cannot be the name of an account.")


def walk(
    commons: Commons, source: UploaderSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """Oldest first; see walk_by_time for the cursor."""
    user = _name(source.user)
    walked = walk_by_time(
        commons,
        {"gaiuser": user},
        cursor,
        start=COMMONS_BEGAN,
        key=key,
        path=f"uploads of {user}",
    )
    for batch in walked:
        if cursor is None and batch.cursor is None and not batch.files:
            problem = (
                f"No file's current version was uploaded by User:{user}: check the spelling and the case of the "
                "name, or take it out of the recipe."
            )
            yield ListedBatch(files=(), cursor=None, problem=problem)
            return
        cursor = batch.cursor
        yield batch


def again(
    commons: Commons,
    source: UploaderSource,
    cursor: Cursor | None,
    key: str,
    base: Path,
    since: datetime,
    known: Callable[[FileRecord], bool],
) -> Generator[ListedBatch]:
    """Uploads since then."""
    user = _name(source.user)
    yield from walk_by_time(
        commons,
        {"gaiuser": user},
        cursor,
        start=max(since - OVERLAP, COMMONS_BEGAN),
        key=key,
        path=f"uploads of {user}",
    )


def count(commons: Commons, source: UploaderSource, base: Path) -> Counted:
    """By listing names, 500 in a request; "at least" where there are more than a few requests show."""
    asked = {"list": "allimages", "aisort": "timestamp", "aiuser": _name(source.user)}
    more: dict[str, Any] = {}
    names: set[str] = set()
    for _ in range(MOST_COUNTING_REQUESTS):
        answer = commons.ask({**asked, "aiprop": "timestamp", "ailimit": 500, **more})
        rows = (answer.get("query") or {}).get("allimages") or []
        names |= {str(row["name"]) for row in rows if "name" in row}
        more = dict(answer.get("continue") or {})
        if not more:
            return Counted(files=len(names), how="counted")
    return Counted(files=len(names), how="at least")


def label(source: UploaderSource) -> str:
    """With the account."""
    return f"uploads of {_name(source.user)}"


def _name(user: str) -> str:
    """The name as MediaWiki writes it: without `User:`, with spaces, its first letter upper case."""
    bare = " ".join(user.replace("_", " ").split())
    if bare[:5].lower() == "user:":
        bare = bare[5:].strip()
    return bare[:1].upper() + bare[1:]
