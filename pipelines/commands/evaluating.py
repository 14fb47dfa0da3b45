"""Is it better, and is it still faithful? Benchmarks, tables, and a gallery to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.terminal import echo

app = typer.Typer()

DEMO = Path(__file__).parents[1] / "recipes" / "evaluate_demo.yaml"


@app.command()
def evaluate(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Name (evaluate_paper) or path of a recipe; default: what can be evaluated anywhere."
        ),
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
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            help="METRIC.KEY=VALUE or METHOD.KEY=VALUE (YAML), e.g. PSNR.border=4 or tiny.weights=w.safetensors.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where metrics run: auto (a GPU where there is one), cpu, cuda.")
    ] = "auto",
    processes: Annotated[int, typer.Option(min=1, help="Processes that score side by side.")] = 1,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch weights of metrics that are not here.")
    ] = False,
    with_gallery: Annotated[
        bool, typer.Option("--gallery/--no-gallery", help="Also write the gallery.")
    ] = True,
) -> None:
    """Score methods on benchmarks; what was scored before is not scored again."""
    from filters.metrics import Scoring
    from pipelines.progress import TerminalProgress
    from pipelines.studies.evaluation import checked, load_evaluation, run_evaluation
    from training.evaluation.scoring import How
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
    _apply_options(content, option or [])
    how = How(scoring=Scoring(device=_device(device)), processes=processes, download=download)
    result = run_evaluation(
        checked(content), out, against=against, how=how, retry=retry, progress=TerminalProgress()
    )
    _tell(result, out)
    if with_gallery:
        from pipelines.studies.gallery import gallery_of

        echo(f"gallery    {gallery_of(out, progress=TerminalProgress())}")
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
    echo(f"gallery    {page}")


def _tell(result: Any, out: Path) -> None:
    done = result.done
    for problem in done.problems[:20]:
        echo(f"left out   {problem}")
    if len(done.problems) > 20:
        echo(f"left out   {len(done.problems) - 20} more, see summary.json")
    by_reason: dict[str, list[str]] = {}
    for name in done.not_run:
        by_reason.setdefault(done.short.get(name) or done.not_run[name], []).append(name)
    for why, names in by_reason.items():
        echo(f"not run    {', '.join(names)}: {why}")
    if by_reason:
        echo(f"           each with its whole reason in {out / 'summary.json'}")
    new = sum(done.computed.values())
    echo(f"scores     {new} computed, {done.reused} kept from before; {done.made} outputs made")
    echo(f"tables     {out / 'tables' / 'results.md'}")


def _device(text: str) -> Any:
    if text not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter(f"--device is auto, cpu or cuda, not {text!r}.")
    if text != "auto":
        return text
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _apply_options(content: dict[str, Any], texts: list[str]) -> None:
    """Puts METRIC.KEY=VALUE under metric_options and METHOD.KEY=VALUE under the options of the method."""
    import yaml

    methods = {method["name"]: method for method in content["methods"]}
    for text in texts:
        place, value = _split(text, "NAME.KEY=VALUE")
        name, dot, key = place.rpartition(".")
        if not (dot and name and key):
            raise typer.BadParameter(f"{text!r} is not of the form NAME.KEY=VALUE.")
        if name in methods:
            method = methods[name]
            method["options"] = {**method.get("options", {}), key: yaml.safe_load(value)}
        elif name in content["metrics"]:
            options = content.setdefault("metric_options", {})
            options[name] = {**options.get(name, {}), key: yaml.safe_load(value)}
        else:
            known = ", ".join([*content["metrics"], *methods])
            raise typer.BadParameter(f"{name!r} is no metric or method here; there are {known}.")


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
