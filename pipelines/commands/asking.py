"""Ask the catalog, and decide anew from what it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Out, tell

app = typer.Typer()


@app.command()
def failures(
    out: Out = Path("out/demo"),
    details: Annotated[bool, typer.Option("--details", help="Every failure, one a line.")] = False,
) -> None:
    """List what could not be done, by kind, with the command that retries it."""
    from catalog.explain import failure_lines

    for line in failure_lines(out, details=details):
        typer.echo(line)


@app.command()
def explain(
    file: Annotated[str, typer.Argument(help="Title, page id or SHA-1.")],
    out: Out = Path("out/demo"),
    labels: Annotated[
        bool, typer.Option("--labels", help="Also which measures speak for its labels.")
    ] = False,
) -> None:
    """Tell the way of one file through the build: why it was kept or dropped."""
    from catalog.explain import explain_lines

    why = None
    if labels:
        from pipelines.why_labels import why_labels_of

        why = why_labels_of(out)
    for line in explain_lines(out, file, why_labels=why):
        typer.echo(line)


@app.command()
def refilter(
    recipe: Annotated[Path, typer.Argument(help="Another recipe over the same sources.")],
    out: Out = Path("out/demo"),
    limit: Annotated[int | None, typer.Option(min=1, help="The limit that the build had.")] = None,
) -> None:
    """Decide and release anew from stored facts: no network, no model."""
    from pipelines.progress import TerminalProgress
    from pipelines.recipe import load_recipe
    from pipelines.refilter import refilter as run_refilter

    done = run_refilter(load_recipe(recipe), out=out, limit=limit, progress=TerminalProgress())
    tell(done.result, out)
    if done.to_download:
        typer.echo(f"{done.to_download} candidates pass this gate and were never fetched.")
    for name, count in done.to_measure.items():
        typer.echo(f"{name} was never computed: {count} files.")
    if done.unlisted:
        typer.echo(f"{done.unlisted} sources were never listed.")
    if done.to_download or done.to_measure or done.unlisted:
        typer.echo(f"For these run: lucidlr build {recipe} --out {out}")


@app.command()
def whatif(
    changes: Annotated[
        list[str], typer.Argument(help="E.g. degraded.min=0.6 score.pyiqa:piqe.max=40")
    ],
    out: Out = Path("out/demo"),
    recipe: Annotated[Path | None, typer.Option(help="Default: that of the last build.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="With --recipe: its limit.")] = None,
) -> None:
    """Tell what a change of thresholds would do, from stored facts; writes nothing."""
    from pipelines.recipe import load_recipe
    from pipelines.what_if import what_if, what_if_lines

    loaded = load_recipe(recipe) if recipe else None
    for line in what_if_lines(what_if(changes, out=out, recipe=loaded, limit=limit)):
        typer.echo(line)
