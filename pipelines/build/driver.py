"""One build from end to end: list, gate, download, hash, measure, score, embed, decide, export, link, report.

The same function serves the command line and the Prefect flow; they differ in the runner and in how progress is told.
Every stage asks the catalog what is pending, so that the same command after a kill goes on where the last one was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute

from catalog.plans import BatchRef
from catalog.release.shards import MissingObjectError, Sha1MismatchError
from crawler.limits import checked_contact
from pipelines.build.again import ask_again
from pipelines.build.budget import fetch_within_budget, measuring_stopped
from pipelines.build.crawl import (
    download_originals,
    list_sources,
    opened_door,
    retry_failures,
    write_manners,
)
from pipelines.build.decide import decide
from pipelines.build.gate import gated
from pipelines.build.history import said_again, settle, settled
from pipelines.build.mend import (
    broken_on_reading,
    make_few,
    mend_catalog,
    mend_originals,
    retry_mended,
    tidy,
)
from pipelines.build.publish import facts_to_join, publish, tell_kept
from pipelines.build.run import Build, BuildResult, start_run
from pipelines.build.runners import BatchResult, Runner
from pipelines.build.stages import embed_versions, measure_versions, run_batch, score_versions
from pipelines.build.twins import edges_among
from pipelines.progress import Progress
from pipelines.recipe import Recipe

pc: Any = compute


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
    now: datetime | None = None,
) -> BuildResult:
    """Builds a dataset into `out`; run again after an interruption it goes on, run again after the end it asks nothing.

    Args:
        contact: the operator's e-mail address or URL, sent with every request; an embedded corpus needs none.
        limit: most files to list, shared out among the sources.
        retry: try retryable failures once more.
        host_map: public host -> base URL of a local Commons that the caller runs, as the embedded one is run here.
        now: takes the place of the clock when sources are looked at again; for replays and tests.

    Raises:
        crawler.politeness.MissingContact: no contact for a crawl of a real wiki.
        catalog.store.CatalogLocked: another process builds here.
        catalog.files.DiskFull: no room left; what was committed is whole.
        crawler.politeness.CircuitOpen: the wiki asked us to stop; go on later with the same command.
    """
    started = time.perf_counter()
    if recipe.corpus is None and recipe.asks_a_wiki:
        # Before a catalog is made: who is refused leaves no folder behind.
        checked_contact(contact)
    # Likewise a metric that is not here, or an extra that is not installed; what is loaded now is used later.
    measure_versions(recipe.measures)
    score_versions(recipe.scores, recipe.scoring, elsewhere=runner.elsewhere)
    embed_versions(recipe.dedupe, elsewhere=runner.elsewhere)
    run = start_run(recipe, out=out, runner=runner, limit=limit, progress=progress, now=now)
    with run.catalog.locked():
        run.catalog.identify()
        run.note_start()
        tidy(run)
        mend_catalog(run)
        joined, recipe_hash, note = _gather(run, contact, host_map or {}, retry=retry)
        if note is not None:
            write_manners(run)
            return said_again(run, recipe_hash, note, started)
        make_few(run)
        candidates = partial(_candidates, run, joined)
        if not broken_on_reading(run):
            try:
                done = publish(run, recipe_hash, started, candidates)
                if not run.met_damage:
                    settle(run, recipe_hash, done)
                    return done
            except (MissingObjectError, Sha1MismatchError) as error:
                run.progress.say(f"export: {error}")
        # What turned out to be lost or damaged when it was read is fetched again, once.
        mend_originals(run, deep=True)
        run.met_damage = False
        _gather(run, contact, host_map or {}, retry=False, anyway=True)
        done = publish(run, recipe_hash, started, candidates)
        settle(run, recipe_hash, done)
        return done


def _gather(
    run: Build,
    contact: str | None,
    host_map: Mapping[str, str],
    *,
    retry: bool,
    anyway: bool = False,
) -> tuple[dict[str, Any], str, dict[str, Any] | None]:
    """All facts that the decision needs; returns which those are (see `facts_to_join`), the recipe's hash, and what the
    last build said where nothing has changed since, and it was not to be done `anyway`."""
    with opened_door(run, contact, host_map) as door:
        # Before anything is asked: a recipe that names a measure which is not there would fail a day later.
        joined, recipe_hash = facts_to_join(run)
        if retry:
            ask_again(run, door)
            retry_failures(run)
        mend_originals(run, deep=False)
        list_sources(run, door)
        note = None if retry or anyway else settled(run, recipe_hash)
        if note is not None:
            # Nothing was listed, so nothing is to be fetched, measured or decided.
            return joined, recipe_hash, note
        if run.recipe.budget.bounded:
            fetch_within_budget(
                run,
                door,
                compute=partial(_measure, run, joined),
                enough=partial(_enough, run, joined, recipe_hash),
            )
        else:
            download_originals(run, door)
        retry_mended(run)
    write_manners(run)
    _measure(run, joined)
    measuring_stopped(run)
    return joined, recipe_hash, None


def _measure(run: Build, joined: dict[str, Any]) -> None:
    """All that the decision needs to know of the originals that are at hand."""
    from filters.duplicates.hashing import VERSION as HASH_VERSION

    present = _present(run)
    _compute(run, "hash", present, [HASH_VERSION])
    for stage in ("measure", "score"):
        _compute(run, stage, present, [f"{n}@{version}" for n, version in joined[f"{stage}s"]])
    for seen in ("embedding", "points"):
        if joined[seen] is not None:
            _compute(run, "embed", present, ["@".join(joined[seen])])


def _enough(run: Build, joined: dict[str, Any], recipe_hash: str) -> bool:
    """Whether the wanted samples can be drawn, every quota filled, from what is measured now."""
    with run.timed("decide"):
        table = _candidates(run, joined)
        edges = edges_among(run.catalog, table, run.recipe.dedupe)
        outcome = decide(table, run.recipe, recipe_hash=recipe_hash, edges=edges)
    kept = outcome.funnel[-1][1]
    tell_kept(run, outcome)
    run.progress.say(f"budget: {kept:,} of {run.recipe.sampling.max_samples:,} samples so far")
    return not outcome.shortfalls and kept == run.recipe.sampling.max_samples


def _candidates(run: Build, joined: dict[str, Any]) -> pa.Table:
    return gated(run, **joined)[0]


def _present(run: Build) -> list[str]:
    """SHA-1s of this recipe's candidates that pass the gate and are at hand, in page id order."""
    table, passing = gated(run)
    at_hand = pc.fill_null(pc.equal(table.column("object"), "present"), fill_value=False)
    chosen = table.column("sha1").filter(pc.and_(at_hand, pa.array(passing)))
    return pc.unique(chosen).to_pylist()


def _compute(run: Build, stage: str, keys: list[str], versions: list[str]) -> None:
    """Plans what is missing of a stage and runs it."""
    if not versions:
        return
    refs: list[BatchRef] = run.catalog.plan(
        stage, keys, versions, batch_size=_batch_size(len(keys), run)
    )
    with run.progress.stage(stage, sum(ref.size for ref in refs)) as advance:
        results = run.runner.map(run_batch, _in_time(run, refs))
        for result in results:
            _count(run, result)
            advance(result.done + result.failed)


def _in_time(run: Build, refs: list[BatchRef]) -> Iterator[BatchRef]:
    """The batches with their keys, until the run's hours are over."""
    for ref in run.catalog.with_keys(refs):
        if run.clock.over():
            run.cut.add("measure")
            return
        yield ref


def _batch_size(items: int, run: Build) -> int:
    """The recipe's batch size, smaller only where it would leave workers without a batch."""
    share = -(-items // (4 * run.runner.workers)) if items else 1
    return max(1, min(run.recipe.batch_size, max(share, 8)))


def _count(run: Build, result: BatchResult) -> None:
    run.add_seconds(result.stage, result.seconds)
