"""`lucidlr verify`: read everything that a build left and say what is not what was written; `--repair` mends it.

Read are parts, plans and records by their sums, originals by their SHA-1, the database by its sum and DuckDB's own
checks, the dataset by its manifest, and the manifest by the record of the run that wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from catalog import repair, sums
from catalog.database import unreadable
from catalog.errors import Expected
from catalog.release.export import verify_dataset
from catalog.release.manifest import MANIFEST_NAME
from catalog.store import Catalog, catalog_in, holds_build
from crawler.download import ObjectStore
from pipelines.build.history import last_command, relink, whole_runs
from pipelines.build.mend import remove_broken_originals

Say = Callable[[str], None]
AGAIN_BY_BUILD = {"listing", "verdict", "plan", "failure", "twin", *repair.BATCHES}
"""What only a build makes again; decisions and ledger come with it, or with an export."""


def problems(out: Path) -> list[str]:
    """A sentence for everything that is damaged or lost in a build's folder; empty when all is well."""
    found: list[str] = []
    if holds_build(out):
        catalog = catalog_in(out)
        held = repair.faults(catalog, again=True)
        found += [f"{fault.told(catalog)}" for fault in held]
        if not any(fault.what == "download" for fault in held):
            store = ObjectStore(catalog.root / "objects")
            lost, damaged = repair.broken_originals(catalog, store.path, store.size, deep=True)
            found += [f"original {sha1}: lost" for sha1 in lost]
            found += [f"original {sha1}: damaged" for sha1 in damaged]
        found += _derived(out)
        wrong = _manifest(catalog, out / "dataset")
        if wrong:
            # What it says of the shards is worth nothing then.
            return found + wrong
    if not holds_build(out) or (out / "dataset").exists() or _released(out):
        found += verify_dataset(out / "dataset")
    return found


def _derived(out: Path) -> list[str]:
    """The database and the evidence."""
    found: list[str] = []
    database = out / "lucidlr.duckdb"
    if database.is_file() and (not sums.is_whole(database) or unreadable(database)):
        found.append(
            f"{database.name}: damaged, or changed since it was made; `lucidlr relink` makes it again"
        )
    evidence = out / "evidence.parquet"
    if evidence.is_file() and not sums.is_whole(evidence):
        found.append(f"{evidence.name}: damaged; the next build makes it again")
    return found


def _manifest(catalog: Catalog, dataset: Path) -> list[str]:
    """The manifest says what is in the dataset; the record of the run says what the manifest was."""
    records = [json.loads(file.read_text()) for file in whole_runs(catalog)]
    written = [r["manifest_sha256"] for r in records if r.get("manifest_sha256")]
    path = dataset / MANIFEST_NAME
    if not written or not path.is_file() or sums.sha256_of(path) == written[-1]:
        return []
    return [f"dataset/{MANIFEST_NAME}: not what the last finished run wrote"]


def _released(out: Path) -> bool:
    records = [json.loads(file.read_text()) for file in whole_runs(catalog_in(out))]
    return not records or bool(records[-1].get("dataset_hash"))


def mend(out: Path, say: Say) -> bool:
    """Sets aside what is damaged, and makes again what needs no network; whether a build is needed for the rest.

    Raises:
        catalog.repair.TombstoneLost: nothing may be released before somebody has looked.
        catalog.errors.NoBuild: there is no build in `out`.
    """
    catalog = catalog_in(out)
    with catalog.locked():
        healed = repair.heal(catalog, say, deep=True)
        originals = 0
        if not any(fault.what == "download" for fault in healed):
            originals = remove_broken_originals(catalog, say, deep=True)
        needed = bool(originals) or any(fault.what in AGAIN_BY_BUILD for fault in healed)
        wrong = _derived(out)
        if wrong and not needed:
            relink(out)
            say("lucidlr.duckdb: made again")
    if needed:
        say(f"To make it again: {last_command(catalog)}")
        return True
    return _mend_dataset(out, say)


def _mend_dataset(out: Path, say: Say) -> bool:
    """Exports again where the dataset is damaged and all its facts are at hand."""
    catalog = catalog_in(out)
    if not _released(out):
        return False
    if not _manifest(catalog, out / "dataset") and not verify_dataset(out / "dataset"):
        return False
    from pipelines.release.export import export_again

    try:
        export_again(out)
    except Expected as error:
        say(str(error))
        say(f"To make it again: {last_command(catalog)}")
        return True
    say("dataset: exported again")
    return False
