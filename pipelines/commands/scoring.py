"""Faithfulness: score restored images, train a head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
        Path | None,
        typer.Option(help="Trained head; without one the score is the encoder's own cosine."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Folder or hub name of the model, for qwen3_vl_embedding.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="CSV file to write: lr, sr, score.")] = None,
) -> None:
    """LucidConsistency of restored images with their inputs: 1 is the same content, 0 is unrelated."""
    import statistics

    from pipelines.progress import TerminalProgress
    from training.consistency.scoring import load_consistency, pairs_of

    pairs = pairs_of(lr, sr)
    scorer = load_consistency(encoder, head, **({} if model is None else {"model": model}))
    with TerminalProgress().stage("pairs", len(pairs)) as advance:
        scores = scorer.score_files(pairs, advance=advance)
    if to is None:
        for (_, restored), score in zip(pairs, scores, strict=True):
            typer.echo(f"{score:8.4f}  {restored}")
    else:
        _write(to, pairs, scores)
        typer.echo(f"{to}: {len(scores)} scores")
    kind = "with head" if head else "baseline, no head"
    typer.echo(f"{statistics.fmean(scores):8.4f}  mean of {len(scores)} ({encoder}, {kind})")


def _write(file: Path, pairs: list[tuple[Path, Path]], scores: list[float]) -> None:
    import csv

    from catalog import files

    with files.text(file, newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["lr", "sr", "score"])
        rows.writerows([str(a), str(b), repr(s)] for (a, b), s in zip(pairs, scores, strict=True))


@app.command()
def precompute(
    config: Annotated[Path, typer.Argument(help="Configuration of the training (YAML).")],
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of an exported dataset, e.g. out/demo/dataset.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder of the store; default: beside the dataset.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where scorers run: cpu, cuda.")] = "cpu",
) -> None:
    """Work out once what all rollouts of one LR share: embeddings, conditioning, the LR's own scores."""
    from pipelines.progress import TerminalProgress
    from training.precompute import default_folder, makers_and_crops
    from training.precompute import precompute as run_precompute
    from training.train_config import load_config

    settings = load_config(config, {} if dataset is None else {"dataset": str(dataset)})
    source, crops, wanted = makers_and_crops(settings)
    assert settings.dataset is not None  # makers_and_crops refuses that
    folder = to or default_folder(settings.dataset)
    with TerminalProgress().stage("crops", len(crops) * len(wanted)) as advance:
        report = run_precompute(folder, source, crops, wanted, device=device, advance=advance)
    for made in report:
        said = "shares nothing" if made.nothing else f"{made.made} made, {made.there} were there"
        typer.echo(f"{made.kind:<32} {said}")
    typer.echo(f"store      {folder}")


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
        typer.echo(line)
    typer.echo(f"head       {out / 'head.safetensors'}  (lucidlr consistency LR SR --head ...)")
    typer.echo(f"results    {out / 'results.md'}, results.csv, similarity.png")
