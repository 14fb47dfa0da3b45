"""Uploads in the order of their time, none lost where times tie: what the walkers of uploads share."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any

from crawler.commons import BATCH, PAGE_FIELDS, Commons, ListingError
from crawler.listed import Cursor, ListedBatch, all_seen

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
MOST_TIED = 500
"""Files uploaded in one and the same second that a walk can tell apart: the API's largest page."""


def walk_by_time(
    commons: Commons,
    narrowed: Mapping[str, Any],
    cursor: Cursor | None,
    *,
    start: datetime,
    key: str,
    path: str,
) -> Generator[ListedBatch]:
    """Files of allimages from `start` on, oldest first, narrowed by more of its parameters (gaiend, gaiuser, ...).

    Steps from the last upload time seen, that time included, and leaves out the page ids seen at it: the API's own
    continuation by time loses files where upload times tie at the border of two pages. Cursor: the time to go on
    from, and the page ids seen at it.

    Raises:
        ListingError: more than MOST_TIED files share one second.
    """
    after: str = cursor["from"] if cursor else stamp(start)
    at_start: set[int | str] = set(cursor["seen"]) if cursor else set()
    limit = BATCH
    until = str(narrowed.get("gaiend", "9999-12-31T23:59:59Z"))
    while True:
        asked = {
            "generator": "allimages",
            "gaisort": "timestamp",
            "gaidir": "newer",
            "gaistart": after,
            "gailimit": limit,
        }
        batch = next(commons.batches({**PAGE_FIELDS, **asked, **narrowed}))
        # A time that the wiki cannot have sorted by moves nothing: it would skip what lies before it.
        held = [(page, _upload_time(page)) for page in batch.pages]
        times = {_name(page): time for page, time in held if after <= time <= until}
        last = max(times.values(), default=after)
        if batch.carry is not None and last == after:
            # The whole page was uploaded in one second: only a longer page gets past it.
            if limit == MOST_TIED:
                raise ListingError(
                    f"More than {MOST_TIED} files were uploaded at {after}; leave that second out."
                )
            limit = MOST_TIED
            continue
        limit = BATCH
        fresh = [page for page in batch.pages if _name(page) not in at_start]
        fresh.sort(key=lambda page: (_upload_time(page), int(page.get("pageid", 0))))
        after, at_start = last, {name for name, time in times.items() if time == last}
        done = batch.carry is None
        yield ListedBatch(
            files=all_seen(commons, fresh, key, path),
            cursor=None if done else {"from": after, "seen": sorted(at_start, key=str)},
        )
        if done:
            return


def stamp(moment: datetime) -> str:
    """As the API writes times: UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _name(page: Mapping[str, Any]) -> int | str:
    """Its page id, or its title where the wiki has a file and no page."""
    return page.get("pageid") or str(page.get("title", ""))


def _upload_time(page: Mapping[str, Any]) -> str:
    """As the API writes times; empty where it is none."""
    said = str((page.get("imageinfo") or [{}])[0].get("timestamp", ""))
    return said if _TIME.fullmatch(said) else ""
