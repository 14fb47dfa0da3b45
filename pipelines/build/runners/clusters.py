"""Batches on Dask or Ray: the same run_batch, on workers of other processes or machines.

    lucidlr demo --runner dask
    lucidlr build lucidlr_20k --runner dask --address tcp://scheduler:8786

What is shared is the catalog's folder, under one path: a batch goes out as its keys and comes back as counts, its rows
go into the catalog. A worker that does not see the catalog refuses before it works (catalog.store.Catalog.recognized).
A worker that dies loses nothing: its batches run again elsewhere, and one done twice does no harm. Several batches per
worker are under way; how many is asked of the cluster each time, so that one that grows gets work at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import Any

from catalog.errors import Expected
from catalog.plans import BatchRef
from pipelines.build.runners import BatchFunction, BatchResult, Runner, WorkerDied, pool_runner
from pipelines.extras import missing_extra
from pipelines.runner_config import ClusterConfig, RunnerConfig

AHEAD = 2
"""Batches per worker that are under way."""
GPU = "GPU"
"""Resource of Dask workers (`dask worker --resources GPU=1`) that batches with a device go to, where any has it."""
_ON_CUDA = re.compile(r"[+.]cuda(?=[.+]|$)")
RETRIES = 3
"""Workers that one batch may kill before the build ends and says so."""


class NoCluster(Expected, RuntimeError):
    """A cluster cannot be reached or started."""


@contextmanager
def opened_runner(config: RunnerConfig) -> Generator[Runner]:
    """The runner that a recipe or a command asks for.

    Raises:
        pipelines.extras.MissingExtra: the extra `dask` or `ray` is not installed.
        NoCluster: no cluster answers at the address, or there is no such class.
    """
    match config.kind:
        case "dask":
            with _dask(config) as runner:
                yield runner
        case "ray":
            with _ray(config) as runner:
                yield runner
        case kind:
            with pool_runner(kind or "processes", config.workers) as runner:
                yield runner


def cluster_class(config: ClusterConfig) -> Any:
    """The class that a recipe names.

    Raises:
        NoCluster: its package is not installed, or has no such class.
    """
    module, _, name = config.kind.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NoCluster(
            f"runner.cluster.kind: there is no {config.kind!r} here ({error}). Install its package, or write "
            "distributed.LocalCluster."
        ) from error


def dask_cluster(config: RunnerConfig) -> tuple[Any, dict[str, Any]]:
    """Class and arguments of the Dask cluster to start."""
    asked = config.cluster or ClusterConfig()
    options = dict(asked.options)
    if asked.kind == "distributed.LocalCluster":
        # One image at a time and process: that is what makes values the same everywhere.
        options = {
            "n_workers": config.workers or os.cpu_count() or 1,
            "threads_per_worker": 1,
            "processes": True,
            "dashboard_address": None,
            **options,
        }
    return cluster_class(asked), options


class ClusterRunner:
    """Hands batches to a cluster: submits, waits for any, asks again how many workers there are."""

    def __init__(
        self,
        *,
        submit: Callable[[BatchFunction, BatchRef], Any],
        first: Callable[[list[Any]], Any],
        result: Callable[[Any], BatchResult],
        size: Callable[[], int],
    ) -> None:
        self._submit, self._first, self._result, self._size = submit, first, result, size

    elsewhere = True
    """Batches run on other machines; this one need not have their device."""

    @property
    def workers(self) -> int:
        """Workers that the cluster has now."""
        return max(1, self._size())

    def map(self, function: BatchFunction, refs: Iterable[BatchRef]) -> Iterator[BatchResult]:
        """See pipelines.build.runners.Runner.map."""
        waiting = iter(refs)
        running: list[Any] = []
        while True:
            room = AHEAD * self.workers - len(running)
            running += [self._submit(function, ref) for ref in islice(waiting, max(0, room))]
            if not running:
                return
            future = self._first(running)
            running = [one for one in running if one is not future]
            yield self._result(future)


def died(what: str) -> WorkerDied:
    """A batch that killed one worker after the other."""
    return WorkerDied(
        f"Workers of the cluster die over batch {what}: is there too little memory on them? Run the same command again "
        "with --runner processes, which finds the image that does it, or with a smaller batch_size."
    )


@contextmanager
def _dask(config: RunnerConfig) -> Generator[ClusterRunner]:
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from error
    if config.address is not None:
        try:
            client = distributed.Client(config.address, timeout=20)
        except (OSError, TimeoutError, ValueError) as error:
            raise NoCluster(
                f"No Dask scheduler answers at {config.address} ({error}). Start one (`dask scheduler`), or name "
                "another --address."
            ) from error
        with client:
            yield dask_runner(client)
        return
    made, options = dask_cluster(config)
    with made(**options) as cluster:
        adapt = config.cluster.adapt if config.cluster is not None else None
        if adapt is not None:
            cluster.adapt(**adapt)
        elif config.workers is not None and config.cluster is not None:
            cluster.scale(config.workers)
        with distributed.Client(cluster) as client:
            if adapt is None:
                client.wait_for_workers(1, timeout=600)
            yield dask_runner(client)


def wants_gpu(ref: BatchRef) -> bool:
    """Whether a batch computes on a GPU: the versions of what it computes say so (filters.metrics.Scoring.suffix,
    pipelines.build.encoder.ON_CUDA)."""
    return any(_ON_CUDA.search(version) for version in ref.versions)


def has_gpu(client: Any) -> bool:
    """Whether a worker of a Dask cluster says that it has a GPU. Where none says so all are taken to be alike: to wait
    for a resource that nobody has is to wait for ever."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return any(GPU in (worker.get("resources") or {}) for worker in workers)


def dask_runner(client: Any) -> ClusterRunner:
    """Batches on a Dask client."""
    distributed: Any = import_module("distributed")

    def submit(function: BatchFunction, ref: BatchRef) -> Any:
        name = f"{ref.stage}-{ref.config}-{ref.batch}"
        wanted = {GPU: 1} if wants_gpu(ref) and has_gpu(client) else None
        # Not pure: a batch is asked for because its part is missing, whatever was computed before.
        key = f"{name}-{os.urandom(4).hex()}"
        return client.submit(function, ref, key=key, pure=False, resources=wanted)

    def first(futures: list[Any]) -> Any:
        done = distributed.wait(futures, return_when="FIRST_COMPLETED").done
        return next(iter(done))

    def result(future: Any) -> BatchResult:
        try:
            return future.result()
        except distributed.KilledWorker as error:
            raise died(str(future.key)) from error

    def size() -> int:
        return len(client.scheduler_info(n_workers=-1)["workers"])

    return ClusterRunner(submit=submit, first=first, result=result, size=size)


@contextmanager
def _ray(config: RunnerConfig) -> Generator[ClusterRunner]:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from error
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    if config.address is not None:
        options = {"address": config.address, "log_to_driver": False}
    elif config.workers is not None:
        options["num_cpus"] = config.workers
    try:
        ray.init(ignore_reinit_error=True, **options)
    except (ConnectionError, ValueError) as error:
        raise NoCluster(
            f"No Ray cluster answers at {config.address} ({error}). Start one (`ray start --head`), or leave the "
            "address out."
        ) from error
    try:
        yield ray_runner()
    finally:
        ray.shutdown()


def ray_runner() -> ClusterRunner:
    """Batches on the Ray that this process is connected to."""
    ray: Any = import_module("ray")

    def submit(function: BatchFunction, ref: BatchRef) -> Any:
        gpus = 1 if wants_gpu(ref) and ray.cluster_resources().get("GPU", 0) else 0
        task = ray.remote(function).options(max_retries=RETRIES, num_cpus=1, num_gpus=gpus)
        return task.remote(ref)

    def first(futures: list[Any]) -> Any:
        return ray.wait(futures, num_returns=1)[0][0]

    def result(future: Any) -> BatchResult:
        try:
            return ray.get(future)
        except ray.exceptions.WorkerCrashedError as error:
            raise died(str(error)) from error
        except ray.exceptions.RayTaskError as error:
            # The error of the batch itself, as it would be without Ray.
            raise (error.cause if isinstance(error.cause, Exception) else error) from error

    def size() -> int:
        return int(ray.cluster_resources().get("CPU", 1))

    return ClusterRunner(submit=submit, first=first, result=result, size=size)
