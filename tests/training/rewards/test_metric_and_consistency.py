"""Metrics and LucidConsistency as rewards: higher is better, failures are NaN, and nothing depends on batch mates."""

import math

import pytest
import torch
from PIL import Image
from skimage import data

from filters.degradation.synthesis import downscale, gaussian_blur
from filters.measures import Photo
from filters.metrics import load_metric
from training.consistency.head import new_head, save_head
from training.consistency.images import to_tensor
from training.rewards import RewardError, load_reward
from training.rollout import Movable

PHOTOS = [p[:256, :256] for p in (data.astronaut(), data.coffee(), data.chelsea())]


def stack(photos):
    return torch.stack([to_tensor(Image.fromarray(p)) for p in photos])


SR = stack(PHOTOS)
LR = stack([downscale(p, 4.0) for p in PHOTOS])


@pytest.fixture(scope="module")
def piqe():
    return load_reward("metric:pyiqa:piqe")


@pytest.fixture(scope="module")
def consistency():
    return load_reward("lucid_consistency", size_px=96)


def test_a_metric_where_less_is_better_is_negated_and_divided_by_its_stated_unit(piqe):
    score = load_metric("pyiqa:piqe").score(Photo(PHOTOS[0]))
    reward = piqe.score(SR[:1], LR[:1], {})
    assert reward.item() == pytest.approx(-score / 100, abs=1e-6)
    assert piqe.range == (-1.0, 0.0)
    assert piqe.version.endswith(", -0.01")
    half = load_reward("metric:pyiqa:piqe", unit=50.0)
    assert half.score(SR[:1], LR[:1], {}).item() == pytest.approx(-score / 50, abs=1e-6)
    assert half.version != piqe.version


def test_a_sharp_photograph_is_worth_more_than_a_blurred_one(piqe):
    blurred = stack([gaussian_blur(p, 3.0) for p in PHOTOS])
    assert (piqe.score(SR, LR, {}) > piqe.score(blurred, LR, {})).all()


def test_what_a_metric_cannot_score_is_nan_and_the_others_keep_their_scores(piqe):
    broken = torch.full_like(SR[:1], math.nan)
    alone = piqe.score(SR[:1], LR[:1], {})
    together = piqe.score(torch.cat([broken, SR[:1], broken]), LR, {})
    assert torch.isnan(together).tolist() == [True, False, True]
    assert torch.equal(together[1:2], alone)
    assert piqe.score(SR[:, :, :16, :16], LR, {}).isnan().all()


def test_a_metric_that_is_not_here_says_what_to_do():
    with pytest.raises(RewardError, match="did you mean"):
        load_reward("metric:pyiqa:piqee")
    with pytest.raises(RewardError, match="above 0"):
        load_reward("metric:pyiqa:piqe", unit=0.0)


def test_the_right_restoration_is_worth_more_than_another_photograph(consistency):
    right = consistency.score(SR, LR, consistency.prepare(LR))
    wrong = consistency.score(SR.roll(1, 0), LR, consistency.prepare(LR))
    assert (right > wrong).all()
    assert ((right <= 1) & (right >= -1)).all()


def test_a_prepared_lr_gives_the_very_same_reward_as_one_embedded_on_the_spot(consistency):
    prepared = consistency.prepare(LR)
    assert prepared["lr_embedding"].shape == (3, 1280)
    spot = consistency.score(SR, LR, {})
    assert torch.equal(consistency.score(SR, LR, prepared), spot)
    # One embedding per LR, repeated for its rollouts, is the same again.
    rows = torch.tensor([1, 1, 0])
    shared = {name: tensor[rows] for name, tensor in prepared.items()}
    assert torch.equal(consistency.score(SR[rows], LR[rows], shared), spot[rows])


def test_a_rollout_that_is_not_finite_is_nan_and_leaves_the_others_alone(consistency):
    broken = SR.clone()
    broken[1, 0, 0, 0] = math.inf
    rewards = consistency.score(broken, LR, {})
    assert torch.isnan(rewards).tolist() == [False, True, False]
    assert torch.equal(rewards[[0, 2]], consistency.score(SR, LR, {})[[0, 2]])


def test_a_head_changes_version_and_hash(tmp_path, consistency):
    encoder = consistency.scorer.encoder
    module = new_head(encoder.dim, torch.Generator().manual_seed(1))
    file = tmp_path / "head.safetensors"
    save_head(file, module, encoder=encoder, notes={})
    with_head = load_reward("lucid_consistency", size_px=96, head=str(file))
    assert with_head.version != consistency.version
    assert with_head.weights_sha256.startswith(consistency.weights_sha256 + "+")
    assert not torch.equal(with_head.score(SR, LR, {}), consistency.score(SR, LR, {}))
    with pytest.raises(RewardError, match="was trained on"):
        load_reward("lucid_consistency", size_px=64, head=file)
    with pytest.raises(RewardError, match="There is no head"):
        load_reward("lucid_consistency", head=tmp_path / "none.pt")


def test_a_scorer_that_was_moved_away_and_back_scores_the_same(consistency):
    assert isinstance(consistency, Movable)
    before = consistency.score(SR, LR, {})
    consistency.to("cpu")
    assert torch.equal(consistency.score(SR, LR, {}), before)
