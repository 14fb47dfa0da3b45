"""`lucidlr ...`: everything the flows do, without a server.

Imports stay inside the commands: `lucidlr --help` answers at once.
"""

from __future__ import annotations

import os
import sys

import typer

from catalog.errors import Expected
from pipelines.commands import (
    asking,
    building,
    curating,
    evaluating,
    experiments,
    releasing,
    restoring,
    rights,
    scoring,
    training,
)
from pipelines.memory import modest_memory
from pipelines.terminal import printable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Naturally degraded photographs from Wikimedia Commons for real-world super-resolution.",
)
GROUPS = (
    building,
    asking,
    rights,
    curating,
    releasing,
    scoring,
    restoring,
    evaluating,
    training,
    experiments,
)
for group in GROUPS:
    app.add_typer(group.app)


def main() -> None:
    """Entry point: expected errors become one message and exit code 1, bugs keep their traceback."""
    modest_memory()
    try:
        app()
    except BrokenPipeError:
        # `lucidlr failures | head` closes the pipe early; that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Expected as error:
        sys.stderr.write(f"lucidlr: {printable(str(error))}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
