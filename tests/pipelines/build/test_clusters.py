"""The demo on Dask and Ray: the hash of `lucidlr demo`, with a worker killed in the middle of it."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

from catalog.errors import Expected
from catalog.files import NotHere
from catalog.plans import CatalogUnseen
from catalog.store import Catalog, catalog_in
from pipelines.build.driver import build
from pipelines.build.runners import BatchResult, pool_runner
from pipelines.build.runners.clusters import ClusterRunner, NoCluster, opened_runner
from pipelines.build.stages import run_batch
from pipelines.progress import NoProgress
from pipelines.recipe import load_recipe
from pipelines.runner_config import ClusterConfig, RunnerConfig, chosen_runner
from tests.pipelines.builds import dataset_hash
from tests.pipelines.test_recipe import DEMO


def needs(extra, *modules):
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} of the extra {extra!r} is not installed here"
    )


def small(batch_size=8):
    recipe = load_recipe(DEMO)
    from dataclasses import replace

    return recipe.model_copy(
        update={"corpus": replace(recipe.corpus, files=60), "batch_size": batch_size}
    )


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The same demo in threads."""
    out = tmp_path_factory.mktemp("threads") / "demo"
    with pool_runner("threads", 2) as runner:
        return build(small(128), out=out, runner=runner)


class Killing(NoProgress):
    """Does something once, as soon as a stage has its first result."""

    def __init__(self, stage, deed):
        self.wanted, self.deed, self.killed = stage, deed, False

    @contextlib.contextmanager
    def stage(self, name, total):
        def advance(count):
            if name == self.wanted and not self.killed:
                self.killed = True
                self.deed()

        yield advance


@contextlib.contextmanager
def dask_workers(folder, count):
    """A scheduler here, and workers in processes of their own, in another working directory."""
    import distributed

    # processes=True: the scheduler listens on TCP, though it is in this process.
    with distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=None) as cluster:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        command += ["--nworkers", "1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        workers = [subprocess.Popen(command, cwd=folder) for _ in range(count)]
        try:
            with distributed.Client(cluster) as client:
                client.wait_for_workers(count, timeout=120)
            yield cluster.scheduler_address, workers
        finally:
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
                worker.wait()


@pytest.mark.slow
@needs("dask", "distributed")
def test_two_dask_workers_elsewhere_one_killed_give_the_hash_of_the_demo(truth, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with dask_workers(elsewhere, 2) as (address, workers):
        progress = Killing("measure", workers[0].kill)
        with opened_runner(RunnerConfig(kind="dask", address=address)) as runner:
            assert runner.workers == 2
            result = build(small(), out=tmp_path / "dask", runner=runner, progress=progress)
            assert runner.workers == 1
    assert progress.killed
    assert result.failures == truth.failures
    assert result.dataset_hash == truth.dataset_hash


def ray_workers():
    """Pids of Ray's workers that have a batch."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cmdline").read_bytes().startswith(b"ray::run_batch"):
                found.append(int(folder.name))
    return found


@pytest.mark.slow
@needs("ray", "ray")
def test_ray_with_a_worker_killed_gives_the_hash_of_the_demo(truth, tmp_path):
    killed = []

    def kill():
        deadline = time.monotonic() + 60
        while not (pids := ray_workers()) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(pids[0], signal.SIGKILL)
        killed.append(pids[0])

    with opened_runner(RunnerConfig(kind="ray", workers=2)) as runner:
        assert runner.workers == 2
        result = build(
            small(), out=tmp_path / "ray", runner=runner, progress=Killing("measure", kill)
        )
    assert killed
    assert result.failures == truth.failures
    assert result.dataset_hash == truth.dataset_hash


@pytest.mark.slow
@needs("dask", "distributed", "prefect_dask")
def test_the_flow_with_a_task_runner_of_its_own_runs_its_batches_there(
    truth, tmp_path, prefect_server
):
    _, environment, _ = prefect_server
    recipe = tmp_path / "small.yaml"
    said = yaml.safe_load(DEMO.read_text())
    said["corpus"]["files"], said["batch_size"] = 60, 16
    recipe.write_text(yaml.safe_dump(said))
    out, elsewhere = tmp_path / "flow", tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = f"""
        from prefect_dask import DaskTaskRunner
        from pipelines.build_lucidlr import build_lucidlr
        flow = build_lucidlr.with_options(task_runner=DaskTaskRunner(address=ADDRESS))
        print("hash", flow(recipe={str(recipe)!r}, out={str(out)!r}))
    """
    with dask_workers(elsewhere, 2) as (address, _):
        import distributed

        with distributed.Client(address) as client:
            done = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code).replace("ADDRESS", repr(address))],
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-3000:]
            # The scheduler saw the batches: they did not run in threads of the flow.
            tasks = client.run_on_scheduler(
                lambda dask_scheduler: len(dask_scheduler.transition_log)
            )
    assert tasks > 0
    assert f"hash {truth.dataset_hash}" in done.stdout
    assert dataset_hash(out) == truth.dataset_hash


def test_a_worker_that_does_not_see_the_catalog_refuses_and_writes_nothing(tmp_path):
    mine = Catalog(tmp_path / "mine")
    mine.identify()
    refs = mine.plan("measure", [f"{n:040x}" for n in range(3)], ["blur@1"], batch_size=2), mine
    (ref, _), other = refs[0], tmp_path / "elsewhere"
    assert ref.catalog
    from dataclasses import replace

    with pytest.raises(CatalogUnseen, match=r"does not see the catalog at .*nothing was written"):
        run_batch(replace(ref, root=str(other)))
    assert not other.exists()
    # Another catalog under the same path.
    Catalog(other).identify()
    with pytest.raises(CatalogUnseen, match="not " + ref.catalog):
        run_batch(replace(ref, root=str(other)))
    # The catalog is there, and its originals are not mounted.
    (tmp_path / "mine/objects/.catalog-id").unlink()
    with pytest.raises(CatalogUnseen, match="originals"):
        run_batch(ref)
    assert not mine.part_path(ref).exists()


def test_the_window_follows_a_cluster_that_grows():
    size, most = [1], []

    def submit(function, ref):
        return ref

    def first(running):
        most.append(len(running))
        size[0] = 4
        return running[0]

    runner = ClusterRunner(
        submit=submit,
        first=first,
        result=lambda ref: BatchResult(stage="s", batch=str(ref), done=1, failed=0, seconds=0),
        size=lambda: size[0],
    )
    done = list(runner.map(lambda ref: None, range(20)))
    assert [int(result.batch) for result in done] == list(range(20))
    assert most[:2] == [2, 8]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "threads", "address": "tcp://x:1"}, "belongs to kind dask or ray"),
        ({"kind": "ray", "cluster": ClusterConfig()}, "kind dask only"),
        ({"kind": "dask", "address": "a", "cluster": ClusterConfig()}, "not both"),
        ({"workers": 0}, "at least one"),
    ],
)
def test_a_runner_that_cannot_be_says_why(given, said):
    with pytest.raises(ValueError, match=said):
        RunnerConfig(**given)


def test_what_is_typed_wins_over_the_recipe_and_the_recipe_over_what_is_usual():
    held = RunnerConfig(kind="dask", address="tcp://x:1")
    none = {"kind": None, "workers": None, "address": None}
    assert chosen_runner(held, usual="threads", **none) == held
    assert chosen_runner(RunnerConfig(), usual="threads", **none).kind == "threads"
    typed = chosen_runner(held, usual="threads", **{**none, "kind": "processes", "workers": 3})
    assert typed == RunnerConfig(kind="processes", workers=3)
    elsewhere = {**none, "address": "tcp://y:1"}
    assert chosen_runner(RunnerConfig(), usual="threads", **elsewhere).kind == "dask"


def test_a_recipe_with_another_runner_is_the_same_recipe():
    recipe = load_recipe(DEMO)
    other = recipe.model_copy(update={"runner": RunnerConfig(kind="ray")})
    assert other.hash([]) == recipe.hash([])


@needs("dask", "distributed")
def test_a_cluster_that_is_not_there_is_a_sentence(tmp_path):
    with (
        pytest.raises(NoCluster, match=r"there is no 'dask_nowhere\.Cluster'"),
        opened_runner(
            RunnerConfig(kind="dask", cluster=ClusterConfig(kind="dask_nowhere.Cluster"))
        ),
    ):
        pass


@pytest.mark.parametrize("address", ["s3://bucket/out", "gs:/bucket", "hf://datasets/me/it"])
def test_an_address_is_no_folder(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotHere, match="needs a folder on a disk"):
        catalog_in(Path(address))
    with pool_runner("threads", 1) as runner, pytest.raises(Expected, match="Buckets are not"):
        build(small(), out=Path(address), runner=runner)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "demo", "--out", address],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "copy dataset/ there" in done.stderr
    assert list(tmp_path.iterdir()) == []
