"""Measures what the labels are learnt from: real pictures with a manifest, and synthetic ones made of clean ones.

Each file is a job with a Parquet part of its own, named by what the rows follow from (bytes, measures, makers), so
that a run that was killed resumes and a changed measure is taken again. A part holds the picture as published, the
same saved again as JPEG, and pictures with known damage made of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.plans import write_parquet
from pipelines.build.runners import end_with_the_parent
from pipelines.progress import NoProgress, Progress

if TYPE_CHECKING:
    from filters.degradation.heads import Pictures
    from filters.degradation.real import RealPicture
    from filters.measures import Photo

FORMAT = 3
"""Of a part's rows and of what makes them: raised when an example (wild.py, examples.py) would look different."""
LAYER_FEATURES = 1
"""Of filters/measures/_layers.py: crops and features, without heads."""
ENCODED = ("early_", "layers_")
"""Beginnings of the names of measures that come of an encoder's features."""
LARGE_PX = 700
"""Short side above which a photograph is halved before wide.py damages it."""
LEAVES = {0: 4, 1: 16, 2: 8, 3: 8, 4: 8}
"""Of a photograph's examples of each level (0: clean) one in so many is learnt from; of small crops half of that."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file and what is made of it."""

    file: Path
    kind: str
    """real, photograph (synthetic examples of known amounts) or drawing."""
    picture: RealPicture | None = None
    again: bool = False
    """Also saved again, and damaged as in the wild, if it is clean."""


def learning_jobs(
    real: Sequence[Path], photographs: Sequence[Path], drawings: Sequence[Path]
) -> list[Job]:
    """Every file that is learnt from: all pictures of folders with a manifest, photographs, drawings.

    Raises:
        filters.degradation.real.NoManifest: a folder has none.
    """
    from filters.degradation.real import chosen_clean, real_pictures

    found = [picture for folder in real for picture in real_pictures(folder)]
    chosen = chosen_clean(found)
    jobs = [
        Job(file=p.file, kind="real", picture=p, again=p.name in chosen or p.eye == "ref")
        for p in found
    ]
    jobs += [Job(file=file, kind="photograph") for file in photographs]
    return jobs + [Job(file=file, kind="drawing") for file in drawings]


def measured_pictures(
    jobs: Sequence[Job],
    kept: Path,
    *,
    workers: int = 2,
    progress: Progress | None = None,
) -> Pictures:
    """All rows of all jobs; files that do not decode have none, and are said.

    Args:
        kept: folder of the parts.
    """
    progress = progress or NoProgress()
    parts = {i: kept / f"{stamp(job)}.parquet" for i, job in enumerate(jobs)}
    missing = [i for i in parts if not parts[i].is_file()]
    with (
        ProcessPoolExecutor(workers, initializer=end_with_the_parent) as pool,
        progress.stage("pictures", len(jobs)) as advance,
    ):
        advance(len(jobs) - len(missing))
        running = {pool.submit(_measure, jobs[i]): i for i in missing}
        for done in as_completed(running):
            rows = done.result()
            if not rows:
                progress.say(f"{jobs[running[done]].file} does not decode; left out")
            write_parquet(parts[running[done]], pa.Table.from_pylist(rows))
            advance(1)
    tables = [pq.read_table(parts[i]) for i in range(len(jobs))]
    return pictures_of(
        pa.concat_tables([t for t in tables if len(t)], promote_options="permissive")
    )


def pictures_of(table: pa.Table) -> Pictures:
    """Rows as arrays."""
    from filters.degradation.heads import Pictures

    about = ("name", "group", "origin", "kind", "counts", "truth", "early")
    origin: Any = np.array(table.column("origin").to_pylist())
    return Pictures(
        names=np.array(table.column("name").to_pylist()),
        groups=np.array(table.column("group").to_pylist()),
        kinds=np.array(table.column("kind").to_pylist()),
        real=origin == "real",
        stored=origin == "stored",
        counts=np.array(table.column("counts").to_pylist(), dtype=np.float64),
        truth=np.array(table.column("truth").to_pylist(), dtype=np.float64),
        measures={
            name: np.array(table.column(name).cast(pa.float64()).to_numpy(), dtype=np.float64)
            for name in table.column_names
            if name not in about
        },
        early=np.array(table.column("early").to_pylist(), dtype=np.float64),
    )


def stamp(job: Job) -> str:
    """What a part's rows follow from; not where the file lies."""
    from filters.measures import load_measure

    about: list[object] = [FORMAT, job.kind, job.again, job.file.name]
    if job.picture is not None:
        about += [job.picture.name, job.picture.group, job.picture.truth.tolist()]
    if job.kind == "photograph":
        about.append(LEAVES)
    about += [f"{name}@{load_measure(name).version}" for name in plain_measures()]
    digest = hashlib.sha256(repr([*about, LAYER_FEATURES]).encode())
    digest.update(job.file.read_bytes())
    return digest.hexdigest()[:32]


def plain_measures() -> list[str]:
    """All but those of the encoder's heads, which come of its features."""
    from filters.measures import measure_names

    return [name for name in measure_names() if not name.startswith(ENCODED)]


def _measure(job: Job) -> list[dict[str, Any]]:
    from filters.measures import NotAnImage, open_photo

    try:
        photo = open_photo(job.file.read_bytes())
    except NotAnImage:
        return []
    make = {"real": _of_real, "photograph": _of_photograph, "drawing": _of_drawing}[job.kind]
    return list(make(job, photo))


def _of_real(job: Job, photo: Photo) -> Iterator[dict[str, Any]]:
    from filters.degradation.examples import saved
    from filters.degradation.real import STORED_AT
    from filters.degradation.wide import wide_examples
    from filters.degradation.wild import wild_examples
    from filters.measures import Photo as photo_type

    assert job.picture is not None
    picture = job.picture
    common: dict[str, Any] = {
        "group": picture.group,
        "kind": picture.eye,
        "counts": picture.counts,
        "truth": picture.truth.tolist(),
    }
    yield _row(photo, name=picture.name, origin="real", **common)
    if not job.again:
        return
    for quality in STORED_AT:
        rgb, table = saved(photo.rgb, quality)
        again = photo_type(rgb, quantization=table)
        yield _row(again, name=f"{picture.name}#{quality}", origin="stored", **common)
    if picture.eye == "clean":
        inside = picture.name.split("/", 1)[1]
        for count, example in enumerate(wild_examples(inside, photo.rgb)):
            yield _example(example, f"{picture.name}#{count}", picture.group)
        for count, example in enumerate(wide_examples(inside, photo.rgb)):
            yield _example(example, f"{picture.name}#wide{count}", picture.group)


def _of_photograph(job: Job, photo: Photo) -> Iterator[dict[str, Any]]:
    from filters.degradation.examples import photo_examples
    from filters.degradation.synthesis import downscale
    from filters.degradation.wide import wide_examples

    def chosen(number: int, view: str, level: int) -> bool:
        drawn = int(hashlib.md5(f"{job.file.name}{number}x".encode()).hexdigest()[:4], 16)
        return drawn % (LEAVES[level] * (2 if view in ("small", "tiny") and level else 1)) == 0

    for example in photo_examples(job.file.name, photo.rgb, chosen=chosen):
        name = f"{job.file.name}#{example.number}"
        yield _example(example, name, f"photos:{job.file.name}")
    # Their own cameras' traces go when they are halved.
    half = downscale(photo.rgb, 2.0) if min(photo.rgb.shape[:2]) > LARGE_PX else photo.rgb
    for count, example in enumerate(wide_examples(job.file.name, half)):
        yield _example(example, f"{job.file.name}#wide{count}", f"photos:{job.file.name}")


def _of_drawing(job: Job, photo: Photo) -> Iterator[dict[str, Any]]:
    from filters.degradation.examples import graphics_examples

    # Variants of one dialog or one installer are one picture when it comes to counting.
    family = job.file.stem.split("-")[0].split("_")[0]
    chosen = int(hashlib.md5(job.file.name.encode()).hexdigest()[:4], 16) % 3
    for count, example in enumerate(graphics_examples(job.file.name, photo.rgb)):
        if count == chosen:
            yield _example(example, f"{job.file.name}#{count}", f"drawings:{family}")


def _example(example: Any, name: str, group: str) -> dict[str, Any]:
    from filters.degradation.real import counts_of_example, truth_of_example
    from filters.measures import Photo

    return _row(
        Photo(example.rgb, quantization=example.quantization),
        name=name,
        group=group,
        origin="synthetic",
        kind=example.kind,
        counts=counts_of_example(example),
        truth=truth_of_example(example).tolist(),
    )


def _row(photo: Photo, **about: Any) -> dict[str, Any]:
    from filters.measures import load_measure
    from filters.measures._layers import layer_features

    taken = {name: load_measure(name).measure(photo) for name in plain_measures()}
    return {**about, **taken, "early": layer_features(photo).tolist()}
