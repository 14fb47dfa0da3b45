from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.training.processes import run


@pytest.mark.slow
def test_two_processes_give_the_training_curve_of_one_to_a_millionth(tmp_path):
    # 20 rollouts in groups of 5 for 2 processes: 10 each; 3 held-out LR: one of them has one more than the other.
    run(tmp_path / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run(
        [*command, "-m", "tests.training.processes", str(tmp_path / "two")],
        check=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    one, two = (json.loads((tmp_path / n / "result.json").read_text()) for n in ("one", "two"))
    assert len(one["rows"]) == len(two["rows"]) == 5
    for single, double in zip(one["rows"], two["rows"], strict=True):
        assert single.keys() == double.keys()
        for name, value in single.items():
            assert double[name] == pytest.approx(value, rel=1e-6, abs=1e-12), name
    for name, value in one["weights"].items():
        assert two["weights"][name] == pytest.approx(value, rel=1e-6, abs=1e-12), name
