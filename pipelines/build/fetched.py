"""Originals of one batch: fetched side by side, asked for again where they moved, and what is kept when a run ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from catalog.plans import BatchRef
from catalog.records import AGAIN, FailureRecord, FileRecord, ListingRow, ObjectRecord, to_table
from catalog.store import LISTING
from crawler.commons import Commons
from crawler.limits import CircuitOpen
from crawler.politeness import PoliteDoor
from crawler.recheck import recheck
from pipelines.build.run import Build
from pipelines.build.stages import failure
from pipelines.build.statements import with_structured_data

Fetched = ObjectRecord | FailureRecord


def fetched(
    run: Build,
    door: PoliteDoor,
    pool: ThreadPoolExecutor,
    fetch: Callable[[dict[str, Any]], Fetched],
    ref: BatchRef,
    rows: list[dict[str, Any]],
) -> list[Fetched]:
    """All rows, fetched; whoever interrupts does not have to wait for pauses that a host asked for."""
    asked = [pool.submit(fetch, row) for row in rows]
    try:
        return [one.result() for one in asked]
    except KeyboardInterrupt:
        door.end()
        raise
    except CircuitOpen:
        for one in asked:
            one.cancel()
        ended = [one.result() for one in asked if one.done() and not _raised(one)]
        run.catalog.note_failures(ref, [row for row in ended if isinstance(row, FailureRecord)])
        raise


def _raised(one: Future[Any]) -> bool:
    return one.cancelled() or one.exception() is not None


def fetched_where_they_moved(
    run: Build,
    door: PoliteDoor,
    found: list[Fetched],
    rows: Mapping[str, dict[str, Any]],
    fetch: Callable[[dict[str, Any]], Fetched],
) -> list[Fetched]:
    """Asks for files that were not where the listing said by their page ids, which survive a move; fetches those that
    are elsewhere now, and notes what the wiki said, so that the next build knows it. Only what is gone stays `gone`."""
    missed = [
        item.key
        for item in found
        if isinstance(item, FailureRecord) and item.kind == "gone" and item.key in rows
    ]
    if not missed:
        return found
    places = [{name: rows[sha1][name] for name in ("page_id", "sha1")} for sha1 in missed]
    known = [FileRecord(title="", **place) for place in places if place["page_id"] is not None]
    was = {rows[sha1]["page_id"]: rows[sha1]["url"] for sha1 in missed}
    commons = Commons(door, run.recipe.site)
    answers = [item for some in recheck(commons, known) for item in some]
    fresh = [
        item
        for item in answers
        if item.now.state == "ok"
        and item.now.url is not None
        and (item.now.url, item.now.sha1) != (was[item.now.page_id], item.before.sha1)
    ]
    if fresh:
        pairs = with_structured_data(run, commons, [(item.now, item.seen) for item in fresh])
        records = to_table([record for record, _ in pairs], FileRecord)
        seen = to_table([row for _, row in pairs], ListingRow)
        table = pa.Table.from_arrays([*records.columns, *seen.columns], schema=LISTING)
        run.catalog.append_listing(AGAIN, table, None)
    now = {item.now.page_id: item.now for item in fresh}
    again: dict[str, Fetched] = {}
    for sha1 in missed:
        record = now.get(rows[sha1]["page_id"])
        if record is None:
            continue
        if record.sha1 != sha1:
            again[sha1] = failure(
                "download",
                sha1,
                "overwritten",
                f"{record.title} has other bytes now ({record.sha1}): build again to fetch them.",
                retryable=False,
            )
        else:
            run.progress.say(f"download: moved since the listing, now {record.title}")
            again[sha1] = fetch({**rows[sha1], "url": record.url})
    return [
        again.get(item.key, item) if isinstance(item, FailureRecord) else item for item in found
    ]
