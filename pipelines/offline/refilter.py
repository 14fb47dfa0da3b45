"""Decisions again, from stored facts: another recipe over the same crawl.

No network and no model: licenses were judged when the listing was, and measures and scores are taken in the version in
which they were last computed. What a recipe would have to fetch or measure first is counted, not done.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.errors import Expected
from catalog.release.manifest import load_manifest
from catalog.store import catalog_in
from pipelines.build.gate import gated
from pipelines.build.publish import facts_to_join, publish
from pipelines.build.run import Build, BuildResult, start_run
from pipelines.build.runners import pool_runner
from pipelines.progress import Progress
from pipelines.recipe import Recipe

pc: Any = compute


@dataclass(frozen=True, kw_only=True)
class Refiltered:
    """A new dataset from old facts, and what it lacks."""

    result: BuildResult
    to_download: int
    """Candidates that pass the recipe's gate and were never fetched."""
    to_measure: dict[str, int]
    """measure.<name>, score.<name> or embedding.<encoder> -> files at hand without a value in any version."""
    unlisted: int
    """Sources of the recipe that were never listed."""


def next_release(recipe: Recipe, *datasets: Path) -> Recipe:
    """The recipe with the version that follows the first of these datasets that is there, and with its hash.

    A recipe that names a later version keeps it; without any dataset it stays as it is.
    """
    held = next((folder for folder in datasets if (folder / "manifest.json").is_file()), None)
    if held is None:
        return recipe
    manifest = load_manifest(held)
    was, wanted = (_numbers(text) for text in (manifest.version, recipe.version))
    version = recipe.version if wanted > was else f"{was[0]}.{was[1] + 1}.0"
    return recipe.model_copy(update={"version": version, "previous": manifest.dataset_hash})


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


def refilter(
    recipe: Recipe,
    *,
    out: Path,
    to: Path | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Refiltered:
    """Decides again from what is stored in `out`, and releases.

    Args:
        to: where dataset, database, evidence and report go; default: into `out`, in the place of those that are there.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
        catalog.errors.Expected: `to` is a build itself.
        catalog.store.CatalogLocked, catalog.files.DiskFull: as for a build.
    """
    started = time.perf_counter()
    run = offline_run(recipe, out, limit, progress)
    if to is not None:
        if (to / "catalog").exists():
            raise Expected(f"{to} is a build of its own: name another folder with --to.")
        run = replace(run, out=to.resolve())
    with run.catalog.locked():
        joined, recipe_hash = facts_to_join(run, stored=True)
        listed = {source for source, _ in recipe.source_caps(limit)}
        known = {file.name for file in (run.catalog.parts / "listing").iterdir() if file.is_dir()}
        lacking = _Lacking()

        def candidates() -> pa.Table:
            table, passing = gated(run, **joined)
            at_hand = pc.fill_null(pc.equal(table.column("object"), "present"), fill_value=False)
            present = at_hand.to_numpy(zero_copy_only=False).astype(bool)
            tried = table.column("object").is_valid().to_numpy()
            lacking.files = int((passing & ~tried).sum())
            lacking.measures = _unmeasured(run, table, present & passing)
            return table

        result = publish(
            run,
            recipe_hash,
            started,
            candidates,
            crawled=False,
            hash_version=joined["hash_version"],
        )
    return Refiltered(
        result=result,
        to_download=lacking.files,
        to_measure=lacking.measures,
        unlisted=len(listed - known),
    )


@dataclass
class _Lacking:
    """What is seen to be missing while the candidates are looked up."""

    files: int = 0
    measures: dict[str, int] = field(default_factory=dict)


def offline_run(
    recipe: Recipe, out: Path, limit: int | None, progress: Progress | None = None
) -> Build:
    """A run on what is stored in `out`, which fetches and computes nothing.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
    """
    catalog_in(out)
    with pool_runner("threads", 1) as runner:
        return start_run(recipe, out=out, runner=runner, limit=limit, progress=progress)


def _unmeasured(
    run: Build, table: pa.Table, wanted: np.ndarray[Any, np.dtype[np.bool_]]
) -> dict[str, int]:
    """Measures and scores that were never computed for all of the wanted files."""
    found: dict[str, int] = {}
    for stage, names in (("measure", run.recipe.measures), ("score", run.recipe.scores)):
        held = {version.rpartition("@")[0] for version in run.catalog.versions_planned(stage)}
        for name in names:
            # A measure that was computed and does not apply is no gap.
            count = int(wanted.sum()) if name not in held else 0
            if count:
                found[f"{stage}.{name}"] = count
    encoder = run.recipe.dedupe.embedding
    if encoder is not None:
        lacking = wanted & table.column("embedding").is_null().to_numpy()
        if lacking.any():
            found[f"embedding.{encoder.encoder}"] = int(lacking.sum())
    if run.recipe.dedupe.partial is not None:
        lacking = wanted & table.column("points").is_null().to_numpy()
        if lacking.any():
            found["points"] = int(lacking.sum())
    return found
