"""What leaves the house: export, compare, push, check."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Out, OutToChange, tell, the_build, the_build_to_change
from pipelines.terminal import echo

app = typer.Typer()


class ExportFormat(StrEnum):
    """Forms that other trainers read."""

    imagefolder = "imagefolder"
    basicsr = "basicsr"
    webdataset = "webdataset"


@app.command()
def export(
    out: Out = None,
    version: Annotated[
        str | None, typer.Option(help="MAJOR.MINOR.PATCH; default: the recipe's.")
    ] = None,
    previous: Annotated[
        str | None,
        typer.Option(help="The release that this one follows: its dataset hash, or its folder."),
    ] = None,
    form: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="Also for other trainers: in this form, beside dataset/."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder for --format; default: <build>/<format>.")
    ] = None,
    lmdb: Annotated[
        bool, typer.Option("--lmdb", help="With --format basicsr: databases instead of folders.")
    ] = False,
) -> None:
    """Write the dataset again from the catalog, with the last build's recipe: without what was taken down since."""
    from pipelines.progress import TerminalProgress
    from pipelines.release.export import export_again, export_format

    out = the_build(out)
    progress = TerminalProgress()
    if form is not None:
        place = to or out / form.value
        count = export_format(
            out,
            place,
            form.value,
            lmdb=lmdb,
            version=version,
            previous=previous,
            progress=progress,
        )
        echo(f"{place}: {count} photographs, CREDITS.csv, LICENSES.md, manifest.json")
        return
    done = export_again(out, version=version, previous=previous, progress=progress)
    tell(done.result, out)


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
    from pipelines.release.export import compare, diff_lines

    found = compare(old, new, out=out, to_json=to_json, to_parquet=to_parquet, shown=rows)
    for line in diff_lines(found):
        echo(line)


@app.command()
def push(
    repo: Annotated[str, typer.Argument(help="Dataset repository on the Hub: owner/name.")],
    out: OutToChange = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done; change nothing.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Open the repository; without it a new one is private.")
    ] = False,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge",
            help="Squash the history and delete older versions' files for good, after a takedown.",
        ),
    ] = False,
) -> None:
    """Send the release to the Hugging Face Hub; after an interruption run the same command again."""
    out = the_build(out) if dry_run else the_build_to_change(out, f"publishes to {repo}")
    from huggingface_hub import HfApi

    from catalog.release.card import name_repository
    from pipelines.progress import TerminalProgress
    from pipelines.release.illustrate import illustrate
    from pipelines.release.push import plan_lines, plan_push, pushed_lines, release_in
    from pipelines.release.push import push as carry_out

    api, progress = HfApi(library_name="lucidlr"), TerminalProgress()
    if not dry_run and repo.count("/") == 1:
        # The card tells how to load it by this name; only what is sent needs to.
        name_repository(release_in(out), repo)
        shown = illustrate(release_in(out), out)
        echo(f"card       {len(shown)} figures in {release_in(out) / 'figures'}")
    plan = plan_push(api, repo, out, purge=purge, progress=progress)
    for line in plan_lines(plan):
        echo(line)
    if dry_run:
        echo("nothing was changed (--dry-run)")
        return
    done = carry_out(api, plan, public=public, progress=progress)
    for line in pushed_lines(done):
        echo(line)
    if done.left:
        raise typer.Exit(1)


@app.command()
def relink(out: Out = None) -> None:
    """Write lucidlr.duckdb again after the build's folder was moved."""
    from catalog.store import catalog_in
    from pipelines.build.history import relink as make

    out = the_build(out)
    with catalog_in(out).locked():
        echo(str(make(out)))


@app.command()
def verify(
    out: Out = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set aside what is damaged and make it again.")
    ] = False,
) -> None:
    """Read everything a build left, catalog and dataset, and say what is damaged or lost."""
    from pipelines.release.verify import mend, problems

    out = the_build(out)
    if repair and mend(out, echo):
        raise typer.Exit(1)
    found = problems(out)
    for problem in found:
        echo(problem)
    if found:
        if not repair:
            echo(f"To mend it: lucidlr verify --repair --out {out}")
        raise typer.Exit(1)
    manifest = out / "dataset" / "manifest.json"
    told = json.loads(manifest.read_text())["dataset_hash"] if manifest.is_file() else "none"
    echo(f"all shards are whole; dataset hash {told}")
