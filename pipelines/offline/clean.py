"""`lucidlr clean`: deletes what recipes decided that nobody builds with any more. Facts are never touched.

Every change of a recipe leaves its decisions and its ledger, a row a candidate each. They follow from the facts, so
`lucidlr refilter` with the old recipe makes them again. Kept are those of the last run, of the dataset that lies here,
and of whatever recipe hash is named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog import files, link, sums
from catalog.looks import said_in
from catalog.release.manifest import DatasetError
from catalog.store import Catalog, catalog_in

PARTS = ("decision", "ledger")
RECORDS = ("recipes", "rules", "shortfalls")


@dataclass(frozen=True, kw_only=True)
class Left:
    """What one recipe left behind."""

    recipe_hash: str
    paths: tuple[Path, ...]
    size_bytes: int
    name: str
    """Of the recipe, where that is still known."""


def old_decisions(out: Path, *, keep: Sequence[str] = ()) -> list[Left]:
    """What `clean` would delete, the largest first.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
    """
    catalog = catalog_in(out)
    needed = {*keep, *_in_use(out, catalog)}
    found = {
        folder.name
        for stage in PARTS
        for folder in (catalog.parts / stage).glob("*")
        if folder.is_dir()
    }
    left = [_left(catalog, one) for one in sorted(found - needed)]
    return sorted(left, key=lambda one: (-one.size_bytes, one.recipe_hash))


def clean(out: Path, *, keep: Sequence[str] = ()) -> list[Left]:
    """Deletes it, under the catalog's lock; what was deleted.

    Raises:
        catalog.errors.NoBuild, catalog.store.CatalogLocked.
    """
    catalog = catalog_in(out)
    with catalog.locked():
        gone = old_decisions(out, keep=keep)
        database = out / "lucidlr.duckdb"
        if gone and database.is_file() and sums.is_whole(database):
            # Its view of the ledger names files: first it forgets those that go.
            link.forget_ledgers(catalog, database, {one.recipe_hash for one in gone})
        for one in gone:
            for path in one.paths:
                # A folder of parts goes with its sums.
                if path.is_dir():
                    files.delete(path)
                else:
                    sums.delete(path)
    return gone


def clean_lines(found: Sequence[Left], *, done: bool) -> list[str]:
    """For a terminal."""
    if not found:
        return ["Nothing to clean: every decision here is of a recipe that is in use."]
    verb = "deleted" if done else "would be deleted"
    lines = [f"{one.recipe_hash}  {one.size_bytes / 1e6:>9.1f} MB  {one.name}" for one in found]
    total = sum(one.size_bytes for one in found) / 1e6
    lines.append(f"{len(found)} recipes' decisions, {total:.1f} MB {verb}; facts stay.")
    if not done:
        lines.append("Nothing was changed. Do it with --yes; keep one with --keep HASH.")
    return lines


def _in_use(out: Path, catalog: Catalog) -> set[str]:
    """Recipe hashes of the last whole run and of the dataset."""
    used: set[str] = set()
    runs = [p for p in sorted((catalog.root / "runs").glob("*.json")) if sums.is_whole(p)]
    manifest = out / "dataset" / "manifest.json"
    for path in (*runs[-1:], *([manifest] if manifest.exists() else [])):
        said = said_in(path, {"recipe_hash": (str,)})
        if said is None:
            raise DatasetError(
                f"{path} is damaged: it does not say which recipe it is of. Export again."
            )
        used.add(said["recipe_hash"])
    return used


def _left(catalog: Catalog, recipe_hash: str) -> Left:
    folders = [catalog.parts / stage / recipe_hash for stage in PARTS]
    records = [catalog.root / kind / f"{recipe_hash}.json" for kind in RECORDS]
    paths = tuple(path for path in (*folders, *records) if path.exists())
    sizes = [f.stat().st_size for p in paths for f in ([p] if p.is_file() else p.rglob("*"))]
    recipe = catalog.root / "recipes" / f"{recipe_hash}.json"
    name = "?"
    if sums.is_whole(recipe):
        name = str(json.loads(recipe.read_text(encoding="utf-8"))["recipe"].get("name", "?"))
    return Left(recipe_hash=recipe_hash, paths=paths, size_bytes=sum(sizes), name=name)
