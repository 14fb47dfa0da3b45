"""Faithfulness: score restored images, train a head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.terminal import echo

app = typer.Typer()

EncoderOption = Annotated[str, typer.Option(help="A file of training/consistency/encoders/.")]


@app.command()
def consistency(
    lr: Annotated[Path, typer.Argument(help="The degraded image, or a folder of them.")],
    sr: Annotated[
        Path, typer.Argument(help="The restored image, or a folder with the same names.")
    ],
    encoder: EncoderOption = "efficientnet_lite0",
    head: Annotated[
        str | None,
        typer.Option(
            help="File of a head; default: the one that ships for this encoder; `none`: no head."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Folder or hub name of the model, for qwen3_vl_embedding.")
    ] = None,
    hr: Annotated[
        Path | None,
        typer.Option(
            help="The sharp image, or a folder with the same names: shown beside the score."
        ),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(help="Folder for a map per pair of where it departs from its input."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="CSV file to write: lr, sr, score, bicubic, mismatched, hr, departure."),
    ] = None,
) -> None:
    """Faithfulness of restored images, beside what bicubic, another picture and the sharp one would get."""
    import statistics

    from pipelines.progress import TerminalProgress
    from training.consistency.anchors import COLUMNS, anchored, summary
    from training.consistency.scoring import load_consistency, pairs_of

    pairs = pairs_of(lr, sr)
    sharp = None if hr is None else [b for _, b in pairs_of(lr, hr)]
    scorer = load_consistency(encoder, head, **({} if model is None else {"model": model}))
    with TerminalProgress().stage("pairs", len(pairs)) as advance:
        rows = anchored(scorer, pairs, sharp, maps=maps, advance=advance)
    if to is None:
        echo("  ".join(f"{name:>10}" for name in COLUMNS[2:]))
        for row in rows:
            told = "  ".join("         -" if x is None else f"{x:10.4f}" for x in row.numbers())
            echo(f"{told}  {row.sr}")
    else:
        _write(to, rows)
        echo(f"{to}: {len(rows)} scores")
    echo(f"{statistics.fmean(row.score for row in rows):10.4f}  mean of {len(rows)} ({encoder})")
    for line in summary(scorer, rows):
        echo(line)


def _write(file: Path, rows: Any) -> None:
    import csv

    from catalog import files
    from training.consistency.anchors import COLUMNS

    with files.text(file, newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(COLUMNS)
        for row in rows:
            numbers = ["" if x is None else repr(x) for x in row.numbers()]
            writer.writerow([str(row.lr), str(row.sr), *numbers])


@app.command()
def precompute(
    config: Annotated[
        str, typer.Argument(help="Name (tiny, ...) or path of the training's configuration.")
    ],
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of an exported dataset, e.g. out/demo/dataset.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder of the store; default: beside the dataset.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where scorers run: cpu, cuda.")] = "cpu",
    kind: Annotated[
        list[str] | None, typer.Option(help="conditioning, shared or baseline; default: all three.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that work side by side.")] = 1,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would be written, and stop.")
    ] = False,
    most_gb: Annotated[
        float, typer.Option(help="Refuse to write more than this, in GB (10^9 bytes).")
    ] = 50.0,
) -> None:
    """Work out once what all rollouts of one LR share: embeddings, conditioning, the LR's own scores."""
    from pipelines.progress import TerminalProgress
    from pipelines.recipe import recipe_path
    from training.precompute import default_folder, makers_and_crops
    from training.precompute import precompute as run_precompute
    from training.precompute.sizes import check_size, estimate, precompute_over
    from training.train_config import load_config

    settings = load_config(
        recipe_path(config, kind="training"), {} if dataset is None else {"dataset": str(dataset)}
    )
    source, crops, wanted = makers_and_crops(settings, kinds=kind or ())
    assert settings.dataset is not None  # makers_and_crops refuses that
    folder = to or default_folder(settings.dataset)
    sizes = estimate(folder, source, crops, wanted, device=device)
    for one in sizes:
        echo(f"{one.kind:<32} {one.crops} crops, {one.bytes / 2**20:,.1f} MiB to write")
    if plan:
        return
    check_size(sizes, most_gb=most_gb)
    if processes > 1:
        report = precompute_over(processes, settings, folder, kinds=kind or (), device=device)
    else:
        with TerminalProgress().stage("crops", len(crops) * len(wanted)) as advance:
            report = run_precompute(folder, source, crops, wanted, device=device, advance=advance)
    for made in report:
        said = "shares nothing" if made.nothing else f"{made.made} made, {made.there} were there"
        echo(f"{made.kind:<32} {said}")
    echo(f"store      {folder}")


@app.command("consistency-train")
def consistency_train(
    photographs: Annotated[
        Path, typer.Argument(help="Sharp photographs; `make photos` fetches some.")
    ] = Path(".photos"),
    out: Annotated[Path, typer.Option(help="Heads, results, embeddings.")] = Path(
        "out/consistency"
    ),
    encoder: EncoderOption = "efficientnet_lite0",
    model: Annotated[
        str | None, typer.Option(help="Folder or hub name of the model, for qwen3_vl_embedding.")
    ] = None,
    contents: Annotated[int, typer.Option(min=1, help="Cuts of each photograph.")] = 12,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Train a head of LucidConsistency, and judge it on held-out photographs beside the encoder without one."""
    from pipelines.progress import TerminalProgress
    from training.consistency import load_encoder
    from training.consistency.pools import PoolConfig, count_images
    from training.consistency.report import table, train_and_report
    from training.consistency.training import HeadConfig
    from training.photographs import photographs as read_photographs

    found = read_photographs(photographs)
    loaded = load_encoder(encoder, **({} if model is None else {"model": model}))
    head = HeadConfig(seed=seed) if steps is None else HeadConfig(seed=seed, steps=steps)
    pools = PoolConfig(contents=contents, held_out_contents=max(1, contents // 3), seed=seed)
    with TerminalProgress().stage("images", count_images(found, pools)) as advance:
        report = train_and_report(found, loaded, out, pools=pools, head=head, advance=advance)
    for line in table(report):
        echo(line)
    echo(f"head       {out / 'head.safetensors'}  (lucidlr consistency LR SR --head ...)")
    echo(f"results    {out / 'results.md'}, results.csv, similarity.png")


@app.command("consistency-fit")
def consistency_fit(
    photographs: Annotated[
        Path, typer.Argument(help="Sharp photographs; `make photos` fetches some.")
    ] = Path(".photos"),
    test: Annotated[
        Path | None,
        typer.Option(help="Other photographs to judge on; default: those held out of the first."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Head, map, results.md.")] = Path("out/consistency-fit"),
    contents: Annotated[int, typer.Option(min=1, help="Cuts of each photograph.")] = 4,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Fit the head and the map that ship for the offline encoder, and judge them on other photographs."""
    from dataclasses import replace

    from pipelines.progress import TerminalProgress
    from training.consistency import load_encoder
    from training.consistency.fit import HEAD, MAP, FitConfig, fit_and_judge
    from training.photographs import photographs as read_photographs

    found = read_photographs(photographs)
    train = [photo for photo in found if not photo.held_out]
    held = [photo for photo in found if photo.held_out]
    if test is not None:
        held = [
            replace(p, held_out=True) for p in read_photographs(test, packaged=False, split=False)
        ]
    config = FitConfig(contents=contents, seed=seed)
    total = len(train) * config.contents + len(held) * config.judged
    with TerminalProgress().stage("cuts", total) as advance:
        fit_and_judge(train, held, load_encoder("efficientnet_lite0"), out, config, advance=advance)
    echo((out / "results.md").read_text(encoding="utf-8"))
    echo(f"written    {out / HEAD}, {out / MAP}")
