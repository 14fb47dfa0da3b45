"""The paper's analysis on rewards whose advantages can be worked out by hand."""

import pytest
import torch

from tests.training.golden import f64, golden
from training.backbones.tiny import untrained
from training.rewards import load_reward
from training.separability import (
    MEASURES,
    METHODS,
    markdown,
    reward_table,
    separability,
    share_of_group_std,
    within_group_correlation,
    write,
)


def value(found, rollouts, method, measure):
    (one,) = [
        s.value.mean
        for s in found
        if (s.rollouts, s.method, s.measure) == (rollouts, method, measure)
    ]
    return one


def test_two_rollouts_differ_by_four_where_objectives_agree_and_by_nothing_where_they_do_not():
    # z is +1 and -1 for each objective: agreeing sums are +-2, opposite ones 0.
    agree, oppose = [[1.0, 10.0], [2.0, 30.0]], [[1.0, 30.0], [2.0, 10.0]]
    both = separability(f64([agree, oppose]), [1.0, 1.0], counts=[2])
    assert value(both, 2, "decoupled", "all pairs") == pytest.approx(2.0, abs=1e-3)
    assert value(both, 2, "decoupled", "distinct") == 1.5
    # Scalarised by group: the sums differ in both groups, so both have z = +-1.
    assert value(both, 2, METHODS[2], "all pairs") == pytest.approx(2.0, abs=1e-3)
    assert value(both, 2, METHODS[2], "distinct") == 2


def test_the_global_deviation_makes_a_quiet_group_collapse_and_the_groups_own_does_not():
    loud, quiet = [[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]], [[0.0, 0.0], [0.1, 0.0], [0.2, 0.0]]
    found = separability(f64([loud, quiet]), [1.0, 1.0], counts=[3])
    assert (
        value(found, 3, METHODS[1], "distinct") == 2.0
    )  # three in the loud group, one in the quiet
    assert value(found, 3, METHODS[2], "distinct") == 3.0


@pytest.mark.golden
def test_all_pairs_agree_with_the_golden_values():
    known = golden()["advantages"]
    rewards = f64(known["rewards"])[:16].view(4, 4, 2)
    found = separability(rewards, known["weights"], counts=[4])
    for method, name in (
        (METHODS[0], "decoupled_group_std_sum"),
        (METHODS[2], "scalarised_group_std"),
    ):
        of_groups = [known["separability"][name][g]["mean_pairwise_abs_gap"] for g in "abcd"]
        assert value(found, 4, method, "all pairs") == pytest.approx(sum(of_groups) / 4, abs=1e-9)


def test_the_pairs_are_those_that_their_names_say():
    # Raw sums are 2.1, 1.5, 3.0: by sum the pair is rollouts 1 and 2. By vector, 0 and 1 are farthest apart.
    rewards = f64([[[0.0, 2.1], [1.5, 0.0], [1.5, 1.5]]])
    found = separability(rewards, [1.0, 1.0], counts=[3])
    sums = rewards.sum(2)[0]
    z = (sums - sums.mean()) / sums.std(correction=0)
    assert value(found, 3, METHODS[2], "top-1 by sum") == pytest.approx(
        float(z[2] - z[1]), abs=1e-3
    )
    assert value(found, 3, METHODS[2], "top-1 by vector") == pytest.approx(
        float(z[0] - z[1]), abs=1e-3
    )


def test_correlation_is_taken_within_groups():
    # Within each group the objectives move against each other; over both groups they rise together.
    rewards = f64([[[0, 1], [1, 0]], [[10, 11], [11, 10]]])
    assert within_group_correlation(rewards).mean == pytest.approx(-1.0)


def test_the_share_is_one_where_the_groups_deviation_does_it_all():
    one_objective = torch.rand(
        20, 8, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    found = separability(one_objective, [1.0], counts=[8])
    # One objective: decoupling is the same as scalarising with the group's deviation.
    assert share_of_group_std(found, "all pairs", 8) == pytest.approx(1.0)


def test_rewards_are_drawn_by_seed_and_fewer_rollouts_are_the_first_of_more():
    backbone, lrs = untrained(), torch.rand(2, 3, 4, 4)
    rewards = [load_reward("lr_faithfulness"), load_reward("coherent_edges")]
    many = reward_table(backbone, rewards, lrs, rollouts=4, steps=2)
    few = reward_table(backbone, rewards, lrs, rollouts=3, steps=2)
    assert many.shape == (2, 4, 2)
    torch.testing.assert_close(many[:, :3], few, rtol=1e-4, atol=1e-6)
    assert many.std(1).min() > 0
    with pytest.raises(ValueError, match="16 rollouts asked for"):
        separability(many, [1.0, 1.0])


def test_what_is_written_has_every_method_and_measure_and_the_published_values(tmp_path):
    rewards = torch.rand(6, 8, 2, dtype=torch.float64)
    found = separability(rewards, [1.0, 1.0], counts=[2, 8])
    write(found, rewards, tmp_path)
    text = markdown(found, (2, 8))
    assert all(f"**{measure}**" in text for measure in MEASURES)
    assert "| published: decoupled | 1.61 | 6.51 |" in text
    lines = (tmp_path / "separability.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * len(METHODS) * len(MEASURES)
    assert (tmp_path / "separability.png").stat().st_size > 10_000
