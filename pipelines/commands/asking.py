"""Ask the catalog, and decide again from what it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import Out, OutToChange, tell, the_build, the_build_to_change
from pipelines.terminal import echo

if TYPE_CHECKING:
    from catalog.explain import WhyLabels

app = typer.Typer()

MOST_MEASURES = 4
"""Told for a label."""


@app.command()
def status(out: Out = None) -> None:
    """Tell how far a build is, also while it runs: files listed, passed, at hand and kept, by source; rate and end."""
    from pipelines.offline.status import status as look
    from pipelines.offline.status import status_lines

    for line in status_lines(look(the_build(out))):
        echo(line)


@app.command()
def clean(
    out: OutToChange = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; without it the command only tells.")
    ] = False,
    keep: Annotated[
        list[str] | None, typer.Option(help="A recipe's hash whose decisions stay; repeatable.")
    ] = None,
) -> None:
    """Delete the decisions of recipes that nobody builds with any more; facts stay. Tells first, deletes with --yes."""
    from pipelines.offline.clean import clean as run_clean
    from pipelines.offline.clean import clean_lines, old_decisions

    if yes:
        out = the_build_to_change(out, "deletes decisions of old recipes")
        found = run_clean(out, keep=keep or ())
    else:
        found = old_decisions(the_build(out), keep=keep or ())
    for line in clean_lines(found, done=yes):
        echo(line)


@app.command()
def merge(
    outs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Folders of the crawls.")],
    out: Annotated[Path, typer.Option(help="Folder of the merged catalog, new or merged before.")],
) -> None:
    """Merge crawls that were shared out by source into one catalog; then build there with the recipe of them all."""
    from pipelines.offline.merge import merge as run_merge

    done = run_merge(outs, out)
    echo(
        f"{done.sources} sources, {done.batches} batches and {done.originals} originals are in {out}"
    )
    echo(f"Next: lucidlr build RECIPE --out {out}, with the sources of all of them in RECIPE")


@app.command()
def failures(
    out: Out = None,
    details: Annotated[bool, typer.Option("--details", help="Every failure, one a line.")] = False,
) -> None:
    """List what could not be done, by kind, with the command that retries it."""
    from catalog.explain import failure_lines

    out = the_build(out)
    for line in failure_lines(out, details=details):
        echo(line)


@app.command()
def explain(
    file: Annotated[
        str, typer.Argument(help="Title or part of one, page id, SHA-1, or address on Commons.")
    ],
    out: Out = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Also which measures speak for its labels.")
    ] = False,
) -> None:
    """Explain, rule by rule, why a file was kept or dropped."""
    from catalog.explain import explain_lines
    from crawler.names import read_name

    out = the_build(out)
    why = None
    if labels:
        why = _why_labels_of(out)
    for line in explain_lines(out, file, named=read_name, why_labels=why):
        echo(line)


@app.command()
def refilter(
    recipe: Annotated[str, typer.Argument(help="Another recipe over the same sources.")],
    out: Out = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Write dataset, database and report here; the build stays as it is."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The limit that the build had.")] = None,
) -> None:
    """Decide again from stored facts and write the result as a new version: no network, no model."""
    from pipelines.offline.refilter import next_release
    from pipelines.offline.refilter import refilter as run_refilter
    from pipelines.progress import TerminalProgress
    from pipelines.recipe import load_recipe

    wanted = load_recipe(recipe)
    out = the_build(out)
    loaded = next_release(wanted, (to or out) / "dataset", out / "dataset")
    done = run_refilter(loaded, out=out, to=to, limit=limit, progress=TerminalProgress())
    tell(done.result, to or out)
    echo(f"version    {loaded.version}")
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
        list[str], typer.Argument(help="RULE.FIELD=VALUE, e.g. degraded.min=0.6 piqe.max=40")
    ],
    out: Out = None,
    recipe: Annotated[str | None, typer.Option(help="Default: that of the last build.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="With --recipe: its limit.")] = None,
) -> None:
    """Show what other thresholds would keep and drop, from stored facts; writes nothing."""
    from pipelines.offline.what_if import what_if, what_if_lines
    from pipelines.recipe import load_recipe

    out = the_build(out)
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
