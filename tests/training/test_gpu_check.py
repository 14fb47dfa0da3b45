"""The fifteen checks: on a CPU with small networks they run or say why not; with `-m gpu` they count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.training.backbones.lucidflux_tiny import GOLDEN, tiny_weights
from training.backbones import BackboneError
from training.gpu_check import Check, Skip, run_checks
from training.gpu_check.checks import CHECKS, context_of


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu-check")
    found = context_of(
        tiny_weights(folder / "weights"), processes=1, out=folder / "out", golden=GOLDEN
    )
    found.device, found.device_name = "cpu", "CPU"
    return found


def outcomes_of(context, numbers):
    said: list[str] = []
    found = run_checks(context, [check for check in CHECKS if check.number in numbers], said.append)
    assert len(said) == len(numbers) and all("expected" in line for line in said)
    return {outcome.check.number: outcome for outcome in found}


def test_there_are_fifteen_in_order_each_with_an_expected_figure():
    assert [check.number for check in CHECKS] == list(range(1, 16))
    assert all(check.expected for check in CHECKS)


@pytest.mark.slow
def test_on_a_cpu_a_check_runs_or_says_why_not_and_never_passes(context):
    found = outcomes_of(context, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13})
    assert {number: outcome.verdict for number, outcome in found.items()} == {
        **dict.fromkeys((4, 7, 8, 9), "cpu"),
        **dict.fromkeys((1, 2, 3, 5, 6, 10, 11, 12, 13), "skipped"),
    }
    assert "no GPU here" in found[3].found and "--processes 2" in found[1].found
    assert "velocity" in found[7].found and "days" in found[8].found


def test_what_fails_is_a_fail_with_its_message(context):
    def dies(context):
        raise RuntimeError("CUDA error: out of\nluck")

    def off(context):
        return "3.0", False

    def absent(context):
        raise Skip("no weights")

    made = [
        Check(number=n, title="x", expected="1", run=run)
        for n, run in enumerate((dies, off, absent))
    ]
    found = run_checks(context, made, lambda line: None)
    assert [outcome.verdict for outcome in found] == ["FAIL", "FAIL", "skipped"]
    assert found[0].found == "RuntimeError: CUDA error: out of luck"


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BackboneError, match="lucidflux-download"):
        context_of(tmp_path / "nowhere", processes=1, out=tmp_path)


@pytest.mark.slow
def test_two_processes_hold_the_same_adapters_and_a_killed_run_resumes(context, tmp_path):
    context.processes = 2
    try:
        found = outcomes_of(context, {1, 13, 15})
    finally:
        context.processes = 1
    assert {number: outcome.verdict for number, outcome in found.items()} == {
        1: "cpu",
        13: "cpu",
        15: "cpu",
    }
    assert "difference 0 before, 0 after" in found[1].found


@pytest.mark.gpu
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.number}")
def test_on_a_gpu(check, tmp_path_factory):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    weights = os.environ.get("LUCIDLR_LUCIDFLUX_WEIGHTS")
    if weights is None:
        pytest.skip("LUCIDLR_LUCIDFLUX_WEIGHTS names no weights folder")
    out = tmp_path_factory.mktemp("gpu")
    count = torch.cuda.device_count()
    (outcome,) = run_checks(
        context_of(Path(weights), processes=count, out=out, golden=GOLDEN), [check], print
    )
    if outcome.verdict == "skipped":
        pytest.skip(outcome.found)
    assert outcome.verdict == "pass", outcome.line()
