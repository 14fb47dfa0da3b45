"""A reward that may be used ranks photographs above restorations above noise; one that may not is called so."""

import numpy as np
import pytest
import torch

from training.experiment.validity import (
    DECISIVE,
    ORDERS,
    main,
    scorer_of,
    table,
    validity,
    versions_of_held_out,
)
from training.photographs import make_pairs, photographs
from training.train_critic import ranking_loss, with_noise
from training.train_critic import versions as training_versions


def made_up():
    """A constant image for each version, brighter the better: HR, SR, the blurred ones, the noisy ones, noise."""
    bright = {"HR": 0.9, "SR": 0.7, "HR blurred": 0.6, "bicubic": 0.6, "SR + noise": 0.4}
    bright |= {"HR + noise": 0.4, "noise": 0.1}
    generator = torch.Generator().manual_seed(0)
    jitter = 0.01 * torch.rand(40, 1, 1, 1, generator=generator)
    return {name: torch.full((40, 3, 8, 8), value) + jitter for name, value in bright.items()}


def brightness(image, lr):
    return image.mean((1, 2, 3))


def test_a_scorer_that_ranks_all_versions_is_usable_and_its_opposite_is_not():
    photo = torch.arange(40) // 4
    right = validity("right", brightness, made_up(), torch.rand(40, 3, 2, 2), photo)
    wrong = validity(
        "wrong", lambda i, lr: -brightness(i, lr), made_up(), torch.rand(40, 3, 2, 2), photo
    )
    assert right.usable and not wrong.usable
    assert [i.mean for i in right.shares.values()] == [1.0] * len(ORDERS)
    assert [i.mean for i in wrong.shares.values()] == [0.0] * len(ORDERS)
    assert table([right, wrong]).count("1.00 [1.00, 1.00]") == len(ORDERS)


def test_a_scorer_that_knows_nothing_is_not_usable_and_ties_count_half():
    photo = torch.arange(40)
    none = validity(
        "none", lambda i, lr: torch.zeros(len(i)), made_up(), torch.rand(40, 3, 2, 2), photo
    )
    assert [none.shares[order].mean for order in ORDERS[:DECISIVE]] == [0.5] * DECISIVE
    assert not none.usable


def test_the_versions_of_training_keep_their_order_in_error():
    photo = next(p for p in photographs() if p.name == "coffee")
    lr, hr = make_pairs([photo], count=16, seed=0).floats()
    sr = with_noise(hr, np.full(16, 0.1), np.random.default_rng(1))
    ranked = training_versions(hr, sr, lr, np.random.default_rng(2))
    error = [(image - hr).square().mean().item() for image in ranked]
    assert error[0] == 0 < error[1] < error[2] < error[3]
    assert error[4] > 0
    assert all(image.min() >= 0 and image.max() <= 1 for image in ranked)


def test_the_ranking_loss_is_the_log_of_two_where_scores_are_equal_and_less_where_they_are_right():
    ranked = [torch.full((2, 3, 8, 8), value) for value in (0.9, 0.7, 0.5, 0.3, 0.1)]
    nothing = ranking_loss(lambda x: torch.zeros(len(x)), ranked)  # pyright: ignore[reportArgumentType]
    right = ranking_loss(lambda x: 10 * x.mean((1, 2, 3)), ranked)  # pyright: ignore[reportArgumentType]
    assert nothing.item() == pytest.approx(np.log(2))
    assert right < 0.2


@pytest.mark.slow
def test_the_shipped_critic_is_usable_on_packaged_photographs_that_nothing_was_trained_on():
    versions, lr, photo = versions_of_held_out(backbone=None, photos=None, count=240)
    assert len(torch.unique(photo)) == 3
    found = validity("photo_critic", scorer_of("photo_critic"), versions, lr, photo)
    assert all(found.shares[order].mean > 0.6 for order in ORDERS[:DECISIVE]), table([found])
    edges = validity("coherent_edges", scorer_of("coherent_edges"), versions, lr, photo)
    assert not edges.usable, "its docstring says so"


@pytest.mark.slow
def test_the_command_writes_its_table(tmp_path):
    text = main(["--reward", "coherent_edges:weight=0.5", "--out", str(tmp_path / "v.md")])
    assert (tmp_path / "v.md").read_text() == text + "\n"
    assert "| coherent_edges:weight=0.5 |" in text
