"""The same dataset on any CPU: a demo built as a processor without wide vectors computes has the hash of this one's."""

import json
import subprocess
import sys

import pytest

from scripts.test_cpus import EMULATIONS, ROOT, environment

pytestmark = pytest.mark.slow


def dataset_hash(variables, out):
    command = [sys.executable, "-m", "pipelines.cli", "demo", "--out", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((out / "dataset" / "manifest.json").read_text("utf-8"))["dataset_hash"]


def test_a_demo_has_one_hash_whatever_vectors_the_processor_has(tmp_path):
    here = dataset_hash(environment({}, tmp_path), tmp_path / "here")
    for name in ("old", "opencv avx"):
        found = dataset_hash(environment(EMULATIONS[name], tmp_path), tmp_path / name)
        assert found == here, name
