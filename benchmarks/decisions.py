"""Deciding again over 200,000 candidates with stored facts: refilter, what-if and explain, on a catalog made for it.

The catalog is written as a build writes it (parts of 500 and 256 rows); only the files that can be kept have bytes.
Each command runs in a process of its own, its start included. Nothing is fetched and no model is loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from skimage import data

from catalog.records import (
    FileRecord,
    HashRecord,
    ListingRow,
    MeasureRecord,
    ObjectRecord,
    ScoreRecord,
    schema,
    to_table,
)
from catalog.store import LISTING, Catalog
from crawler.download import ObjectStore
from crawler.sources import CategorySource
from filters.degradation.synthesis import downscale, gaussian_blur
from filters.duplicates.hashing import VERSION as HASH_VERSION
from filters.measures import Photo, load_measure
from filters.sampling import SamplingPolicy
from pipelines.build.stages import measure_versions
from pipelines.recipe import Recipe, load_recipe

DEMO = Path(__file__).parents[1] / "pipelines" / "recipes" / "demo.yaml"
CANDIDATES, KEPT = 200_000, 2_000
PART, BATCH = 500, 256


def recipe_of() -> Recipe:
    """The demo's rules over one category of a wiki."""
    demo = load_recipe(DEMO)
    return demo.model_copy(
        update={
            "corpus": None,
            "sources": (CategorySource(root="Synthetic", depth=0),),
            "sampling": SamplingPolicy(max_samples=KEPT, validation_share=0.1),
        }
    )


def content(page_id: int) -> bytes:
    """The bytes of a file: no image, nothing decodes them again."""
    return b"synthetic original %d" % page_id


def _measured(names: Sequence[str], sigma_px: float) -> Any:
    """[3, measures] of packaged photographs at half size, blurred."""
    photos = [downscale(p, 2.0) for p in (data.astronaut(), data.coffee(), data.chelsea())]
    photos = [Photo(gaussian_blur(p, sigma_px) if sigma_px else p) for p in photos]
    values = [[load_measure(name).measure(photo) for name in names] for photo in photos]
    return np.array(values, dtype=np.float64)


def make_catalog(out: Path, count: int, *, whole: bool = False) -> None:
    """A catalog of `count` listed, fetched, hashed and measured files, 2 % of them degraded.

    Args:
        whole: each original is there, so that a build finds nothing to do.
    """
    recipe = recipe_of()
    if whole:
        # A metric that the catalog does not have would be computed.
        recipe = recipe.model_copy(update={"scores": ()})
    catalog = Catalog(out / "catalog")
    store = ObjectStore(catalog.root / "objects")
    chance = np.random.default_rng(0)
    page_ids = np.arange(1, count + 1)
    sha1s = [hashlib.sha1(content(int(i))).hexdigest() for i in page_ids]
    degraded = chance.random(count) < 0.02
    key = recipe.source_key(recipe.sources[0])
    start = datetime(2008, 1, 1, tzinfo=UTC)
    row = ListingRow(
        source=key,
        source_path="Category:Synthetic",
        fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
        api_version="MediaWiki 1.45",
        raw_json=json.dumps({"filler": "x" * 1500}),
    )
    evidence = to_table([row] * PART, ListingRow)
    for first in range(0, count, PART):
        records = [
            FileRecord(
                page_id=int(page_ids[i]),
                title=f"File:Synthetic photograph {i:06d}.jpg",
                sha1=sha1s[i],
                url=f"https://upload.wikimedia.org/{i}.jpg",
                file_page_url=f"https://commons.wikimedia.org/wiki/File:{i}.jpg",
                width=800,
                height=600,
                size_bytes=60_000 + i % 1000,
                mime="image/jpeg",
                media_type="BITMAP",
                uploaded_at=start + timedelta(minutes=int(i)),
                uploader=f"Uploader {i % 997}",
                categories=("Synthetic", f"Taken with Camera {i % 50}"),
                license_code="cc-by-4.0",
                license_short_name="CC BY 4.0",
                license_url="https://creativecommons.org/licenses/by/4.0",
                artist="Somebody",
                description="A description of some length that nobody reads here. " * 4,
            )
            for i in range(first, min(first + PART, count))
        ]
        table = to_table(records, FileRecord)
        some = evidence.slice(0, table.num_rows)
        listed = pa.Table.from_arrays([*table.columns, *some.columns], schema=LISTING)
        catalog.append_listing(key, listed, None if first + PART >= count else {"at": first})
    for i in np.flatnonzero(degraded):
        path = store.path(sha1s[i])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(int(page_ids[i])))
    sizes = [len(content(int(page_id))) for page_id in page_ids]
    for page_id, sha1 in zip(page_ids, sha1s, strict=True) if whole else ():
        path = store.path(sha1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(int(page_id)))
    hashes = chance.integers(0, 2**63, (count, 4), dtype=np.uint64)
    place = {sha1: i for i, sha1 in enumerate(sha1s)}

    def commit(stage: str, versions: list[str], rows: Any, kind: type) -> None:
        for ref in catalog.with_keys(catalog.plan(stage, sha1s, versions, batch_size=BATCH)):
            where = np.array([place[sha1] for sha1 in catalog.keys_of(ref)])
            catalog.commit(ref, pa.table(rows(where), schema=schema(kind)), [])

    def objects(where: Any) -> dict[str, Any]:
        return {
            "page_id": page_ids[where],
            "sha1": [sha1s[i] for i in where],
            "size_bytes": [sizes[i] for i in where] if whole else 60_000 + where % 1000,
        }

    def hashed(where: Any) -> dict[str, Any]:
        names = ("phash", "dhash", "phash_mirror", "dhash_mirror")
        return {
            "sha1": [sha1s[i] for i in where],
            "version": [HASH_VERSION] * len(where),
            **{name: hashes[where, n] for n, name in enumerate(names)},
            "spread": np.full(len(where), 50.0),
            "decoded_width": np.full(len(where), 800),
            "decoded_height": np.full(len(where), 600),
            "seen_phash": list(np.repeat(hashes[where, :1], 8, axis=1)),
            "seen_dhash": list(np.repeat(hashes[where, 1:2], 8, axis=1)),
            "thumbnail": [b""] * len(where),
            "camera": [None] * len(where),
        }

    versions = measure_versions(recipe.measures)
    sharp, blurred = (_measured(recipe.measures, sigma) for sigma in (0.0, 2.5))

    def measured(where: Any) -> dict[str, Any]:
        n = len(versions)
        names, numbers = zip(*(v.split("@") for v in versions), strict=True)
        # Those of real photographs, sharp or blurred, so that the labels are real as well.
        values = np.where(
            degraded[where][:, None],
            blurred[chance.integers(0, len(blurred), len(where))],
            sharp[chance.integers(0, len(sharp), len(where))],
        )
        values = values * (1 + 0.01 * chance.standard_normal(values.shape))
        return {
            "sha1": [sha1s[i] for i in where for _ in range(n)],
            "name": list(names) * len(where),
            "version": list(numbers) * len(where),
            "value": pa.array(values.ravel(), mask=np.isnan(values.ravel())),
        }

    def scored(where: Any) -> dict[str, Any]:
        return {
            "sha1": [sha1s[i] for i in where],
            "name": ["pyiqa:piqe"] * len(where),
            "version": ["1"] * len(where),
            "value": chance.random(len(where)) * 100,
            "lower_better": [True] * len(where),
            "weights_sha256": pa.nulls(len(where), pa.string()),
            "license": ["x"] * len(where),
            "device": ["cpu"] * len(where),
            "precision": ["float32"] * len(where),
        }

    commit("download", ["original@1"], objects, ObjectRecord)
    commit("hash", [HASH_VERSION], hashed, HashRecord)
    commit("measure", versions, measured, MeasureRecord)
    commit("score", ["pyiqa:piqe@1"], scored, ScoreRecord)
    out.joinpath("recipe.yaml").write_text(_yaml(recipe))


def _yaml(recipe: Recipe) -> str:
    import yaml

    return yaml.safe_dump(recipe.model_dump(mode="json"))


@dataclasses.dataclass(frozen=True)
class Timed:
    """One command."""

    seconds: float
    peak_mb: float
    text: str


def run(*arguments: str) -> Timed:
    """One command line of ours in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    return Timed(time.perf_counter() - started, peak, done.stdout)


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        make_catalog(out, CANDIDATES)
        recipe = str(out / "recipe.yaml")
        print(f"{f'{CANDIDATES:,} candidates':<44}{'seconds':>9}{'peak MB':>9}")
        first = run("refilter", recipe, "--out", str(out))
        print(
            f"{'refilter, licenses judged for the first time':<44}{first.seconds:>9.1f}{first.peak_mb:>9.0f}"
        )
        for name, command in (
            ("refilter", ("refilter", recipe, "--out", str(out))),
            ("whatif degraded.min=0.7", ("whatif", "degraded.min=0.7", "--out", str(out))),
            ("whatif piqe.max=50", ("whatif", "piqe.max=50", "--out", str(out))),
            ("explain", ("explain", "File:Synthetic photograph 123456.jpg", "--out", str(out))),
            ("explain by page id", ("explain", "77", "--out", str(out))),
        ):
            done = run(*command)
            print(f"{name:<44}{done.seconds:>9.1f}{done.peak_mb:>9.0f}")


if __name__ == "__main__":
    main()
