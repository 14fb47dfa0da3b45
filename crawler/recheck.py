"""Asks for known pages again: what was deleted, hidden, overwritten, moved or edited since?

The state of the page decides; the deletion log is asked for the reason only, because a hit there alone proves nothing
(files are restored, and titles are used again). A move keeps the page id, so pages are asked for by id.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import ClassVar

from catalog.records import AGAIN, FileRecord, ListingRow
from crawler.commons import BATCH, PAGE_FIELDS, Commons
from crawler.plausible import DAMAGED

GONE = ("deleted", "hidden")
"""Changes after which there are no bytes to release."""

_RUN_DEPENDENT = {"revision_id", "url", "file_page_url"}


@dataclass(frozen=True, kw_only=True)
class RefreshPolicy:
    """How often a page is asked for again, by the age of its upload: most deletions hit young files."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    young_days: int = 30
    """Up to this age a file is young."""
    young_every_days: float = 1.0
    """A young file is asked for so often."""
    settled_days: int = 365
    """Up to this age it is settling; then old."""
    settling_every_days: float = 7.0
    """A settling file is asked for so often."""
    old_every_days: float = 30.0
    """An old file is asked for so often; likewise one that was deleted, because files are restored."""

    def __post_init__(self) -> None:
        periods = (self.young_every_days, self.settling_every_days, self.old_every_days)
        if min(periods) <= 0 or self.settled_days < self.young_days:
            raise ValueError(
                "refresh periods are more than 0 days, and settled_days >= young_days."
            )

    def due(
        self, *, uploaded_at: datetime | None, checked_at: datetime, gone: bool, now: datetime
    ) -> bool:
        """Whether a page that was last seen at `checked_at` is to be asked for now."""
        age = now - uploaded_at if uploaded_at else timedelta.max
        if gone or age > timedelta(days=self.settled_days):
            every = self.old_every_days
        elif age > timedelta(days=self.young_days):
            every = self.settling_every_days
        else:
            every = self.young_every_days
        # A clock that was set back must not keep a file from being asked for.
        return checked_at > now or now - checked_at >= timedelta(days=every)


@dataclass(frozen=True, kw_only=True)
class Rechecked:
    """One page that was asked for again."""

    before: FileRecord
    now: FileRecord
    seen: ListingRow
    changes: tuple[str, ...]
    """deleted, hidden, overwritten, moved, restored, edited; empty: as it was."""
    detail: str = ""
    """What the deletion log says, for a page that is gone."""


def recheck(commons: Commons, known: Sequence[FileRecord]) -> Generator[list[Rechecked]]:
    """Asks for these pages again, 50 in a request, and says what changed; a list per request.

    Args:
        known: as they were seen last; records without a page id are left out.

    Raises:
        crawler.commons.ListingError: the wiki refused a query.
        crawler.limits.DoorError: see there.
    """
    held = [record for record in known if record.page_id is not None]
    for start in range(0, len(held), BATCH):
        some = {record.page_id: record for record in held[start : start + BATCH]}
        asked = {**PAGE_FIELDS, "pageids": "|".join(map(str, some))}
        found: list[Rechecked] = []
        answered: set[int] = set()
        for batch in commons.batches(asked):
            for page in batch.pages:
                before = some.get(page.get("pageid"))
                if before is None or before.page_id in answered:
                    continue
                answered.add(int(before.page_id or 0))
                if page.get("missing"):
                    page.setdefault("title", before.title)
                now, seen = commons.seen(page, source=AGAIN, path="page id asked for again")
                # Only the id is left of a page that is gone; its name is how people know it.
                now = replace(now, title=now.title or before.title, page_id=before.page_id)
                if now.state == DAMAGED:
                    # The wiki's trouble and no change of the file: it stays due.
                    continue
                changes = changes_between(before, now)
                gone = any(change in GONE for change in changes)
                detail = deletion_reason(commons, before.title) if gone and before.title else ""
                if gone and now.state == "redirect":
                    detail = detail or "The page is a redirect now: another file is the same."
                found.append(
                    Rechecked(before=before, now=now, seen=seen, changes=changes, detail=detail)
                )
        yield found


def changes_between(before: FileRecord, now: FileRecord) -> tuple[str, ...]:
    """What became of a page, in the words of `Rechecked.changes`."""
    if now.state != "ok":
        if before.state != "ok":
            return ()
        return ("hidden",) if now.state == "hidden" else ("deleted",)
    changes: list[str] = []
    if before.state not in ("ok", DAMAGED):
        changes.append("restored")
    if now.sha1 != before.sha1 and before.sha1 is not None:
        changes.append("overwritten")
    if now.title != before.title and before.state == "ok":
        changes.append("moved")
    if not changes and _content(now) != _content(before):
        changes.append("edited")
    return tuple(changes)


def _content(record: FileRecord) -> tuple[object, ...]:
    return tuple(getattr(record, f.name) for f in fields(record) if f.name not in _RUN_DEPENDENT)


def deletion_reason(commons: Commons, title: str) -> str:
    """The newest entry of the deletion log for a title, as `2024-05-01: comment`; empty where the log has none."""
    answer = commons.ask(
        {
            "list": "logevents",
            "letype": "delete",
            "letitle": title,
            "leprop": "timestamp|comment|type",
            "lelimit": "5",
        }
    )
    events = (answer.get("query") or {}).get("logevents") or []
    for event in events:
        if event.get("action", "delete") in ("delete", "revision", "delete_redir"):
            return f"{str(event.get('timestamp', ''))[:10]}: {event.get('comment') or 'no comment'}"
    return ""
