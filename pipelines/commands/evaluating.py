"""Is it better, and is it still faithful? Benchmarks, tables, and a gallery to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

DEMO = Path(__file__).parents[1] / "recipes" / "evaluate_demo.yaml"


@app.command()
def evaluate(
    recipe: Annotated[
        Path | None, typer.Argument(help="YAML; default: what can be evaluated anywhere.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Tables, scores, outputs, gallery.")] = Path(
        "out/evaluation"
    ),
    benchmark: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER, e.g. RealLQ250=/data/RealLQ250; or tiny.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER of outputs; bicubic; realesrgan; NAME=backbone:BACKBONE."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="By the paper's name, or e.g. metric:pyiqa:topiq_nr.")
    ] = None,
    delta: Annotated[
        list[str] | None, typer.Option(help="METHOD=BASE: what a method is compared with.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="scores.parquet of an earlier run, for the gate; default: the last run."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take incomplete copies of known benchmarks.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Score again what failed.")] = False,
    with_gallery: Annotated[
        bool, typer.Option("--gallery/--no-gallery", help="Also write the gallery.")
    ] = True,
) -> None:
    """Score methods on benchmarks; what was scored before is not scored again."""
    from pipelines.progress import TerminalProgress
    from pipelines.studies.evaluation import checked, load_evaluation, run_evaluation
    from training.statistics import Regressed

    content = load_evaluation(recipe or DEMO).model_dump()
    if recipe is None and (benchmark or method or metric):
        content |= {"name": "evaluation", "deltas": {}, "gate": None}
    if benchmark:
        content["benchmarks"] = [_benchmark(text, partial=partial) for text in benchmark]
    if method:
        content["methods"] = [_method(text) for text in method]
    if metric:
        content["metrics"] = metric
    if delta:
        content["deltas"] = dict(_split(text, "METHOD=BASE") for text in delta)
    result = run_evaluation(
        checked(content), out, against=against, retry=retry, progress=TerminalProgress()
    )
    _tell(result, out)
    if with_gallery:
        from pipelines.studies.gallery import gallery_of

        typer.echo(f"gallery    {gallery_of(out, progress=TerminalProgress())}")
    if result.regressions:
        lines = "\n".join(f"  {regression}" for regression in result.regressions)
        raise Regressed(f"Worse than before by more than chance explains:\n{lines}")


@app.command()
def gallery(
    out: Annotated[Path, typer.Argument(help="Folder of an evaluation.")] = Path("out/evaluation"),
    title: Annotated[str | None, typer.Option(help="Default: the name of the evaluation.")] = None,
    training: Annotated[
        Path | None, typer.Option(help="A training run (or its log.csv), for its curves.")
    ] = None,
    separability: Annotated[
        Path | None,
        typer.Option(help="CSV: rollouts, measure, and a column per kind of advantage."),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="An exported dataset, for the table of datasets.")
    ] = None,
) -> None:
    """Write the page to look at: before and after, zoom in step, worst cases first, tables, curves."""
    from pipelines.progress import TerminalProgress
    from pipelines.studies.gallery import gallery_of

    page = gallery_of(
        out,
        title=title,
        training_log=training,
        separability=separability,
        dataset=dataset,
        progress=TerminalProgress(),
    )
    typer.echo(f"gallery    {page}")


def _tell(result: Any, out: Path) -> None:
    done = result.done
    for problem in done.problems[:20]:
        typer.echo(f"left out   {problem}")
    if len(done.problems) > 20:
        typer.echo(f"left out   {len(done.problems) - 20} more, see summary.json")
    for name, why in done.not_run.items():
        typer.echo(f"not run    {name}: {why}")
    new = sum(done.computed.values())
    typer.echo(
        f"scores     {new} computed, {done.reused} kept from before; {done.made} outputs made"
    )
    typer.echo(f"tables     {out / 'tables' / 'results.md'}")


def _split(text: str, form: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not (equals and name and rest):
        raise typer.BadParameter(f"{text!r} is not of the form {form}.")
    return name, rest


def _benchmark(text: str, *, partial: bool) -> dict[str, Any]:
    if text == "tiny":
        return {"name": "tiny"}
    name, folder = _split(text, "NAME=FOLDER")
    return {"name": name, "folder": folder, "partial": partial}


def _method(text: str) -> dict[str, Any]:
    if text in ("bicubic", "realesrgan"):
        return {"name": text, "kind": text}
    name, rest = _split(text, "NAME=FOLDER")
    kind, _, backbone = rest.partition(":")
    if kind == "backbone" and backbone:
        return {"name": name, "kind": "backbone", "backbone": backbone}
    return {"name": name, "kind": "folder", "folder": rest}
