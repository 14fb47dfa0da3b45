"""Figures of a release beside its card: drawn from what the release holds, named in the card, noted in the manifest.

What only the build behind it knows (the funnel, what was dropped, copies) is shown where there is one. The same release
gives the same bytes, so that a second push sends nothing. The dataset hash does not change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from catalog.page.figures import SHEET, draw, facts_of_build
from catalog.page.galleries import spread
from catalog.release.card import markdown_text
from catalog.release.manifest import (
    ExtraFile,
    Manifest,
    load_manifest,
    sha256_of,
    write_manifest,
)
from catalog.store import holds_build
from pipelines.build.doors import view

FOLDER = "figures"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
BEFORE = "## What is in it\n"
"""Heading of the card before which the figures stand."""
STYLE = {"savefig.dpi": 130}
CAPTIONS = {
    "contact_sheet": "Photographs of this release, from the least to the most degraded",
    "degradations": "Degradation labels",
    "severity": "Severity by label",
    "licenses": "Licenses",
    "years": "Years of upload",
    "resolution": "Shorter side in pixels",
    "funnel": "What each step of the build left",
    "duplicates": "Clusters of near-duplicates by their size",
}
"""Figure -> what it shows, in the order of the card."""
COLUMNS = ("sha1", "page_id", "license", "labels", "severity", "severities", "width", "height")


def illustrate(folder: Path, build: Path | None = None) -> list[str]:
    """Draws the figures of the release in `folder` into it, and into its card; their addresses in the card.

    Nothing is done where the card is not the one that the export wrote: somebody edited it.

    Args:
        build: the folder of the build that it came from; None: not known.

    Raises:
        catalog.release.manifest.DatasetError: there is no dataset in `folder`.
        catalog.files.DiskFull: there was no room.
    """
    manifest, card = load_manifest(folder), folder / "README.md"
    noted = next((entry for entry in manifest.files if entry.path == card.name), None)
    if noted is None or not card.is_file() or sha256_of(card) != noted.sha256:
        return []
    table = _rows(folder, manifest)
    facts = facts_of_release(table)
    if build is not None and holds_build(build):
        facts |= {k: v for k, v in facts_of_build(build).items() if k in _OF_BUILDS}
    place = folder / FOLDER
    options: dict[str, Any] = {"read": _reader(folder, manifest), "decode": view}
    drawn = draw(facts, place, ["png"], style=STYLE, credits=False, **options)
    names = {path.name for path in drawn}
    for old in files.listed(place):
        if old.name not in names:
            files.delete(old)
    shown = [f"{FOLDER}/{name}.png" for name in CAPTIONS if f"{name}.png" in names]
    credits = [credit for _, credit in spread(facts["samples"], SHEET)]
    files.put(card, with_figures(card.read_text(encoding="utf-8"), shown, credits))
    ours = [folder / path for path in shown] + [card]
    entries = {entry.path: entry for entry in manifest.files if not entry.path.startswith(FOLDER + "/")}  # fmt: skip
    for path in ours:
        name = path.relative_to(folder).as_posix()
        entries[name] = ExtraFile(path=name, bytes=path.stat().st_size, sha256=sha256_of(path))
    new = replace(manifest, files=tuple(entries[name] for name in sorted(entries)))
    if new != manifest:
        write_manifest(new, folder)
    return shown


_OF_BUILDS = ("funnel", "years", "clusters")


def with_figures(card: str, shown: list[str], credits: list[str]) -> str:
    """The card with these figures in the place of those that it had."""
    head, _, rest = card.partition(BEGIN)
    if rest:
        card = head + rest.partition(END)[2].lstrip("\n")
    lines = [BEGIN]
    for path in shown:
        caption = CAPTIONS[Path(path).stem]
        lines += [f"![{caption}]({path})", "", f"*{caption}*", ""]
        if Path(path).stem == "contact_sheet":
            lines += ["<details><summary>Credits of these photographs</summary>", ""]
            lines += [f"{i}. {markdown_text(credit)}" for i, credit in enumerate(credits, start=1)]
            lines += ["", "</details>", ""]
    block = "\n".join([*lines, END, "", ""])
    before, heading, after = card.partition(BEFORE)
    return before + block + heading + after if heading else f"{card.rstrip()}\n\n{block}"


def facts_of_release(table: pa.Table) -> dict[str, Any]:
    """As catalog.page.figures.facts_of_build, from the rows of a release; funnel and clusters are empty."""
    licenses = Counter(table.column("license").to_pylist())
    labels: Counter[str] = Counter()
    levels: dict[str, list[float]] = {}
    both = zip(
        table.column("labels").to_pylist(), table.column("severities").to_pylist(), strict=True
    )
    for names, severities in both:
        labels.update(names or ["none"])
        for name in names or ():
            level = (severities or {}).get(name)
            if level is not None:
                levels.setdefault(name, []).append(level)
    years = Counter(at.year for at in table.column("uploaded_at").to_pylist() if at is not None)
    sides = np.minimum(*(table.column(n).drop_null().to_numpy() for n in ("width", "height")))
    rows = table.sort_by([("severity", "ascending"), ("page_id", "ascending")])
    named = (rows.column(n).to_pylist() for n in ("sha1", "attribution_line"))

    def most(counts: Counter[str]) -> list[tuple[str, int]]:
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    return {
        "funnel": [],
        "labels": most(labels),
        "severities": [(name, sorted(levels[name])) for name, _ in most(labels) if name in levels],
        "licenses": most(licenses)[:16],
        "years": [(year, count, 0) for year, count in sorted(years.items())],
        "sides": sorted(sides.tolist()),
        "clusters": [],
        "samples": list(zip(*named, strict=True)),
    }


def _rows(folder: Path, manifest: Manifest) -> pa.Table:
    wanted = [*COLUMNS, "uploaded_at", "attribution_line"]
    return pa.concat_tables(
        pq.ParquetFile(folder / shard.path).read(columns=wanted) for shard in manifest.shards
    )


def _reader(folder: Path, manifest: Manifest) -> Callable[[str], bytes | None]:
    """SHA-1 -> bytes of a photograph of the release."""
    place = {
        sha1: (folder / shard.path, row)
        for shard in manifest.shards
        for row, sha1 in enumerate(
            pq.ParquetFile(folder / shard.path).read(columns=["sha1"]).column("sha1").to_pylist()
        )
    }

    def read(sha1: str) -> bytes | None:
        path, row = place[sha1]
        with pq.ParquetFile(path) as source:
            for group in range(source.num_row_groups):
                held = source.metadata.row_group(group).num_rows
                if row < held:
                    images = source.read_row_group(group, columns=["image.bytes"]).column("image")
                    return images[row].as_py()["bytes"]
                row -= held
        return None

    return read
