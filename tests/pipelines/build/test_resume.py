"""Kill it anywhere, run it again: the same dataset. Any number of workers: the same dataset."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from catalog.explain import failure_lines
from catalog.release.export import verify_dataset
from tests.counts import sampled
from tests.pipelines.builds import ENVIRONMENT, dataset_hash, demo_command, run_demo

pytestmark = pytest.mark.slow

# What appears under the output folder when a stage is under way, in the order of a build.
STAGES = {
    "corpus": "corpus*/**/*.jpg",
    "list": "catalog/parts/listing/*/*.parquet",
    "download plan": "catalog/plans/download/*/*.parquet",
    "download": "catalog/objects/*/*/*",
    "hash plan": "catalog/plans/hash/*/*.parquet",
    "hash": "catalog/parts/hash/*/*.parquet",
    "measure": "catalog/parts/measure/*/*.parquet",
    "score": "catalog/parts/score/*/*.parquet",
    "decide": "catalog/parts/decision/*/*.parquet",
    "export": ".dataset*/**/*",
}


def kill_when(out: Path, pattern: str, delay_s: float) -> bool:
    """Starts the demo and kills it hard some time after the first file that matches. False: it ended before."""
    process = subprocess.Popen(
        demo_command(out),
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    before = set(out.glob(pattern))
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if set(out.glob(pattern)) - before:
            time.sleep(delay_s)
            break
        time.sleep(0.002)
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    return not ended


@pytest.mark.parametrize("stage", sampled(list(STAGES), least=4))
def test_a_kill_in_any_stage_and_the_same_command_again_give_the_undisturbed_dataset(
    small_build, tmp_path, stage
):
    chance = random.Random(f"20261123 {stage}")
    out = tmp_path / "demo"
    assert kill_when(out, STAGES[stage], delay_s=chance.uniform(0, 0.05)), (
        "it ended before the kill"
    )
    assert not (out / "lucidlr.duckdb").exists()
    done = run_demo(out)
    assert done.returncode == 0, done.stderr[-3000:]
    assert dataset_hash(out) == dataset_hash(small_build)
    assert verify_dataset(out / "dataset") == []
    assert list(out.rglob(".*.tmp")) == []


def test_kill_upon_kill_without_a_run_between_gives_the_undisturbed_dataset(small_build, tmp_path):
    out = tmp_path / "demo"
    killed = [stage for stage, pattern in STAGES.items() if kill_when(out, pattern, delay_s=0.0)]
    assert len(killed) >= 4, f"too few kills hit: {killed}"
    assert run_demo(out).returncode == 0
    assert dataset_hash(out) == dataset_hash(small_build)


@pytest.mark.parametrize("runner", ["threads", "processes"])
@pytest.mark.parametrize("workers", sampled([1, 2, 4], least=2))
def test_workers_do_not_change_the_dataset(small_build, tmp_path, runner, workers):
    done = run_demo(tmp_path, "--runner", runner, "--workers", str(workers))
    assert done.returncode == 0, done.stderr[-3000:]
    assert dataset_hash(tmp_path) == dataset_hash(small_build)


def test_a_second_run_lists_and_measures_nothing_again(small_build, tmp_path):
    out = Path(shutil.copytree(small_build, tmp_path / "demo"))
    parts = {p: p.stat().st_mtime_ns for p in (out / "catalog" / "plans").rglob("*.parquet")}
    assert parts
    assert run_demo(out).returncode == 0
    after = {p: p.stat().st_mtime_ns for p in (out / "catalog" / "plans").rglob("*.parquet")}
    assert parts == after
    assert dataset_hash(out) == dataset_hash(small_build)


def test_a_lost_original_is_fetched_again_by_the_same_command(small_build, tmp_path):
    out = tmp_path / "demo"
    assert kill_when(out, STAGES["hash plan"], delay_s=0.0)
    objects = sorted(p for p in (out / "catalog" / "objects").rglob("*") if p.is_file())
    objects[0].unlink()
    assert run_demo(out).returncode == 0
    assert not any("object_missing" in line for line in failure_lines(out))
    assert dataset_hash(out) == dataset_hash(small_build)


def test_two_builds_on_one_catalog_one_works_and_the_other_says_who(tmp_path):
    first = subprocess.Popen(
        demo_command(tmp_path), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    holder = tmp_path / "catalog" / "locks" / "build.holder.json"
    deadline = time.monotonic() + 60
    while not holder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    second = run_demo(tmp_path)
    assert second.returncode == 1
    assert f"process {first.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 0, errors[-3000:]
    assert json.loads((tmp_path / "dataset" / "manifest.json").read_text())


def test_a_full_disk_ends_with_a_clear_error_and_resumes_after_room_was_made(small_build, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        full = run_demo(small / "demo")
        assert full.returncode == 1, full.stdout[-2000:]
        assert "No space left" in full.stderr
        assert "run the same command again" in full.stderr
        assert "Traceback" not in full.stderr
        subprocess.run(["mount", "-o", "remount,size=300m", str(small)], check=True)
        again = run_demo(small / "demo")
        assert again.returncode == 0, again.stderr[-3000:]
        assert dataset_hash(small / "demo") == dataset_hash(small_build)
    finally:
        subprocess.run(["umount", str(small)], check=True)
