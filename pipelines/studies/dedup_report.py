"""`lucidlr dedup-report`: the rule for near-duplicates, tried on a folder of photographs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from catalog.plans import write_parquet
from filters.duplicates.dedupe import DedupePolicy
from filters.duplicates.embedding import EmbeddingPolicy
from filters.duplicates.leakage import fingerprint, read_index
from filters.duplicates.partial import PartialPolicy
from filters.duplicates.quality import DedupQuality, dedup_quality
from filters.measures import NotAnImage, open_photo
from pipelines.build.encoder import load_embedder
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import RecipeError, load_recipe
from training.image_names import IMAGES, is_image, shown_name

pc: Any = compute
MOST_PIXELS = 4_000_000
"""Larger photographs are halved until they fit: their copies are made twenty times over."""


def dedup_report(
    folder: Path,
    *,
    most: int = 100,
    recipe: str | Path | None = None,
    encoder: str | None = None,
    partial: bool = False,
    progress: Progress | None = None,
) -> DedupQuality:
    """Injects copies of the photographs in `folder` and looks for them.

    Args:
        most: so many of them, evenly over their names.
        recipe: whose `dedupe` section is tried; default: the defaults.
        partial: also look for parts, with the default settings where the recipe has none.
        encoder: try it as the embedding stage, with the default settings where the recipe has none.

    Raises:
        training.consistency.UnknownEncoder, ConsistencyError: no such encoder, or its weights are missing.
        RecipeError: the recipe is none, or the folder holds fewer than two photographs.
    """
    progress = progress or NoProgress()
    policy = load_recipe(recipe).dedupe if recipe else DedupePolicy()
    if encoder is not None:
        stage = policy.embedding or EmbeddingPolicy()
        policy = replace(policy, embedding=replace(stage, encoder=encoder))
    if partial and policy.partial is None:
        policy = replace(policy, partial=PartialPolicy())
    embed = load_embedder(policy.embedding.encoder).embed if policy.embedding else None
    files = [f for f in sorted(folder.rglob("*")) if is_image(f) and f.is_file()]
    if len(files) < 2:
        raise RecipeError(
            f"{folder} holds {len(files)} photographs ({', '.join(sorted(IMAGES))}); at least two are needed."
        )
    step = max(1.0, len(files) / most)
    chosen = [files[int(i * step)] for i in range(min(most, len(files)))]
    with progress.stage("photographs", len(chosen)) as advance:
        photos = _photographs(chosen, folder, progress, advance)
        found = dedup_quality(photos, policy, embed=embed)
    if found.photographs < 2:
        raise RecipeError(
            f"{folder} holds {found.photographs} photographs that can be read; at least two are needed."
        )
    return found


def _photographs(
    files: Sequence[Path], folder: Path, progress: Progress, advance: Callable[[int], None]
) -> Generator[tuple[str, NDArray[np.uint8]]]:
    """(name, pixels) of those that can be read, one at a time in memory; the others are named."""
    for file in files:
        name = shown_name(file.relative_to(folder))
        try:
            pixels = open_photo(file.read_bytes()).rgb
        except (NotAnImage, OSError) as error:
            progress.say(f"{name}: {error}")
            advance(1)
            continue
        while pixels.shape[0] * pixels.shape[1] > MOST_PIXELS:
            pixels = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]
            halves = pixels.reshape(pixels.shape[0] // 2, 2, pixels.shape[1] // 2, 2, 3)
            pixels = halves.mean(axis=(1, 3)).astype("uint8")
        yield name, pixels
        advance(1)


def add_fingerprints(
    benchmark: str,
    folder: Path,
    index: Path,
    *,
    parts: bool = False,
    progress: Progress | None = None,
) -> int:
    """Puts the fingerprints of the images in `folder` into an index, in the place of older ones of that benchmark.

    Returns:
        How many.

    Raises:
        RecipeError: no image in `folder`.
        filters.duplicates.leakage.FingerprintError: `index` is something else.
    """
    progress = progress or NoProgress()
    files = [f for f in sorted(folder.rglob("*")) if is_image(f) and f.is_file()]
    named = {shown_name(file.relative_to(folder)): file for file in files}
    count = add_files(benchmark, named, index, parts=parts, progress=progress)
    if count == 0:
        raise RecipeError(f"{folder} holds no image that can be read.")
    return count


def add_files(
    benchmark: str,
    files: Mapping[str, Path],
    index: Path,
    *,
    parts: bool = False,
    progress: Progress | None = None,
) -> int:
    """As add_fingerprints, for files by their names in the index; writes nothing where none of them can be read."""
    progress = progress or NoProgress()
    with progress.stage("fingerprints", len(files)) as advance:

        def images() -> Generator[tuple[str, bytes]]:
            for name, file in files.items():
                try:
                    yield name, file.read_bytes()
                except OSError as error:
                    progress.say(f"{name}: {error.strerror or error}")
                advance(1)

        made = fingerprint(
            benchmark,
            images(),
            failed=lambda name, why: progress.say(f"{name}: {why}"),
            parts=parts,
        )
    if made.num_rows == 0:
        return 0
    if index.exists():
        others = read_index(index)
        keep = pc.not_equal(others.column("benchmark"), benchmark)
        made_all = pa.concat_tables([others.filter(keep), made])
    else:
        made_all = made
    write_parquet(index, made_all.sort_by([("benchmark", "ascending"), ("name", "ascending")]))
    return made.num_rows


def dedup_report_lines(found: DedupQuality) -> list[str]:
    """The report as a table."""
    lines = [
        f"{found.photographs} photographs, a copy of each kind of each",
        f"{'copy':<40}{'found':>12}{'recall':>9}   95 % interval",
    ]
    for row in found.recalls:
        low, high = row.interval
        count = f"{row.found}/{row.injected}"
        lines.append(f"{row.transform:<40}{count:>12}{row.recall:>9.3f}   {low:.3f} to {high:.3f}")
    lines.append(
        f"false matches: {found.false} of {found.compared:,} pairs of different photographs "
        f"(precision {found.precision:.4f})"
    )
    if found.alike:
        lines.append("alike to begin with; look at them:")
        lines += [f"  {a}  ~  {b}  (pHash {p}, dHash {d})" for a, b, p, d in found.alike]
    return lines
