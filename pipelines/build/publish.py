"""The end of a build: decide, export, report, record the run, link the database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute

from catalog import files, link, views
from catalog.arrow import decoded
from catalog.facts import PLACE, records_at
from catalog.page.report import ReportPage
from catalog.records import FileRecord, schema
from catalog.release.manifest import Manifest
from catalog.release.origin import origin_of
from catalog.removals import released_tombstones
from catalog.store import Catalog
from crawler.download import ObjectStore
from pipelines.build.decide import Outcome, decide
from pipelines.build.history import keep_recipe, record_run, relink
from pipelines.build.report.measured import reviews_told
from pipelines.build.report.page import SHOWN, TOLD, VALUED, report_of
from pipelines.build.report.rights import creditable, rights_told
from pipelines.build.run import Build, BuildResult
from pipelines.build.stages import (
    POINTS,
    embed_versions,
    measure_versions,
    point_versions,
    score_versions,
)
from pipelines.build.twins import edges_among
from pipelines.memory import give_back
from pipelines.recipe import Recipe

pc: Any = compute

DEMO_NOTICE = (
    "This is the demo: small tiles of sample photographs, degraded by known amounts and served by an embedded "
    "stand-in for Wikimedia Commons. Titles, authors and licenses are invented. It shows the pipeline, not LucidLR."
)


OWN_NOTICE = (
    "These images were not taken from Wikimedia Commons by this software but from files that its user had. Licenses "
    "and authors are what the data beside those files or the recipe state; nobody can be asked whether they still hold."
)

UNRELEASED = {"limits", "budget", "batch_size", "refresh", "version", "previous", "runner"}
"""Sections of a recipe that the manifest leaves out: they say nothing of the data, or stand in it already."""

SAMPLE_FACTS = (
    *("license", "family", "split", "labels", "severity", "phash", "dhash", "cluster_id"),
)
"""Facts that go into the dataset beside the record itself."""


def facts_to_join(run: Build, *, stored: bool = False) -> tuple[dict[str, Any], str]:
    """What `gated` shall join for a decision (measures, scores, hashes, embeddings, each in a version), and the
    recipe's hash.

    Args:
        stored: take the versions that were last computed instead of those that the code has now; loads no model.

    Raises:
        filters.measures.UnknownMeasure, filters.metrics.UnknownMetric, WeightsMissing, DeviceMissing,
        training.consistency.UnknownEncoder, ConsistencyError: unless `stored`.
    """
    from filters.duplicates.hashing import VERSION as HASH_VERSION

    recipe = run.recipe
    hashes = HASH_VERSION
    if stored:
        hashes = next(reversed(run.catalog.planned_in_order("hash")), HASH_VERSION)
        measures = _last_planned(run.catalog, "measure", recipe.measures)
        scores = _last_planned(run.catalog, "score", recipe.scores)
        encoder = recipe.dedupe.embedding
        seen = _last_planned(run.catalog, "embed", [encoder.encoder] if encoder else [])
        points = _last_planned(run.catalog, "embed", [POINTS] if recipe.dedupe.partial else [])
    else:
        measures = measure_versions(recipe.measures)
        elsewhere = run.runner.elsewhere
        scores = score_versions(recipe.scores, recipe.scoring, elsewhere=elsewhere)
        seen = embed_versions(recipe.dedupe, elsewhere=elsewhere)
        points = point_versions(recipe.dedupe)
    recipe_hash = recipe.hash([*measures, *scores, *seen, *points, hashes], run.limit)
    joined = {
        "measures": _pairs(measures),
        "scores": _pairs(scores),
        "hash_version": hashes,
        "embedding": _pairs(seen)[0] if seen else None,
        "points": _pairs(points)[0] if points else None,
        "slim": True,
        # Of twins only edges are needed, which are remembered; these compare hashes again.
        "looks": recipe.leakage.index is not None or recipe.dedupe.embedding is not None,
    }
    return joined, recipe_hash


def _last_planned(catalog: Catalog, stage: str, names: Sequence[str]) -> list[str]:
    """`name@version` of the version that was planned last; `@` alone for what was never planned."""
    planned = {version.rpartition("@")[0]: version for version in catalog.planned_in_order(stage)}
    return [planned.get(name, f"{name}@") for name in names]


def publish(
    run: Build,
    recipe_hash: str,
    started: float,
    candidates: Callable[[], pa.Table],
    *,
    crawled: bool = True,
    hash_version: str | None = None,
) -> BuildResult:
    """Decides, exports, reports and links.

    Args:
        candidates: gives them as `gated` does with what `facts_to_join` says; nobody else holds the table, so that
            it is gone before the page and the database need room.
        crawled: False where no page was asked for since the last time, so that the evidence is as it was.
        hash_version: of the candidates' hashes; None: the present one.
    """
    keep_recipe(run, recipe_hash)
    failures = views.failures(run.catalog)
    summary, page = _release(run, recipe_hash, failures, candidates, hash_version)
    with run.timed("report"):
        page.write(run.out / "report" / "index.html")
    del page
    counted = Counter((row["stage"], row["kind"]) for row in failures.to_pylist())
    result = BuildResult(
        out=run.out,
        dataset=run.out / "dataset",
        database=run.out / "lucidlr.duckdb",
        report=run.out / "report" / "index.html",
        dataset_hash=summary.dataset_hash,
        recipe_hash=recipe_hash,
        funnel=summary.funnel,
        failures=[(stage, kind, count) for (stage, kind), count in sorted(counted.items())],
        stage_seconds={k: round(v, 3) for k, v in run.stage_seconds.items()},
        seconds=round(time.perf_counter() - started, 3),
        stop=run.stop,
    )
    if run.at_home:
        # A dataset that was written beside says nothing of what the build itself holds.
        record_run(run, result)
    with run.timed("link"):
        evidence = run.out / "evidence.parquet"
        if crawled or not evidence.exists():
            link.write_evidence(run.catalog, evidence)
        relink(
            run.out,
            catalog=run.catalog,
            recipe_hash=recipe_hash,
            rules=summary.effects,
            shortfalls=summary.shortfalls,
        )
    return result


@dataclass(frozen=True, kw_only=True)
class _ReleaseSummary:
    """What of a release is told after its tables are gone."""

    funnel: list[tuple[str, int]]
    effects: list[dict[str, Any]]
    shortfalls: list[dict[str, Any]]
    dataset_hash: str | None


def _release(
    run: Build,
    recipe_hash: str,
    failures: pa.Table,
    candidates: Callable[[], pa.Table],
    hash_version: str | None,
) -> tuple[_ReleaseSummary, ReportPage]:
    recipe, catalog = run.recipe, run.catalog
    with run.timed("decide"):
        table = candidates()
        # What a step left is not added to what the next one needs.
        give_back()
        edges = edges_among(catalog, table, recipe.dedupe, version=hash_version)
        give_back()
        outcome = decide(table, recipe, recipe_hash=recipe_hash, edges=edges)
        del table, edges
        give_back()
        tell_kept(run, outcome)
        catalog.write_rows_if_new("decision", recipe_hash, "all", outcome.decisions)
        catalog.write_rows_if_new("ledger", recipe_hash, "all", outcome.ledger.wide)
    for row in outcome.shortfalls:
        run.progress.say(f"sampling: {row.dimension} {row.value}: {row.got} of {row.wanted}")
    store = ObjectStore(catalog.root / "objects")
    with run.timed("export"):
        samples = samples_of(outcome, recipe, catalog)
        rights = rights_told(outcome.decisions, recipe, catalog)
        reviews = reviews_told(catalog, outcome.decisions)
        outcome = _for_report(outcome)
        give_back()
        manifest = _export(run, samples, outcome.funnel, recipe_hash, store, rights, reviews)
    dataset_hash = manifest.dataset_hash if manifest else None
    with run.timed("report"):
        facts = {"recipe": recipe_hash, "dataset hash": dataset_hash or "nothing was kept"}
        if run.stop is not None:
            facts |= {"stopped by": run.stop.why, "to resume": run.stop.resume}
        page = report_of(run, outcome, samples, failures, store, facts, reviews)
    summary = _ReleaseSummary(
        funnel=outcome.funnel,
        effects=outcome.ledger.effects(),
        shortfalls=[row._asdict() for row in outcome.shortfalls],
        dataset_hash=dataset_hash,
    )
    return summary, page


def _for_report(outcome: Outcome) -> Outcome:
    """Without what only the rules and the tables of decisions needed: a third of the room."""
    facts = [n for n in outcome.facts.column_names if n in SHOWN or n.startswith(VALUED)]
    decisions = outcome.decisions.select(["keep", *TOLD, "duplicate_of"])
    for i, name in enumerate(decisions.column_names):
        if name in TOLD:
            decisions = decisions.set_column(i, name, decisions.column(name).dictionary_encode())
    ledger = replace(outcome.ledger, wide=outcome.ledger.wide.schema.empty_table())
    return replace(
        outcome, facts=outcome.facts.select(facts), decisions=decisions, ledger=ledger, twins=None
    )


def tell_kept(run: Build, outcome: Outcome) -> None:
    """Into the tally: how many files of each source this decision keeps."""
    kept = outcome.facts.column("source").filter(outcome.kept)
    counted = {row["values"]: row["counts"] for row in kept.value_counts().to_pylist()}
    for source in pc.unique(outcome.facts.column("source")).to_pylist():
        run.tally.note(source, kept=counted.get(source, 0))
    run.show()


def samples_of(outcome: Outcome, recipe: Recipe, catalog: Catalog) -> pa.Table:
    """The chosen rows without their bytes, in the shape that catalog.release.export expects."""
    from filters.degradation import LABELS

    chosen = outcome.facts.filter(outcome.kept)

    def struct(names: Sequence[str], prefix: str) -> pa.Array:
        arrays = [chosen.column(f"{prefix}{name}").combine_chunks() for name in names]
        if not names:
            return pa.array([{}] * chosen.num_rows, pa.struct([]))
        return pa.StructArray.from_arrays(arrays, names=list(names))

    samples = creditable(records_at(catalog, chosen.select(PLACE), schema(FileRecord).names))
    # Sizes of the decoded, turned picture: what a reader of the dataset gets.
    for side in ("width", "height"):
        at = samples.column_names.index(side)
        samples = samples.set_column(at, samples.field(at), chosen.column(side).combine_chunks())
    told = [name for name in ("scene",) if name in chosen.column_names]
    for name in (*SAMPLE_FACTS, *told):
        samples = samples.append_column(name, decoded(chosen.column(name)))
    for name, column in (
        ("severities", struct(LABELS, "severity.")),
        ("measures", struct(recipe.measures, "measure.")),
        ("scores", struct(recipe.scores, "score.")),
    ):
        samples = samples.append_column(name, column)
    return samples


def _export(
    run: Build,
    samples: pa.Table,
    funnel: list[tuple[str, int]],
    recipe_hash: str,
    store: ObjectStore,
    rights: dict[str, Any],
    reviews: dict[str, Any] | None,
) -> Manifest | None:
    """Writes the dataset; None, and the dataset that was there stays, when nothing was kept."""
    from catalog.release.card import render_card
    from catalog.release.croissant import write_croissant
    from catalog.release.export import export_dataset

    if samples.num_rows == 0:
        run.progress.say(
            "export: no file passed all rules; the report shows which rule stopped them"
        )
        return None
    run.progress.say(f"export: {samples.num_rows} images")
    recipe = run.recipe
    stones = released_tombstones(run.catalog)

    def card(folder: Path, manifest: Manifest) -> None:
        own = origin_of(samples)
        notice = DEMO_NOTICE if recipe.corpus else OWN_NOTICE if own.own else None
        if notice and own.wiki and not recipe.corpus:
            notice = f"{own.own:,} of {manifest.rows:,}: {OWN_NOTICE}"
        text = render_card(
            manifest,
            samples=samples,
            funnel=funnel,
            pretty_name=recipe.title or recipe.name,
            target_mix=recipe.sampling.mix or None,
            notice=notice,
            stopped=None if run.stop is None else run.stop.why,
            tombstones=stones,
            rights=rights,
            reviews=reviews,
        )
        files.put(folder / "README.md", text)
        write_croissant(manifest, folder, samples=samples, notice=notice)

    return export_dataset(
        samples,
        read_bytes=store.read,
        out=run.out / "dataset",
        recipe=recipe.model_dump(mode="json", exclude=UNRELEASED),
        recipe_hash=recipe_hash,
        name=recipe.name,
        version=recipe.version,
        previous=recipe.previous,
        tombstones=stones,
        max_shard_bytes=int(recipe.export.max_shard_mb * 1e6),
        row_group_rows=recipe.export.row_group_rows,
        write_extra=card,
    )


def _pairs(versions: list[str]) -> list[tuple[str, str]]:
    return [(name, version) for name, _, version in (v.rpartition("@") for v in versions)]
