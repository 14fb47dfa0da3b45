"""The Prefect flow `evaluate-benchmarks`: scores methods on benchmarks, writes tables and gallery, keeps the gate.

    prefect deployment run evaluate-benchmarks/evaluate-demo        (see docs/prefect.md, docs/evaluation.md)

What was scored before is not scored again, so a schedule costs what is new. A run fails when a tracked metric fell by
more than its interval since the last run. `train-lucidnft` calls this flow with its checkpoint after training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.build_lucidlr import ArtifactProgress
from pipelines.extras import missing_extra
from pipelines.studies.evaluation import EvaluationRecipe, checked, load_evaluation, run_evaluation
from pipelines.studies.gallery import gallery_of
from training.statistics import Regressed

try:
    from prefect import flow
    from prefect.artifacts import create_markdown_artifact, create_table_artifact
except ModuleNotFoundError as error:
    raise missing_extra(error) or error from error


@flow(name="evaluate-benchmarks", persist_result=False)
def evaluate_benchmarks(
    recipe: str = "pipelines/recipes/evaluate_demo.yaml",
    out: str = "out/evaluation",
    checkpoint: str | None = None,
    backbone: str = "tiny",
    backbone_options: dict[str, Any] | None = None,
    training: str | None = None,
    dataset: str | None = None,
    against: str | None = None,
    retry: bool = False,
) -> dict[str, Any]:
    """Evaluates a recipe.

    Args:
        recipe: path of the recipe.
        out: folder for scores, tables, outputs and gallery.
        checkpoint: a run of train-lucidnft (or a checkpoint of it): its backbone before and after training join the
            recipe's methods, and the difference between the two is tested.
        backbone: the backbone of the checkpoint.
        backbone_options: what it was loaded with, e.g. the weights that training began with.
        training: the training run whose curves the gallery shows; default: `checkpoint`.
        dataset: an exported dataset, for the table of datasets.
        against: scores.parquet of an earlier run, for the gate; default: that of the last run in `out`.
        retry: compute again what failed before.

    Returns:
        `means`: benchmark -> method -> metric -> mean; `computed`, `reused`: numbers of scores; `gallery`: the page.

    Raises:
        Regressed: a tracked metric fell.
    """
    progress = ArtifactProgress()
    loaded = load_evaluation(Path(recipe))
    if checkpoint is not None:
        loaded = with_checkpoint(loaded, checkpoint, backbone, backbone_options)
    result = run_evaluation(
        loaded,
        Path(out),
        against=Path(against) if against else None,
        retry=retry,
        progress=progress,
    )
    log = training or checkpoint
    page = gallery_of(
        Path(out),
        training_log=Path(log) if log and (Path(log) / "log.csv").is_file() else None,
        dataset=Path(dataset) if dataset else None,
        progress=progress,
    )
    _publish(result)
    if result.regressions:
        raise Regressed("\n".join(str(regression) for regression in result.regressions))
    means: dict[str, dict[str, dict[str, float]]] = {}
    for row in result.results.means.to_pylist():
        here = means.setdefault(row["benchmark"], {}).setdefault(row["method"], {})
        here[row["metric"]] = row["mean"]
    return {
        "means": means,
        "computed": sum(result.done.computed.values()),
        "reused": result.done.reused,
        "gallery": str(page),
    }


def with_checkpoint(
    recipe: EvaluationRecipe,
    checkpoint: str,
    backbone: str,
    options: dict[str, Any] | None = None,
) -> EvaluationRecipe:
    """The recipe with the backbone before and after training, in the place of methods of the same names."""
    before, after = backbone, f"{backbone}(+LucidNFT)"
    content = recipe.model_dump()
    methods = [m for m in content["methods"] if m["name"] not in (before, after)]
    found = {m["name"]: m for m in content["methods"]}.get(before, {})
    shared = {
        "kind": "backbone",
        "backbone": backbone,
        "options": found.get("options", {}) if options is None else options,
        "steps": found.get("steps", 8),
        "seed": found.get("seed", 0),
    }
    content["methods"] = [
        *methods,
        {"name": before, **shared},
        {"name": after, **shared, "checkpoint": checkpoint},
    ]
    content["deltas"] = {**content["deltas"], after: before}
    return checked(content)


def _publish(result: Any) -> None:
    done = result.done
    tables = result.results.folder / "tables"
    create_markdown_artifact(
        (tables / "results.md").read_text(encoding="utf-8"),
        key="evaluation-results",
        description="Means per benchmark, metric and method, published ones beside them",
    )
    create_markdown_artifact(
        (tables / "deltas.md").read_text(encoding="utf-8"),
        key="evaluation-deltas",
        description="Differences with their paired bootstrap intervals",
    )
    rows = [
        {"metric": name, "computed": count, "not run": done.not_run.get(name, "")}
        for name, count in done.computed.items()
    ]
    rows += [{"metric": "left out", "computed": 0, "not run": str(p)} for p in done.problems]
    create_table_artifact(rows, key="evaluation-summary", description="What was scored, what not")
