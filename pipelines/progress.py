"""How a build tells how far it is: bars in a terminal, nothing in tests, artifacts in Prefect (build_lucidlr.py)."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TextIO

from pipelines.tally import Tally, told
from pipelines.terminal import printable

Advance = Callable[[int], None]
"""Counts finished items; called from any thread."""


class Progress(Protocol):
    """Announces stages and counts items."""

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Advance]:
        """Opens a stage of `total` items (None: not known) and gives a function that counts finished ones."""
        ...

    def say(self, text: str) -> None:
        """A line for the person who watches."""
        ...

    def state(self, tally: Tally) -> None:
        """What the build has done so far, as it changes; called often, from any thread."""
        ...


class NoProgress:
    """Keeps quiet."""

    @contextmanager
    def stage(self, name: str, total: int | None) -> Generator[Advance]:
        """See Progress.stage."""

        def advance(count: int) -> None:
            del count

        yield advance

    def say(self, text: str) -> None:
        """See Progress.say."""

    def state(self, tally: Tally) -> None:
        """See Progress.state."""


class TerminalProgress:
    """Bars by rich on standard error where a terminal is; in a log file the start, a line a minute, and the end."""

    def __init__(self, *, every_s: float = 60.0) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.every_s = every_s
        self._tally: Tally | None = None

    @contextmanager
    def stage(self, name: str, total: int | None) -> Generator[Advance]:
        """See Progress.stage."""
        if total == 0:
            yield lambda count: None
            return
        if not self.console.is_terminal:
            with self._lines(name, total) as count_up:
                yield count_up
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars
        from rich.text import Text

        watched = self

        class _BarsAndState(Bars):
            """Bars, and under them what the build has done so far."""

            def get_renderables(self) -> Iterable[Any]:
                yield self.make_tasks_table(self.tasks)
                lines = watched._tally.lines() if watched._tally is not None else ()
                for line in lines:
                    yield Text(printable(line), no_wrap=True, overflow="ellipsis")

        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with _BarsAndState(*columns, console=self.console) as bars:
            task = bars.add_task(name, total=total)

            def advance(count: int) -> None:
                bars.update(task, advance=count)

            yield advance

    @contextmanager
    def _lines(self, name: str, total: int | None) -> Generator[Advance]:
        """Lines of text, also while nothing advances: a log that stands still looks like a process that hangs."""
        started, lock, ended = time.monotonic(), threading.Lock(), threading.Event()
        of = "" if total is None else f" of {total}"
        counted = 0

        def count_up(count: int) -> None:
            nonlocal counted
            with lock:
                counted += count

        def tell() -> None:
            while not ended.wait(self.every_s):
                self.say(f"{name}: {counted}{of} after {told(time.monotonic() - started)}")
                if self._tally is not None:
                    self.say(f"so far: {self._tally.line()}")

        self.say(f"{name}: started{of and f', {total} to do'}")
        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield count_up
        finally:
            ended.set()
            teller.join()
            self.say(f"{name}: {counted}{of}, {told(time.monotonic() - started)}")

    def say(self, text: str) -> None:
        """See Progress.say."""
        self.console.print(printable(text), markup=False)

    def state(self, tally: Tally) -> None:
        """See Progress.state: under the bars, or in the line that a log gets every minute."""
        self._tally = tally


class LineProgress:
    """A bar that is one line of text, written over itself: what a notebook shows, which is no terminal."""

    def __init__(self, stream: TextIO | None = None, *, every_s: float = 0.2) -> None:
        self.stream = stream or sys.stderr
        self.every_s = every_s

    @contextmanager
    def stage(self, name: str, total: int | None) -> Generator[Advance]:
        """See Progress.stage."""
        if total == 0:
            yield lambda count: None
            return
        started, lock = time.monotonic(), threading.Lock()
        counted, drawn = 0, 0.0

        def line(end: str = "") -> None:
            share = 1.0 if total is None else min(1.0, counted / total)
            bar = "" if total is None else f" {'█' * round(30 * share):<30} "
            of = "" if total is None else f"/{total}"
            took = told(time.monotonic() - started)
            self.stream.write(f"\r{printable(name)}{bar or ' '}{counted}{of}, {took}   {end}")
            self.stream.flush()

        def advance(count: int) -> None:
            nonlocal counted, drawn
            with lock:
                counted += count
                if time.monotonic() - drawn >= self.every_s:
                    drawn = time.monotonic()
                    line()

        try:
            yield advance
        finally:
            line("\n")

    def say(self, text: str) -> None:
        """See Progress.say."""
        self.stream.write(printable(text) + "\n")

    def state(self, tally: Tally) -> None:
        """See Progress.state; a notebook's line has no room for it."""


def shown_progress() -> Progress:
    """Bars where this process is watched: in a notebook, in a terminal, or lines in a log file."""
    kernel = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return LineProgress() if hasattr(kernel, "kernel") else TerminalProgress()
