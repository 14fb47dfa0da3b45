from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.training import processes

pytestmark = pytest.mark.slow


def together(kind, out, count):
    """That run on `count` processes; a run on one needs no launcher."""
    if count == 1:
        getattr(processes, kind)(out)
    else:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        subprocess.run(
            [*launcher, f"--nproc_per_node={count}", "-m", processes.__name__, kind, str(out)],
            check=True,
            timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
    return json.loads((out / "result.json").read_text())


def assert_same_curve_and_weights(one, two, relative, absolute):
    assert len(one["rows"]) == len(two["rows"]) == 5
    for single, double in zip(one["rows"], two["rows"], strict=True):
        assert single.keys() == double.keys()
        for name, value in single.items():
            assert double[name] == pytest.approx(value, rel=relative, abs=absolute), name
    for name, value in one["weights"].items():
        assert two["weights"][name] == pytest.approx(value, rel=relative, abs=absolute), name


def test_two_processes_give_the_training_curve_of_one_to_a_millionth(tmp_path):
    # 20 rollouts in groups of 5 for 2 processes: 10 each; 3 held-out LR: one of them has one more than the other.
    one, two = (together("plain", tmp_path / str(n), n) for n in (1, 2))
    assert_same_curve_and_weights(one, two, 1e-6, 1e-12)


def test_a_sharded_backbone_gives_the_same_curve_and_goes_on_from_its_checkpoint(tmp_path):
    # float32, and Adam divides by the root of a square: what is rounded differently in the last bit grows a little.
    one, two = (together("sharded", tmp_path / str(n), n) for n in (1, 2))
    assert_same_curve_and_weights(one, two, 1e-3, 1e-4)
