"""What stands in a frozen catalog, and what the present code makes of one."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def what_stands(out: Path) -> dict[str, Any]:
    """Decisions, tombstones, verdicts, failures and the number of rows of every view of a finished build."""
    with duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True) as database:

        def query(sql: str) -> list[list[Any]]:
            return [list(row) for row in database.execute(sql).fetchall()]

        views = [
            *(
                "listing",
                "files",
                "evidence",
                "verdicts",
                "objects",
                "hashes",
                "measures",
                "scores",
            ),
            *("twins", "failures", "requests", "checks", "tombstones", "ledger", "samples", "runs"),
        ]
        return {
            "dataset_hash": dataset_hash(out),
            "kept": [r["page_id"] for r in rows_of(out / "dataset")],
            "decisions": query("SELECT page_id, title, reason FROM decisions ORDER BY page_id"),
            "tombstones": query("SELECT page_id, sha1, reason FROM tombstones ORDER BY ALL"),
            "verdicts": query(
                "SELECT license_outcome, license_reason, count(*) FROM verdicts GROUP BY ALL ORDER BY ALL"
            ),
            "failures": query(
                "SELECT stage, kind, count(*) FROM failures GROUP BY ALL ORDER BY ALL"
            ),
            "rows": {v: query(f'SELECT count(*) FROM "{v}"')[0][0] for v in views},  # noqa: S608
        }


def what_was_done(out: Path) -> dict[str, int]:
    """Parts by stage and originals of a build that was killed."""
    parts = [p for p in (out / "catalog" / "parts").glob("*/*/*.parquet") if p.is_file()]
    count = Counter(f"{p.parents[1].name} parts" for p in parts)
    count["originals"] = sum(p.is_file() for p in (out / "catalog" / "objects").rglob("*"))
    count["unfinished files"] = len(list(out.rglob(".*.tmp"))) + len(list(out.glob(".*.new")))
    return dict(sorted(count.items()))


def rows_of(dataset: Path) -> list[dict[str, Any]]:
    """Rows of a release without their bytes, by page id; times as ISO 8601."""
    shards = sorted((dataset / "data").glob("*/*.parquet"))
    table = pa.concat_tables([pq.read_table(path) for path in shards]).drop_columns(["image"])
    rows = table.sort_by("page_id").to_pylist()
    return json.loads(json.dumps(rows, default=lambda value: value.isoformat()))


def dataset_hash(out: Path) -> str:
    """Of the release in a build's folder."""
    return json.loads((out / "dataset" / "manifest.json").read_text("utf-8"))["dataset_hash"]


def versions_in_force(recipe: Path) -> dict[str, Any]:
    """What of the present code decides what it makes of a catalog: versions of facts, and columns of a release."""
    from catalog.release.columns import RELEASED
    from filters.duplicates.hashing import VERSION as HASH
    from filters.license import VERSION as LICENSE
    from pipelines.build.stages import measure_versions, score_versions
    from pipelines.recipe import load_recipe

    loaded = load_recipe(recipe)
    return {
        "license": LICENSE,
        "hash": HASH,
        "measures": measure_versions(loaded.measures),
        "scores": score_versions(loaded.scores, loaded.scoring),
        "classifier": loaded.degradation.classifier,
        "columns": [column.name for column in RELEASED],
    }


def unpack(target: Path, folder: Path) -> None:
    """Unpacks <target>.tar.xz and has the frozen corpus served: newer versions of Pillow or OpenCV would make other
    bytes of the same seed, and what Commons had does not change by an update of ours."""
    from pipelines.demo.corpus import corpus_fingerprint

    with tarfile.open(target.with_name(target.name + ".tar.xz")) as tar:
        tar.extractall(folder, filter="data")
    for truth in folder.glob("*/corpus/truth.json"):
        told = json.loads(truth.read_text("utf-8"))
        told["fingerprint"] = corpus_fingerprint(told["seed"], told["files"])
        truth.write_text(json.dumps(told), encoding="utf-8")


def outcome(out: Path) -> dict[str, Any]:
    """Dataset hash, and what was decided of every candidate."""
    with duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True) as database:
        rows = database.execute("SELECT page_id, reason FROM decisions ORDER BY page_id").fetchall()
    labels = {row["page_id"]: row["labels"] for row in rows_of(out / "dataset")}
    return {
        "dataset_hash": dataset_hash(out),
        "decisions": {str(page_id): reason for page_id, reason in rows},
        "labels": {str(page_id): labels[page_id] for page_id in sorted(labels)},
    }
