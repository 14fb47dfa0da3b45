"""Try the rules on your own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Workers, the_build
from pipelines.terminal import echo

app = typer.Typer()


@app.command()
def label(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Folders or files of pictures, WebDataset shards (.tar), Parquet files.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="For the results; default: out/labels/<name of the folder>.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Whose labels, twins and rules; default: readable, and not a copy."),
    ] = None,
    workers: Workers = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Write a page to look at.")] = True,
) -> None:
    """Label your own pictures: which are blurred, noisy, dark, enlarged or copies. No network; resumes."""
    import os

    from pipelines.photos.label import label as run_label
    from pipelines.photos.label import label_lines
    from pipelines.progress import TerminalProgress

    out = out or Path("out/labels") / (folders[0].resolve().name or "pictures")
    done = run_label(
        folders,
        out,
        recipe=recipe,
        workers=workers or os.cpu_count() or 1,
        page=page,
        progress=TerminalProgress(),
    )
    for line in label_lines(done):
        echo(line)
    if page:
        echo(f"page       {out / 'index.html'}")


@app.command("dedup-report")
def dedup_report(
    folder: Annotated[Path, typer.Argument(help="Photographs of yours, no two of them alike.")],
    most: Annotated[int, typer.Option(min=2, help="Look at so many, evenly over the names.")] = 100,
    recipe: Annotated[str | None, typer.Option(help="Whose dedupe section to try.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Also look for crops with it, e.g. efficientnet_lite0.")
    ] = None,
    partial: Annotated[
        bool, typer.Option(help="Also look for parts, as dedupe.partial does.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Where it writes as it goes; default: out/dedup-report/ and the name."),
    ] = None,
) -> None:
    """Try the rule for near-duplicates on your own images: recall per kind of copy, and false matches.

    table.txt grows with every photograph. Killed, the same command resumes.
    """
    from pipelines.progress import TerminalProgress
    from pipelines.studies.dedup_report import TABLE, dedup_report_lines
    from pipelines.studies.dedup_report import dedup_report as run_report

    out = out or Path("out/dedup-report") / (folder.resolve().name or "pictures")
    found = run_report(
        folder,
        out=out,
        most=most,
        recipe=recipe,
        encoder=encoder,
        partial=partial,
        progress=TerminalProgress(),
    )
    for line in dedup_report_lines(found):
        echo(line)
    echo(f"table      {out / TABLE}")


@app.command()
def fingerprint(
    benchmark: Annotated[str, typer.Argument(help="E.g. RealSR.")],
    folder: Annotated[Path, typer.Argument(help="Your copy of its images.")],
    index: Annotated[Path, typer.Option(help="Parquet file; other benchmarks in it stay.")] = Path(
        "benchmarks.parquet"
    ),
    parts: Annotated[
        bool, typer.Option(help="Also what crops are found by: 7 kB an image.")
    ] = False,
) -> None:
    """Note the fingerprints of a benchmark's images, so that a recipe can keep away from them."""
    from pipelines.progress import TerminalProgress
    from pipelines.studies.dedup_report import add_fingerprints

    count = add_fingerprints(benchmark, folder, index, parts=parts, progress=TerminalProgress())
    echo(f"{index}: {count} fingerprints of {benchmark}; no pixel is in it.")


@app.command()
def calibrate(
    photographs: Annotated[
        Path, typer.Argument(help="Sharp, clean photographs; `make photos` fetches some.")
    ] = Path(".photos"),
    graphics: Annotated[
        Path | None, typer.Option(help="Screenshots and drawings; `make graphics` fetches some.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Weights, results, plots.")] = Path("out/calibration"),
    real: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of real pictures labelled by eye, with a manifest.csv; may be given again. Learns new weights."
        ),
    ] = None,
    amounts: Annotated[
        str, typer.Option(help="Of the damage that is judged, with commas; fewer are quicker.")
    ] = "mild,moderate,strong,severe",
    name: Annotated[
        str | None,
        typer.Option(help="Weights to judge; default: the shipped ones that need no encoder."),
    ] = None,
    workers: Workers = None,
    clean: Annotated[
        bool,
        typer.Option(
            "--clean", help="Only count the labels that clean photographs bear; trains nothing."
        ),
    ] = False,
    reviews: Annotated[
        bool,
        typer.Option(
            "--reviews", help="Fit the recipe's thresholds to what people said of a drawn sample."
        ),
    ] = False,
    build: Annotated[
        Path | None,
        typer.Option(help="With --reviews: the build's folder; default: the last build."),
    ] = None,
    sample: Annotated[
        str | None, typer.Option(help="With --reviews: which sample; default: the newest answered.")
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(help="With --reviews: save the proposal as recipes/NAME.yaml in the build."),
    ] = None,
) -> None:
    """Judge the labels on photographs degraded by known amounts, or by what people said (--reviews)."""
    if reviews:
        _by_reviews(build, sample, save)
        return
    import os

    from filters.degradation import PLAIN_CLASSIFIER
    from pipelines.progress import TerminalProgress
    from pipelines.studies.calibrate import calibrate as run_calibration
    from pipelines.studies.calibrate import judge_clean

    count = workers or os.cpu_count() or 1
    name = name or PLAIN_CLASSIFIER
    if clean:
        told = judge_clean(photographs, out, name=name, workers=count, progress=TerminalProgress())
        echo(f"results    {told}")
        return

    run_calibration(
        photographs,
        graphics,
        out,
        real=real or (),
        amounts=_amounts(amounts),
        name=name,
        workers=count,
        progress=TerminalProgress(),
    )
    if real:
        echo(
            f"weights    {out / 'weights'}  (to use them: degradation-*.json into filters/degradation/weights/, "
            "layers-*.json into filters/measures/weights/)"
        )
    echo(f"results    {out / 'results.md'}, severity.png, reliability.png")


def _amounts(given: str) -> tuple[str, ...]:
    from filters.degradation.kinds import LEVELS

    names = tuple(name.strip() for name in given.split(","))
    unknown = [name for name in names if name not in LEVELS]
    if unknown:
        raise typer.BadParameter(f"no amount {unknown[0]!r}; there are {', '.join(LEVELS)}.")
    return names


@app.command()
def screen(
    folder: Annotated[Path, typer.Argument(help="Images.")],
    to: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("screened.parquet"),
    workers: Workers = None,
) -> None:
    """Look quickly at many files: approximate hashes and a few measures, by a gray decode. For sorting out only."""
    import os

    from pipelines.progress import TerminalProgress
    from pipelines.studies.screen import screen_folder

    count, failed = screen_folder(
        folder, to, workers=workers or os.cpu_count() or 1, progress=TerminalProgress()
    )
    echo(f"{to}: {count} images, {failed} that do not decode (column `error`)")


def _by_reviews(build: Path | None, sample: str | None, save: str | None) -> None:
    from catalog.store import catalog_in
    from pipelines.offline.changes import save_recipe
    from pipelines.offline.judged import proposal_lines, propose

    out = the_build(build)
    catalog = catalog_in(out)
    with catalog.locked():
        found = propose(out, catalog, sample)
    for line in proposal_lines(found):
        echo(line)
    if save is not None:
        path = save_recipe(found.recipe, out, save)
        echo(f"recipe     {path}")
        echo(f"Next: lucidlr refilter {path} --out {out}")
