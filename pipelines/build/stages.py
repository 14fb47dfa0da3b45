"""What the batch stages do to one image. A stage function takes a BatchRef and commits one part.

`run_batch` is what runners carry around: it reads the batch's frozen keys, works on one original after the other, one
thread of OpenCV and torch each, and commits rows and failures together. What an image lacks is a failure row, and
so is what this software fails at: one odd picture does not end a build of days.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from catalog.plans import BatchRef, recognized
from catalog.records import (
    EmbeddingRecord,
    FailureRecord,
    HashRecord,
    MeasureRecord,
    ScoreRecord,
    to_table,
)
from catalog.store import Catalog
from crawler.download import ObjectStore, OriginalMissing
from pipelines.build.runners import BatchResult

if TYPE_CHECKING:
    from filters.duplicates.dedupe import DedupePolicy
    from filters.metrics import Scoring

Worker = Callable[[str, bytes], list[Any]]


def failure(stage: str, key: str, kind: str, error: str, *, retryable: bool) -> FailureRecord:
    """A failure that happened now."""
    return FailureRecord(
        stage=stage,
        key=key,
        kind=kind,
        error=error,
        retryable=retryable,
        failed_at=datetime.now(UTC).replace(microsecond=0),
    )


def _of_seen() -> str:
    """What versions end with: what was measured is the picture as it is seen, and that has a version of its own."""
    from filters.picture import VERSION

    return f"+{VERSION}"


def _of_values() -> str:
    """What those of measures and scores end with: the same, and how values are stored."""
    from filters.measures import VALUES

    return f"{_of_seen()}+{VALUES}"


POINTS = "points"
"""The name, in stage `embed`, of points for partial copies."""


def _parted(version: str) -> tuple[str, str, str]:
    return version.rpartition("@")


def _hash_worker(versions: tuple[str, ...]) -> Worker:
    from filters.duplicates.hashing import hash_picture
    from filters.picture import NotAnImage, open_picture

    def work(sha1: str, data: bytes) -> list[Any]:
        with open_picture(data) as picture:
            unreadable = picture.reader_error()
            if unreadable is not None:
                raise NotAnImage(unreadable, "unreadable")
            hashes, seen = hash_picture(picture)
            width, height = picture.size
            camera = picture.camera
        return [
            HashRecord(
                sha1=sha1,
                version=versions[0],
                phash=hashes.phash,
                dhash=hashes.dhash,
                phash_mirror=hashes.phash_mirror,
                dhash_mirror=hashes.dhash_mirror,
                spread=seen.spread,
                decoded_width=width,
                decoded_height=height,
                seen_phash=seen.phash,
                seen_dhash=seen.dhash,
                thumbnail=seen.thumbnail,
                camera=camera,
            )
        ]

    return work


def _measure_worker(versions: tuple[str, ...]) -> Worker:
    from filters.measures import load_measure, open_photo

    measures = [(load_measure(name), version) for name, _, version in map(_parted, versions)]

    def work(sha1: str, data: bytes) -> list[Any]:
        photo = open_photo(data)
        return [
            MeasureRecord(sha1=sha1, name=m.name, version=version, value=m.measure(photo))
            for m, version in measures
        ]

    return work


def _score_worker(versions: tuple[str, ...]) -> Worker:
    from filters.measures import open_photo, stored
    from filters.metrics import Scoring, load_metric

    named = [_parted(version) for version in versions]
    metrics = [
        (load_metric(name, Scoring.of(version.removesuffix(_of_values()))), version)
        for name, _, version in named
    ]

    def work(sha1: str, data: bytes) -> list[Any]:
        photo = open_photo(data)
        return [
            ScoreRecord(
                sha1=sha1,
                name=metric.name,
                version=version,
                value=stored(metric.score(photo)),
                lower_better=metric.lower_better,
                weights_sha256=metric.weights_sha256,
                license=metric.license,
                device=metric.scoring.device,
                precision=metric.scoring.precision,
            )
            for metric, version in metrics
        ]

    return work


def _embed_worker(versions: tuple[str, ...]) -> Worker:
    from filters.duplicates.embedding import look
    from filters.measures import open_photo
    from pipelines.build.encoder import load_embedder, on_device

    if versions[0].startswith(f"{POINTS}@"):
        return _points_worker(versions)
    embedder = load_embedder(versions[0].split("@")[0], on_device(versions[0]))

    def work(sha1: str, data: bytes) -> list[Any]:
        seen = look(open_photo(data).rgb, embedder.embed)
        return [
            EmbeddingRecord(
                sha1=sha1,
                name=embedder.name,
                version=versions[0].rpartition("@")[2],
                weights_sha256=embedder.weights_sha256,
                license=embedder.license,
                vector=seen.vector,
                thumbnail=seen.thumbnail,
            )
        ]

    return work


def _points_worker(versions: tuple[str, ...]) -> Worker:
    from filters.duplicates.hashing import hash_pixels
    from filters.duplicates.points import points_of
    from filters.picture import open_picture

    def work(sha1: str, data: bytes) -> list[Any]:
        with open_picture(data) as picture:
            grey = picture.grey
        return [
            EmbeddingRecord(
                sha1=sha1,
                name=POINTS,
                version=versions[0].rpartition("@")[2],
                weights_sha256="",
                license="Apache-2.0",
                vector=points_of(grey),
                thumbnail=hash_pixels(grey).thumbnail,
            )
        ]

    return work


COMPUTE: dict[str, tuple[Callable[[tuple[str, ...]], Worker], type]] = {
    "hash": (_hash_worker, HashRecord),
    "measure": (_measure_worker, MeasureRecord),
    "score": (_score_worker, ScoreRecord),
    "embed": (_embed_worker, EmbeddingRecord),
}
"""Stages over images that are at hand: how to make their worker, and the record type of their parts."""


def run_batch(ref: BatchRef) -> BatchResult:
    """Does one batch of a COMPUTE stage and commits its part. Doing it twice does no harm.

    Raises:
        catalog.files.DiskFull: no room for the part; the batch stays pending.
        catalog.plans.CatalogUnseen: this worker does not see the catalog, or its originals.
    """
    from filters.picture import NotAnImage, decoder_errors

    started = time.perf_counter()
    recognized(ref)
    make_worker, record_type = COMPUTE[ref.stage]
    catalog = Catalog(ref.root)
    store = ObjectStore(catalog.root / "objects")
    work = make_worker(ref.versions)
    rows: list[Any] = []
    failures: list[FailureRecord] = []
    keys = catalog.keys_of(ref)
    for sha1 in keys if ref.probe is None else keys[slice(*ref.probe)]:
        if sha1 in ref.crashed:
            text = "The process that worked on this image died, also when it was alone: by a signal, or for memory."
            failures.append(failure(ref.stage, sha1, "crashed", text, retryable=True))
            continue
        try:
            rows += work(sha1, store.read(sha1))
        except OriginalMissing as error:
            failures.append(failure(ref.stage, sha1, error.kind, str(error), retryable=True))
        except NotAnImage as error:
            failures.append(
                failure(ref.stage, sha1, error.kind, str(error), retryable=error.retryable)
            )
        except decoder_errors() as error:
            # One odd picture must not end a build of days; the row says that it was our fault, and which.
            told = f"This software failed at this picture: {type(error).__name__}: {error}"
            failures.append(failure(ref.stage, sha1, "not_computed", told, retryable=False))
    if ref.probe is None:
        catalog.commit(ref, to_table(rows, record_type), failures)
    return BatchResult(
        stage=ref.stage,
        batch=ref.batch,
        done=ref.size - len(failures),
        failed=len(failures),
        seconds=time.perf_counter() - started,
    )


def measure_versions(names: tuple[str, ...]) -> list[str]:
    """`name@version` of the recipe's measures.

    Raises:
        filters.measures.UnknownMeasure: a name that no file has.
    """
    from filters.measures import load_measure

    return [f"{name}@{load_measure(name).version}{_of_values()}" for name in names]


def score_versions(
    names: tuple[str, ...], scoring: Scoring, *, elsewhere: bool = False
) -> list[str]:
    """`name@version` of the recipe's metrics.

    Args:
        elsewhere: other machines compute; this one need not have the device.

    Raises:
        filters.metrics.UnknownMetric: a name that neither a file nor pyiqa has.
        filters.metrics.WeightsMissing: its weights are not on this machine.
        filters.metrics.DeviceMissing: nor is the device.
    """
    from filters.metrics import DeviceMissing, load_metric

    def version(name: str) -> str:
        try:
            return load_metric(name, scoring).version
        except DeviceMissing:
            if not elsewhere:
                raise
            return load_metric(name).version + scoring.suffix

    return [f"{name}@{version(name)}{_of_values()}" for name in names]


def embed_versions(policy: DedupePolicy, *, elsewhere: bool = False) -> list[str]:
    """`name@version` of the recipe's encoder; none where it has none.

    Args:
        elsewhere: as for score_versions.

    Raises:
        training.consistency.UnknownEncoder, ConsistencyError: no such encoder, or its weights are missing.
    """
    from pipelines.build.encoder import load_embedder

    if policy.embedding is None:
        return []
    wanted = policy.embedding
    embedder = load_embedder(wanted.encoder, wanted.device, elsewhere=elsewhere)
    return [f"{embedder.name}@{embedder.version}{_of_seen()}"]


def point_versions(policy: DedupePolicy) -> list[str]:
    """`name@version` of the points that partial copies are found by; none where the recipe does not ask for them."""
    from filters.duplicates.points import VERSION

    return [] if policy.partial is None else [f"{POINTS}@{VERSION}{_of_seen()}"]
