"""Worker processes that die: the batch is done alone, halved, and the image that does it is named."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catalog.records import MeasureRecord, to_table
from catalog.store import Catalog
from pipelines.build.runners import BatchResult, WorkerDied, pool_runner
from pipelines.build.stages import failure

KEYS = [f"{n:040x}" for n in range(21)]
DEADLY = {KEYS[4], KEYS[17]}


def deadly(ref):
    """Dies over some keys, as a decoder does that writes where it may not."""
    catalog = Catalog(ref.root)
    keys = catalog.keys_of(ref)
    done, failures = [], []
    for key in keys if ref.probe is None else keys[slice(*ref.probe)]:
        if key in ref.crashed:
            failures.append(failure(ref.stage, key, "crashed", "died", retryable=True))
            continue
        if key in DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(MeasureRecord(sha1=key, name="blur", version="1", value=1.0))
    if ref.probe is None:
        catalog.commit(ref, to_table(done, MeasureRecord), failures)
    return BatchResult(
        stage=ref.stage, batch=ref.batch, done=len(done), failed=len(failures), seconds=0.0
    )


def dies_once(ref):
    """Is killed from outside, the first time."""
    mark = Catalog(ref.root).root / f"killed-{ref.batch}"
    if ref.batch.endswith("1") and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return deadly(ref)


def too_much(ref):
    """Dies over any two keys, and over none alone."""
    if ref.probe is None or ref.probe[1] - ref.probe[0] > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return deadly(ref)


def planned(tmp_path, keys, batch_size):
    catalog = Catalog(tmp_path)
    return catalog, catalog.plan("measure", keys, ["blur@1"], batch_size=batch_size)


@pytest.mark.slow
def test_the_images_that_kill_a_process_are_named_and_all_others_are_done(tmp_path):
    catalog, refs = planned(tmp_path, KEYS, 7)
    with pool_runner("processes", 2) as runner:
        results = list(runner.map(deadly, refs))
    assert sum(result.done for result in results) == len(KEYS) - len(DEADLY)
    assert sum(result.failed for result in results) == len(DEADLY)
    assert catalog.pending("measure", ["blur@1"]) == []
    from catalog.views import failures

    assert set(failures(catalog).column("key").to_pylist()) == DEADLY


@pytest.mark.slow
def test_a_process_that_was_killed_by_hand_costs_nothing_but_time(tmp_path):
    keys = [key for key in KEYS if key not in DEADLY]
    catalog, refs = planned(tmp_path, keys, 4)
    with pool_runner("processes", 2) as runner:
        results = list(runner.map(dies_once, refs))
    assert sum(result.done for result in results) == len(keys)
    assert catalog.pending("measure", ["blur@1"]) == []


@pytest.mark.slow
def test_where_no_single_image_is_to_blame_the_run_ends_with_advice(tmp_path):
    _, refs = planned(tmp_path, KEYS[:3], 3)
    with pool_runner("processes", 1) as runner, pytest.raises(WorkerDied, match="--workers 1"):
        list(runner.map(too_much, refs))


def test_a_bug_in_a_batch_is_an_exception_as_before(tmp_path):
    _, refs = planned(tmp_path, KEYS[:3], 1)

    def bug(ref):
        raise ZeroDivisionError(ref.batch)

    with pool_runner("threads", 2) as runner, pytest.raises(ZeroDivisionError):
        list(runner.map(bug, refs))


IDLE = """
import os, time
from pathlib import Path
from pipelines.build.runners import pool_runner
from tests.pipelines.build.test_workers import pid_of_a_worker, planned
if __name__ == "__main__":
    _, refs = planned(Path("catalog").absolute(), ["a" * 40], 1)
    with pool_runner("processes", 1) as runner:
        list(runner.map(pid_of_a_worker, refs))
        time.sleep(600)
"""


def pid_of_a_worker(ref):
    Path("worker").write_text(str(os.getpid()))
    return BatchResult(stage=ref.stage, batch=ref.batch, done=1, failed=0, seconds=0.0)


def runs(pid):
    """Neither gone, nor dead and not yet collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def eventually(true, seconds=60):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


@pytest.mark.slow
def test_a_worker_ends_with_a_build_that_was_killed(tmp_path):
    (tmp_path / "idle.py").write_text(IDLE)
    home = str(Path(__file__).parents[3])
    build = subprocess.Popen(
        [sys.executable, "idle.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": home}
    )
    try:
        worker = tmp_path / "worker"
        assert eventually(lambda: worker.exists() and worker.read_text())
        pid = int(worker.read_text())
        assert runs(pid)
    finally:
        build.kill()
        build.wait()
    assert eventually(lambda: not runs(pid)), "an idle worker outlived its build"
