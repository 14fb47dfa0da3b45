"""`lucidlr dedup-report`: the rule for near-duplicates, tried on a folder of photographs."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import compute

from catalog.files import put
from catalog.plans import write_parquet
from filters.duplicates.dedupe import DedupePolicy
from filters.duplicates.embedding import EmbeddingPolicy, Seen
from filters.duplicates.hashing import VERSION as HASHES
from filters.duplicates.hashing import SeenHashes
from filters.duplicates.kinds import TRANSFORMS
from filters.duplicates.leakage import fingerprint, read_index
from filters.duplicates.partial import PartialPolicy
from filters.duplicates.points import VERSION as POINTS
from filters.duplicates.quality import Copy, DedupQuality, Recall, copies_of, quality_of
from filters.measures import NotAnImage, open_photo
from pipelines.build.encoder import Embedder, load_embedder
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import RecipeError, load_recipe
from training.image_names import IMAGES, MORE, is_picture, shown_name

pc: Any = compute
MOST_PIXELS = 4_000_000
"""Larger photographs are halved until they fit: their copies are made twenty times over."""


def dedup_report(
    folder: Path,
    *,
    out: Path,
    most: int = 100,
    recipe: str | Path | None = None,
    encoder: str | None = None,
    partial: bool = False,
    progress: Progress | None = None,
) -> DedupQuality:
    """Injects copies of the photographs in `folder` and looks for them.

    What was hashed of a photograph is a part of its own below `out`, so that a run that was killed resumes there, and
    `out`/table.txt says after each photograph what was found so far.

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
    loaded = load_embedder(policy.embedding.encoder) if policy.embedding else None
    chosen = _chosen(folder, most)
    looked: list[tuple[str, list[Copy]]] = []
    found = dict.fromkeys(TRANSFORMS, 0)
    with progress.stage("photographs", len(chosen)) as advance:
        for file in chosen:
            name = shown_name(file.relative_to(folder))
            try:
                copies = _copies(file, out / "parts", policy, loaded)
            except (NotAnImage, OSError) as error:
                progress.say(f"{name}: {error}")
            else:
                looked.append((name, copies))
                for row in quality_of([(name, copies)], policy).recalls:
                    found[row.transform] += row.found
                put(out / TABLE, "\n".join(_so_far(found, len(looked), len(chosen))) + "\n")
            advance(1)
    if len(looked) < 2:
        raise RecipeError(
            f"{folder} holds {len(looked)} photographs that can be read; at least two are needed."
        )
    whole = quality_of(looked, policy)
    put(out / TABLE, "\n".join(dedup_report_lines(whole)) + "\n")
    return whole


TABLE = "table.txt"


def _chosen(folder: Path, most: int) -> list[Path]:
    files = [f for f in sorted(folder.rglob("*")) if is_picture(f) and f.is_file()]
    if len(files) < 2:
        raise RecipeError(
            f"{folder} holds {len(files)} photographs ({', '.join(sorted((*IMAGES, *MORE)))}); at least two are needed."
        )
    step = max(1.0, len(files) / most)
    return [files[int(i * step)] for i in range(min(most, len(files)))]


def _copies(file: Path, kept: Path, policy: DedupePolicy, loaded: Embedder | None) -> list[Copy]:
    """Of its part, if it has one that follows from the same bytes, kinds and versions; else made and kept there.

    Raises:
        NotAnImage, OSError: it cannot be read.
    """
    content = file.read_bytes()
    about = [FORMAT, HASHES, list(TRANSFORMS), MOST_PIXELS]
    about += [
        POINTS if policy.partial else None,
        f"{loaded.name}@{loaded.version}" if loaded else None,
    ]
    stamp = hashlib.sha256(repr(about).encode() + content).hexdigest()[:32]
    part = kept / f"{stamp}.parquet"
    if not part.is_file():
        made = copies_of(_pixels(content), policy, loaded.embed if loaded else None)
        write_parquet(part, pa.Table.from_pylist([_row(copy) for copy in made], schema=_PART))
    return [_copy(row) for row in pq.read_table(part).to_pylist()]


FORMAT = 1
"""Of a part's columns, and of how copies are made: raised when a kind of copy under an old name is another one."""
_PART = pa.schema(
    [
        ("kind", pa.string()),
        ("phash", pa.list_(pa.uint64())),
        ("dhash", pa.list_(pa.uint64())),
        ("spread", pa.float64()),
        ("thumbnail", pa.binary()),
        ("points", pa.binary()),
        ("vector", pa.binary()),
        ("seen", pa.binary()),
    ]
)


def _row(copy: Copy) -> dict[str, Any]:
    return {
        "kind": copy.kind,
        "phash": list(copy.hashes.phash),
        "dhash": list(copy.hashes.dhash),
        "spread": copy.hashes.spread,
        "thumbnail": copy.hashes.thumbnail,
        "points": copy.points,
        "vector": copy.seen.vector if copy.seen else None,
        "seen": copy.seen.thumbnail if copy.seen else None,
    }


def _copy(row: dict[str, Any]) -> Copy:
    return Copy(
        kind=row["kind"],
        hashes=SeenHashes(
            phash=tuple(row["phash"]),
            dhash=tuple(row["dhash"]),
            spread=row["spread"],
            thumbnail=row["thumbnail"],
        ),
        points=row["points"],
        seen=Seen(vector=row["vector"], thumbnail=row["seen"]) if row["vector"] else None,
    )


def _pixels(content: bytes) -> NDArray[np.uint8]:
    """[H, W, 3], halved until it has MOST_PIXELS at most."""
    pixels = open_photo(content).rgb
    while pixels.shape[0] * pixels.shape[1] > MOST_PIXELS:
        pixels = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]
        halves = pixels.reshape(pixels.shape[0] // 2, 2, pixels.shape[1] // 2, 2, 3)
        pixels = halves.mean(axis=(1, 3)).astype("uint8")
    return pixels


def _so_far(found: Mapping[str, int], count: int, chosen: int) -> list[str]:
    """The table while it grows; false matches are looked for when all photographs are there."""
    rows = [Recall(transform=name, injected=count, found=n) for name, n in found.items()]
    return [
        f"so far {count} of {chosen} photographs; false matches not looked for yet",
        *_table(rows),
    ]


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
    files = [f for f in sorted(folder.rglob("*")) if is_picture(f) and f.is_file()]
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
        *_table(found.recalls),
    ]
    lines.append(
        f"false matches: {found.false} of {found.compared:,} pairs of different photographs "
        f"(precision {found.precision:.4f})"
    )
    if found.alike:
        lines.append("alike to begin with; look at them:")
        lines += [f"  {a}  ~  {b}  (pHash {p}, dHash {d})" for a, b, p, d in found.alike]
    return lines


def _table(rows: Iterable[Recall]) -> list[str]:
    lines = [f"{'copy':<40}{'found':>12}{'recall':>9}   95 % interval"]
    for row in rows:
        low, high = row.interval
        count = f"{row.found}/{row.injected}"
        lines.append(f"{row.transform:<40}{count:>12}{row.recall:>9.3f}   {low:.3f} to {high:.3f}")
    return lines
