"""One build from end to end: list, gate, download, hash, measure, score, decide, export, link, report.

The same function serves the command line and the Prefect flow; they differ in the runner and in how progress is told.
Every stage asks the catalog what is pending, so that the same command after a kill goes on where the last one was.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import views
from catalog.manifest import Manifest
from catalog.records import (
    FailureRecord,
    FileRecord,
    ListingRow,
    ObjectRecord,
    RequestRow,
    to_table,
)
from catalog.store import LISTING, BatchRef, Catalog, command_line, room_for
from crawler.commons import Commons
from crawler.download import DownloadFailure, ObjectStore, fetch_original
from crawler.listing import ListedBatch, list_files
from crawler.politeness import PoliteDoor
from pipelines import decide as deciding
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import Recipe, Source
from pipelines.runners import BatchResult, Runner
from pipelines.stages import failure, measure_versions, run_batch, score_versions

DOWNLOAD_VERSION = "original@1"
LISTING_ROWS = 500
REQUEST_ROWS = 2000
DEMO_NOTICE = (
    "This is the demo: small tiles of sample photographs, degraded by known amounts and served by an embedded "
    "stand-in for Wikimedia Commons. Titles, authors and licences are invented. It shows the pipeline, not LucidLR."
)


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What a build leaves behind, and what it counted."""

    out: Path
    dataset: Path
    database: Path
    report: Path
    dataset_hash: str | None
    """None: nothing was kept, and the dataset that was there before stays."""
    recipe_hash: str
    funnel: list[tuple[str, int]]
    failures: list[tuple[str, str, int]]
    """(stage, kind, count)"""
    stage_seconds: dict[str, float]
    """Wall time inside stage functions; for pooled stages summed over batches."""
    seconds: float
    """Wall time of the whole build."""


@dataclass
class Build:
    """The state of one run: where it writes, with what, and what it has counted so far."""

    recipe: Recipe
    out: Path
    limit: int | None
    runner: Runner
    progress: Progress
    catalog: Catalog
    run_id: str
    started_at: datetime
    stage_seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Generator[None]:
        """Adds the wall time of its body to the stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add_seconds(stage, time.perf_counter() - started)

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Counts wall time spent inside a stage function."""
        self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds


def build(
    recipe: Recipe,
    *,
    out: Path,
    runner: Runner,
    contact: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    retry: bool = False,
    host_map: Mapping[str, str] | None = None,
) -> BuildResult:
    """Builds a dataset into `out`; run again after an interruption it goes on, run again after the end it asks nothing.

    Args:
        contact: the operator's e-mail address or URL, sent with every request; an embedded corpus needs none.
        limit: most files to list, shared out among the sources.
        retry: try retryable failures once more.
        host_map: public host -> base URL of a local Commons that the caller runs, as the embedded one is run here.

    Raises:
        crawler.politeness.MissingContact: no contact for a crawl of a real wiki.
        catalog.store.CatalogLocked: another process builds here.
        catalog.store.DiskFull: no room left; what was committed is whole.
        crawler.politeness.CircuitOpen: the wiki asked us to stop; go on later with the same command.
    """
    started = time.perf_counter()
    catalog = Catalog(out / "catalog")
    run = Build(
        recipe=recipe,
        out=out.resolve(),
        limit=limit,
        runner=runner,
        progress=progress or NoProgress(),
        catalog=catalog,
        run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        started_at=datetime.now(UTC).replace(microsecond=0),
    )
    from filters.hashing import VERSION as HASH_VERSION

    with catalog.locked():
        with _crawl(run, contact, host_map or {}) as door:
            # Before anything is asked: a recipe that names a measure which is not there would fail a day later.
            measures, scores = measure_versions(recipe.measures), score_versions(recipe.scores)
            recipe_hash = recipe.hash([*measures, *scores, HASH_VERSION], limit)
            if retry:
                _retry(run)
            _list(run, door)
            _download(run, door)
        present = _present(run)
        _compute(run, "hash", present, [HASH_VERSION])
        _compute(run, "measure", present, measures)
        _compute(run, "score", present, scores)
        return _finish(run, recipe_hash, HASH_VERSION, started)


# -- crawling: this process only --------------------------------------------------------------------


@contextlib.contextmanager
def _crawl(run: Build, contact: str | None, host_map: Mapping[str, str]) -> Generator[PoliteDoor]:
    """The one HTTP door of this run; starts the embedded Commons where the recipe has one."""
    with contextlib.ExitStack() as stack:
        if run.recipe.corpus is not None:
            from crawler.loopback import LoopbackCommons
            from pipelines.demo import make_corpus

            with run.timed("corpus"), room_for(run.out):
                corpus = make_corpus(
                    run.out / "corpus", seed=run.recipe.corpus.seed, files=run.recipe.corpus.files
                )
            server = LoopbackCommons(
                corpus.photos, corpus.manifest, page_size=run.recipe.corpus.page_size
            )
            host_map = stack.enter_context(server).host_map
            contact = contact or "https://localhost/embedded-demo"
        requests = _RequestLog(run)
        door = PoliteDoor(
            contact=contact,
            limits=run.recipe.limits,
            api_hosts=(run.recipe.site.host,),
            media_hosts=run.recipe.site.media_hosts,
            host_map=host_map,
            run_id=run.run_id,
            log=requests.add,
        )
        try:
            yield door
        finally:
            requests.write()


class _RequestLog:
    """Writes the attempts of a run as parts, so that a crawl of days does not hold them in memory."""

    def __init__(self, run: Build) -> None:
        self.run = run
        self.rows: list[RequestRow] = []
        self.parts = 0
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


def _list(run: Build, door: PoliteDoor) -> None:
    """Lists every source up to its cap, on from the cursor of its last committed part."""
    wanted = run.recipe.source_caps(run.limit)
    states = [run.catalog.listing_state(key) for key, _ in wanted]
    left = [
        0 if exhausted else None if cap is None else max(0, cap - rows)
        for (_, cap), (rows, _, exhausted) in zip(wanted, states, strict=True)
    ]
    if not any(count is None or count > 0 for count in left):
        return
    total = None if any(count is None for count in left) else sum(count or 0 for count in left)
    commons: Commons | None = None
    with run.timed("list"), run.progress.stage("list", total) as advance:
        for source, count, (_, cursor, _) in zip(run.recipe.sources, left, states, strict=True):
            if count == 0:
                continue
            commons = commons or Commons(door, run.recipe.site)
            listed = 0
            waiting: list[tuple[FileRecord, ListingRow]] = []
            key = run.recipe.source_key(source)
            base = run.out / "corpus" if run.recipe.corpus else None
            for batch in list_files(commons, source, cursor, key=key, base=base):
                if batch.problem:
                    _note_problem(run, key, batch.problem)
                waiting += batch.files
                listed += len(batch.files)
                advance(len(batch.files))
                enough = count is not None and listed >= count
                if len(waiting) >= LISTING_ROWS or batch.cursor is None or enough:
                    _commit_listing(run, source, waiting, batch)
                    waiting = []
                if enough:
                    break


def _commit_listing(
    run: Build, source: Source, rows: list[tuple[FileRecord, ListingRow]], batch: ListedBatch
) -> None:
    key = run.recipe.source_key(source)
    records = to_table([record for record, _ in rows], FileRecord)
    seen = to_table([row for _, row in rows], ListingRow)
    table = pa.Table.from_arrays([*records.columns, *seen.columns], schema=LISTING)
    lost = [
        failure(
            "listing",
            record.title,
            record.state,
            f"{record.title} was asked for by {row.source_path}, but the wiki has no such file.",
            retryable=False,
        )
        for record, row in rows
        if record.page_id is None
    ]
    if lost:
        name = run.catalog.next_listing(key)
        run.catalog.write_rows("failure", f"listing-{key}", name, to_table(lost, FailureRecord))
    run.catalog.append_listing(key, table, batch.cursor)


def _note_problem(run: Build, key: str, problem: str) -> None:
    """A source that cannot be walked is told and recorded; the others go on."""
    run.progress.say(f"list: {problem}")
    row = failure("listing", key, "source", problem, retryable=False)
    run.catalog.write_rows("failure", f"listing-{key}", "source", to_table([row], FailureRecord))


def _download(run: Build, door: PoliteDoor) -> None:
    """Fetches the originals that pass the gate."""
    facts = deciding.with_metadata(
        views.candidates(run.catalog, sources=run.recipe.source_caps(run.limit))
    )
    wanted = facts.select(["page_id", "sha1", "url", "size_bytes", "mime"])
    wanted = wanted.filter(pa.array(deciding.gate(facts, run.recipe)))
    rows = {row["sha1"]: row for row in wanted.to_pylist() if row["sha1"] and row["url"]}
    refs = run.catalog.plan(
        "download", list(rows), [DOWNLOAD_VERSION], batch_size=min(run.recipe.batch_size, 128)
    )
    store = ObjectStore(run.catalog.root / "objects")
    workers = run.recipe.limits.media_in_flight
    batches = [(ref, run.catalog.keys_of(ref)) for ref in refs]
    # A batch that another recipe froze and did not finish is finished here: its keys passed that recipe's gate.
    strangers = {key for _, keys in batches for key in keys if key not in rows}
    rows |= {row["sha1"]: row for row in views.files_of(run.catalog, sorted(strangers)).to_pylist()}
    with (
        run.timed("download"),
        run.progress.stage("download", sum(len(keys) for _, keys in batches)) as advance,
        ThreadPoolExecutor(workers) as pool,
    ):

        def fetch(sha1: str) -> ObjectRecord | FailureRecord:
            row = rows[sha1]
            try:
                fetch_original(
                    door,
                    store,
                    url=row["url"],
                    sha1=sha1,
                    size_bytes=row["size_bytes"],
                    mime=row["mime"],
                )
            except DownloadFailure as error:
                return failure("download", sha1, error.kind, str(error), retryable=error.retryable)
            finally:
                advance(1)
            return ObjectRecord(page_id=row["page_id"], sha1=sha1, size_bytes=row["size_bytes"])

        for ref, keys in batches:
            with room_for(run.out):
                found = list(pool.map(fetch, keys))
            done = [item for item in found if isinstance(item, ObjectRecord)]
            failed = [item for item in found if isinstance(item, FailureRecord)]
            run.catalog.commit(ref, to_table(done, ObjectRecord), failed)


# -- computing: any runner ---------------------------------------------------------------------------


def _present(run: Build) -> list[str]:
    """SHA-1s of this recipe's candidates that pass the gate and are at hand, in page id order."""
    facts = views.candidates(run.catalog, sources=run.recipe.source_caps(run.limit))
    facts = deciding.with_metadata(facts)
    passing = deciding.gate(facts, run.recipe).tolist()
    columns = zip(
        facts.column("sha1").to_pylist(), facts.column("object").to_pylist(), passing, strict=True
    )
    return list(dict.fromkeys(sha1 for sha1, state, ok in columns if ok and state == "present"))


def _compute(run: Build, stage: str, keys: list[str], versions: list[str]) -> None:
    """Plans what is missing of a stage and runs it."""
    if not versions:
        return
    refs: list[BatchRef] = run.catalog.plan(
        stage, keys, versions, batch_size=_batch_size(len(keys), run)
    )
    with run.progress.stage(stage, sum(ref.size for ref in refs)) as advance:
        results = run.runner.map(run_batch, refs)
        for result in results:
            _count(run, result)
            advance(result.done + result.failed)


def _batch_size(items: int, run: Build) -> int:
    """The recipe's batch size, smaller only where it would leave workers without a batch."""
    share = -(-items // (4 * run.runner.workers)) if items else 1
    return max(1, min(run.recipe.batch_size, max(share, 8)))


def _count(run: Build, result: BatchResult) -> None:
    run.add_seconds(result.stage, result.seconds)


def _retry(run: Build) -> None:
    """Plans every retryable open failure once more; an original that got lost is fetched again first."""
    open_failures = [row for row in views.failures(run.catalog).to_pylist() if row["retryable"]]
    lost = [row["key"] for row in open_failures if row["kind"] == "object_missing"]
    run.catalog.retry("download", lost, DOWNLOAD_VERSION, batch_size=run.recipe.batch_size)
    for stage in ("download", "hash", "measure", "score"):
        keys = [row["key"] for row in open_failures if row["stage"] == stage]
        for version in run.catalog.versions_planned(stage):
            run.catalog.retry(stage, keys, version, batch_size=run.recipe.batch_size)


# -- deciding and writing ----------------------------------------------------------------------------


def _finish(run: Build, recipe_hash: str, hash_version: str, started: float) -> BuildResult:
    """Decides, exports, links and reports."""
    recipe, catalog = run.recipe, run.catalog
    with run.timed("decide"):
        facts = views.candidates(
            catalog,
            sources=recipe.source_caps(run.limit),
            measures=_pairs(measure_versions(recipe.measures)),
            scores=_pairs(score_versions(recipe.scores)),
            hash_version=hash_version,
        )
        outcome = deciding.decide(deciding.with_metadata(facts), recipe, recipe_hash=recipe_hash)
        catalog.write_rows("decision", recipe_hash, "all", outcome.decisions)
        catalog.write_rows("ledger", recipe_hash, "all", outcome.ledger.wide)
    store = ObjectStore(catalog.root / "objects")
    failures = views.failures(catalog)
    with run.timed("export"):
        manifest = _export(run, outcome, recipe_hash, store)
    dataset_hash = manifest.dataset_hash if manifest else None
    with run.timed("report"):
        _report(run, outcome, failures, store, dataset_hash=dataset_hash, recipe_hash=recipe_hash)
    counted = Counter((row["stage"], row["kind"]) for row in failures.to_pylist())
    result = BuildResult(
        out=run.out,
        dataset=run.out / "dataset",
        database=run.out / "lucidlr.duckdb",
        report=run.out / "report" / "index.html",
        dataset_hash=dataset_hash,
        recipe_hash=recipe_hash,
        funnel=outcome.funnel,
        failures=[(stage, kind, count) for (stage, kind), count in sorted(counted.items())],
        stage_seconds={k: round(v, 3) for k, v in run.stage_seconds.items()},
        seconds=round(time.perf_counter() - started, 3),
    )
    _record_run(run, result)
    with run.timed("link"):
        views.write_evidence(catalog, run.out / "evidence.parquet")
        relink(run.out, recipe_hash=recipe_hash, rules=outcome.ledger.effects())
    return result


def _export(
    run: Build, outcome: deciding.Outcome, recipe_hash: str, store: ObjectStore
) -> Manifest | None:
    """Writes the dataset; None, and the dataset that was there stays, when nothing was kept."""
    from catalog.card import render_card
    from catalog.export import export_dataset

    if outcome.samples.num_rows == 0:
        run.progress.say(
            "export: no file passed all rules; the report shows which rule stopped them"
        )
        return None
    run.progress.say(f"export: {outcome.samples.num_rows} images")

    def card(folder: Path, manifest: Manifest) -> None:
        notice = DEMO_NOTICE if run.recipe.corpus else None
        text = render_card(manifest, samples=outcome.samples, funnel=outcome.funnel, notice=notice)
        (folder / "README.md").write_text(text, encoding="utf-8")

    with room_for(run.out / "dataset"):
        return export_dataset(
            outcome.samples,
            read_bytes=store.read,
            out=run.out / "dataset",
            recipe=run.recipe.model_dump(mode="json", exclude={"limits", "batch_size"}),
            recipe_hash=recipe_hash,
            name=run.recipe.name,
            max_shard_bytes=int(run.recipe.export.max_shard_mb * 1e6),
            row_group_rows=run.recipe.export.row_group_rows,
            write_extra=card,
        )


def _pairs(versions: list[str]) -> list[tuple[str, str]]:
    return [(name, version) for name, _, version in (v.rpartition("@") for v in versions)]


def _report(
    run: Build,
    outcome: deciding.Outcome,
    failures: pa.Table,
    store: ObjectStore,
    *,
    dataset_hash: str | None,
    recipe_hash: str,
) -> None:
    from catalog.report import RuleSummary, render_report

    def original(sha1: str) -> bytes | None:
        return store.read(sha1) if store.has(sha1) else None

    shown = ["page_id", "title", "sha1", "file_page_url", "uploaded_at", "cluster_id", "labels"]
    shown += [n for n in outcome.facts.column_names if n.startswith(("measure.", "score."))]
    candidates = outcome.facts.select([*shown, "severity"])
    for name in ("keep", "reason", "duplicate_of"):
        candidates = candidates.append_column(name, outcome.decisions.column(name))
    effects = outcome.ledger.effects()
    rules = [
        RuleSummary(
            name=rule.name,
            threshold=rule.threshold,
            why=rule.why,
            passed=effect["passes"],
            failed=effect["fails"],
            failed_alone=effect["alone"],
            not_measured=effect["not_measured"],
            column=rule.value,
            bounds=tuple(bound for bound in (rule.min, rule.max) if bound is not None),
        )
        for rule, effect in zip(outcome.ledger.rules, effects, strict=True)
    ]
    counts = failures.group_by("kind").aggregate([("key", "count")])
    with room_for(run.out):
        render_report(
            run.out / "report" / "index.html",
            name=run.recipe.name,
            funnel=outcome.funnel,
            candidates=candidates,
            samples=outcome.samples,
            rules=rules,
            failures=counts.rename_columns(["kind", "count"]),
            thumbnails=original,
            marks=[
                (curve.label, f"measure.{curve.measure}", curve.moderate)
                for curve in run.recipe.degradation.curves
            ],
            facts={"recipe": recipe_hash, "dataset hash": dataset_hash or "nothing was kept"},
        )


def _record_run(run: Build, result: BuildResult) -> None:
    """runs/<run id>.json: when, with what, how long. Outside of the dataset hash."""
    packages = (
        "lucidlr",
        "pyarrow",
        "numpy",
        "opencv-python-headless",
        "torch",
        "pyiqa",
        "imagehash",
    )
    record: dict[str, Any] = {
        "run_id": run.run_id,
        "command": command_line(),
        "recipe": run.recipe.name,
        "recipe_hash": result.recipe_hash,
        "started_at": run.started_at.isoformat(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": result.seconds,
        "stage_seconds": json.dumps(result.stage_seconds),
        "funnel": json.dumps(result.funnel),
        "dataset_hash": result.dataset_hash,
        "versions": json.dumps({name: metadata.version(name) for name in packages}),
    }
    folder = run.catalog.root / "runs"
    with room_for(folder):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{run.run_id}.tmp"
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        temporary.replace(folder / f"{run.run_id}.json")


def relink(
    out: Path, *, recipe_hash: str | None = None, rules: list[dict[str, Any]] | None = None
) -> Path:
    """Makes lucidlr.duckdb anew, e.g. after the folder was moved.

    Raises:
        FileNotFoundError: `out` holds no build.
    """
    if not (out / "catalog" / "parts").is_dir():
        raise FileNotFoundError(f"{out} holds no build (no catalog/parts in it).")
    catalog = Catalog(out / "catalog")
    manifest = out / "dataset" / "manifest.json"
    if recipe_hash is None:
        recipe_hash = json.loads(manifest.read_text())["recipe_hash"] if manifest.exists() else ""
    rules_file = catalog.root / "rules" / f"{recipe_hash}.json"
    if rules is not None:
        rules_file.parent.mkdir(exist_ok=True)
        with room_for(rules_file):
            rules_file.write_text(json.dumps(rules))
    held = json.loads(rules_file.read_text()) if rules_file.exists() else []
    database = out / "lucidlr.duckdb"
    views.link(
        catalog,
        database,
        recipe_hash=recipe_hash or "",
        tables={"runs": views.runs_table(catalog.root / "runs"), "rules": views.rules_table(held)},
        dataset=out / "dataset",
    )
    return database
