"""Options and answers that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.terminal import echo


class RunnerKind(StrEnum):
    """Where batches run."""

    threads = "threads"
    processes = "processes"


Out = Annotated[Path, typer.Option(help="Output folder: dataset, lucidlr.duckdb, report, catalog.")]
Contact = Annotated[
    str | None,
    typer.Option(
        envvar="LUCIDLR_CONTACT",
        help="Your e-mail address or URL; Wikimedia asks for the operator's contact.",
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Workers; default: one per core.")]
RunnerOption = Annotated[RunnerKind, typer.Option(help="Run batches in threads or processes.")]
Retry = Annotated[bool, typer.Option("--retry", help="Try retryable failures once more.")]


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


def funnel_text(funnel: list[tuple[str, int]]) -> str:
    """The funnel as bars of text, widest 40 characters."""
    top = max((count for _, count in funnel), default=1) or 1
    width = max(len(step) for step, _ in funnel)
    lines = [
        f"  {step:<{width}} {count:>7}  {'█' * round(40 * count / top)}" for step, count in funnel
    ]
    return "\n".join(["", *lines, ""])
