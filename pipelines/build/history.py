"""What a build leaves for those who ask later: its recipe, its run record, the effects of its rules, the database."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from catalog import link, sums
from catalog.errors import NoBuild
from catalog.looks import NOTHING, NUMBER, Shape, is_a, said_in
from catalog.release.manifest import MANIFEST_NAME, verify_dataset
from catalog.release.reuse import software
from catalog.store import Catalog, catalog_in, command_line
from pipelines.build.mend import BROKEN
from pipelines.build.run import Build, BuildResult
from pipelines.recipe import Recipe
from pipelines.tally import Counts

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


# -- whether anything changed since the last build that came to its end --------------------------------------
#
# All that a build says follows from parts, plans, recipe, code and versions. A digest of these is noted when a build
# ends with everything fetched and measured; a later build that comes to the same digest, after it has looked at its
# sources and originals, and finds every output as it was left, only notes that it ran (ADR 0072).

SETTLED = "settled.json"
NO_FACTS = {"request", "decision", "ledger"}
"""Stages whose parts no decision rests on: a log, and what was decided."""
HOME = Path(__file__).parents[2]
PACKAGES = ("catalog", "crawler", "filters", "pipelines", "training")
NOTE: Shape = {
    **dict.fromkeys(("state", "run_id", "report_sha256"), (str,)),
    **dict.fromkeys(("dataset_hash", "manifest_sha256"), (str, NOTHING)),
    **dict.fromkeys(("funnel", "failures"), (list,)),
    "counts": (dict,),
    "passed": (int, NOTHING),
}
COUNTS: Shape = {one.name: NUMBER for one in fields(Counts)}
SMALL_BYTES = 64_000
"""A listing part without a row is smaller than this."""


def state_of(run: Build, recipe_hash: str) -> str:
    """SHA-256 over all that decides what a build of this run says."""
    digest = hashlib.sha256()

    def add(*values: Any) -> None:
        digest.update(json.dumps(values, sort_keys=True, default=str).encode() + b"\n")

    recipe = run.recipe.model_dump(mode="json", exclude={"runner", "limits", "batch_size"})
    # The database names parts by where they lie.
    add(str(run.catalog.root), recipe_hash, run.limit, recipe, installed_versions(), software())
    for line in _code():
        add(*line)
    for path in _facts(run):
        add(path.relative_to(run.catalog.root).as_posix(), sums.known(path))
    return digest.hexdigest()


def _code() -> Iterator[tuple[str, int, int]]:
    """Name, size and time of change of every file of the program."""
    for package in PACKAGES:
        for path in sorted((HOME / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                stat = path.stat()
                yield str(path.relative_to(HOME)), stat.st_size, stat.st_mtime_ns


def _facts(run: Build) -> Iterator[Path]:
    """Parts and plans, without those that say nothing of any file."""
    for stage in sorted((run.catalog.parts).iterdir()):
        if stage.name in NO_FACTS:
            continue
        for path in sorted(stage.rglob("*.parquet")):
            # A look at what is new that found nothing leaves a part without rows.
            small = stage.name == "listing" and path.stat().st_size < SMALL_BYTES
            if not small or pq.read_metadata(path).num_rows:
                yield path
    yield from sorted(run.catalog.plans.rglob("*.parquet"))


def settle(run: Build, recipe_hash: str, result: BuildResult) -> None:
    """Notes what a build said, unless it was stopped, or met what the next one has to look at again."""
    place = run.catalog.root / SETTLED
    waiting = any(kind in BROKEN for _, kind, _ in result.failures)
    if run.stop is not None or run.met_damage or waiting or not run.at_home:
        sums.delete(place)
        return
    held = result.dataset_hash is not None
    note = {
        "state": state_of(run, recipe_hash),
        "run_id": run.run_id,
        "funnel": result.funnel,
        "failures": result.failures,
        "dataset_hash": result.dataset_hash,
        "manifest_sha256": sums.sha256_of(result.dataset / MANIFEST_NAME) if held else None,
        "report_sha256": sums.sha256_of(result.report),
        "counts": run.tally.counts(),
        "passed": run.passed,
    }
    sums.put(place, json.dumps(note))


def settled(run: Build, recipe_hash: str) -> dict[str, Any] | None:
    """What the last whole build said, where this one would say the same and every output is as it was left."""
    place = run.catalog.root / SETTLED
    if run.recipe.budget.bounded or not place.exists() or not sums.is_whole(place):
        return None
    note = said_in(place, NOTE)
    # Of another shape than was written, it is as if it were not there.
    if note is None or not _rows_fit(note) or note["state"] != state_of(run, recipe_hash):
        return None
    return note if _outputs_whole(run, recipe_hash, note) else None


def _rows_fit(note: dict[str, Any]) -> bool:
    rows = [(row, (str, int)) for row in note["funnel"]]
    rows += [(row, (str, str, int)) for row in note["failures"]]
    counts = note["counts"].values()
    return all(
        isinstance(row, list) and len(row) == len(kinds) and all(map(isinstance, row, kinds))
        for row, kinds in rows
    ) and all(is_a(one, COUNTS) and set(one) <= set(COUNTS) for one in counts)


def _outputs_whole(run: Build, recipe_hash: str, note: dict[str, Any]) -> bool:
    root, dataset = run.catalog.root, run.out / "dataset"
    records = [root / kind / f"{recipe_hash}.json" for kind in ("recipes", "rules", "shortfalls")]
    decided = [root / "parts" / s / recipe_hash / "all.parquet" for s in ("decision", "ledger")]
    written = [*records, *decided, run.out / "lucidlr.duckdb", run.out / "evidence.parquet"]
    report, manifest = run.out / "report" / "index.html", dataset / MANIFEST_NAME
    if not all(path.is_file() and sums.is_whole(path) for path in written):
        return False
    if not report.is_file() or sums.sha256_of(report) != note["report_sha256"]:
        return False
    said = said_in(manifest, {"dataset_hash": (str,)}) if note["manifest_sha256"] else None
    if note["dataset_hash"] != (said and said["dataset_hash"]):
        return False
    if note["manifest_sha256"] is None:
        return True
    same = manifest.is_file() and sums.sha256_of(manifest) == note["manifest_sha256"]
    return same and not verify_dataset(dataset, images=False)


def said_again(run: Build, recipe_hash: str, note: dict[str, Any], started: float) -> BuildResult:
    """The result of a build that has nothing to do; its run is recorded, and stands in the database."""
    for source, counts in note["counts"].items():
        run.tally.note(source, **counts)
    run.show()
    if note["passed"] is not None:
        run.note_passed(note["passed"])
    run.progress.say(f"decide: nothing changed since {note['run_id']}; all stays as it is")
    result = BuildResult(
        out=run.out,
        dataset=run.out / "dataset",
        database=run.out / "lucidlr.duckdb",
        report=run.out / "report" / "index.html",
        dataset_hash=note["dataset_hash"],
        recipe_hash=recipe_hash,
        funnel=[(step, count) for step, count in note["funnel"]],
        failures=[(stage, kind, count) for stage, kind, count in note["failures"]],
        stage_seconds={k: round(v, 3) for k, v in run.stage_seconds.items()},
        seconds=round(time.perf_counter() - started, 3),
    )
    record_run(run, result)
    with run.timed("link"):
        link.note_runs(run.catalog, result.database)
    return result
