"""The end of a build: decide, export, report, record the run, link the database."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute

from catalog import files, link, views
from catalog.errors import NoBuild
from catalog.facts import PLACE, records_at
from catalog.page.report import ReportPage
from catalog.records import FileRecord, schema
from catalog.release.manifest import Manifest
from catalog.removals import released_tombstones
from catalog.store import Catalog, catalog_in, command_line
from crawler.download import ObjectStore
from pipelines.build.decide import Outcome, decide
from pipelines.build.page import report_of
from pipelines.build.run import Build, BuildResult
from pipelines.build.stages import embed_versions, measure_versions, score_versions
from pipelines.build.twins import edges_among
from pipelines.recipe import Recipe

pc: Any = compute

DEMO_NOTICE = (
    "This is the demo: small tiles of sample photographs, degraded by known amounts and served by an embedded "
    "stand-in for Wikimedia Commons. Titles, authors and licences are invented. It shows the pipeline, not LucidLR."
)


UNRELEASED = {"limits", "batch_size", "refresh", "version", "previous"}
"""Sections of a recipe that the manifest leaves out: they say nothing of the data, or stand in it already."""

SAMPLE_FACTS = (
    *("license", "family", "split", "labels", "severity", "phash", "dhash", "cluster_id"),
)
"""Facts that go into the dataset beside the record itself."""


def joined_facts(run: Build, *, stored: bool = False) -> tuple[dict[str, Any], str]:
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
    if stored:
        measures = _last_planned(run.catalog, "measure", recipe.measures)
        scores = _last_planned(run.catalog, "score", recipe.scores)
        encoder = recipe.dedupe.embedding
        seen = _last_planned(run.catalog, "embed", [encoder.encoder] if encoder else [])
    else:
        measures = measure_versions(recipe.measures)
        scores = score_versions(recipe.scores, recipe.scoring)
        seen = embed_versions(recipe.dedupe)
    recipe_hash = recipe.hash([*measures, *scores, *seen, HASH_VERSION], run.limit)
    joined = {
        "measures": _pairs(measures),
        "scores": _pairs(scores),
        "hash_version": HASH_VERSION,
        "embedding": _pairs(seen)[0] if seen else None,
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
) -> BuildResult:
    """Decides, exports, reports and links.

    Args:
        candidates: gives them as `gated` does with what `joined_facts` says; nobody else holds the table, so that it is
            gone before the page and the database need room.
        crawled: False where no page was asked for since the last time, so that the evidence is as it was.
    """
    _keep_recipe(run, recipe_hash)
    failures = views.failures(run.catalog)
    told, page = _release(run, recipe_hash, failures, candidates)
    with run.timed("report"):
        page.write(run.out / "report" / "index.html")
    del page
    counted = Counter((row["stage"], row["kind"]) for row in failures.to_pylist())
    result = BuildResult(
        out=run.out,
        dataset=run.out / "dataset",
        database=run.out / "lucidlr.duckdb",
        report=run.out / "report" / "index.html",
        dataset_hash=told.dataset_hash,
        recipe_hash=recipe_hash,
        funnel=told.funnel,
        failures=[(stage, kind, count) for (stage, kind), count in sorted(counted.items())],
        stage_seconds={k: round(v, 3) for k, v in run.stage_seconds.items()},
        seconds=round(time.perf_counter() - started, 3),
    )
    _record_run(run, result)
    with run.timed("link"):
        evidence = run.out / "evidence.parquet"
        if crawled or not evidence.exists():
            link.write_evidence(run.catalog, evidence)
        relink(run.out, recipe_hash=recipe_hash, rules=told.effects, shortfalls=told.shortfalls)
    return result


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What of a release is told after its tables are gone."""

    funnel: list[tuple[str, int]]
    effects: list[dict[str, Any]]
    shortfalls: list[dict[str, Any]]
    dataset_hash: str | None


def _keep_recipe(run: Build, recipe_hash: str) -> None:
    """recipes/<hash>.json: for those who ask later with which recipe a decision was made."""
    path = run.catalog.root / "recipes" / f"{recipe_hash}.json"
    content = {"recipe": run.recipe.model_dump(mode="json"), "limit": run.limit}
    files.put(path, json.dumps(content, ensure_ascii=False, indent=1))


def load_built_recipe(catalog: Catalog) -> tuple[Recipe, int | None]:
    """The recipe and the limit of the last build.

    Raises:
        catalog.errors.NoBuild: there is none.
    """
    runs = sorted((catalog.root / "runs").glob("*.json"))
    if not runs:
        raise NoBuild(f"{catalog.root} holds no finished build: run `lucidlr build` to its end.")
    recipe_hash = json.loads(runs[-1].read_text())["recipe_hash"]
    path = catalog.root / "recipes" / f"{recipe_hash}.json"
    if not path.is_file():
        raise NoBuild(f"{path} is not there: name the recipe, or build again.")
    held = json.loads(path.read_text(encoding="utf-8"))
    return Recipe.model_validate(held["recipe"]), held["limit"]


def _release(
    run: Build, recipe_hash: str, failures: pa.Table, candidates: Callable[[], pa.Table]
) -> tuple[_Told, ReportPage]:
    recipe, catalog = run.recipe, run.catalog
    with run.timed("decide"):
        table = candidates()
        edges = edges_among(catalog, table, recipe.dedupe)
        outcome = decide(table, recipe, recipe_hash=recipe_hash, edges=edges)
        del table, edges
        catalog.write_rows("decision", recipe_hash, "all", outcome.decisions)
        catalog.write_rows("ledger", recipe_hash, "all", outcome.ledger.wide)
    for row in outcome.shortfalls:
        run.progress.say(f"sampling: {row.dimension} {row.value}: {row.got} of {row.wanted}")
    store = ObjectStore(catalog.root / "objects")
    with run.timed("export"):
        samples = samples_of(outcome, recipe, catalog)
        manifest = _export(run, samples, outcome.funnel, recipe_hash, store)
    dataset_hash = manifest.dataset_hash if manifest else None
    with run.timed("report"):
        facts = {"recipe": recipe_hash, "dataset hash": dataset_hash or "nothing was kept"}
        page = report_of(run, outcome, samples, failures, store, facts)
    told = _Told(
        funnel=outcome.funnel,
        effects=outcome.ledger.effects(),
        shortfalls=[row._asdict() for row in outcome.shortfalls],
        dataset_hash=dataset_hash,
    )
    return told, page


def samples_of(outcome: Outcome, recipe: Recipe, catalog: Catalog) -> pa.Table:
    """The chosen rows without their bytes, in the shape that catalog.release.export expects."""
    from filters.degradation import LABELS

    chosen = outcome.facts.filter(outcome.kept)

    def struct(names: Sequence[str], prefix: str) -> pa.Array:
        arrays = [chosen.column(f"{prefix}{name}").combine_chunks() for name in names]
        if not names:
            return pa.array([{}] * chosen.num_rows, pa.struct([]))
        return pa.StructArray.from_arrays(arrays, names=[n.replace(":", "_") for n in names])

    samples = records_at(catalog, chosen.select(PLACE), schema(FileRecord).names)
    for name in SAMPLE_FACTS:
        samples = samples.append_column(name, chosen.column(name))
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
        notice = DEMO_NOTICE if recipe.corpus else None
        text = render_card(
            manifest,
            samples=samples,
            funnel=funnel,
            target_mix=recipe.sampling.mix or None,
            notice=notice,
            tombstones=stones,
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
    files.put(run.catalog.root / "runs" / f"{run.run_id}.json", json.dumps(record, indent=1))


def relink(
    out: Path,
    *,
    recipe_hash: str | None = None,
    rules: list[dict[str, Any]] | None = None,
    shortfalls: list[dict[str, Any]] | None = None,
) -> Path:
    """Makes lucidlr.duckdb anew, e.g. after the folder was moved.

    Raises:
        catalog.errors.NoBuild: `out` holds no build.
    """
    catalog = catalog_in(out)
    manifest = out / "dataset" / "manifest.json"
    whose = recipe_hash or ""
    if recipe_hash is None and manifest.exists():
        whose = str(json.loads(manifest.read_text())["recipe_hash"])
    database = out / "lucidlr.duckdb"
    link.make_database(
        catalog,
        database,
        recipe_hash=whose,
        tables={
            "runs": link.runs_table(catalog.root / "runs"),
            "rules": link.rules_table(_kept(catalog, "rules", whose, rules)),
            "shortfalls": link.shortfalls_table(_kept(catalog, "shortfalls", whose, shortfalls)),
        },
        dataset=out / "dataset",
    )
    return database


def _kept(
    catalog: Catalog, kind: str, recipe_hash: str, rows: list[dict[str, Any]] | None
) -> list[dict[str, Any]]:
    """Writes <kind>/<recipe hash>.json where rows are given; returns what stands there."""
    file = catalog.root / kind / f"{recipe_hash}.json"
    if rows is not None:
        files.put(file, json.dumps(rows))
    return json.loads(file.read_text()) if file.exists() else []
