"""The Prefect flow `build-lucidlr`: the same build, its batches as tasks, its progress and result as artifacts.

    prefect deployment run build-lucidlr/build-lucidlr        (see docs/prefect.md)
    python -c "from pipelines.build_lucidlr import build_lucidlr; build_lucidlr(recipe='pipelines/recipes/demo.yaml')"

A batch task takes a BatchRef and returns a BatchResult; results are not persisted and nothing is cached by Prefect,
because the catalog's parts already say what is done.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from catalog.files import local
from catalog.plans import BatchRef
from pipelines.bounds import chosen_budget
from pipelines.build.driver import build
from pipelines.build.run import BuildResult
from pipelines.build.runners import BatchFunction, BatchResult
from pipelines.build.runners.clusters import AHEAD, GPU, dask_cluster, has_gpu, wants_gpu
from pipelines.build.stages import run_batch
from pipelines.extras import missing_extra
from pipelines.progress import Advance
from pipelines.recipe import load_recipe
from pipelines.runner_config import RunnerConfig, chosen_runner
from pipelines.tally import Tally

try:
    from prefect import flow, get_run_logger, task
    from prefect.artifacts import (
        create_link_artifact,
        create_markdown_artifact,
        create_progress_artifact,
        create_table_artifact,
        update_progress_artifact,
    )
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactUpdate
    from prefect.context import FlowRunContext
    from prefect.futures import PrefectFuture, as_completed
    from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
except ModuleNotFoundError as error:
    raise missing_extra(error) or error from error

UPDATE_EVERY_S, STATE_EVERY_S = 2.0, 30.0


@task(name="batch", task_run_name="{ref.stage}-{ref.batch}", persist_result=False, retries=0)
def batch_task(ref: BatchRef) -> BatchResult:
    """One batch of one stage as a tracked task."""
    return run_batch(ref)


class PrefectRunner:
    """Submits batches as task runs to a Prefect task runner, two per worker ahead."""

    def __init__(self, runner: TaskRunner[Any], size: Callable[[], int]) -> None:
        self.runner = runner
        self._size = size

    @property
    def workers(self) -> int:
        """How many there are now."""
        return max(1, self._size())

    @property
    def elsewhere(self) -> bool:
        """See pipelines.build.runners.Runner.elsewhere."""
        return type(self.runner).__name__ in ("DaskTaskRunner", "RayTaskRunner")

    def map(self, function: BatchFunction, refs: Iterable[BatchRef]) -> Iterator[BatchResult]:
        """See pipelines.build.runners.Runner.map; `function` is what batch_task calls."""
        if function is not run_batch:
            raise ValueError("PrefectRunner runs pipelines.build.stages.run_batch only.")
        waiting = iter(refs)
        running: set[PrefectFuture[BatchResult]] = set()
        while True:
            # Asked each time: a cluster that adapts grows while there is more to do than it has hands.
            room = max(0, AHEAD * self.workers - len(running))
            running |= {self._submit(ref) for ref in islice(waiting, room)}
            if not running:
                return
            future = next(iter(as_completed(list(running))))
            running.discard(future)
            yield future.result()

    def _submit(self, ref: BatchRef) -> PrefectFuture[BatchResult]:
        with self._placed(ref):
            return self.runner.submit(batch_task, parameters={"ref": ref})

    def _placed(self, ref: BatchRef) -> AbstractContextManager[Any]:
        """Where a batch with a device goes, as pipelines.build.runners.clusters does it."""
        if self.elsewhere and wants_gpu(ref):
            if type(self.runner).__name__ == "DaskTaskRunner":
                if has_gpu(self.runner.client):  # type: ignore[attr-defined]
                    import dask

                    return dask.annotate(resources={GPU: 1})  # type: ignore[reportPrivateImportUsage]
            else:
                import ray
                from prefect_ray.context import remote_options

                if ray.cluster_resources().get(GPU, 0):
                    return remote_options(num_gpus=1)
        return nullcontext()


class ArtifactProgress:
    """A progress artifact per stage, updated every two seconds at most; lines go to the run's log."""

    def __init__(self) -> None:
        self.logger = get_run_logger()
        self._tally: Tally | None = None
        self._table: Any = None
        self._told, self._lock = -STATE_EVERY_S, threading.Lock()

    @contextmanager
    def stage(self, name: str, total: int | None) -> Generator[Advance]:
        """See pipelines.progress.Progress.stage."""
        self.logger.info("%s: %s to do", name, "unknown" if total is None else total)
        self._show(now=True)
        if total == 0:
            yield lambda count: None
            return
        artifact = create_progress_artifact(0.0, key=f"build-{name}", description=f"Stage {name}")
        counted, told, lock = 0, time.monotonic(), threading.Lock()

        def advance(count: int) -> None:
            nonlocal counted, told
            with lock:
                counted += count
                due = bool(total) and time.monotonic() - told >= UPDATE_EVERY_S
                told = time.monotonic() if due else told
            if due and total:
                _update(artifact, 100.0 * counted / total)

        yield advance
        _update(artifact, 100.0)
        self._show(now=True)
        self.logger.info("%s: %d done", name, counted)

    def say(self, text: str) -> None:
        """See pipelines.progress.Progress.say."""
        self.logger.info(text)

    def state(self, tally: Tally) -> None:
        """See Progress.state: the artifact `build-state`, a row per source, every half minute and with each stage."""
        self._tally = tally
        if self._table is not None:
            self._show(now=False)

    def _show(self, *, now: bool) -> None:
        if self._tally is None:
            return
        with self._lock:
            due = now or time.monotonic() - self._told >= STATE_EVERY_S
            self._told = time.monotonic() if due else self._told
        if not due:
            return
        if self._table is None:
            # Stages begin in the thread of the flow: there the artifact becomes one of this run.
            rows, line = self._tally.rows(), self._tally.line()
            self._table = create_table_artifact(rows, key="build-state", description=line)
        else:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(_update_table, self._table, self._tally).result()


def _update_table(artifact: Any, tally: Tally) -> None:
    update = ArtifactUpdate(data=json.dumps(tally.rows()), description=tally.line())
    get_client(sync_client=True).update_artifact(artifact, update)


def _update(artifact: Any, percent: float) -> None:
    """From a plain thread: inside worker threads of the download there is no run context to inherit."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(update_progress_artifact, artifact, min(percent, 100.0)).result()


def task_runner(config: RunnerConfig) -> TaskRunner[Any]:
    """Prefect's task runner of a kind.

    Raises:
        pipelines.extras.MissingExtra: the extra `dask` or `ray` is not installed.
        pipelines.build.runners.clusters.NoCluster: there is no such class of clusters.
    """
    try:
        match config.kind:
            case "dask":
                from prefect_dask.task_runners import DaskTaskRunner

                if config.address is not None:
                    return DaskTaskRunner(address=config.address)
                made, options = dask_cluster(config)
                adapt = config.cluster.adapt if config.cluster is not None else None
                return DaskTaskRunner(
                    cluster_class=made, cluster_kwargs=options, adapt_kwargs=adapt
                )
            case "ray":
                from prefect_ray import RayTaskRunner

                local = {"num_cpus": config.workers} if config.workers else {}
                return RayTaskRunner(
                    address=config.address, init_kwargs={} if config.address else local
                )
            case "processes":
                return ProcessPoolTaskRunner(max_workers=config.workers or os.cpu_count() or 1)
            case _:
                return ThreadPoolTaskRunner(max_workers=config.workers or os.cpu_count() or 1)
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from error


def size_of(runner: TaskRunner[Any], workers: int | None) -> int:
    """Workers of a task runner that is open: what the cluster has now, else what it was made with."""
    client = getattr(runner, "client", None)
    if client is not None and hasattr(client, "scheduler_info"):
        return len(client.scheduler_info(n_workers=-1)["workers"])
    if type(runner).__name__ == "RayTaskRunner":
        import ray

        return int(ray.cluster_resources().get("CPU", 1))
    return workers or getattr(runner, "_max_workers", None) or os.cpu_count() or 1


@contextmanager
def _runner_of(config: RunnerConfig) -> Generator[PrefectRunner]:
    """That of `with_options(task_runner=...)`, which Prefect has opened, or the one that is asked for."""
    context = FlowRunContext.get()
    given = context is not None and getattr(context.flow, "task_runner", USUAL) is not USUAL
    if context is not None and given:
        yield PrefectRunner(
            context.task_runner, partial(size_of, context.task_runner, config.workers)
        )
        return
    runner = task_runner(config)
    with runner:
        yield PrefectRunner(runner, partial(size_of, runner, config.workers))


USUAL: Any = ThreadPoolTaskRunner()
"""Stands for: none was given."""


@flow(name="build-lucidlr", persist_result=False, task_runner=USUAL)
def build_lucidlr(
    recipe: str = "pipelines/recipes/lucidlr_20k.yaml",
    out: str = "out/lucidlr_20k",
    contact: str | None = None,
    limit: int | None = None,
    runner: Literal["threads", "processes", "dask", "ray"] | None = None,
    workers: int | None = None,
    retry: bool = False,
    address: str | None = None,
    max_hours: float | None = None,
    max_bytes: float | None = None,
    stop_at: Literal["kept"] | None = None,
) -> str | None:
    """Builds LucidLR from a recipe into a folder; run it again after an interruption and it goes on.

    Args:
        recipe: path of the recipe.
        out: output folder (dataset, lucidlr.duckdb, report, catalog).
        contact: the operator's e-mail address or URL for the User-Agent; default: $LUCIDLR_CONTACT.
        limit: most files to list.
        runner: where the batches run; default: as the recipe says, else threads.
        workers: how many; default: one per core, or all of the cluster.
        retry: try retryable failures once more.
        address: of a running Dask or Ray cluster.
        max_hours: stop after so many hours with what is there (the recipe's `budget`).
        max_bytes: fetch at most so many bytes of originals.
        stop_at: kept: stop when the wanted samples can be drawn.

    Returns:
        The dataset hash; None when nothing was kept.
    """
    loaded = load_recipe(recipe)
    budget = chosen_budget(loaded.budget, max_hours=max_hours, max_bytes=max_bytes, stop_at=stop_at)
    loaded = loaded.bounded_by(budget)
    config = chosen_runner(
        loaded.runner, kind=runner, workers=workers, address=address, usual="threads"
    )
    with _runner_of(config) as prefect_runner:
        result = build(
            loaded,
            out=local(out),
            runner=prefect_runner,
            contact=contact or os.environ.get("LUCIDLR_CONTACT"),
            limit=limit,
            progress=ArtifactProgress(),
            retry=retry,
        )
    _publish(result)
    return result.dataset_hash


def _publish(result: BuildResult) -> None:
    """Summary, failures and report as artifacts of the flow run."""
    funnel = "\n".join(f"| {step} | {count} |" for step, count in result.funnel)
    stopped = (
        f"\n\n**Stopped by {result.stop.why}.** To resume: {result.stop.resume}."
        if result.stop is not None
        else ""
    )
    create_markdown_artifact(
        f"# {result.out.name}\n\n| step | files left |\n|---|---|\n{funnel}\n\n"
        f"Dataset hash `{result.dataset_hash}`, recipe `{result.recipe_hash}`, {result.seconds} s.{stopped}",
        key="build-summary",
        description="Funnel of the build and its dataset hash",
    )
    create_table_artifact(
        [{"stage": s, "kind": k, "count": n} for s, k, n in result.failures]
        or [{"stage": "-", "kind": "none", "count": 0}],
        key="build-failures",
        description="Open failures by kind; `lucidlr failures` says how to retry them",
    )
    _link_report(result.report)


def _link_report(report: Path) -> None:
    """A link where somebody serves reports, else where it lies: browsers follow no link from a page to a disk."""
    from pipelines.review.reports import report_address

    address = report_address(report)
    if address is not None:
        create_link_artifact(
            address, key="build-report", description="The HTML report of the build"
        )
        return
    create_markdown_artifact(
        f"The report lies on the worker's disk: `{report}`\n\nTo open it from here, serve it "
        "(`python -m pipelines.review.reports FOLDER`) and set LUCIDLR_REPORTS_URL and LUCIDLR_REPORTS_ROOT.",
        key="build-report",
        description="Where the HTML report of the build is",
    )
