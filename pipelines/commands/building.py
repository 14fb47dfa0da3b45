"""Build, and keep it honest: crawl, plan, refresh, takedown."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.commands.options import (
    Address,
    Contact,
    MaxBytes,
    MaxHours,
    Out,
    OutToChange,
    RecipeName,
    Retry,
    RunnerOption,
    StopAtOption,
    Workers,
    budgeted,
    runner_of,
    tell,
    the_build,
    the_build_to_change,
)
from pipelines.terminal import echo

app = typer.Typer()


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("out/demo"),
    seed: Annotated[int | None, typer.Option(help="Another seed makes another corpus.")] = None,
    files: Annotated[
        int | None, typer.Option(help="Files in the corpus, 20 to 250 (the default).")
    ] = None,
    workers: Workers = None,
    runner: RunnerOption = None,
    address: Address = None,
    retry: Retry = False,
) -> None:
    """Build a small LucidLR from an embedded Commons on loopback and score it against the known truth."""
    from dataclasses import replace

    from pipelines.demo.corpus import score_build
    from pipelines.recipe import DEMO_RECIPE, load_recipe

    recipe = load_recipe(DEMO_RECIPE)
    if recipe.corpus is None:
        raise typer.BadParameter(f"{DEMO_RECIPE} has no corpus section.")
    changes = {k: v for k, v in (("seed", seed), ("files", files)) if v is not None}
    try:
        corpus = replace(recipe.corpus, **changes)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--files'") from error
    recipe = recipe.model_copy(update={"corpus": corpus})
    chosen = runner_of(recipe, kind=runner, workers=workers, address=address, usual="threads")
    _build(recipe, out=out, runner=chosen, retry=retry)
    echo("\nAgainst the known truth of the corpus:")
    for name, value in score_build(out).items():
        echo(f"  {name:<34}{value}")


@app.command()
def build(
    recipe: RecipeName,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: out/<name>.")] = None,
    contact: Contact = None,
    limit: Annotated[int | None, typer.Option(min=1, help="List at most so many files.")] = None,
    workers: Workers = None,
    runner: RunnerOption = None,
    address: Address = None,
    retry: Retry = False,
    max_hours: MaxHours = None,
    max_bytes: MaxBytes = None,
    stop_at: StopAtOption = None,
) -> None:
    """Build a dataset from a recipe; after an interruption run the same command again."""
    from pipelines.recipe import load_recipe

    loaded = budgeted(
        load_recipe(recipe), max_hours=max_hours, max_bytes=max_bytes, stop_at=stop_at
    )
    _build(
        loaded,
        out=out or Path("out") / loaded.name,
        runner=runner_of(loaded, kind=runner, workers=workers, address=address, usual="processes"),
        contact=contact,
        limit=limit,
        retry=retry,
    )


def _build(recipe: Any, *, out: Path, runner: Any, **options: Any) -> None:
    from catalog.files import local

    local(out)
    echo(f"building   {recipe.name} into {out}", err=True)
    from pipelines.build.driver import build as run_build
    from pipelines.build.runners.clusters import opened_runner
    from pipelines.last_build import note_build
    from pipelines.progress import TerminalProgress

    progress = TerminalProgress()
    # What was imported lives as long as the process: the collector need not look through it again and again.
    gc.freeze()
    try:
        with opened_runner(runner) as pool:
            result = run_build(recipe, out=out, runner=pool, progress=progress, **options)
    finally:
        # Else what DuckDB holds is never let go, and it says so when the process ends.
        gc.unfreeze()
        # Also after an interruption: `failures` and the next command are about this build.
        note_build(out)
    tell(result, out)


@app.command()
def plan(
    recipe: RecipeName,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: out/<name>.")] = None,
    contact: Contact = None,
    limit: Annotated[int | None, typer.Option(min=1, help="As for the build.")] = None,
    sample: Annotated[int, typer.Option(min=50, help="Files of each source to look at.")] = 100,
) -> None:
    """Tell requests, bytes, hours, disk and CPU of a build, and what share of each source passes, from a sample."""
    from pipelines.build.plan import plan as make_plan
    from pipelines.build.plan import plan_lines
    from pipelines.progress import TerminalProgress
    from pipelines.recipe import load_recipe

    loaded = load_recipe(recipe)
    made = make_plan(
        loaded,
        out=out or Path("out") / loaded.name,
        contact=contact,
        limit=limit,
        sample=sample,
        progress=TerminalProgress(),
    )
    for line in plan_lines(made):
        echo(line)


@app.command()
def refresh(
    recipe: RecipeName,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: out/<name>.")] = None,
    contact: Contact = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also files that are not due by the recipe's schedule.")
    ] = False,
    most: Annotated[int | None, typer.Option(min=1, help="Ask for at most so many files.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The limit that the build had.")] = None,
) -> None:
    """Ask Commons again: what was deleted, overwritten, relicensed, restricted, moved or restored since?"""
    from pipelines.build.refresh import refresh as run_refresh
    from pipelines.progress import TerminalProgress
    from pipelines.recipe import load_recipe

    loaded = load_recipe(recipe)
    folder = out or Path("out") / loaded.name
    result = run_refresh(
        loaded,
        out=folder,
        contact=contact,
        everything=everything,
        most=most,
        limit=limit,
        progress=TerminalProgress(),
    )
    echo(f"asked      {result.asked} files again; {result.not_due} were not due")
    for change, count in result.changes.items():
        echo(f"  {change:<12}{count}")
    for reason, count in result.removed.items():
        echo(f"tombstone  {reason:<12}{count}")
    if result.changes:
        echo(f"Next: lucidlr build {recipe} --out {folder}, then lucidlr purge --out {folder}")


@app.command()
def takedown(
    names: Annotated[
        Path,
        typer.Argument(
            help="Page ids, titles or addresses of files, one a line; - for standard input."
        ),
    ],
    out: OutToChange = None,
    why: Annotated[str, typer.Option(help="Kept with the tombstones.")] = "asked for",
) -> None:
    """Take the files of a removal list out of all future releases; needs no network."""
    from catalog.files import named_text
    from pipelines.build.refresh import take_down

    out = the_build_to_change(out, "takes files out of all future releases")
    text = sys.stdin.read() if str(names) == "-" else named_text(names, "a list of removals")
    found = take_down(out, text.splitlines(), why=why)
    echo(f"{len(found.pages)} files will be in no release any more.")
    for title in found.copies:
        echo(f"near-duplicate that stays: {title}")
    if found.copies:
        echo("Take them down, too, if the person who asked means the photograph and not the file.")
    for line in found.unknown:
        echo(f"not in this catalog: {line}")
        if line in found.problems:
            echo(f"  {found.problems[line]}")
    if found.pages:
        echo(f"Next: lucidlr export --out {out}, then lucidlr purge --out {out}")
    if found.unknown:
        raise typer.Exit(1)


@app.command()
def purge(out: OutToChange = None) -> None:
    """Delete the bytes of removed files and what the catalog's parts hold about them."""
    from pipelines.build.refresh import purge_removed

    out = the_build_to_change(out, "deletes removed files for good")
    done = purge_removed(out)
    echo(
        f"{done.pages} removed pages: {done.objects} originals deleted, {done.parts} parts rewritten"
    )


@app.command()
def politeness(
    out: Out = None,
    run: Annotated[str | None, typer.Option(help="Run id; default: every run.")] = None,
) -> None:
    """Tell how a crawl behaved towards each host, and whether it kept its limits."""
    from catalog.manners import politeness_lines
    from catalog.store import catalog_in

    for line in politeness_lines(catalog_in(the_build(out)), run_id=run):
        echo(line)
