"""The Prefect flow `build-lucidlr`: the same build, its batches as tasks, its progress and result as artifacts.

    prefect deployment run build-lucidlr/build-lucidlr        (see docs/prefect.md)
    python -c "from pipelines.build_lucidlr import build_lucidlr; build_lucidlr(recipe='pipelines/recipes/demo.yaml')"

A batch task takes a BatchRef and returns a BatchResult; results are not persisted and nothing is cached by Prefect,
because the catalog's parts already say what is done.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from catalog.store import BatchRef
from pipelines.build.driver import build
from pipelines.build.run import BuildResult
from pipelines.build.runners import BatchFunction, BatchResult
from pipelines.build.stages import run_batch
from pipelines.extras import missing_extra
from pipelines.progress import Advance
from pipelines.recipe import load_recipe

try:
    from prefect import flow, get_run_logger, task
    from prefect.artifacts import (
        create_link_artifact,
        create_markdown_artifact,
        create_progress_artifact,
        create_table_artifact,
        update_progress_artifact,
    )
    from prefect.futures import PrefectFuture, as_completed
    from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
except ModuleNotFoundError as error:
    raise missing_extra(error) or error from error

UPDATE_EVERY_S = 2.0


@task(name="batch", task_run_name="{ref.stage}-{ref.batch}", persist_result=False, retries=0)
def batch_task(ref: BatchRef) -> BatchResult:
    """One batch of one stage as a tracked task."""
    return run_batch(ref)


class PrefectRunner:
    """Submits batches as task runs to a Prefect task runner, at most two per worker ahead."""

    def __init__(self, runner: TaskRunner[Any], workers: int) -> None:
        self.runner = runner
        self.workers = workers

    def map(self, function: BatchFunction, refs: Iterable[BatchRef]) -> Iterator[BatchResult]:
        """See pipelines.build.runners.Runner.map; `function` is what batch_task calls."""
        if function is not run_batch:
            raise ValueError("PrefectRunner runs pipelines.build.stages.run_batch only.")
        waiting = iter(refs)
        running: set[PrefectFuture[BatchResult]] = {
            self._submit(ref) for ref in islice(waiting, 2 * self.workers)
        }
        while running:
            future = next(iter(as_completed(list(running))))
            running.discard(future)
            yield future.result()
            running |= {self._submit(ref) for ref in islice(waiting, 1)}

    def _submit(self, ref: BatchRef) -> PrefectFuture[BatchResult]:
        return self.runner.submit(batch_task, parameters={"ref": ref})


class ArtifactProgress:
    """A progress artifact per stage, updated every two seconds at most; lines go to the run's log."""

    def __init__(self) -> None:
        self.logger = get_run_logger()

    @contextmanager
    def stage(self, name: str, total: int | None) -> Generator[Advance]:
        """See pipelines.progress.Progress.stage."""
        self.logger.info("%s: %s to do", name, "unknown" if total is None else total)
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
        self.logger.info("%s: %d done", name, counted)

    def say(self, text: str) -> None:
        """See pipelines.progress.Progress.say."""
        self.logger.info(text)


def _update(artifact: Any, percent: float) -> None:
    """From a plain thread: inside worker threads of the download there is no run context to inherit."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(update_progress_artifact, artifact, min(percent, 100.0)).result()


@contextmanager
def _task_runner(kind: Literal["threads", "processes"], workers: int) -> Generator[PrefectRunner]:
    runner: TaskRunner[Any] = (
        ThreadPoolTaskRunner(max_workers=workers)
        if kind == "threads"
        else ProcessPoolTaskRunner(max_workers=workers)
    )
    with runner:
        yield PrefectRunner(runner, workers)


@flow(name="build-lucidlr", persist_result=False)
def build_lucidlr(
    recipe: str = "pipelines/recipes/lucidlr_20k.yaml",
    out: str = "out/lucidlr_20k",
    contact: str | None = None,
    limit: int | None = None,
    runner: Literal["threads", "processes"] = "threads",
    workers: int | None = None,
    retry: bool = False,
) -> str | None:
    """Builds LucidLR from a recipe into a folder; run it again after an interruption and it goes on.

    Args:
        recipe: path of the recipe.
        out: output folder (dataset, lucidlr.duckdb, report, catalog).
        contact: the operator's e-mail address or URL for the User-Agent; default: $LUCIDLR_CONTACT.
        limit: most files to list.
        runner: threads or processes for the batches.
        workers: how many; default: one per core.
        retry: try retryable failures once more.

    Returns:
        The dataset hash; None when nothing was kept.
    """
    count = workers or os.cpu_count() or 1
    with _task_runner(runner, count) as prefect_runner:
        result = build(
            load_recipe(recipe),
            out=Path(out),
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
    create_markdown_artifact(
        f"# {result.out.name}\n\n| step | files left |\n|---|---|\n{funnel}\n\n"
        f"Dataset hash `{result.dataset_hash}`, recipe `{result.recipe_hash}`, {result.seconds} s.",
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
