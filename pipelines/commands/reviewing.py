"""Look at a whole build in the browser, say what is right, and measure labels and filter by what was said."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import Out, the_build
from pipelines.terminal import echo

if TYPE_CHECKING:
    from pipelines.review.collection import Collection

app = typer.Typer()

Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Of 127.0.0.1; default: a free one.")
]


@app.command()
def review(
    folder: Annotated[
        Path | None, typer.Argument(help="A build, or a folder that lucidlr label wrote.")
    ] = None,
    out: Out = None,
    by: Annotated[
        str | None, typer.Option(help="Who reviews; default: your account on this machine.")
    ] = None,
    port: Port = None,
    draw: Annotated[
        int | None, typer.Option(min=1, help="Draw a sample of so many pictures, and open it.")
    ] = None,
    sample: Annotated[str | None, typer.Option(help="Open, or measure, this sample.")] = None,
    sample_name: Annotated[
        str | None, typer.Option(help="With --draw: its name; default: sample-1, sample-2, ...")
    ] = None,
    seed: Annotated[int, typer.Option(help="With --draw: another seed draws another sample.")] = 0,
    seen: Annotated[
        bool, typer.Option("--seen", help="With --draw: show what was measured from the start.")
    ] = False,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Show how right labels and filter are, and do not serve."),
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write all verdicts to this CSV or Parquet file.")
    ] = None,
    take: Annotated[
        Path | None,
        typer.Option("--import", help="Take in verdicts from a CSV or Parquet file."),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Of a labelled folder: where its pictures are now.")
    ] = None,
    test_split: Annotated[
        Path | None,
        typer.Option(
            help="Freeze what two people kept as the split test, and list its SHA-1s in this file."
        ),
    ] = None,
    grow: Annotated[
        bool,
        typer.Option("--grow", help="With --test-split: add what was verified since to it."),
    ] = False,
) -> None:
    """Open a local page over a build to look, judge and correct; verdicts become facts that builds obey."""
    from catalog.store import holds_build
    from pipelines.build.report.measured import measure as measured
    from pipelines.build.report.measured import measured_lines

    out = the_build(folder or out)
    if not holds_build(out) and (out / "labels.parquet").is_file():
        from pipelines.review.folders import of_labels

        echo("This folder has no catalog: verdicts are not kept, the page is read-only.")
        shown = of_labels(out, pictures)
        first = next((sha1 for sha1 in shown.rows.column("sha1").to_pylist() if sha1), None)
        if first is not None and shown.read(first) is None:
            echo(
                "The pictures are not where they were labelled: name their folder with --pictures."
            )
        _show(shown, port)
        return
    if export is not None or take is not None or measure or test_split is not None:
        from catalog.store import catalog_in

        catalog = catalog_in(out)
        if take is not None:
            _take(out, take)
        if export is not None:
            from catalog.reviews import all_reviews, write_reviews

            table = all_reviews(catalog)
            write_reviews(table, export)
            echo(f"{table.num_rows} verdicts written to {export}")
        if test_split is not None:
            _freeze(out, test_split, by or getpass.getuser(), grow=grow)
        if measure:
            found = measured(catalog, sample)
            if found is None:
                echo("No sample was answered: run `lucidlr review --draw 200` first.")
                raise typer.Exit(1)
            for line in measured_lines(found):
                echo(line)
        return
    _serve(out, by, port, sample, draw, sample_name, seed, blind=not seen)


def _freeze(out: Path, path: Path, by: str, *, grow: bool) -> None:
    from catalog.store import catalog_in
    from pipelines.offline.judged import freeze_test_split, kept_now

    catalog = catalog_in(out)
    with catalog.locked():
        kept = kept_now(out, catalog)
        done = freeze_test_split(catalog, path, by=by, kept=kept, grow=grow)
    echo(f"test split: {done.pictures} pictures, {done.new} of them new, listed in {path}")
    if done.left_out:
        echo(f"{done.left_out} more were verified, but rules on rights, files or twins drop them.")
    echo(f"Next: lucidlr export --out {out}   releases them as the split test")


def _take(out: Path, path: Path) -> None:
    from catalog.reviews import add_reviews, all_reviews, read_reviews
    from catalog.store import catalog_in
    from filters.degradation import LABELS

    catalog = catalog_in(out)
    rows = read_reviews(path, labels=LABELS)
    had = all_reviews(catalog).num_rows
    add_reviews(catalog, rows)
    echo(f"{all_reviews(catalog).num_rows - had} of {len(rows)} verdicts were new.")
    echo(f"Next: lucidlr build with the same recipe and --out {out}")


def _serve(
    out: Path,
    by: str | None,
    port: int | None,
    sample: str | None,
    draw: int | None,
    sample_name: str | None,
    seed: int,
    *,
    blind: bool,
) -> None:
    from catalog.reviews import join_parts, sample_names
    from catalog.store import catalog_in
    from pipelines.review.collection import of_build
    from pipelines.review.server import free_port, serve
    from pipelines.review.state import State

    if draw is not None:
        from pipelines.offline.judged import draw_sample

        catalog = catalog_in(out)
        sample = sample_name or f"sample-{len(sample_names(catalog)) + 1}"
        with catalog.locked():
            drawn = draw_sample(out, catalog, draw, name=sample, seed=seed, blind=blind)
        echo(f"sample {sample}: {len(drawn)} pictures")
    collection = of_build(out)
    if collection.catalog is not None:
        with collection.catalog.locked():
            join_parts(collection.catalog)
    state = State(collection, reviewer=by or getpass.getuser(), sample=sample)
    serve(state, port=port or free_port(), say=echo)


@app.command()
def explore(
    folder: Annotated[
        str, typer.Argument(help="A release's folder, or a dataset repository on the Hub.")
    ],
    port: Port = None,
    static: Annotated[
        Path | None,
        typer.Option(help="Write the page as files into this folder, for a web server or a Space."),
    ] = None,
    originals: Annotated[
        bool,
        typer.Option("--originals", help="With --static: copy the pictures themselves, too."),
    ] = False,
) -> None:
    """Open the same page, read-only, over any release; with --static write it as files that need no server."""
    from pipelines.review.folders import of_folder, of_repository

    path = Path(folder)
    collection = of_folder(path) if path.is_dir() else of_repository(folder)
    if static is None:
        _show(collection, port)
        return
    from pipelines.progress import TerminalProgress
    from pipelines.review.site import write_site

    with TerminalProgress().stage("pictures", collection.rows.num_rows) as advance:
        done = write_site(collection, static, originals=originals, advance=advance)
    size = done.index_bytes / 1e6
    echo(f"{static}: {done.rows} rows, {done.pictures} pictures, an index of {size:.1f} MB")
    echo(f"Next: python -m http.server --directory {static}   or upload the folder as it is")


def _show(collection: Collection, port: int | None) -> None:
    from pipelines.review.server import free_port, serve
    from pipelines.review.state import State

    serve(State(collection, reviewer=getpass.getuser()), port=port or free_port(), say=echo)


@app.command()
def figures(
    out: Out = None,
    formats: Annotated[
        str, typer.Option("--format", help="pdf, svg, png; several with commas.")
    ] = "pdf",
    to: Annotated[
        Path | None, typer.Option(help="Folder; default: figures in the build's folder.")
    ] = None,
    card: Annotated[
        bool,
        typer.Option(
            "--card", help="Also into the dataset's card, as lucidlr push does by itself."
        ),
    ] = False,
) -> None:
    """Draw figures of a build for a paper: funnel, labels, severity, licenses, years, sizes, a contact sheet."""
    from catalog.page.figures import draw_figures
    from crawler.download import ObjectStore, OriginalMissing
    from pipelines.build.doors import view

    out = the_build(out)
    store = ObjectStore(out / "catalog" / "objects")

    def read(sha1: str) -> bytes | None:
        try:
            return store.read(sha1)
        except OriginalMissing:
            return None

    wanted = [name for name in formats.replace(",", " ").split() if name]
    for path in draw_figures(out, to or out / "figures", wanted, read=read, decode=view):
        echo(str(path))
    if card:
        from pipelines.release.illustrate import illustrate
        from pipelines.release.push import release_in

        for name in illustrate(release_in(out), out):
            echo(str(release_in(out) / name))
