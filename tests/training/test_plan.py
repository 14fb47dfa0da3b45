"""The plan against the arithmetic of LucidFlux that stands in docs/lucidflux.md, and against what a tiny run took."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.small import small_config
from training.cost import PlanError
from training.cost.plan import GIB, check_limits, lines, plan_of
from training.precompute.sizes import Estimate, StoreTooLarge, check_size
from training.train_config import load_config

RECIPE = Path(__file__).parents[2] / "pipelines" / "recipes" / "nft" / "lucidflux.yaml"


@pytest.fixture(scope="module")
def config():
    return load_config(RECIPE)


def near(expected):
    return pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(
    ("gpu", "gpus", "hours", "days"),
    [("H100-80", 1, 2.1, 53), ("H200-141", 1, 2.1, 53), ("H100-80", 8, 16 / 60, 6.6)],
)
def test_the_plan_of_lucidflux_is_within_15_percent_of_its_arithmetic(
    config, gpu, gpus, hours, days
):
    plan = plan_of(config, gpu=gpu, gpus=gpus)
    assert plan.cost.velocity_flop == near(100e12)
    assert plan.cost.trained == pytest.approx(58.6e6, rel=0.01)
    assert sum(plan.cost.weights_bytes.values()) == pytest.approx(26.25 * GIB, rel=0.01)
    assert plan.epoch_flop == near(3.3e18)
    assert plan.epoch_seconds / 3600 == near(hours)
    assert plan.days == near(days)
    peaks = {moment: sum(parts.values()) / GIB for moment, parts in plan.memory.items()}
    # 33 to 38 GiB an update, 48 to 52 while scoring.
    assert peaks["update"] == near(35.5) and peaks["scoring"] == near(50)
    assert plan.precompute_bytes / GIB == pytest.approx(492, rel=0.01)
    assert not plan.problems


def test_without_checkpointing_it_does_not_fit_80_gb_and_the_plan_refuses(config):
    from dataclasses import replace

    options = {**config.backbone_options, "gradient_checkpointing": False}
    plan = plan_of(replace(config, backbone_options=options), gpu="H100-80")
    with pytest.raises(PlanError, match="out of memory"):
        check_limits(plan)
    assert any("PROBLEM" in line for line in lines(plan, config))


def test_a_plan_over_a_limit_is_refused_with_the_figures(config):
    plan = plan_of(config, gpu="H100-80", gpus=8)
    check_limits(plan, most_days=7.5, most_disk_gb=10)
    with pytest.raises(
        PlanError, match=r"days are over the limit of 5; .* GB on disk are over the limit of 1"
    ):
        check_limits(plan, most_days=5, most_disk_gb=1)
    with pytest.raises(PlanError, match="did you mean 'H100-80'"):
        plan_of(config, gpu="H100")


def test_a_small_backbone_is_counted_by_trying_it(tmp_path):
    config = small_config(tmp_path, backbone="tiny", lr_px=16)
    plan = plan_of(config, gpu="H100-80")
    from training.backbones.tiny import load

    net = load().net
    assert plan.cost.trained == sum(p.numel() for p in net.parameters())
    assert plan.cost.copies == 7
    # A 3 x 3 convolution of c channels over h x w pixels: 18 c^2 h w FLOP; there are some twenty of them.
    assert 1e8 < plan.cost.velocity_flop < 2e9
    kept = torch.cat([p.flatten() for p in net.parameters()]).numel() * 4
    assert plan.memory["update"]["net"] == kept


def test_a_store_over_the_limit_is_announced_and_refused():
    estimates = [Estimate(kind="conditioning", crops=29_280, bytes_each=18_087_944)]
    with pytest.raises(StoreTooLarge, match=r"493\.2 GiB would be written.*--kind.*--most-gb 531"):
        check_size(estimates, most_gb=50)
    check_size(estimates, most_gb=600)


def test_what_a_tiny_run_holds_is_within_15_percent_of_its_plan(tmp_path, monkeypatch):
    """Live tensors of a real training, by moment, from its second epoch on (docs/LOG.md has larger ones)."""
    from training import epoch, train_nft
    from training.cost.live import LiveBytes
    from training.data import LRTensors
    from training.train_config import RewardSpec

    config = small_config(
        tmp_path,
        backbone="tiny",
        lr_px=16,
        rewards=(RewardSpec(name="lr_faithfulness"),),
        epochs=2,  # Adam's states come with the first step
        groups=2,
        group_size=4,
        rollout_solver="euler",
        rollout_batch=8,
        train_batch=8,
        updates=1,
    )
    plan = plan_of(config)
    live = LiveBytes()

    def within(module, name, moment):
        inner = getattr(module, name)

        def wrapped(*args, **kwargs):
            with live.moment(moment):
                return inner(*args, **kwargs)

        monkeypatch.setattr(module, name, wrapped)

    within(train_nft, "one_update", "update")
    within(epoch, "roll_out", "rollouts")
    with live:
        train_nft.main(config, lrs=LRTensors(torch.rand(2, 3, 16, 16)))
    for moment in ("update", "rollouts"):
        planned = sum(plan.memory[moment].values())
        assert live.peaks[moment] == pytest.approx(planned, rel=0.15), moment
    assert live.peak == live.peaks["update"] and plan.peak_bytes == sum(
        plan.memory["update"].values()
    )


def test_live_bytes_count_a_tensor_from_its_first_use_to_its_end():
    from training.cost.live import LiveBytes

    there = torch.zeros(1000)
    with LiveBytes(beside=[there]) as live:
        one = there + 1  # 4,000 bytes more
        view = one[:10]  # the same storage
        with live.moment("inside"):
            two = one * 2  # 8,000
            del two
        assert (live.now, live.peaks["inside"]) == (4000, 8000)
        del one
        assert live.now == 4000 and len(view) == 10
        del view
        assert live.now == 0 and live.peak == 8000
