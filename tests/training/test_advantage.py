from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.counts import rounds
from tests.training.golden import f64, golden
from training.advantage import decoupled, group_index, optimality, scalarized

pytestmark = pytest.mark.golden

SETS = golden()["advantages"]
VARIANTS = {
    "scalarised_global_std": lambda r, g: scalarized(r, g, [1, 1]),
    "scalarised_group_std": lambda r, g: scalarized(r, g, [1, 1], std="group"),
    "decoupled_group_std_sum": lambda r, g: decoupled(r, g, [1, 1]),
    "decoupled_group_std_mean": lambda r, g: decoupled(r, g, [0.5, 0.5]),
    "decoupled_global_std_sum": lambda r, g: decoupled(r, g, [1, 1], std="global"),
    "gdpo_presum_ddof1": lambda r, g: decoupled(r, g, [1, 1], ddof=1),
    "gdpo_batch_whitened_ddof1": lambda r, g: decoupled(r, g, [1, 1], ddof=1, whiten=True),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_advantages_are_the_golden_ones_in_float64(variant):
    found = VARIANTS[variant](SETS["rewards"], SETS["groups"])
    torch.testing.assert_close(found, f64(SETS["advantages"][variant]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_advantages_are_the_golden_ones_in_float32(variant):
    found = VARIANTS[variant](torch.tensor(SETS["rewards"]), SETS["groups"])
    assert found.dtype == torch.float32
    wanted = torch.tensor(SETS["advantages"][variant])
    # float32 cannot hold 0.93 exactly: what is 0 in float64 is a difference of 6e-8 over a spread of 0.03 here.
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_each_objective_alone_is_the_golden_column():
    wanted = f64(SETS["advantages"]["decoupled_group_std_per_objective"])
    for k, weights in enumerate(([1, 0], [0, 1])):
        found = decoupled(SETS["rewards"], SETS["groups"], weights)
        torch.testing.assert_close(found, wanted[:, k], rtol=0, atol=1e-9)


@pytest.mark.parametrize("variant", SETS["r"])
def test_optimality_is_the_golden_one(variant):
    found = optimality(f64(SETS["advantages"][variant]))
    torch.testing.assert_close(found, f64(SETS["r"][variant]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("eps", ["1e-4", "1e-6", "0"])
def test_eps_damps_an_objective_of_small_spread_as_the_golden_values_say(eps):
    effect = SETS["eps_effect"]
    rewards = f64([[r] for r in effect["objective_small_spread"]])
    found = decoupled(rewards, [0] * 4, [1], eps=float(eps))
    torch.testing.assert_close(found, f64(effect[f"z_small_eps{eps}"]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("toy", SETS["gdpo_toy_two_rollouts"])
def test_two_rollouts_tell_adding_first_from_adding_last(toy):
    # Rewards (0,0) and (1,1): adding first gives one difference of 2 and A = +-0.707, adding last twice that.
    found = decoupled(f64(toy["rewards"]), [0, 0], [1, 1], ddof=1)
    torch.testing.assert_close(found, f64(toy["gdpo_presum"]), rtol=0, atol=1e-9)
    found = scalarized(f64(toy["rewards"]), [0, 0], [1, 1], std="group", ddof=1)
    torch.testing.assert_close(found, f64(toy["grpo"]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("eps", [1e-4, 0.0])
@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("std", ["group", "global"])
def test_a_single_rollout_and_a_group_without_variance_give_zero(eps, ddof, std):
    rewards = f64([[0.3, 1.0], [0.7, 0.1], [0.7, 0.1], [0.7, 0.1]])
    groups = ["single", "same", "same", "same"]
    for fuse in (decoupled, scalarized):
        found = fuse(rewards, groups, [1, 2], eps=eps, ddof=ddof, std=std)
        assert found.tolist() == [0, 0, 0, 0]


def test_anti_correlated_objectives_cancel_and_leave_no_rounding_noise_at_eps_0():
    # 0.9 + 0.6, 0.8 + 0.7, ...: the sums differ in the last bit only; over their own spread that would be +-1.
    rewards = f64([[0.9, 0.6], [0.8, 0.7], [0.7, 0.8], [0.6, 0.9]])
    assert scalarized(rewards, [0] * 4, [1, 1], std="group", eps=0.0).tolist() == [0] * 4


@pytest.mark.parametrize("fuse", [decoupled, scalarized])
@pytest.mark.parametrize("std", ["group", "global"])
def test_a_failed_reward_leaves_its_rollout_out_of_every_statistic(fuse, std):
    rewards = f64([[0.1, 3.0], [0.2, math.nan], [0.4, 1.0], [0.5, 2.0], [0.9, 2.5]])
    groups = [0, 0, 0, 1, 1]
    kept = [0, 2, 3, 4]
    found = fuse(rewards, groups, [1, 1], std=std)
    assert found[1].isnan()
    without = fuse(rewards[kept], [groups[i] for i in kept], [1, 1], std=std)
    assert found[kept].tolist() == without.tolist()


def test_a_failed_reward_of_weight_zero_harms_nobody():
    rewards = f64([[0.1, math.nan], [0.2, 1.0], [0.4, 1.0]])
    assert not decoupled(rewards, [0] * 3, [1, 0]).isnan().any()


def test_when_all_failed_there_is_no_advantage():
    assert decoupled(f64([[math.nan], [math.nan]]), [0, 0], [1]).isnan().all()


def test_the_floor_of_the_spread_tames_an_illusory_advantage():
    # Spread 1e-5 in units of itself is +-1; over a floor of 1e-3 it is +-0.01.
    rewards = f64([[0.50001], [0.49999]])
    assert decoupled(rewards, [0, 0], [1], eps=0.0).tolist() == pytest.approx([1, -1])
    floored = decoupled(rewards, [0, 0], [1], eps=0.0, std_floor=1e-3)
    assert floored.tolist() == pytest.approx([0.01, -0.01])


def test_labels_may_be_tensors_or_words():
    rewards = torch.rand(4, 2, dtype=torch.float64)
    words, numbers = ["b", "a", "b", "a"], torch.tensor([7, 3, 7, 3])
    assert group_index(words).tolist() == group_index(numbers).tolist() == [0, 1, 0, 1]
    assert decoupled(rewards, words, [1, 1]).equal(decoupled(rewards, numbers, [1, 1]))


@pytest.mark.parametrize(
    ("rewards", "groups", "weights", "options"),
    [
        ([0.1, 0.2], [0, 0], [1], {}),
        ([[0.1], [0.2]], [0], [1], {}),
        ([[0.1], [0.2]], [0, 0], [1, 1], {}),
        ([[0.1], [math.inf]], [0, 0], [1], {}),
        ([[0.1], [0.2]], [0, 0], [1], {"std": "batch"}),
    ],
)
def test_what_does_not_fit_is_refused(rewards, groups, weights, options):
    with pytest.raises(ValueError):
        decoupled(rewards, groups, weights, **options)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("all", [0, 0.38, 0.5, 0.7, 1]),
        ("positive_only", [0.5, 0.5, 0.5, 0.7, 1]),
        ("negative_only", [0, 0.38, 0.5, 0.5, 0.5]),
        ("one_only", [0.5, 0.5, 0.5, 0.6, 0.6]),
        ("binary", [0.4, 0.4, 0.5, 0.6, 0.6]),
    ],
)
def test_modes_of_optimality(mode, wanted):
    # c = 5: r = A/10 + 1/2, so -1.2 gives .38 and 2 gives .7; +-9 is clipped to +-5.
    a = f64([-9, -1.2, 0, 2, 9])
    assert optimality(a, mode=mode).tolist() == pytest.approx(wanted)
    assert optimality(f64([math.nan]), mode=mode).isnan().all()


def test_optimality_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="mode"):
        optimality(f64([0.0]), mode="some")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValueError, match="above 0"):
        optimality(f64([0.0]), clip=0.0)


@st.composite
def rollouts(draw):
    """Rewards [N,2] on a grid of 1/64, so that spreads are either 0 or far above rounding; labels [N]."""
    n = draw(st.integers(1, 12))
    cell = st.integers(-200, 200).map(lambda x: x / 64)
    rewards = draw(st.lists(st.tuples(cell, cell), min_size=n, max_size=n))
    groups = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return f64(rewards), torch.tensor(groups)


@settings(max_examples=rounds(600), deadline=None)
@given(rollouts(), st.sampled_from(["group", "global"]), st.sampled_from([0.0, 1e-4]))
def test_advantages_of_one_objective_sum_to_zero_within_each_group(made, std, eps):
    rewards, groups = made
    for weights in ([1, 0], [0, 1]):
        found = decoupled(rewards, groups, weights, std=std, eps=eps)
        sums = torch.zeros(4, dtype=torch.float64).index_add(0, groups, found)
        assert sums.abs().max() < 1e-9


@settings(max_examples=rounds(600), deadline=None)
@given(rollouts(), st.floats(0.01, 100), st.floats(-10, 10), st.sampled_from(["group", "global"]))
def test_rescaling_one_reward_changes_nothing_when_decoupled_at_eps_0(made, scale, shift, std):
    rewards, groups = made
    changed = rewards.clone()
    changed[:, 1] = changed[:, 1] * scale + shift
    before = decoupled(rewards, groups, [1, 1], eps=0.0, std=std)
    after = decoupled(changed, groups, [1, 1], eps=0.0, std=std)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-7)


def test_rescaling_one_reward_does_change_the_scalarised_advantage():
    rewards = f64([[0.0, 1.0], [1.0, 0.5], [0.5, 0.0]])
    changed = rewards * f64([1.0, 10.0])
    before = scalarized(rewards, [0] * 3, [1, 1], eps=0.0)
    assert (scalarized(changed, [0] * 3, [1, 1], eps=0.0) - before).abs().max() > 0.5


@settings(max_examples=rounds(600), deadline=None)
@given(rollouts(), st.randoms(use_true_random=False))
def test_the_order_of_rollouts_does_not_matter(made, chance):
    rewards, groups = made
    order = list(range(len(groups)))
    chance.shuffle(order)
    for fuse in (decoupled, scalarized):
        straight = fuse(rewards, groups, [1, 0.5])[order]
        mixed = fuse(rewards[order], groups[order], [1, 0.5])
        torch.testing.assert_close(mixed, straight, rtol=0, atol=1e-9)
