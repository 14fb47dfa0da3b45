"""Originals, a batch at a time: fetched side by side, asked for again where they moved, and what is kept when a run
ends. Which of them, and how many, is for those to say who call: all (crawl), or as many as a budget allows (budget)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from catalog import views
from catalog.plans import BatchRef
from catalog.records import AGAIN, FailureRecord, FileRecord, ListingRow, ObjectRecord, to_table
from catalog.store import LISTING
from crawler.commons import Commons
from crawler.download import DownloadFailure, ObjectStore, fetch_original
from crawler.limits import CircuitOpen
from crawler.plausible import is_sha1
from crawler.politeness import PoliteDoor
from crawler.recheck import recheck
from pipelines.build.gate import gated
from pipelines.build.own_files import own_keys, places_of, take_in
from pipelines.build.run import Build
from pipelines.build.stages import failure
from pipelines.build.statements import with_structured_data

pc: Any = compute
Fetched = ObjectRecord | FailureRecord
DOWNLOAD_VERSION = "original@1"
LARGEST_BATCH = 128


class Originals:
    """The originals of a run's candidates that pass the gate, and the way to fetch batches of them.

    `wanted` has page_id, sha1, url, size_bytes, mime, source and object (present, a failure's kind, null: never tried),
    a row per candidate in page id order; of several pages with the same bytes the first counts.
    """

    def __init__(self, run: Build, door: PoliteDoor) -> None:
        table, passing = gated(run)
        own = pa.array(own_keys(run.recipe), pa.string())
        there = pc.or_(table.column("url").is_valid(), pc.is_in(table.column("source"), own))
        have = pc.and_(table.column("sha1").is_valid(), there)
        names = ["page_id", "sha1", "url", "size_bytes", "mime", "source", "object"]
        self.wanted = table.select(names).filter(pc.and_(have, pa.array(passing)))
        self.run, self.door = run, door
        tell_candidates(run, table, passing)
        run.tally.to_fetch(len(pc.unique(self._untried().column("sha1"))))
        self.batch_size = min(run.recipe.batch_size, LARGEST_BATCH)
        self._store = ObjectStore(run.catalog.root / "objects")
        self._place: dict[str, int] = {}
        self._kept_at: Mapping[str, Any] = {}

    def fetch(self, refs: Sequence[BatchRef], ended: Callable[[], bool] = lambda: False) -> None:
        """Fetches batches and commits them, one after the other, until all are done or it has `ended`."""
        run, workers = self.run, self.run.recipe.limits.media_in_flight
        with (
            run.timed("download"),
            run.progress.stage("download", sum(ref.size for ref in refs)) as advance,
            ThreadPoolExecutor(workers) as pool,
        ):

            def fetch(row: dict[str, Any]) -> Fetched:
                try:
                    found = self._one(row)
                finally:
                    advance(1)
                self._count(row, found)
                return found

            for ref in run.catalog.with_keys(refs):
                if ended():
                    return
                self._batch(ref, pool, fetch)

    def _batch(
        self, ref: BatchRef, pool: ThreadPoolExecutor, fetch: Callable[[dict[str, Any]], Fetched]
    ) -> None:
        run = self.run
        if not self._place:
            # Made once, and looked up for each batch.
            known = self.wanted.column("sha1").to_pylist()
            self._place = {sha1: i for i, sha1 in reversed(list(enumerate(known)))}
        keys = run.catalog.keys_of(ref)
        places = pa.array([self._place[key] for key in keys if key in self._place], pa.int64())
        rows = {row["sha1"]: row for row in self.wanted.take(places).to_pylist()}
        # A batch that another recipe froze and did not finish is finished here: it passed that recipe's gate.
        strangers = [key for key in keys if key not in rows]
        if strangers:
            some = views.files_of(run.catalog, strangers).to_pylist()
            rows |= {row["sha1"]: row for row in some}
        self._kept_at = places_of(run, [key for key, row in rows.items() if row["url"] is None])
        # What ended the last run is asked for last, so that it can't end every run.
        failed_before = run.catalog.failed_so_far(ref)
        keys.sort(key=lambda key: key in failed_before)
        found = fetched(run, self.door, pool, fetch, ref, [rows[key] for key in keys])
        found = fetched_where_they_moved(run, self.door, found, rows, fetch)
        done = [item for item in found if isinstance(item, ObjectRecord)]
        failed = [item for item in found if isinstance(item, FailureRecord)]
        run.catalog.commit(ref, to_table(done, ObjectRecord), failed)

    def _untried(self) -> pa.Table:
        return self.wanted.filter(self.wanted.column("object").is_null())

    def _count(self, row: dict[str, Any], found: Fetched) -> None:
        run = self.run
        run.tally.tried()
        if isinstance(found, ObjectRecord) and row.get("object") is None and "source" in row:
            run.tally.add(row["source"], at_hand=1, media_bytes=row["size_bytes"] or 0)
        run.show()

    def _one(self, row: dict[str, Any]) -> Fetched:
        from filters.picture import refusal

        sha1 = row["sha1"]
        if not is_sha1(sha1):
            # Parts of older versions may hold such.
            said = f"{sha1[:60]!r} is no SHA-1; with --retry the page is asked for again."
            return failure("download", sha1, "bad_sha1", said, retryable=True)
        if row["url"] is None:
            return take_in(self._store, row, self._kept_at.get(sha1, ()))
        try:
            fetch_original(
                self.door,
                self._store,
                url=row["url"],
                sha1=sha1,
                size_bytes=row["size_bytes"],
                mime=row["mime"],
                check=refusal,
            )
        except DownloadFailure as error:
            return failure("download", sha1, error.kind, str(error), retryable=error.retryable)
        return ObjectRecord(page_id=row["page_id"], sha1=sha1, size_bytes=row["size_bytes"])


def tell_candidates(run: Build, table: pa.Table, passing: NDArray[np.bool_]) -> None:
    """Into the tally: what the gate says of the candidates, and which of them are at hand. [N] `passing`."""
    present = pc.fill_null(pc.equal(table.column("object"), "present"), fill_value=False)
    there = passing & np.asarray(present)
    sources = table.column("source").combine_chunks().dictionary_encode()
    code, sizes = np.asarray(sources.indices), pc.fill_null(table.column("size_bytes"), 0)
    count = len(sources.dictionary)
    listed, passed, at_hand = (
        np.bincount(code[rows], minlength=count).tolist() for rows in (slice(None), passing, there)
    )
    weight = np.asarray(sizes.cast(pa.float64()))[there]
    size = np.bincount(code[there], weights=weight, minlength=count).tolist()
    for i, source in enumerate(sources.dictionary.to_pylist()):
        run.tally.note(
            source, listed=listed[i], passed=passed[i], at_hand=at_hand[i], media_bytes=int(size[i])
        )
    run.show()


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
