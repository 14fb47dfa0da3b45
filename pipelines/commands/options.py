"""Options and answers that several commands share."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.terminal import echo


class RunnerKind(StrEnum):
    """Where batches run."""

    threads = "threads"
    processes = "processes"
    dask = "dask"
    ray = "ray"


Out = Annotated[
    Path | None,
    typer.Option(help="A build's folder; default: the last build of this working directory."),
]
OutToChange = Annotated[
    Path | None,
    typer.Option(help="A build's folder; without it you are asked whether you mean the last one."),
]
RecipeName = Annotated[
    str, typer.Argument(help="Name of a recipe (lucidlr_20k, demo), or path of one (YAML).")
]
Contact = Annotated[
    str | None,
    typer.Option(
        envvar="LUCIDLR_CONTACT",
        help="Your e-mail address or URL; Wikimedia asks for the operator's contact.",
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Workers; default: one per core.")]
RunnerOption = Annotated[
    RunnerKind | None,
    typer.Option(
        help="Run batches in threads, in processes, or on a cluster; default: the recipe's runner."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Of a running cluster: tcp://host:8786 (Dask), auto or host:6379 (Ray)."),
]
MaxHours = Annotated[
    float | None, typer.Option(help="Stop after so many hours with what is there; see budget.")
]
MaxBytes = Annotated[
    float | None, typer.Option(help="Fetch at most so many bytes of originals in all (5e9: 5 GB).")
]


class StopAt(StrEnum):
    """What a build may wait for."""

    kept = "kept"


StopAtOption = Annotated[
    StopAt | None, typer.Option(help="kept: stop when sampling.max_samples can be drawn.")
]
Retry = Annotated[bool, typer.Option("--retry", help="Try retryable failures once more.")]


def runner_of(
    recipe: Any, *, kind: RunnerKind | None, workers: int | None, address: str | None, usual: Any
) -> Any:
    """pipelines.runner_config.RunnerConfig: what was typed, else the recipe's, else what the command usually takes.

    Raises:
        typer.BadParameter: what was typed does not go together.
    """
    from pipelines.runner_config import chosen_runner

    try:
        return chosen_runner(
            recipe.runner,
            kind=kind.value if kind is not None else None,
            workers=workers,
            address=address,
            usual=usual,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--runner'") from error


def budgeted(
    recipe: Any, *, max_hours: float | None, max_bytes: float | None, stop_at: StopAt | None
) -> Any:
    """The recipe with the budget that was typed.

    Raises:
        typer.BadParameter: it makes no sense.
    """
    from pipelines.bounds import chosen_budget

    try:
        budget = chosen_budget(
            recipe.budget,
            max_hours=max_hours,
            max_bytes=max_bytes,
            stop_at=stop_at.value if stop_at is not None else None,
        )
        return recipe.bounded_by(budget)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="the budget") from error


def the_build(out: Path | None) -> Path:
    """The folder that was named, or the last build's, which is then told on the first line.

    Raises:
        catalog.errors.NoBuild: none was named, and there is none.
    """
    from pipelines.last_build import last_build

    if out is not None:
        return out
    found = last_build()
    echo(f"build      {found.line()}")
    return found.out


def the_build_to_change(out: Path | None, deed: str) -> Path:
    """The same for what deletes or publishes: a person at a terminal is asked, a script has to name the folder.

    Raises:
        typer.BadParameter: no folder was named, and nobody is there to ask.
        typer.Exit: the person said no.
        catalog.errors.NoBuild: none was named, and there is none.
    """
    from pipelines.last_build import last_build

    if out is not None:
        return out
    found = last_build()
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"name the build's folder, for example --out {found.out}: this {deed}.",
            param_hint="'--out'",
        )
    echo(f"build      {found.line()}")
    if not typer.confirm(f"This {deed}. Go on?"):
        echo("Nothing was changed.")
        raise typer.Exit(1)
    return found.out


def tell(result: Any, out: Path) -> None:
    """Prints what a build, refilter or export made."""
    echo(funnel_text(result.funnel))
    if result.failures:
        total = sum(count for _, _, count in result.failures)
        echo(f"{total} failures; `lucidlr failures --out {out}` lists them.")
    if result.dataset_hash is None:
        echo("dataset    nothing was kept; an older dataset, if there was one, is untouched")
    else:
        echo(f"dataset    {result.dataset}  ({result.dataset_hash[:16]})")
    echo(f"catalog    {result.database}")
    echo(f"report     {result.report}")
    echo(f"took       {result.seconds:.1f} s")
    if result.stop is not None:
        echo(f"stopped by {result.stop.why}")
        echo(f"to resume  {result.stop.resume}")


def funnel_text(funnel: list[tuple[str, int]]) -> str:
    """The funnel as bars of text, widest 40 characters."""
    top = max((count for _, count in funnel), default=1) or 1
    width = max(len(step) for step, _ in funnel)
    lines = [
        f"  {step:<{width}} {count:>7}  {'█' * round(40 * count / top)}" for step, count in funnel
    ]
    return "\n".join(["", *lines, ""])
