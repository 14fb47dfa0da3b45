"""How a build tells how far it is: bars in a terminal, nothing in tests, artifacts in Prefect (build_lucidlr.py)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

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


class TerminalProgress:
    """Bars by rich on standard error, where a terminal is; plain lines of text where none is."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, name: str, total: int | None) -> Generator[Advance]:
        """See Progress.stage."""
        if total == 0:
            yield lambda count: None
            return
        if not self.console.is_terminal:
            counted = 0

            def count_up(count: int) -> None:
                nonlocal counted
                counted += count

            yield count_up
            self.say(f"{name}: {counted}" + (f" of {total}" if total is not None else ""))
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=self.console) as bars:
            task = bars.add_task(name, total=total)

            def advance(count: int) -> None:
                bars.update(task, advance=count)

            yield advance

    def say(self, text: str) -> None:
        """See Progress.say."""
        self.console.print(printable(text), markup=False)
