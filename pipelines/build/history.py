"""What a build leaves for those who ask later: its recipe, its run record, the effects of its rules, the database."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from catalog import link, sums
from catalog.errors import NoBuild
from catalog.looks import said_in
from catalog.release.manifest import MANIFEST_NAME
from catalog.store import Catalog, catalog_in, command_line
from pipelines.build.run import Build, BuildResult
from pipelines.recipe import Recipe

DECIDED = {"recipe_hash": (str,)}


def keep_recipe(run: Build, recipe_hash: str) -> None:
    """recipes/<hash>.json: for those who ask later with which recipe a decision was made."""
    path = run.catalog.root / "recipes" / f"{recipe_hash}.json"
    content = {"recipe": run.recipe.model_dump(mode="json"), "limit": run.limit}
    sums.put(path, json.dumps(content, ensure_ascii=False, indent=1))


def whole_runs(catalog: Catalog) -> list[Path]:
    """The run records that are not damaged, oldest first."""
    found = sorted((catalog.root / "runs").glob("*.json"))
    return [file for file in found if sums.is_whole(file)]


def last_command(catalog: Catalog) -> str:
    """What was typed for the last build that came to its end."""
    records = [json.loads(file.read_text()) for file in reversed(whole_runs(catalog))]
    builds = (r["command"] for r in records if r["command"].split()[1:2] in (["build"], ["demo"]))
    return next(builds, "run `lucidlr build` with its recipe and the same --out")


def load_built_recipe(catalog: Catalog) -> tuple[Recipe, int | None]:
    """The recipe and the limit of the last build.

    Raises:
        catalog.errors.NoBuild: there is none.
    """
    runs = whole_runs(catalog)
    if not runs:
        raise NoBuild(f"{catalog.root} holds no finished build: run `lucidlr build` to its end.")
    recipe_hash = json.loads(runs[-1].read_text())["recipe_hash"]
    path = catalog.root / "recipes" / f"{recipe_hash}.json"
    if not sums.is_whole(path):
        state = "damaged" if path.exists() else "not there"
        raise NoBuild(f"{path} is {state}: name the recipe, or build again.")
    held = json.loads(path.read_text(encoding="utf-8"))
    try:
        return Recipe.model_validate(held["recipe"]), held["limit"]
    except ValueError as error:
        raise NoBuild(
            f"{path} holds no recipe that this version can read: name the recipe, or build again."
        ) from error


NOTED_PACKAGES = (
    *("lucidlr", "pyarrow", "numpy", "scipy", "opencv-python-headless", "imagehash", "pillow"),
    *("duckdb", "torch", "pyiqa", "transformers", "prefect"),
)
"""What can move a value, or runs the build. Noted where it is installed."""


def installed_versions() -> dict[str, str]:
    """Package -> version, for those of NOTED_PACKAGES that are installed."""
    found: dict[str, str] = {}
    for name in NOTED_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def record_run(run: Build, result: BuildResult) -> None:
    """runs/<run id>.json: when, with what, how long. Outside of the dataset hash."""
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
        "stopped": None if result.stop is None else result.stop.why,
        "manifest_sha256": sums.sha256_of(result.dataset / MANIFEST_NAME)
        if result.dataset_hash
        else None,
        "versions": json.dumps(installed_versions()),
    }
    sums.put(run.catalog.root / "runs" / f"{run.run_id}.json", json.dumps(record, indent=1))


def relink(
    out: Path,
    *,
    catalog: Catalog | None = None,
    recipe_hash: str | None = None,
    rules: list[dict[str, Any]] | None = None,
    shortfalls: list[dict[str, Any]] | None = None,
) -> Path:
    """Writes lucidlr.duckdb again, e.g. after the folder was moved.

    Args:
        catalog: where the parts are; default: in `out`.

    Raises:
        catalog.errors.NoBuild: `out` holds no build.
    """
    catalog = catalog or catalog_in(out)
    manifest = out / "dataset" / "manifest.json"
    whose = recipe_hash or ""
    if recipe_hash is None and manifest.exists():
        # Of a damaged manifest, which an export writes again, the last run knows it, too.
        held = said_in(manifest, DECIDED) or next(
            (said for file in reversed(whole_runs(catalog)) if (said := said_in(file, DECIDED))), {}
        )
        whose = held.get("recipe_hash", "")
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
        sums.put(file, json.dumps(rows))
    return json.loads(file.read_text()) if sums.is_whole(file) else []
