"""Runs batches: threads or processes here, Prefect's task runners in build_lucidlr.py; bounded and windowed.

A batch function takes a `BatchRef` and returns a `BatchResult`: small picklable values, no state. So any runner can
take it anywhere where the catalog's folder is.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

from catalog.store import BatchRef

Kind = Literal["threads", "processes"]


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """What a batch reports back; its rows stand in the part that it committed."""

    stage: str
    batch: str
    done: int
    failed: int
    seconds: float
    """Wall time inside the stage function."""


BatchFunction = Callable[[BatchRef], BatchResult]


class Runner(Protocol):
    """Maps a batch function over batches, results as they come."""

    workers: int

    def map(self, function: BatchFunction, refs: Iterable[BatchRef]) -> Iterator[BatchResult]:
        """Runs each batch once; an exception of a batch ends the build."""
        ...


class PoolRunner:
    """A pool of threads or of processes; at most two batches per worker are handed out ahead."""

    def __init__(self, executor: Executor, workers: int) -> None:
        self.executor = executor
        self.workers = workers

    def map(self, function: BatchFunction, refs: Iterable[BatchRef]) -> Iterator[BatchResult]:
        """See Runner.map."""
        waiting = iter(refs)
        running: set[Future[BatchResult]] = set()
        try:
            for ref in islice(waiting, 2 * self.workers):
                running.add(self.executor.submit(function, ref))
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                for ref in islice(waiting, len(done)):
                    running.add(self.executor.submit(function, ref))
        finally:
            for future in running:
                future.cancel()


def _leave_interrupts_to_the_parent() -> None:
    """A terminal sends Ctrl-C to every process; the parent ends the others in order, without their tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def pool_runner(kind: Kind, workers: int | None = None) -> Generator[PoolRunner]:
    """A runner of `kind` with `workers` workers (default: one per core).

    Processes are started afresh (`spawn`): a fork of a process with threads may hang.

    Raises:
        ValueError: fewer than one worker.
    """
    count = os.cpu_count() or 1 if workers is None else workers
    if count < 1:
        raise ValueError("At least one worker is needed: pass --workers 1 or more.")
    executor: Executor
    if kind == "threads":
        executor = ThreadPoolExecutor(max_workers=count)
    else:
        spawn = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(
            max_workers=count, mp_context=spawn, initializer=_leave_interrupts_to_the_parent
        )
    try:
        yield PoolRunner(executor, count)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
