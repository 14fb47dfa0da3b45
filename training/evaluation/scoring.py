"""Scores one metric over many images: on this process, or over several, each with a scorer of its own.

A score is a function of the files alone: images are scored one at a time, on one thread of torch, whoever does it. So
the number of processes changes the time and not a digit. With a GPU the processes share it (or them, in turns).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from filters.measures import Photo
from filters.metrics import ON_CPU, Scoring
from training.evaluation.cache import Kept
from training.evaluation.inputs import Case
from training.evaluation.metrics import MetricSpec, Scorer, load_scorer
from training.pictures import read_pixels

CRASHES = (
    ValueError,
    RuntimeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    OSError,
    MemoryError,
)
"""What a scorer may die of because of an image; anything else is a bug of ours and stops the run."""
FEWEST_JOBS = 8
"""Fewer images than this are scored here: a process takes seconds to load its scorer."""
CHUNK = 4


@dataclass(frozen=True, kw_only=True)
class How:
    """What scoring may use."""

    scoring: Scoring = ON_CPU
    processes: int = 1
    download: bool = False
    """Fetch weights that are not on this machine."""


ON_ONE_CORE = How()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One output to be scored."""

    spec: MetricSpec
    case: Case
    file: Path


def scores_of(jobs: Sequence[Job], scorer: Scorer, how: How) -> Iterator[tuple[Job, Kept]]:
    """Each job with its score, in order."""
    if how.processes == 1 or len(jobs) < FEWEST_JOBS:
        for job in jobs:
            yield job, one_score(scorer, job)
        return
    # Not forked: the parent has threads of torch and perhaps a GPU.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        how.processes, mp_context=context, initializer=_start, initargs=(jobs[0].spec, how)
    ) as pool:
        yield from zip(jobs, pool.map(_score, jobs, chunksize=CHUNK), strict=True)


def one_score(scorer: Scorer, job: Job) -> Kept:
    """The score of one output, or why there is none."""
    spec, case = job.spec, job.case
    try:
        lr = _photo(case.lr) if spec.against == "lr" else None
        hr = _photo(case.hr) if spec.against == "hr" and case.hr is not None else None
        value = scorer.score(_photo(job.file), lr=lr, hr=hr)
    except CRASHES as error:
        line = " ".join(str(error).split())
        return Kept(value=None, error=f"{type(error).__name__}: {line}"[:500])
    if value is None:
        return Kept(value=None, error="does not apply (image too small, flat, or no reference)")
    return Kept(value=float(value), error=None)


_loaded: list[Scorer] = []
"""The scorer of this process, if it is one of several."""


def _start(spec: MetricSpec, how: How) -> None:
    import torch

    torch.set_num_threads(1)
    if how.scoring.device == "cuda":
        rank = (multiprocessing.current_process()._identity or (1,))[0] - 1
        torch.cuda.set_device(rank % torch.cuda.device_count())
    _loaded.append(load_scorer(spec, scoring=how.scoring, download=how.download))


def _score(job: Job) -> Kept:
    return one_score(_loaded[-1], job)


def _photo(path: Path) -> Photo:
    return Photo(read_pixels(path))
