"""Upload windows: files by the time of their upload, none lost where times tie."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any

from crawler.commons import BATCH, PAGE_FIELDS, Commons, ListingError
from crawler.listed import Cursor, ListedBatch, all_seen
from crawler.sources import UploadWindowSource

MOST_TIED = 500
"""Files uploaded in one and the same second that a window can tell apart: the API's largest page."""


def walk_window(
    commons: Commons, source: UploadWindowSource, cursor: Cursor | None, key: str
) -> Generator[ListedBatch]:
    """Steps from the last upload time seen, that time included, and leaves out the page ids seen at it.

    The API's own continuation of allimages by time loses files where upload times tie at the border of two pages.
    Cursor: the time to go on from, and the page ids seen at it.
    """
    start: str = cursor["from"] if cursor else _stamp(source.start)
    at_start: set[int] = set(cursor["seen"]) if cursor else set()
    limit = BATCH
    path = f"uploads {_stamp(source.start)} to {_stamp(source.end)}"
    while True:
        asked = {
            "generator": "allimages",
            "gaisort": "timestamp",
            "gaidir": "newer",
            "gaistart": start,
            "gaiend": _stamp(source.end),
            "gailimit": limit,
        }
        batch = next(commons.batches({**PAGE_FIELDS, **asked}))
        times = {int(page["pageid"]): _upload_time(page) for page in batch.pages}
        last = max(times.values(), default=start)
        if batch.carry is not None and last == start:
            # The whole page was uploaded in one second: only a longer page gets past it.
            if limit == MOST_TIED:
                raise ListingError(
                    f"More than {MOST_TIED} files were uploaded at {start}; leave that second out."
                )
            limit = MOST_TIED
            continue
        limit = BATCH
        fresh = [page for page in batch.pages if int(page["pageid"]) not in at_start]
        fresh.sort(key=lambda page: (_upload_time(page), int(page["pageid"])))
        start, at_start = last, {page_id for page_id, time in times.items() if time == last}
        done = batch.carry is None
        yield ListedBatch(
            files=all_seen(commons, fresh, key, path),
            cursor=None if done else {"from": start, "seen": sorted(at_start)},
        )
        if done:
            return


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _upload_time(page: Mapping[str, Any]) -> str:
    return str((page.get("imageinfo") or [{}])[0].get("timestamp", ""))
