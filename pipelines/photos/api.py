"""What Python sees of your own photographs: label, find twins, score pairs, open a release. All typed, no network.

    from pipelines.photos.api import find_twins, label_folder, label_pictures, open_release, score_pairs

A `Pixels` is a path, the bytes of a file, or an array uint8 [H, W, 3] (RGB). docs/python.ipynb uses each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog.errors import Missing
from catalog.release.manifest import Manifest, load_manifest
from pipelines.photos.facts import schema_of
from pipelines.photos.judge import judged, recipe_for_files, wanted_by
from pipelines.photos.label import Labelled, label
from pipelines.photos.look import Wanted, look_at, look_at_pixels
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import Recipe, load_recipe

Pixels = Path | str | bytes | NDArray[np.uint8]

__all__ = [
    "Labelled",
    "Pixels",
    "Release",
    "Twin",
    "find_twins",
    "label_folder",
    "label_pictures",
    "open_release",
    "score_pairs",
]


def label_folder(
    folder: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    recipe: str | Path | Recipe | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Labelled:
    """What `lucidlr label` does; `.table` of the result has a row for each picture.

    Args:
        folder: files, folders, shards, tables; one or several.
        out: for labels.csv, labels.parquet, a page, and the facts from which a killed run resumes.
        workers: processes. A script that is no notebook needs `if __name__ == "__main__":` for more than one.

    Raises:
        pipelines.photos.label.LabelError, catalog.errors.Missing, pipelines.recipe.RecipeError: see `label`.
    """
    named = [folder] if isinstance(folder, Path | str) else list(folder)
    return label(
        [Path(one) for one in named],
        Path(out),
        recipe=recipe,
        workers=workers,
        progress=progress,
    )


def label_pictures(
    pictures: Iterable[Pixels],
    *,
    recipe: str | Path | Recipe | None = None,
    progress: Progress | None = None,
) -> pa.Table:
    """Labels and twins of pictures in memory: pipelines.photos.judge.LABELS_SCHEMA, a row each, in their order.

    `file` is the position (`000000`, ...); what does not decode is a row with an error.

    Raises:
        ValueError: an array of another shape or type.
        OSError: a path that cannot be read.
    """
    given = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    ours = recipe_for_files(given)
    facts = _facts(pictures, wanted_by(ours, previews=False), progress)
    return judged(facts, ours, _thumbnails(facts))


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Two pictures that are one photograph."""

    first: int
    """Position among the pictures."""
    second: int
    phash_bits: int
    """Bits of 64 in which their pHashes differ."""
    dhash_bits: int


def find_twins(
    pictures: Iterable[Pixels],
    *,
    recipe: str | Path | Recipe | None = None,
    progress: Progress | None = None,
) -> list[Twin]:
    """Every pair that a build would confirm as near-duplicates, by the recipe's dedupe section; nothing is measured.

    What does not decode is nobody's twin. Raises as `label_pictures`.
    """
    from pipelines.build.twins import edges_within

    given = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    facts = _facts(pictures, Wanted(measures=(), previews=False), progress)
    hashed = np.flatnonzero(facts.column("phash").is_valid().to_numpy())
    if not len(hashed):
        return []
    thumbnails = _thumbnails(facts)
    policy = recipe_for_files(given).dedupe
    some = facts.take(pa.array(hashed))
    edges = edges_within(some, policy, lambda rows: thumbnails(hashed[rows]))
    return [
        Twin(first=int(hashed[i]), second=int(hashed[j]), phash_bits=p, dhash_bits=d)
        for i, j, p, d, _ in edges.tolist()
    ]


FAITHFULNESS, CONSISTENCY = "faithfulness", "consistency"


def score_pairs(
    pairs: Iterable[tuple[Pixels, Pixels]],
    scores: Sequence[str] = (FAITHFULNESS,),
    *,
    progress: Progress | None = None,
) -> list[dict[str, float | None]]:
    """Scores of (LR, SR) pairs, a dict each.

    Args:
        scores: `faithfulness`: -10 times the mean absolute difference (0 to 1) between the LR and the SR reduced to its
            size by block means, 0 is perfect; `consistency`: LucidConsistency, -1 to 1 (needs the extra `train`);
            else the name of a metric, of the SR alone (`piqe`, `pyiqa:musiq`).

    Raises:
        ValueError: for `faithfulness`, an SR whose size is no whole multiple of its LR's.
        filters.picture.NotAnImage: a picture that does not decode.
        filters.metrics.UnknownMetric, WeightsMissing: see there.
    """
    from filters.measures import Photo
    from filters.metrics import load_metric

    metrics = {n: load_metric(n) for n in scores if n not in (FAITHFULNESS, CONSISTENCY)}
    consistency: Any = None
    if CONSISTENCY in scores:
        from training.consistency.scoring import load_consistency

        consistency = load_consistency()
    found: list[dict[str, float | None]] = []
    given = list(pairs)
    with (progress or NoProgress()).stage("pairs", len(given)) as advance:
        for lr, sr in given:
            small, large = _rgb(lr), _rgb(sr)
            row: dict[str, float | None] = {}
            for name in scores:
                if name == FAITHFULNESS:
                    row[name] = faithfulness(small, large)
                elif name == CONSISTENCY:
                    import torch

                    both = [
                        torch.from_numpy(np.ascontiguousarray(one.transpose(2, 0, 1))).float() / 255
                        for one in (small, large)
                    ]
                    row[name] = float(consistency.score([both[0]], [both[1]])[0])
                else:
                    row[name] = metrics[name].score(Photo(large))
            found.append(row)
            advance(1)
    return found


def faithfulness(lr: NDArray[np.uint8], sr: NDArray[np.uint8]) -> float:
    """-10 mean |down(SR) - LR| of uint8 [h, w, 3] and [f h, f w, 3]: training/rewards/lr_faithfulness.py without torch.

    Raises:
        ValueError: the sizes do not fit.
    """
    height, width = lr.shape[:2]
    factor = sr.shape[1] // width
    if factor < 1 or sr.shape[:2] != (factor * height, factor * width):
        raise ValueError(
            f"faithfulness needs an SR of a whole multiple of the LR's size, not {sr.shape[1]} x {sr.shape[0]} px for "
            f"{width} x {height} px."
        )
    blocks = sr.astype(np.float64).reshape(height, factor, width, factor, 3)
    return float(-10.0 * np.abs(blocks.mean(axis=(1, 3)) - lr).mean() / 255.0)


@dataclass(frozen=True, kw_only=True)
class Release:
    """A released dataset, opened."""

    folder: Path
    manifest: Manifest

    def __len__(self) -> int:
        return self.manifest.rows

    def table(self, columns: Sequence[str] | None = None, *, split: str | None = None) -> pa.Table:
        """Rows as an Arrow table, in the order of the shards; without `image` unless it is named.

        Raises:
            KeyError: no such column.
        """
        names = list(columns or (n for n in self.manifest.columns if n != "image"))
        absent = [name for name in names if name not in self.manifest.columns]
        if absent:
            raise KeyError(f"no column {absent[0]!r}; there are {', '.join(self.manifest.columns)}")
        return pa.concat_tables(
            [pq.read_table(file, columns=names) for file in self.files(split=split)]
        )

    def rows(self, *, split: str | None = None) -> Iterator[dict[str, Any]]:
        """One row after the other, `image` as the original bytes; a row group is in memory at a time."""
        for file in self.files(split=split):
            with pq.ParquetFile(file) as shard:
                for group in range(shard.num_row_groups):
                    for row in shard.read_row_group(group).to_pylist():
                        yield {**row, "image": row["image"]["bytes"]}

    def files(self, *, split: str | None = None) -> list[Path]:
        """The shards, of one split or of all."""
        paths = [self.folder / shard.path for shard in self.manifest.shards]
        return [one for one in paths if split is None or one.name.startswith(f"{split}-")]


def open_release(folder: Path | str) -> Release:
    """A dataset's folder, or a build's.

    Raises:
        catalog.errors.Missing: no release is there.
    """
    place = Path(folder)
    inner = place / "dataset"
    place = inner if (inner / "manifest.json").is_file() else place
    if not (place / "manifest.json").is_file():
        raise Missing(f"{folder} holds no release (no manifest.json); `lucidlr build` makes one.")
    return Release(folder=place, manifest=load_manifest(place))


def _facts(pictures: Iterable[Pixels], wanted: Wanted, progress: Progress | None) -> pa.Table:
    total = len(pictures) if isinstance(pictures, Sequence) else None
    rows: list[dict[str, Any]] = []
    with (progress or NoProgress()).stage("pictures", total) as advance:
        for number, picture in enumerate(pictures):
            if isinstance(picture, np.ndarray):
                found = look_at_pixels(picture, wanted)
            else:
                data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
                found = look_at(data, wanted)
            rows.append({"name": f"{number:06d}", **found})
            advance(1)
    return pa.Table.from_pylist(rows, schema=schema_of(wanted))


def _thumbnails(facts: pa.Table) -> Any:
    held = facts.column("thumbnail").combine_chunks()
    return lambda rows: held.take(pa.array(rows)).to_pylist()


def _rgb(picture: Pixels) -> NDArray[np.uint8]:
    """[H, W, 3] as seen."""
    from filters.picture import open_picture

    if isinstance(picture, np.ndarray):
        return picture
    with open_picture(picture if isinstance(picture, bytes) else Path(picture)) as opened:
        return opened.rgb
