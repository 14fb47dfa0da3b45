"""A process that is killed by SIGKILL at a step on the disk: what it wrote until then stays, synced or not."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

from catalog import files
from catalog.files import Disk

# Forked from a process that has imported everything and has no threads yet.
_CONTEXT = multiprocessing.get_context("forkserver")


def imported_first(*modules: str) -> None:
    """What the processes to be killed need; before the first of them starts."""
    _CONTEXT.set_forkserver_preload(list(modules))


class CountingDisk(Disk):
    """Counts syncs, renames, links and deletions."""

    steps = 0

    def step(self) -> None:
        """One of them."""
        self.steps += 1

    def sync(self, path: Path) -> None:
        """Of a file or folder."""
        self.step()
        super().sync(path)

    def rename(self, old: Path, new: Path) -> None:
        """Within a file system."""
        self.step()
        super().rename(old, new)

    def delete(self, path: Path) -> bool:
        """A file or folder."""
        self.step()
        return super().delete(path)

    def link(self, old: Path, new: Path) -> None:
        """A second name."""
        self.step()
        super().link(old, new)


class KillingDisk(CountingDisk):
    """Kills its own process before step number `last`, counted from 0."""

    def __init__(self, last: int) -> None:
        self.last = last

    def step(self) -> None:
        """One more, or the end."""
        if self.steps >= self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        super().step()


def steps_of(work: Callable[[Path], object], folder: Path) -> int:
    """How many steps a piece of work takes, which is done here."""
    disk = CountingDisk()
    with files.using(disk):
        work(folder)
    return disk.steps


def killed_at(step: int, work: Callable[[Path], object], folder: Path) -> bool:
    """Does `work`, a function of a module, in a process that is killed before that step; whether it was.

    Raises:
        AssertionError: it ended in another way than by the kill or well.
    """
    process = _CONTEXT.Process(target=_work, args=(step, work, folder))
    process.start()
    process.join(300)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"{work.__name__} had no end before step {step}")
    assert process.exitcode in (0, -signal.SIGKILL), f"it ended with {process.exitcode}"
    return process.exitcode == -signal.SIGKILL


def _work(step: int, work: Callable[[Path], object], folder: Path) -> None:
    with files.using(KillingDisk(step)):
        work(folder)
