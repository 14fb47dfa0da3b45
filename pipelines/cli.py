"""`lucidlr ...`: everything the flows do, without a server.

Imports stay inside the commands: `lucidlr --help` answers at once. Exit codes: 0 done, 1 an expected error in one
sentence, 2 wrong usage, 130 interrupted; a bug keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from itertools import pairwise
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from catalog.errors import Expected
from pipelines.commands import (
    asking,
    building,
    curating,
    evaluating,
    experiments,
    lucidflux,
    releasing,
    restoring,
    reviewing,
    rights,
    scoring,
    training,
)
from pipelines.commands.panels import SLOW_TO_START, place_of
from pipelines.extras import missing_extra
from pipelines.memory import modest_memory
from pipelines.terminal import printable

GROUPS = (
    building,
    asking,
    reviewing,
    rights,
    curating,
    releasing,
    scoring,
    restoring,
    evaluating,
    training,
    lucidflux,
    experiments,
)
INTERRUPTED = 130


def _plain_flags(parameters: list[Any]) -> list[Any]:
    """Help shows `--retry`, not `--retry <bool>`."""
    for parameter in parameters:
        if getattr(parameter, "is_bool_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


class Command(TyperCommand):
    """A command whose help names flags without a type, and which says that it has begun before it loads anything."""

    def invoke(self, ctx: Any) -> Any:
        """See TyperCommand."""
        if ctx.info_name in SLOW_TO_START:
            typer.echo(f"lucidlr {ctx.info_name}: starting", err=True)
        return super().invoke(ctx)

    def get_params(self, ctx: Any) -> list[Any]:
        """See TyperCommand."""
        return _plain_flags(super().get_params(ctx))


class Group(TyperGroup):
    """The same for the options of `lucidlr` itself."""

    def get_params(self, ctx: Any) -> list[Any]:
        """See TyperGroup."""
        return _plain_flags(super().get_params(ctx))


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"lucidlr {metadata.version('lucidlr')}")
        raise typer.Exit


@app.callback()
def lucidlr(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Build, look at and publish datasets of naturally degraded photographs from Wikimedia Commons; train on them.

    Commands about a build take --out; without it they answer about the last build of this working directory.
    """
    del version


def _gather() -> None:
    """All commands of all modules, in the order of their panels."""
    commands = [command for group in GROUPS for command in group.app.registered_commands]
    for command in commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        command.cls = Command
        command.rich_help_panel = place_of(name)[1]
    app.registered_commands = sorted(
        commands,
        key=lambda c: place_of(c.name or getattr(c.callback, "__name__", "").replace("_", "-")),
    )


_gather()


def _interrupted(number: int, frame: FrameType | None) -> None:
    """The first Ctrl-C ends the command in order, the second one at once; both keep what was committed."""
    del number, frame
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    sys.stderr.write(
        "\nlucidlr: interrupted. What was done is kept: run the same command again to resume. "
        "(Ctrl-C again stops without waiting for what is in flight.)\n"
    )
    sys.stderr.flush()
    raise KeyboardInterrupt


def main() -> None:
    """Entry point."""
    modest_memory()
    signal.signal(signal.SIGINT, _interrupted)
    try:
        _folders_are_here(sys.argv[1:])
        app()
    except BrokenPipeError:
        # `lucidlr failures | head` closes the pipe early; that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Expected as error:
        _fail(error)
    except ImportError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        _fail(missing)
    except OSError as error:
        said = _about_what_was_typed(error, sys.argv[1:]) or _about_the_output(error)
        if said is None:
            raise
        _fail(said)


def _folders_are_here(arguments: list[str]) -> None:
    """Before `Path` makes a folder named `s3:` of an address.

    Raises:
        catalog.files.NotHere: --out or --to is an address.
    """
    from catalog.files import local

    for option, value in pairwise([*arguments, ""]):
        name, _, given = option.partition("=")
        if name in ("--out", "--to"):
            local(given or value)


def _fail(error: object) -> None:
    sys.stderr.write(f"lucidlr: {printable(str(error))}\n")
    sys.exit(1)


def _about_the_output(error: OSError) -> str | None:
    """A sentence where standard output, redirected to a full disk, took no more; files of ours have a name."""
    if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return None
    # What waits in the buffer would fail once more at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"What this command says cannot be written where it goes ({os.strerror(error.errno)})."


def _about_what_was_typed(error: OSError, arguments: list[str]) -> str | None:
    """A sentence about a path that the person named; None where the path is ours, so that it is a bug."""
    name = str(error.filename or "")
    typed = [text.rpartition("=")[2] for text in arguments]
    if not name or not any(
        text and (name == text or name.startswith(f"{text}/")) for text in typed
    ):
        return None
    whys: dict[type[OSError], str] = {
        FileNotFoundError: "There is no",
        IsADirectoryError: "A file is expected, and this is a folder:",
        NotADirectoryError: "A folder is expected, and this is a file:",
        FileExistsError: "A folder is expected, and this is a file:",
        PermissionError: "You may not read or write",
    }
    why = whys.get(type(error))
    return None if why is None else f"{why} {name}"


if __name__ == "__main__":
    main()
