"""The rewards of the CPU demo that need no weights, on images whose values can be worked out."""

import math

import pytest
import torch

from training.rewards import RewardError, load_reward
from training.rewards.coherent_edges import structure_tensor_eigenvalues


def score(name, sr, lr, **options):
    reward = load_reward(name, **options)
    return reward.score(sr, lr, reward.prepare(lr))


def test_faithfulness_is_zero_where_blocks_average_to_the_lr_whatever_is_inside_them():
    lr = torch.rand(2, 3, 4, 4) * 0.5 + 0.25
    sr = lr.repeat_interleave(4, 2).repeat_interleave(4, 3)
    board = 0.2 * ((torch.arange(16)[:, None] + torch.arange(16)) % 2 - 0.5)
    torch.testing.assert_close(
        score("lr_faithfulness", sr + board, lr), torch.zeros(2), atol=1e-5, rtol=0
    )


def test_faithfulness_counts_ten_times_the_mean_difference():
    lr = torch.full((1, 3, 4, 4), 0.5)
    sr = torch.full((1, 3, 16, 16), 0.5)
    sr[:, 0] += 0.06  # one channel of three: the mean is 0.02
    assert score("lr_faithfulness", sr, lr).item() == pytest.approx(-0.2, abs=1e-5)


def test_faithfulness_refuses_a_size_that_is_no_multiple():
    with pytest.raises(RewardError, match="whole multiple"):
        score("lr_faithfulness", torch.rand(1, 3, 15, 16), torch.rand(1, 3, 4, 4))


def test_a_straight_edge_scores_above_flat_and_flat_above_noise():
    lr = torch.rand(3, 3, 4, 4)
    edge = torch.zeros(3, 16, 16)
    edge[:, :, 8:] = 1.0
    noise = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = score("coherent_edges", torch.stack([edge, torch.full_like(edge, 0.5), noise]), lr)
    assert found[0] > found[1] > found[2]
    assert found[1] == 0


def test_the_weight_is_the_cost_of_gradients_across():
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    light, heavy = (
        score("coherent_edges", noise, noise[..., :4, :4], weight=w) for w in (0.0, 2.0)
    )
    assert light > 0 > heavy


def test_eigenvalues_of_a_ramp_are_its_squared_slope_and_zero():
    ramp = (0.01 * torch.arange(16.0)).expand(1, 3, 16, 16)
    first, second = structure_tensor_eigenvalues(ramp)
    torch.testing.assert_close(first, torch.full_like(first, 1e-4), rtol=1e-3, atol=0)
    assert second.abs().max() < 1e-9


def test_ranges_hold_on_random_images():
    generator = torch.Generator().manual_seed(2)
    sr, lr = torch.rand(8, 3, 16, 16, generator=generator), torch.rand(8, 3, 4, 4)
    for name in ("lr_faithfulness", "coherent_edges"):
        low, high = load_reward(name).range
        found = score(name, sr, lr)
        assert found.shape == (8,) and found.dtype == torch.float32
        assert low <= found.min() and found.max() <= high and not math.isnan(found.sum())
