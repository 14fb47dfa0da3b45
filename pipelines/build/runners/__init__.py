"""Runs batches: threads or processes here, Prefect's task runners in build_lucidlr.py; bounded and windowed.

A batch function takes a `BatchRef` and returns a `BatchResult`: small picklable values, no state. So any runner can
take it anywhere where the catalog's folder is.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, Protocol

from catalog.errors import Expected
from catalog.plans import BatchRef
from catalog.store import Catalog

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

    @property
    def workers(self) -> int:
        """How many there are now; a cluster may grow."""
        ...

    @property
    def elsewhere(self) -> bool:
        """Whether batches may run on other machines, with devices that this one does not have."""
        ...

    def map(self, function: BatchFunction, refs: Iterable[BatchRef]) -> Iterator[BatchResult]:
        """Runs each batch once; an exception of a batch ends the build."""
        ...


class WorkerDied(Expected, RuntimeError):
    """A worker process dies again and again, and no single image is to blame."""


class PoolRunner:
    """A pool of threads or of processes; at most two batches per worker are handed out ahead.

    Where a process dies (killed for memory, by a library or by hand), the batches that were under way are done one at
    a time in fresh processes. One that dies again is halved until the image is found that does it; that image becomes
    a failure of kind `crashed`, and the rest goes on.
    """

    elsewhere = False

    def __init__(self, make: Callable[[], Executor], workers: int) -> None:
        self._make = make
        self._executor = make()
        self.workers = workers

    def map(self, function: BatchFunction, refs: Iterable[BatchRef]) -> Iterator[BatchResult]:
        """See Runner.map."""
        waiting = iter(refs)
        running: dict[Future[BatchResult], BatchRef] = {}
        suspects: list[BatchRef] = []

        def hand_out(count: int) -> None:
            for ref in islice(waiting, count):
                try:
                    running[self._executor.submit(function, ref)] = ref
                except BrokenExecutor:
                    suspects.append(ref)

        try:
            hand_out(2 * self.workers)
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    ref = running.pop(future)
                    try:
                        result = future.result()
                    except BrokenExecutor:
                        suspects.append(ref)
                    else:
                        yield result
                if suspects:
                    # All that ran beside it broke with it.
                    for future, ref in list(running.items()):
                        if not future.cancel() and future.exception() is None:
                            yield future.result()
                        else:
                            suspects.append(ref)
                    running.clear()
                    for ref in suspects:
                        yield self._alone(function, ref)
                    suspects.clear()
                hand_out(2 * self.workers - len(running))
        finally:
            for future in running:
                future.cancel()

    def _alone(self, function: BatchFunction, ref: BatchRef) -> BatchResult:
        """A batch with no other beside it, without the images that kill it."""
        while True:
            result = self._survives(function, ref)
            if result is not None:
                return result
            ref = replace(ref, crashed=(*ref.crashed, self._killer(function, ref)))

    def _killer(self, function: BatchFunction, ref: BatchRef) -> str:
        """The key that kills a process: the first one, where there are several.

        Raises:
            WorkerDied: none does it alone.
        """
        keys = Catalog(ref.root).keys_of(ref)
        begin, end = 0, len(keys)
        while end - begin > 1:
            half = (begin + end) // 2
            if self._survives(function, replace(ref, probe=(begin, half))) is None:
                end = half
            else:
                begin = half
        if self._survives(function, replace(ref, probe=(begin, end))) is not None:
            raise WorkerDied(
                f"The worker process dies over batch {ref.stage}/{ref.batch}, but over none of its images alone: is "
                "there too little memory? Run the same command again with --workers 1 or a smaller batch_size."
            )
        return keys[begin]

    def _survives(self, function: BatchFunction, ref: BatchRef) -> BatchResult | None:
        """Its result, in a pool that is made again if need be; None: the process died."""
        try:
            return self._executor.submit(function, ref).result()
        except BrokenExecutor:
            self.shutdown()
            self._executor = self._make()
        try:
            return self._executor.submit(function, ref).result()
        except BrokenExecutor:
            self.shutdown()
            self._executor = self._make()
            return None

    def shutdown(self) -> None:
        """Waits for what runs, and ends the workers."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def end_with_the_parent() -> None:
    """Where the parent is killed, a worker that waits for its next batch would wait for ever: so it watches."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def leave_interrupts_to_the_parent() -> None:
    """A terminal sends Ctrl-C to every process; the parent ends the others in order, without their tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_the_parent()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    # What it is writing has a temporary name, which the next run clears away.
    os._exit(1)


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

    def threads() -> Executor:
        return ThreadPoolExecutor(max_workers=count)

    def processes() -> Executor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            max_workers=count, mp_context=spawn, initializer=leave_interrupts_to_the_parent
        )

    runner = PoolRunner(threads if kind == "threads" else processes, count)
    try:
        yield runner
    finally:
        runner.shutdown()
