"""Pictures looked at by several processes. One that dies over a picture costs that picture alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from crawler.shelves import Item
from pipelines.build.runners import leave_interrupts_to_the_parent
from pipelines.photos.look import Wanted, look_at_items

CHUNK = 16
"""Pictures handed to a process at a time."""
CRASHED = "crashed"
Rows = list[dict[str, Any]]


def looked_at(items: Sequence[Item], wanted: Wanted, *, workers: int) -> Generator[Rows]:
    """The facts of all items, some rows at a time, in any order."""
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    if workers == 1 or len(chunks) < 2:
        for chunk in chunks:
            yield look_at_items(chunk, wanted)
        return
    suspects = yield from _by_processes(chunks, wanted, workers)
    # What was under way when a process died, one at a time: the one that kills again is to blame.
    for item in suspects:
        with _pool(1) as pool:
            try:
                yield pool.submit(look_at_items, [item], wanted).result()
            except BrokenProcessPool:
                told = "The process that worked on this picture died: by a signal, or for memory."
                about = {"name": item.name, "size": item.size, "mtime_ns": item.mtime_ns}
                yield [{**about, "object": CRASHED, "error": told}]


def _pool(workers: int) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        workers, mp_context=spawn, initializer=leave_interrupts_to_the_parent
    )


def _by_processes(
    chunks: Sequence[Sequence[Item]], wanted: Wanted, workers: int
) -> Generator[Rows, None, list[Item]]:
    """Two chunks per worker under way; returns the items of which no answer came."""
    suspects: list[Item] = []
    at = 0
    while at < len(chunks):
        running: dict[Future[Rows], Sequence[Item]] = {}
        with _pool(workers) as pool:
            try:
                while at < len(chunks) or running:
                    while at < len(chunks) and len(running) < 2 * workers:
                        running[pool.submit(look_at_items, chunks[at], wanted)] = chunks[at]
                        at += 1
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        rows = future.result()
                        del running[future]
                        yield rows
            except BrokenProcessPool:
                # All that ran beside it broke with it; a chunk that could not be handed out has its turn again.
                for future, chunk in running.items():
                    if future.done() and future.exception() is None:
                        yield future.result()
                    else:
                        suspects += chunk
            finally:
                for future in running:
                    future.cancel()
    return suspects
