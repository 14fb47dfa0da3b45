"""An evaluation from its recipe: benchmarks, methods, metrics, tables, gate. `lucidlr evaluate` and the flow run this.

    name: mine
    benchmarks:
      - {name: RealLQ250, folder: /data/RealLQ250}
      - {name: tiny}                                  # in the box
    methods:
      - {name: bicubic, kind: bicubic}
      - {name: SinSR, kind: folder, folder: "/data/outputs/SinSR/{benchmark}"}
      - {name: SeeSR, kind: command, run_in: /code/SeeSR, command: "python test.py --in {lr} --out {out}"}
    deltas: {SinSR: bicubic}

Unknown keys are errors. Paths are taken as they stand: relative ones from where the command runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from catalog.errors import Missing
from filters.duplicates.leakage import read_index
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import RecipeError, recipe_path
from pipelines.recipe_problems import problems_of
from pipelines.studies.dedup_report import add_files
from training.evaluation.aggregate import by_image
from training.evaluation.benchmarks import TINY, Benchmark, BenchmarkError, Protocol, load_benchmark
from training.evaluation.methods import Kind, Method
from training.evaluation.metrics import PAPER, REFERENCE, MetricSpec, metric_spec
from training.evaluation.outputs import MethodError
from training.evaluation.results import Results, write_results
from training.evaluation.score import Evaluated, evaluate
from training.evaluation.scoring import ON_ONE_CORE, How
from training.statistics import Regression, regressions


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BenchmarkConfig(_Section):
    """One benchmark and where your copy of it is."""

    name: str
    """A known one (RealLQ250, DRealSR, RealSR, LSDIR-Val), `tiny`, or a name of your own for any folder."""
    folder: Path | None = None
    """None only for `tiny`, which is made."""
    protocol: Protocol | None = None
    """full, resize1024 or crop128; default: the paper's."""
    scale: int | None = None
    """HR size over LR size; default: the benchmark's, 4."""
    partial: bool = False
    """Evaluate an incomplete copy; its results compare with nobody's."""


class MethodConfig(_Section):
    """One method; see training.evaluation.methods.Method for the fields."""

    name: str
    kind: Kind
    folder: str | None = None
    command: str | None = None
    run_in: str | None = None
    backbone: str | None = None
    options: dict[str, Any] = {}
    checkpoint: str | None = None
    steps: int = 8
    seed: int = 0

    def method(self) -> Method:
        """As training takes it."""
        return Method(**self.model_dump())


class GateConfig(_Section):
    """What a scheduled run must not lose."""

    track: tuple[str, ...]
    """Metrics."""
    methods: tuple[str, ...] = ()
    """Of these methods; empty: of all."""


class EvaluationRecipe(_Section):
    """A whole evaluation."""

    name: str
    benchmarks: tuple[BenchmarkConfig, ...]
    methods: tuple[MethodConfig, ...]
    metrics: tuple[str, ...] = tuple(spec.name for spec in (*PAPER, *REFERENCE))
    """By the paper's names; default: its ten, and the full-reference ones for pairs."""
    metric_options: dict[str, dict[str, Any]] = {}
    """Metric -> what its scorer is loaded with, e.g. where weights are."""
    deltas: dict[str, str] = {}
    """Method -> the method that it is compared with."""
    gate: GateConfig | None = None

    @model_validator(mode="after")
    def _names_fit(self) -> EvaluationRecipe:
        names = [method.name for method in self.methods]
        for what, found in (("methods", names), ("benchmarks", [b.name for b in self.benchmarks])):
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice:
                raise ValueError(f"two {what} are named {twice[0]!r}")
        for method, base in self.deltas.items():
            for name in (method, base):
                if name not in names:
                    raise ValueError(f"deltas name {name!r}, which is no method here")
        unused = sorted(set(self.metric_options) - set(self.metrics))
        if unused:
            raise ValueError(f"metric_options name {unused[0]!r}, which is no metric here")
        return self


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What a run did."""

    done: Evaluated
    results: Results
    regressions: tuple[Regression, ...] = ()


def load_evaluation(named: str | Path) -> EvaluationRecipe:
    """Reads and checks a recipe, named by its path or by the name of a ready one.

    Raises:
        RecipeError: no such file, not YAML, an unknown key, a bad value; the message names it.
    """
    path = recipe_path(named, kind="evaluation")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from error
    return checked(content, where=str(path))


def checked(content: Any, *, where: str = "evaluation") -> EvaluationRecipe:
    """A recipe from plain data.

    Raises:
        RecipeError: see load_evaluation.
    """
    try:
        return EvaluationRecipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(
            f"{where}:\n  " + "\n  ".join(problems_of(error, EvaluationRecipe))
        ) from error


def run_evaluation(
    recipe: EvaluationRecipe,
    out: Path,
    *,
    against: Path | None = None,
    how: How = ON_ONE_CORE,
    retry: bool = False,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Evaluates and writes everything below `out`.

    Args:
        against: scores.parquet of an earlier run, for the gate; None: the one of the last run in `out`.
        how: device and processes of scoring, and whether weights may be fetched.
        retry: compute again what failed before.

    Raises:
        RecipeError, BenchmarkError, UnknownMetric: before anything is scored.
        MethodError: not one method has an output.
    """
    progress = progress or NoProgress()
    metrics = [_spec(name, recipe.metric_options) for name in recipe.metrics]
    benchmarks = [_benchmark(config, out) for config in recipe.benchmarks]
    for benchmark in benchmarks:
        _fingerprint(benchmark, out / "fingerprints.parquet", progress)
    earlier = _earlier(against or out / "scores.parquet", required=against is not None)
    done = evaluate(
        benchmarks,
        [config.method() for config in recipe.methods],
        metrics,
        out,
        produce=_produce,
        how=how,
        retry=retry,
        say=progress.say,
    )
    if not any(done.outputs.values()):
        told = "\n".join(f"  {problem}" for problem in done.problems[:10])
        raise MethodError(f"There is nothing to score:\n{told}")
    results = write_results(
        done,
        out,
        name=recipe.name,
        methods=[method.name for method in recipe.methods],
        metrics=list(recipe.metrics),
        deltas=recipe.deltas,
    )
    fallen = _gate(recipe.gate, earlier, done) if recipe.gate is not None else ()
    return EvaluationResult(done=done, results=results, regressions=fallen)


def _spec(name: str, options: Mapping[str, Mapping[str, Any]]) -> MetricSpec:
    spec = metric_spec(name)
    return replace(spec, options={**spec.options, **options.get(name, {})})


def _benchmark(config: BenchmarkConfig, out: Path) -> Benchmark:
    if config.name == TINY and config.folder is None:
        from training.evaluation.tiny_benchmark import tiny_benchmark

        return tiny_benchmark(out / "benchmarks" / TINY)
    if config.folder is None:
        raise BenchmarkError(f"{config.name} needs the folder of your copy of it.")
    return load_benchmark(
        config.name,
        config.folder,
        protocol=config.protocol,
        scale=config.scale,
        partial=config.partial,
    )


def _fingerprint(benchmark: Benchmark, index: Path, progress: Progress) -> None:
    """Notes LR and HR in the index that a recipe's `leakage` section can name; what is there already stays."""
    files = {f"lr/{item.name}": item.lr for item in benchmark.items}
    files |= {f"hr/{item.name}": item.hr for item in benchmark.items if item.hr is not None}
    if index.is_file():
        known = read_index(index).select(["benchmark", "name"]).to_pylist()
        if {row["name"] for row in known if row["benchmark"] == benchmark.name} >= set(files):
            return
    add_files(benchmark.name, files, index, progress=progress)


def _produce(method: Method, cases: Any, folder: Path) -> None:
    from training.evaluation.backbone_outputs import restore_cases

    restore_cases(method, cases, folder)


def _earlier(path: Path, *, required: bool) -> Any:
    import pyarrow.parquet as pq

    if not path.is_file():
        if required:
            raise Missing(f"There is no {path} to compare with.")
        return None
    return pq.read_table(path)


def _gate(gate: GateConfig, earlier: Any, done: Evaluated) -> tuple[Regression, ...]:
    if earlier is None:
        return ()
    wanted = set(gate.methods)

    def tracked(scores: Any) -> dict[Any, dict[str, float]]:
        return {
            key: values
            for key, values in by_image(scores).items()
            if key[2] in gate.track and (not wanted or key[1] in wanted)
        }

    columns = ("metric", "lower_better")
    lower = dict(zip(*(done.scores.column(name).to_pylist() for name in columns), strict=True))
    return tuple(regressions(tracked(earlier), tracked(done.scores), lower_better=lower))
