"""Releases for tests of pushing: real photographs, exported as a build exports them, with card and description."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa

from catalog.release.card import render_card
from catalog.release.croissant import write_croissant
from catalog.release.export import export_dataset
from catalog.release.manifest import Manifest
from catalog.release.tombstones import TOMBSTONES, no_tombstones
from tests.catalog.release.release_samples import reader, release


def make_release(
    folder: Path, *, version: str = "0.1.0", without: int = 0, previous: str | None = None
) -> Manifest:
    """24 photographs in a dozen shards; the first `without` of each family are taken down."""
    samples, store = release(24)
    stones = no_tombstones()
    if without:
        seen: dict[str, int] = {}
        keep: list[bool] = []
        for family in samples["family"].to_pylist():
            seen[family] = seen.get(family, 0) + 1
            keep.append(seen[family] > without)
        gone = samples.filter(pa.array([not kept for kept in keep]))
        samples = samples.filter(pa.array(keep))
        rows = [
            {**row, "date": date(2026, 1, 2), "reason": "requested", "kind": "page"}
            for row in gone.select(["page_id", "sha1"]).to_pylist()
        ]
        stones = pa.Table.from_pylist(rows, TOMBSTONES)

    def extras(where: Path, manifest: Manifest) -> None:
        text = render_card(
            manifest, samples=samples, funnel=[("kept", samples.num_rows)], tombstones=stones
        )
        (where / "README.md").write_text(text, encoding="utf-8")
        write_croissant(manifest, where, samples=samples)

    return export_dataset(
        samples,
        read_bytes=reader(store),
        out=folder,
        recipe={},
        recipe_hash="0123456789ab",
        name="lucidlr_tiles",
        version=version,
        previous=previous,
        tombstones=stones,
        max_shard_bytes=45_000,
        write_extra=extras,
    )
