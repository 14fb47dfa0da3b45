"""`lucidlr ...`: everything the flows do, without a server.

Imports stay inside the commands: `lucidlr --help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Naturally degraded photographs from Wikimedia Commons for real-world super-resolution.",
)

DEMO_RECIPE = Path(__file__).parent / "recipes" / "demo.yaml"


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


@app.command()
def demo(
    out: Out = Path("out/demo"),
    seed: Annotated[int | None, typer.Option(help="Another seed makes another corpus.")] = None,
    files: Annotated[int | None, typer.Option(min=20, help="Files in the corpus.")] = None,
    workers: Workers = None,
    runner: RunnerOption = RunnerKind.threads,
    retry: Retry = False,
) -> None:
    """Build a small LucidLR from an embedded Commons on loopback and score it against the known truth."""
    from dataclasses import replace

    from pipelines.demo import score_build
    from pipelines.recipe import load_recipe

    recipe = load_recipe(DEMO_RECIPE)
    if recipe.corpus is None:
        raise typer.BadParameter(f"{DEMO_RECIPE} has no corpus section.")
    changes = {k: v for k, v in (("seed", seed), ("files", files)) if v is not None}
    recipe = recipe.model_copy(update={"corpus": replace(recipe.corpus, **changes)})
    _build(recipe, out=out, runner=runner, workers=workers, retry=retry)
    typer.echo("\nAgainst the known truth of the corpus:")
    for name, value in score_build(out).items():
        typer.echo(f"  {name:<34}{value}")


@app.command()
def build(
    recipe: Annotated[
        Path, typer.Argument(help="Recipe, e.g. pipelines/recipes/lucidlr_20k.yaml.")
    ],
    out: Annotated[Path | None, typer.Option(help="Output folder; default: out/<name>.")] = None,
    contact: Contact = None,
    limit: Annotated[int | None, typer.Option(min=1, help="List at most so many files.")] = None,
    workers: Workers = None,
    runner: RunnerOption = RunnerKind.processes,
    retry: Retry = False,
) -> None:
    """Build a dataset from a recipe; after an interruption run the same command again."""
    from pipelines.recipe import load_recipe

    loaded = load_recipe(recipe)
    _build(
        loaded,
        out=out or Path("out") / loaded.name,
        runner=runner,
        workers=workers,
        contact=contact,
        limit=limit,
        retry=retry,
    )


def _build(
    recipe: Any, *, out: Path, runner: RunnerKind, workers: int | None, **options: Any
) -> None:
    from pipelines.driver import build as run_build
    from pipelines.progress import TerminalProgress
    from pipelines.runners import pool_runner

    progress = TerminalProgress()
    with pool_runner(runner.value, workers) as pool:
        result = run_build(recipe, out=out, runner=pool, progress=progress, **options)
    _tell(result, out)


def _tell(result: Any, out: Path) -> None:
    typer.echo(funnel_text(result.funnel))
    if result.failures:
        total = sum(count for _, _, count in result.failures)
        typer.echo(f"{total} failures; `lucidlr failures --out {out}` lists them.")
    if result.dataset_hash is None:
        typer.echo("dataset    nothing was kept; an older dataset, if there was one, is untouched")
    else:
        typer.echo(f"dataset    {result.dataset}  ({result.dataset_hash[:16]})")
    typer.echo(f"catalog    {result.database}")
    typer.echo(f"report     {result.report}")
    typer.echo(f"took       {result.seconds:.1f} s")


def funnel_text(funnel: list[tuple[str, int]]) -> str:
    """The funnel as bars of text, widest 40 characters."""
    top = max((count for _, count in funnel), default=1) or 1
    width = max(len(step) for step, _ in funnel)
    lines = [
        f"  {step:<{width}} {count:>7}  {'█' * round(40 * count / top)}" for step, count in funnel
    ]
    return "\n".join(["", *lines, ""])


@app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(help="Recipe to be built.")],
    out: Annotated[Path | None, typer.Option(help="Output folder; default: out/<name>.")] = None,
    contact: Contact = None,
    limit: Annotated[int | None, typer.Option(min=1, help="As for the build.")] = None,
    sample: Annotated[int, typer.Option(min=50, help="Files of each source to look at.")] = 50,
) -> None:
    """Tell how many requests, bytes and hours a build will take, by source; asks for a sample only."""
    from pipelines.plan import plan as make_plan
    from pipelines.plan import plan_lines
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
        typer.echo(line)


@app.command()
def refresh(
    recipe: Annotated[Path, typer.Argument(help="The recipe that the build was made with.")],
    out: Annotated[Path | None, typer.Option(help="Output folder; default: out/<name>.")] = None,
    contact: Contact = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also files that are not due by the recipe's schedule.")
    ] = False,
    most: Annotated[int | None, typer.Option(min=1, help="Ask for at most so many files.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The limit that the build had.")] = None,
) -> None:
    """Ask Commons again: what was deleted, overwritten, relicensed, restricted, moved or restored since?"""
    from pipelines.progress import TerminalProgress
    from pipelines.recipe import load_recipe
    from pipelines.refresh import refresh as run_refresh

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
    typer.echo(f"asked      {result.asked} files again; {result.not_due} were not due")
    for change, count in result.changes.items():
        typer.echo(f"  {change:<12}{count}")
    for reason, count in result.removed.items():
        typer.echo(f"tombstone  {reason:<12}{count}")
    if result.changes:
        typer.echo(
            f"Next: lucidlr build {recipe} --out {folder}, then lucidlr purge --out {folder}"
        )


@app.command()
def takedown(
    names: Annotated[
        Path,
        typer.Argument(
            help="Page ids, titles or addresses of files, one a line; - for standard input."
        ),
    ],
    out: Out = Path("out/demo"),
    why: Annotated[str, typer.Option(help="Kept with the tombstones.")] = "asked for",
) -> None:
    """Take the files of a removal list out of all future releases; needs no network."""
    from pipelines.refresh import take_down

    text = sys.stdin.read() if str(names) == "-" else names.read_text(encoding="utf-8")
    found = take_down(out, text.splitlines(), why=why)
    typer.echo(f"{len(found.pages)} files will be in no release any more.")
    for line in found.unknown:
        typer.echo(f"not in this catalog: {line}")
    if found.pages:
        typer.echo(f"Next: lucidlr export --out {out}, then lucidlr purge --out {out}")
    if found.unknown:
        raise typer.Exit(1)


@app.command()
def purge(out: Out = Path("out/demo")) -> None:
    """Delete the bytes of removed files and what the catalog's parts hold about them."""
    from pipelines.refresh import purge_removed

    done = purge_removed(out)
    typer.echo(
        f"{done.pages} removed pages: {done.objects} originals deleted, {done.parts} parts written anew"
    )


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
    from pipelines.why_labels import why_labels_of

    why = why_labels_of(out) if labels else None
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
    _tell(done.result, out)
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
    from pipelines.refilter import what_if, what_if_lines

    loaded = load_recipe(recipe) if recipe else None
    for line in what_if_lines(what_if(changes, out=out, recipe=loaded, limit=limit)):
        typer.echo(line)


@app.command()
def fingerprint(
    benchmark: Annotated[str, typer.Argument(help="E.g. RealSR.")],
    folder: Annotated[Path, typer.Argument(help="Your copy of its images.")],
    index: Annotated[Path, typer.Option(help="Parquet file; other benchmarks in it stay.")] = Path(
        "benchmarks.parquet"
    ),
) -> None:
    """Note the fingerprints of a benchmark's images, so that a recipe can keep away from them."""
    from pipelines.dedup_report import add_fingerprints
    from pipelines.progress import TerminalProgress

    count = add_fingerprints(benchmark, folder, index, progress=TerminalProgress())
    typer.echo(f"{index}: {count} fingerprints of {benchmark}; no pixel is in it.")


@app.command("dedup-report")
def dedup_report(
    folder: Annotated[Path, typer.Argument(help="Photographs of yours, no two of them alike.")],
    most: Annotated[int, typer.Option(min=2, help="Look at so many, evenly over the names.")] = 100,
    recipe: Annotated[Path | None, typer.Option(help="Whose dedupe section to try.")] = None,
) -> None:
    """Try the rule for near-duplicates on your own images: recall per kind of copy, and false matches."""
    from pipelines.dedup_report import dedup_report as run_report
    from pipelines.dedup_report import dedup_report_lines
    from pipelines.progress import TerminalProgress

    found = run_report(folder, most=most, recipe=recipe, progress=TerminalProgress())
    for line in dedup_report_lines(found):
        typer.echo(line)


@app.command()
def calibrate(
    photographs: Annotated[
        Path, typer.Argument(help="Sharp, clean photographs; `make photos` fetches some.")
    ] = Path(".photos"),
    graphics: Annotated[
        Path | None, typer.Option(help="Screenshots and drawings; `make graphics` fetches some.")
    ] = None,
    out: Out = Path("out/calibration"),
    name: Annotated[str, typer.Option(help="Of the weights: <name>-<version>.")] = "degradation-1",
    workers: Workers = None,
) -> None:
    """Degrade photographs by known amounts, train the labels' classifier on half of them, judge it on the rest."""
    import os

    from pipelines.calibrate import calibrate as run_calibration
    from pipelines.progress import TerminalProgress

    weights = run_calibration(
        photographs,
        graphics,
        out,
        name=name,
        workers=workers or os.cpu_count() or 1,
        progress=TerminalProgress(),
    )
    typer.echo(f"weights    {weights}  (to use them, put them into filters/weights/)")
    typer.echo(f"results    {out / 'results.md'}, severity.png, reliability.png")


@app.command()
def screen(
    folder: Annotated[Path, typer.Argument(help="Images.")],
    to: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("screened.parquet"),
    workers: Workers = None,
) -> None:
    """Look quickly at many files: approximate hashes and a few measures, by a grey decode. For sorting out only."""
    import os

    from pipelines.progress import TerminalProgress
    from pipelines.screen import screen_folder

    count, failed = screen_folder(
        folder, to, workers=workers or os.cpu_count() or 1, progress=TerminalProgress()
    )
    typer.echo(f"{to}: {count} images, {failed} that do not decode (column `error`)")


@app.command()
def politeness(
    out: Out = Path("out/demo"),
    run: Annotated[str | None, typer.Option(help="Run id; default: every run.")] = None,
) -> None:
    """Tell how a crawl behaved towards each host, and whether it kept its limits."""
    from catalog.politeness import politeness_lines
    from catalog.store import Catalog

    if not (out / "catalog" / "parts").is_dir():
        raise FileNotFoundError(f"{out} holds no build (no catalog/parts in it).")
    for line in politeness_lines(Catalog(out / "catalog"), run_id=run):
        typer.echo(line)


@app.command()
def export(
    out: Out = Path("out/demo"),
    version: Annotated[
        str | None, typer.Option(help="MAJOR.MINOR.PATCH; default: the recipe's.")
    ] = None,
    previous: Annotated[
        str | None,
        typer.Option(help="The release that this one follows: its dataset hash, or its folder."),
    ] = None,
) -> None:
    """Write the dataset anew from the catalog, with the last build's recipe: without what was taken down since."""
    from pipelines.progress import TerminalProgress
    from pipelines.release import export_again

    progress = TerminalProgress()
    done = export_again(out, version=version, previous=previous, progress=progress)
    _tell(done.result, out)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="Folder of the older dataset.")],
    new: Annotated[Path, typer.Argument(help="Folder of the newer dataset.")],
    out: Annotated[
        Path | None, typer.Option(help="The build NEW came from, for reasons of removals.")
    ] = None,
    to_json: Annotated[
        Path | None, typer.Option("--json", help="Write every row that differs.")
    ] = None,
    to_parquet: Annotated[
        Path | None, typer.Option("--parquet", help="Write every row that differs.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows of each kind to show.")] = 5,
) -> None:
    """Compare two releases row by row: added, removed (and why), overwritten, moved, relicensed, relabelled."""
    from pipelines.release import compare, diff_lines

    found = compare(old, new, out=out, to_json=to_json, to_parquet=to_parquet, shown=rows)
    for line in diff_lines(found):
        typer.echo(line)


@app.command()
def relink(out: Out = Path("out/demo")) -> None:
    """Make lucidlr.duckdb anew after the output folder was moved."""
    from pipelines.publish import relink as make

    typer.echo(make(out))


@app.command()
def verify(out: Out = Path("out/demo")) -> None:
    """Recompute every hash of the exported dataset."""
    from catalog.export import verify_dataset

    problems = verify_dataset(out / "dataset")
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    manifest = json.loads((out / "dataset" / "manifest.json").read_text())
    typer.echo(f"all shards are whole; dataset hash {manifest['dataset_hash']}")


def _expected() -> tuple[type[Exception], ...]:
    from pipelines.errors import expected_errors

    return expected_errors()


def main() -> None:
    """Entry point: expected errors become one message and exit code 1, bugs keep their traceback."""
    try:
        app()
    except SystemExit:
        # How typer ends; to look further would import everything just to answer --help.
        raise
    except _expected() as error:
        sys.stderr.write(f"lucidlr: {error}\n")
        sys.exit(1)
    except BrokenPipeError:
        # `lucidlr failures | head` closes the pipe early; that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
