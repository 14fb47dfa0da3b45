"""What a build does before and between its stages about damaged and lost files: catalog.repair, with the wiki."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from catalog import compact, files, repair, views
from catalog.release.export import recover
from catalog.removals import removed
from catalog.store import Catalog
from crawler.download import ObjectStore
from pipelines.build.run import Build

BROKEN = ("object_missing", "object_damaged")
"""Kinds of failures that pass when the original is there again."""


def tidy(run: Build) -> None:
    """Takes away what a killed build left beside its outputs. Under the catalog's lock."""
    recover(run.out / "dataset")
    files.sweep(run.out, deep=False)


def mend_catalog(run: Build) -> None:
    """Sets aside what is damaged, so that the stages make it again; each is told.

    Raises:
        catalog.repair.TombstoneLost: what may not be released is not known any more.
    """
    repair.heal(run.catalog, lambda text: run.progress.say(f"catalog: {text}"))
    compact.finish(run.catalog)


def make_few(run: Build) -> None:
    """Small parts of many builds become one (catalog.compact)."""
    gone = compact.compact(run.catalog, running=run.run_id)
    if gone:
        run.progress.say(f"catalog: {gone} small parts became part of others")


def mend_originals(run: Build, *, deep: bool) -> None:
    """Plans lost and damaged originals again.

    Args:
        deep: read every original, not only its size.
    """
    remove_broken_originals(
        run.catalog, lambda text: run.progress.say(f"catalog: {text}"), deep=deep
    )


def remove_broken_originals(catalog: Catalog, say: Callable[[str], None], *, deep: bool) -> int:
    """The same, without a run; how many. Under the catalog's lock."""
    store = ObjectStore(catalog.root / "objects")
    # What was taken down is not fetched again.
    gone = set(removed(catalog).column("sha1").to_pylist())
    lost, damaged = (
        [sha1 for sha1 in found if sha1 not in gone]
        for found in repair.broken_originals(catalog, store.path, store.size, deep=deep)
    )
    for sha1 in damaged:
        store.remove(sha1)
    for kind, sha1s in (("lost", lost), ("damaged", damaged)):
        for sha1 in sha1s:
            say(f"original {sha1}: {kind}; planned again")
    repair.plan_originals(catalog, [*lost, *damaged])
    return len(lost) + len(damaged)


def broken_on_reading(run: Build) -> bool:
    """Whether a stage of this run met an original that was lost or damaged."""
    return any(row["failed_at"] >= run.started_at for row in _broken(run))


def retry_mended(run: Build) -> None:
    """Plans the work again that failed for an original which is there now."""
    store = ObjectStore(run.catalog.root / "objects")
    there = [row for row in _broken(run) if store.has(row["key"])]
    for stage in repair.BATCHES[1:]:
        keys = [row["key"] for row in there if row["stage"] == stage]
        for version in run.catalog.versions_planned(stage) if keys else ():
            run.catalog.retry(stage, keys, version, batch_size=run.recipe.batch_size)


def _broken(run: Build) -> list[dict[str, Any]]:
    return [row for row in views.failures(run.catalog).to_pylist() if row["kind"] in BROKEN]
