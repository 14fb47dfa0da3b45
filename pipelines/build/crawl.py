"""The crawling stages of a build: list and download. One process per catalog, because its door holds the limits.

Listing commits every few hundred rows together with the cursor behind them; downloading commits a batch of originals
together with what failed. After a kill both go on where they were.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from pyarrow import compute

from catalog import files, sums, views
from catalog.manners import politeness_lines
from catalog.plans import config_hash, next_number
from catalog.records import (
    AGAIN,
    FailureRecord,
    FileRecord,
    ListingRow,
    RequestRow,
    to_table,
)
from catalog.store import LISTING
from crawler.commons import Commons
from crawler.listed import ListedBatch
from crawler.plausible import DAMAGED, trouble_of
from crawler.politeness import PoliteDoor
from pipelines.bounds import LISTING_SHARE
from pipelines.build.fetched import DOWNLOAD_VERSION, Originals
from pipelines.build.own_files import Shelf
from pipelines.build.relist import Known, Pair, Turn, batches_of, turns
from pipelines.build.run import Build
from pipelines.build.stages import failure
from pipelines.build.statements import with_structured_data
from pipelines.progress import Advance
from pipelines.recipe import OWN_KINDS, Source

pc: Any = compute
LISTING_ROWS = 500
REQUEST_ROWS = 2000


@contextlib.contextmanager
def opened_door(
    run: Build, contact: str | None, host_map: Mapping[str, str]
) -> Generator[PoliteDoor]:
    """The one HTTP door of this run; starts the embedded Commons where the recipe has one."""
    with contextlib.ExitStack() as stack:
        if run.recipe.corpus is not None:
            from crawler.loopback import LoopbackCommons
            from pipelines.build.doors import look
            from pipelines.demo.corpus import make_corpus

            with run.timed("corpus"):
                corpus = make_corpus(
                    run.out / "corpus", seed=run.recipe.corpus.seed, files=run.recipe.corpus.files
                )
            server = LoopbackCommons(
                corpus.photos,
                corpus.manifest,
                page_size=run.recipe.corpus.page_size,
                look=look,
            )
            host_map = stack.enter_context(server).host_map
            contact = contact or "https://localhost/embedded-demo"
        if not run.recipe.asks_a_wiki:
            # The door stays shut: nothing is behind it.
            contact = contact or "https://localhost/own-files"
        requests = _RequestLog(run)
        _note_limits(run, local=bool(host_map))
        door = PoliteDoor(
            contact=contact,
            limits=run.recipe.limits,
            api_hosts=(run.recipe.site.host,),
            media_hosts=run.recipe.site.media_hosts,
            schemes=("https",) if run.recipe.site.scheme == "https" else ("https", "http"),
            host_map=host_map,
            run_id=run.run_id,
            log=requests.add,
            say=run.progress.say,
        )
        try:
            yield door
        finally:
            requests.write()


def _note_limits(run: Build, *, local: bool) -> None:
    """limits/<run id>.json: what the politeness report compares with."""
    noted = run.catalog.root / "limits" / f"{run.run_id}.json"
    sums.put(noted, json.dumps({**asdict(run.recipe.limits), "local": local}))


def write_manners(run: Build) -> None:
    """report/politeness.txt: how every run so far behaved; nothing when nothing was ever asked."""
    lines = politeness_lines(run.catalog)
    files.put(run.out / "report" / "politeness.txt", "\n".join(lines) + "\n")


class _RequestLog:
    """Writes the attempts of a run as parts, so that a crawl of days does not hold them in memory."""

    def __init__(self, run: Build) -> None:
        self.run = run
        self.rows: list[RequestRow] = []
        # A run may open its door twice.
        self.parts = next_number(run.catalog.parts / "request" / run.run_id)
        self.lock = threading.Lock()

    def add(self, row: RequestRow) -> None:
        """Called by the door, from any of its threads."""
        with self.lock:
            self.rows.append(row)
            if len(self.rows) < REQUEST_ROWS:
                return
        self.write()

    def write(self) -> None:
        """Commits what is waiting."""
        with self.lock:
            rows, self.rows = self.rows, []
            name = f"{self.parts:05d}"
            self.parts += 1
        if rows:
            self.run.catalog.write_rows(
                "request", self.run.run_id, name, to_table(rows, RequestRow)
            )


def list_sources(run: Build, door: PoliteDoor) -> None:
    """Lists every source up to its cap, on from the cursor of its last committed part."""
    open_sources, told = turns(run)
    for sentence in told:
        run.progress.say(f"list: {sentence}")
    if not open_sources:
        return
    left = [None if turn.again else turn.left for turn in open_sources]
    total = None if any(count is None for count in left) else sum(count or 0 for count in left)
    # A source is walked by one thread, because each answer says how to ask for the next; several sources together
    # use the whole of the allowed rate although answers take their time.
    asks = any(turn.source.kind not in OWN_KINDS for turn in open_sources)
    commons = Commons(door, run.recipe.site) if asks else None
    stop = threading.Event()
    run.show()
    with (
        run.timed("list"),
        run.progress.stage("list", total) as advance,
        ThreadPoolExecutor(run.recipe.limits.api_in_flight) as pool,
    ):
        walks = [
            pool.submit(_list_source, run, _behind(commons, turn.source), turn, advance, stop)
            for turn in open_sources
        ]
        try:
            for walk in as_completed(walks):
                walk.result()
        except BaseException as error:
            # The others end with their present batch; what they had is committed or asked for again.
            stop.set()
            if isinstance(error, KeyboardInterrupt):
                door.end()
            for walk in walks:
                walk.cancel()
            raise


def _behind(commons: Commons | None, source: Source) -> Any:
    """What a source is listed from."""
    return Shelf() if commons is None or source.kind in OWN_KINDS else commons.twin()


def _list_source(
    run: Build, commons: Any, turn: Turn, advance: Advance, stop: threading.Event
) -> None:
    """Lists one source, as many rows as are left at most, on from its cursor."""
    listed = 0
    waiting: list[Pair] = []
    changed: list[Pair] = []
    known = Known(run, turn.key) if turn.again else None

    def ended() -> bool:
        return stop.is_set() or run.clock.over(LISTING_SHARE)

    own = turn.source.kind in OWN_KINDS
    base = run.out / "corpus" if run.recipe.corpus and not own else None
    for batch in batches_of(turn, commons, base, known):
        if batch.problem:
            _note_problem(run, turn.key, batch.problem)
        pairs = list(batch.files)
        if known is not None:
            pairs, moved = known.sort(pairs)
            changed += moved if own else with_structured_data(run, commons, moved)
        waiting += pairs if own else with_structured_data(run, commons, pairs)
        listed += len(pairs)
        run.tally.add(turn.key, listed=len(pairs))
        run.show()
        advance(len(pairs))
        for warning, asked in commons.warnings.items():
            run.progress.say(f"list: the wiki warns: {warning} ({asked})")
        commons.warnings.clear()
        enough = (turn.left is not None and listed >= turn.left) or ended()
        if len(waiting) >= LISTING_ROWS or batch.cursor is None or enough:
            _commit_changed(run, changed)
            _commit_listing(run, turn, waiting, batch)
            waiting, changed = [], []
        if enough:
            if batch.cursor is not None and run.clock.over(LISTING_SHARE):
                run.cut.add("list")
            break


_AGAIN = threading.Lock()
"""Sources are walked side by side, and share the listing of what was asked for again."""


def _commit_changed(run: Build, pairs: list[Pair]) -> None:
    """What is new about files that were listed before."""
    if pairs:
        with _AGAIN:
            run.catalog.append_listing(AGAIN, _listing_of(pairs), None)


def _listing_of(rows: list[Pair]) -> pa.Table:
    records = to_table([record for record, _ in rows], FileRecord)
    seen = to_table([row for _, row in rows], ListingRow)
    return pa.Table.from_arrays([*records.columns, *seen.columns], schema=LISTING)


def _commit_listing(run: Build, turn: Turn, rows: list[Pair], batch: ListedBatch) -> None:
    key = turn.key
    lost = [found for pair in rows if (found := _lost(key, *pair)) is not None]
    if lost:
        name = run.catalog.next_listing(key)
        run.catalog.write_rows("failure", f"listing-{key}", name, to_table(lost, FailureRecord))
    run.catalog.append_listing(key, _listing_of(rows), batch.cursor, turn.walk)


def _lost(key: str, record: FileRecord, row: ListingRow) -> FailureRecord | None:
    """Why a listed file is none to go on with; None: it is one."""
    if record.state == DAMAGED:
        said = trouble_of(record, json.loads(row.raw_json)) or "The wiki said of it what cannot be."
        name = str(record.page_id or record.title)
        # What has neither an id nor a title can't be asked for.
        nameless = f"{key} {config_hash([row.raw_json])}"
        return failure("listing", name or nameless, DAMAGED, said, retryable=bool(name))
    if record.page_id is None:
        said = f"{record.title} was asked for by {row.source_path}, but the wiki has no such file."
        return failure("listing", record.title, record.state, said, retryable=False)
    return None


def _note_problem(run: Build, key: str, problem: str) -> None:
    """A source that cannot be walked is told and recorded; the others go on."""
    run.progress.say(f"list: {problem}")
    which = config_hash([problem])
    row = failure("listing", f"{key} {which}", "source", problem, retryable=False)
    name = f"source-{which}"
    run.catalog.write_rows("failure", f"listing-{key}", name, to_table([row], FailureRecord))


def download_originals(run: Build, door: PoliteDoor) -> None:
    """Fetches all originals that pass the gate."""
    originals = Originals(run, door)
    originals.fetch(
        run.catalog.plan(
            "download",
            pc.unique(originals.wanted.column("sha1")).to_pylist(),
            [DOWNLOAD_VERSION],
            batch_size=originals.batch_size,
        )
    )


def retry_failures(run: Build) -> None:
    """Plans every retryable open failure once more. What failed for want of an original is planned without being asked
    (pipelines.build.mend)."""
    open_failures = [
        row
        for row in views.failures(run.catalog).to_pylist()
        if row["retryable"] and not row["kind"].startswith("object_")
    ]
    for stage in ("download", "hash", "measure", "score", "embed"):
        keys = [row["key"] for row in open_failures if row["stage"] == stage]
        for version in run.catalog.versions_planned(stage):
            run.catalog.retry(stage, keys, version, batch_size=run.recipe.batch_size)
