"""Ask the catalog, and decide anew from what it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import Out, tell
from pipelines.terminal import echo

if TYPE_CHECKING:
    from catalog.explain import WhyLabels

app = typer.Typer()

MOST_MEASURES = 4
"""Told for a label."""


@app.command()
def failures(
    out: Out = Path("out/demo"),
    details: Annotated[bool, typer.Option("--details", help="Every failure, one a line.")] = False,
) -> None:
    """List what could not be done, by kind, with the command that retries it."""
    from catalog.explain import failure_lines

    for line in failure_lines(out, details=details):
        echo(line)


@app.command()
def explain(
    file: Annotated[str, typer.Argument(help="Title, page id, SHA-1, or an address on Commons.")],
    out: Out = Path("out/demo"),
    labels: Annotated[
        bool, typer.Option("--labels", help="Also which measures speak for its labels.")
    ] = False,
) -> None:
    """Tell the way of one file through the build: why it was kept or dropped."""
    from catalog.explain import explain_lines
    from crawler.names import read_name

    why = None
    if labels:
        why = _why_labels_of(out)
    for line in explain_lines(out, file, why_labels=why, named=read_name):
        echo(line)


@app.command()
def refilter(
    recipe: Annotated[Path, typer.Argument(help="Another recipe over the same sources.")],
    out: Out = Path("out/demo"),
    limit: Annotated[int | None, typer.Option(min=1, help="The limit that the build had.")] = None,
) -> None:
    """Decide and release anew from stored facts: no network, no model."""
    from pipelines.offline.refilter import refilter as run_refilter
    from pipelines.progress import TerminalProgress
    from pipelines.recipe import load_recipe

    done = run_refilter(load_recipe(recipe), out=out, limit=limit, progress=TerminalProgress())
    tell(done.result, out)
    if done.to_download:
        echo(f"{done.to_download} candidates pass this gate and were never fetched.")
    for name, count in done.to_measure.items():
        echo(f"{name} was never computed: {count} files.")
    if done.unlisted:
        echo(f"{done.unlisted} sources were never listed.")
    if done.to_download or done.to_measure or done.unlisted:
        echo(f"For these run: lucidlr build {recipe} --out {out}")


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
    from pipelines.offline.what_if import what_if, what_if_lines
    from pipelines.recipe import load_recipe

    loaded = load_recipe(recipe) if recipe else None
    for line in what_if_lines(what_if(changes, out=out, recipe=loaded, limit=limit)):
        echo(line)


def _why_labels_of(out: Path) -> WhyLabels:
    """For the recipe that the build in `out` was decided with."""
    from catalog.store import catalog_in
    from filters.degradation.classifier import load_classifier
    from pipelines.build.history import load_built_recipe

    recipe, _ = load_built_recipe(catalog_in(out))
    policy = recipe.degradation

    def why(labels: list[str], measures: dict[str, float | None]) -> list[str]:
        lines: list[str] = []
        for label in labels:
            own = [curve.measure for curve in policy.curves if curve.label == label]
            if own or policy.classifier is None:
                lines.append(f"{label}: by the recipe's curve on {', '.join(own)}")
                continue
            said = load_classifier(policy.classifier).contributions(measures, label)
            top = [
                f"{name} {_shown(measures.get(name))} ({value:+.1f})"
                for name, value in list(said.items())[:MOST_MEASURES]
            ]
            lines.append(f"{label}: {', '.join(top)}")
        return lines

    return why


def _shown(value: float | None) -> str:
    return "null" if value is None else f"{value:.3g}"
