"""Training of the head: losses by hand, replaced regions, pools, and a head that learns on held-out photographs."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data
from torch.nn import functional

from training.consistency import ConsistencyError, load_encoder
from training.consistency.evaluation import auc, change, judge
from training.consistency.losses import info_nce, pool_info_nce
from training.consistency.pools import PoolConfig, Pools, cached_pools, count_images
from training.consistency.replaced import WAYS, replace_region
from training.consistency.training import HeadConfig, start_head, train_head
from training.photographs import photographs

PHOTO = data.astronaut()[:256, :256].copy()
OTHER = data.coffee()[:256, :256].copy()


def unit(rows):
    return functional.normalize(torch.tensor(rows, dtype=torch.float64), dim=-1)


def test_info_nce_of_two_pairs_is_what_the_formula_gives_by_hand():
    a, b = unit([[1, 0], [0, 1]]), unit([[1, 1], [0, 1]])
    # Cosines: a1 b1 = a2 b1 = r = 1/sqrt(2), a1 b2 = 0, a2 b2 = 1; temperature 1/2 doubles them.
    r = math.sqrt(2)
    rows = [math.log(1 + math.exp(0 - r)), math.log(1 + math.exp(r - 2))]
    columns = [math.log(2), math.log(1 + math.exp(0 - 2))]
    expected = (sum(rows) / 2 + sum(columns) / 2) / 2
    assert info_nce(a, b, temperature=0.5).item() == pytest.approx(expected, abs=1e-12)


def test_the_pool_loss_leaves_positives_out_of_the_denominator():
    e = unit([[1, 0], [1, 0], [0, 1]])
    # Rows 1 and 2 are one content: s = 1 to each other, 0 to the third; the third has no positive.
    expected = -math.log(math.e / (math.e + 1))
    loss = pool_info_nce(e, torch.tensor([0, 0, 1]), temperature=1.0)
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    # A third copy of the content changes nothing: positives do not compete.
    e = unit([[1, 0], [1, 0], [1, 0], [0, 1]])
    again = pool_info_nce(e, torch.tensor([0, 0, 0, 1]), temperature=1.0)
    assert again.item() == pytest.approx(expected, abs=1e-12)


def test_both_losses_fall_when_a_pair_comes_closer_and_rise_when_a_negative_does():
    near = unit([[1, 0.1], [1, 0], [0, 1], [0.1, 1]])
    far = unit([[1, 0.9], [1, 0], [0, 1], [0.9, 1]])
    content = torch.tensor([0, 0, 1, 1])
    assert pool_info_nce(near, content, temperature=0.5) < pool_info_nce(
        far, content, temperature=0.5
    )
    rows = [0, 3], [1, 2]
    losses = [info_nce(e[rows[0]], e[rows[1]], temperature=0.5) for e in (near, far)]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("way", WAYS)
def test_a_replaced_region_is_visible_has_the_asked_share_and_leaves_the_rest(way):
    for seed in range(6):
        made = replace_region(PHOTO, OTHER, way=way, seed=seed, share=(0.1, 0.1))
        assert made.share == pytest.approx(0.1, abs=0.01)
        assert made.change >= 12
        changed = np.abs(made.pixels.astype(int) - PHOTO).max(axis=2) > 2
        # The soft border reaches a few pixels beyond the ellipse.
        assert changed.mean() < 0.16
        again = replace_region(PHOTO, OTHER, way=way, seed=seed, share=(0.1, 0.1))
        assert np.array_equal(again.pixels, made.pixels)


def test_where_nothing_can_be_visible_the_largest_change_is_taken_and_told():
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert replace_region(flat, flat, way="inpaint", seed=0).change < 3
    with pytest.raises(ValueError, match="share"):
        replace_region(PHOTO, OTHER, way="patch", seed=0, share=(0.0, 0.1))


def test_auc_is_the_probability_of_the_right_order_ties_counted_half():
    assert auc(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 1.0
    assert auc(np.array([0.9, 0.1]), np.array([0.5, 0.5])) == 0.5
    # Of four pairs: 3 > 1, 3 > 2, 2 > 1 right, 2 = 2 half.
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)


def synthetic(photos=16, per_photo=3, dim=32, seed=0):
    """Embeddings with a content part and a degradation part that is much larger: what a head has to see through."""
    chance = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=chance)

    n = photos * per_photo
    content = torch.zeros(n, dim)
    content[:, : dim // 2] = draw(n, dim // 2)
    damage = torch.zeros(dim)
    damage[dim // 2 :] = 3.0
    ways = len(WAYS)
    replaced = content[:, None] + 0.5 * functional.pad(draw(n, ways, dim // 2), (0, dim // 2))

    def degraded(z):
        return z + damage * torch.rand(*z.shape[:-1], 1, generator=chance)

    photo = torch.arange(photos).repeat_interleave(per_photo)
    return Pools(
        hr=content,
        lr=degraded(content[:, None].expand(n, 3, dim)),
        replaced_hr=replaced,
        replaced_lr=degraded(replaced),
        share=torch.full((n, ways), 0.1),
        photo=photo,
        held_out=photo % 4 == 0,
    )


@pytest.mark.parametrize("objective", ["pairs", "pools"])
def test_a_head_learns_to_see_through_degradation_on_contents_it_has_not_seen(objective):
    pools = synthetic()
    config = HeadConfig(objective=objective, steps=60, lr=3e-3, temperature=0.5, noise=0.0)
    head, losses = train_head(pools, config)
    assert losses[-1] < losses[0]
    held = pools.rows(pools.held_out)
    paired, mismatched = change(held, head)
    assert paired.value.low > 0
    # Unrelated embeddings of 16 varying values meet at random; what must not happen is that all draw together.
    assert mismatched.value.high < paired.value.low
    rows = {row.what: row.value for row in judge(held, head).rows}
    bare = {row.what: row.value for row in judge(held, None).rows}
    assert rows["patch: AUC pooled"].mean > bare["patch: AUC pooled"].mean


def test_the_same_seed_gives_the_same_head_and_held_out_contents_do_not_matter():
    pools = synthetic()
    config = HeadConfig(steps=5, batch=6)
    head, losses = train_head(pools, config)
    spoiled = replace(pools, hr=torch.where(pools.held_out[:, None], math.nan, pools.hr))
    again, losses_again = train_head(spoiled, config)
    assert losses == losses_again
    for name, value in head.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_an_untrained_head_starts_as_almost_the_identity():
    z = torch.randn(20, 64, generator=torch.Generator().manual_seed(0)).abs() * 40
    head = start_head(64, torch.Generator().manual_seed(1), size=float(z.norm(dim=-1).mean()))
    assert functional.cosine_similarity(head(z), z).min() > 0.995


def test_one_photograph_is_too_few_to_train_on():
    pools = synthetic(photos=2, per_photo=2)
    with pytest.raises(ConsistencyError, match="needs at least two"):
        train_head(replace(pools, held_out=pools.photo == 0), HeadConfig(steps=1))


def test_pools_hold_what_was_asked_for_and_are_made_once(tmp_path, monkeypatch):
    photos = [p for p in photographs() if p.name in ("coffee", "chelsea", "flower", "rocket")]
    encoder = load_encoder("efficientnet_lite0", size_px=32)
    config = PoolConfig(contents=2, held_out_contents=1, degradations=2)
    done = []
    kept = tmp_path / "pools.safetensors"
    pools = cached_pools(photos, encoder, config, kept=kept, advance=done.append)
    assert sum(done) == count_images(photos, config) == 6 * 7
    assert pools.hr.shape == (6, 1280) and pools.lr.shape == (6, 2, 1280)
    assert pools.replaced_hr.shape == pools.replaced_lr.shape == (6, len(WAYS), 1280)
    assert pools.held_out.sum() == 2
    # Which side a photograph is on never depends on the run.
    assert {photos[i].name for i in pools.photo[pools.held_out].tolist()} == {"chelsea", "flower"}

    def must_not(*_, **__):
        raise AssertionError("the encoder was asked again")

    monkeypatch.setattr(type(encoder), "embed", must_not)
    again = cached_pools(photos, encoder, config, kept=kept)
    assert torch.equal(again.lr, pools.lr)
    with pytest.raises(AssertionError, match="asked again"):
        cached_pools(photos, encoder, replace(config, seed=1), kept=kept)
