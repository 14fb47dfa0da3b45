from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training import processes

pytestmark = pytest.mark.slow

RECIPE = str(Path(__file__).parents[2] / "pipelines" / "recipes" / "nft" / "accelerate_ddp.yaml")


TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc_per_node={count}",
]
ACCELERATE = [
    sys.executable,
    "-m",
    "accelerate.commands.launch",
    "--config_file",
    RECIPE,
    "--num_processes={count}",
]


def together(kind, out, count, launcher=TORCHRUN):
    """That run on `count` processes; a run on one needs no launcher."""
    if count == 1:
        getattr(processes, kind)(out)
    else:
        words = [word.format(count=count) for word in launcher]
        launched([*words, "-m", processes.__name__, kind, str(out)], check=True)
    return json.loads((out / "result.json").read_text())


@pytest.fixture(scope="module")
def two_with_lora(tmp_path_factory):
    """LoRA on two processes by torchrun, once for both tests that compare with it."""
    return together("lora", tmp_path_factory.mktemp("two") / "run", 2)


def launched(words, *, check):
    done = subprocess.run(
        words,
        check=False,
        timeout=300,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def assert_same_curve_and_weights(one, two, relative, absolute):
    assert len(one["rows"]) == len(two["rows"]) >= 3
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


def test_adapters_drawn_at_random_are_one_on_all_processes_and_train_as_on_one(
    tmp_path, two_with_lora
):
    one = together("lora", tmp_path / "1", 1)
    assert_same_curve_and_weights(one, two_with_lora, 2e-6, 2e-6)


def test_accelerate_launch_gives_the_curve_of_torchrun_to_the_last_bit(tmp_path, two_with_lora):
    assert together("lora", tmp_path / "accelerate", 2, ACCELERATE) == two_with_lora


def test_sharded_adapters_drawn_at_random_train_as_on_one_process(tmp_path):
    one, two = (together("lora_sharded", tmp_path / str(n), n) for n in (1, 2))
    assert_same_curve_and_weights(one, two, 2e-6, 2e-6)


def test_a_process_whose_weights_went_astray_ends_the_training(tmp_path):
    words = [word.format(count=2) for word in TORCHRUN]
    done = launched([*words, "-m", processes.__name__, "differing", str(tmp_path)], check=False)
    assert done.returncode != 0
    # The first of the two that sees it ends; the launcher then ends the other, which may not get to say it.
    told = [path.read_text() for path in tmp_path.glob("told-by-*.txt")]
    assert told, done.stderr
    expected = "process 1 does not hold what process 0 holds after epoch 1: old"
    assert all(expected in text for text in told)


def test_accelerate_that_starts_one_process_instead_of_two_is_told_so(tmp_path):
    words = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=2"]
    words += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    done = launched([*words, "-m", processes.__name__, "plain", str(tmp_path)], check=False)
    assert done.returncode != 0
    assert "asked for several processes and started one" in done.stderr
