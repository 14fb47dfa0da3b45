"""The head and the map that ship, on photographs that they were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from training.consistency.anchors import anchored, summary
from training.consistency.departure import CELL_PX, load_departure, quantities, top_of
from training.consistency.evaluation import auc
from training.consistency.fit import enlarged, tensor_of
from training.consistency.head import load_head
from training.consistency.other_ways import replaced_otherwise
from training.consistency.paired_head import PairedHead, fit_paired_head
from training.consistency.scoring import SHIPPED, load_consistency
from training.photographs import degrade, is_held_out
from training.rewards import load_reward

HELD_OUT = {"chelsea": data.chelsea, "camera": lambda: np.repeat(data.camera()[..., None], 3, 2)}


def cuts():
    """Eight cuts of two photographs that `is_held_out` keeps from fitting: LR, HR, bicubic."""
    for name, image in HELD_OUT.items():
        assert is_held_out(name)
        for k in range(4):
            rng = np.random.default_rng(k)
            pixels = image()
            top, left = (int(rng.integers(0, side - 240 + 1)) for side in pixels.shape[:2])
            hr = np.ascontiguousarray(pixels[top : top + 240, left : left + 240])
            lr = degrade(hr, np.random.default_rng((7, k)))
            yield lr, hr, enlarged(lr, hr.shape[:2])


def test_the_default_scorer_has_the_head_that_ships_and_none_takes_it_away():
    assert isinstance(load_consistency().head, PairedHead)
    assert load_consistency(head="none").head is None
    # Fitted at 224 px: at another size it is no head for the encoder.
    assert load_consistency(size_px=64).head is None


def test_the_sharp_picture_lies_above_bicubic_and_that_above_another_picture():
    scorer = load_consistency()
    rows = list(cuts())
    x = scorer.embed([tensor_of(lr) for lr, _, _ in rows], "lr")
    hr = scorer.embed([tensor_of(sharp) for _, sharp, _ in rows])
    up = scorer.embed([tensor_of(enlargement) for _, _, enlargement in rows])
    sharp, bicubic = (x * hr).sum(1), (x * up).sum(1)
    mismatched = (x @ hr.T)[:4, 4:].mean()
    assert sharp.mean() > bicubic.mean() > mismatched + 0.1
    assert bicubic.min() > mismatched


def test_replaced_regions_stand_out_of_the_map():
    departure = load_departure()
    rng = np.random.default_rng(0)
    rows = list(cuts())
    scores = {"own": []} | {way: [] for way in ("clone", "smooth", "moved")}
    inside, outside = [], []
    for number, (lr, hr, _) in enumerate(rows):
        low = tensor_of(lr)
        scores["own"].append(float(top_of(departure.logits(low, tensor_of(hr)))))
        other = rows[(number + 4) % 8][1]
        for way, (image, mask) in replaced_otherwise(hr, other, rng).items():
            found = departure.map(low, tensor_of(image))
            assert found.shape == (lr.shape[0] // CELL_PX, lr.shape[1] // CELL_PX)
            assert found.min() >= 0 and found.max() <= 1
            scores[way].append(float(top_of(departure.logits(low, tensor_of(image)))))
            cells = np.asarray(
                Image.fromarray(mask).resize(found.shape[::-1], Image.Resampling.BOX)
            )
            inside += found.numpy()[cells].tolist()
            outside += found.numpy()[~cells].tolist()
    own = np.array(scores["own"])
    for way, least in (("clone", 0.85), ("smooth", 0.75), ("moved", 0.85)):
        assert auc(np.array(scores[way]), own) >= least, way
    assert auc(np.array(inside), np.array(outside)) >= 0.85


def test_the_reward_is_minus_the_departure_and_nan_where_an_image_is_not_finite():
    reward = load_reward("departure")
    lr, hr, up = next(cuts())
    sr = torch.stack([tensor_of(hr), tensor_of(up), torch.full((3, 240, 240), torch.nan)])
    low = tensor_of(lr).expand(3, -1, -1, -1)
    found = reward.score(sr, low, reward.prepare(low))
    assert found[2].isnan() and bool((found[:2] <= 0).all()) and bool((found[:2] >= -1).all())
    assert found[0] == pytest.approx(-float(load_departure().number(tensor_of(lr), tensor_of(hr))))


def test_quantities_depend_on_where_and_not_on_how_large_the_restoration_is():
    lr, hr, _ = next(cuts())
    x, grid = quantities(tensor_of(lr), tensor_of(hr))
    assert x.shape == (grid[0] * grid[1], 132)
    same, _ = quantities(tensor_of(lr), tensor_of(lr))
    # Correlation with itself is var / (var + eps), 1 but where nothing varies.
    assert same[:, 0].max() == pytest.approx(1.0, abs=0.01)


def test_every_score_stands_beside_its_anchors(tmp_path):
    pairs, sharp = [], []
    for number, (lr, hr, up) in enumerate(list(cuts())[::4]):
        for kind, image in (("lr", lr), ("sr", up), ("hr", hr)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / kind / f"{number}.png")
        pairs.append((tmp_path / "lr" / f"{number}.png", tmp_path / "sr" / f"{number}.png"))
        sharp.append(tmp_path / "hr" / f"{number}.png")
    rows = anchored(load_consistency(), pairs, sharp, maps=tmp_path / "maps")
    for row in rows:
        # The restoration is a bicubic enlargement here (Pillow's; the anchor is torch's).
        assert row.score == pytest.approx(row.bicubic, abs=0.02)
        assert row.mismatched < row.score and row.hr is not None and row.departure is not None
    assert len(list((tmp_path / "maps").glob("*.departure.png"))) == 2
    (alone,) = anchored(load_consistency(), pairs[:1])
    assert alone.hr is None and alone.mismatched < alone.score
    bare = load_consistency(head="none")
    assert any("rewards not restoring" in line for line in summary(bare, anchored(bare, pairs)))


def test_a_head_is_fitted_in_closed_form_and_is_the_same_again():
    chance = torch.Generator().manual_seed(0)
    hr = torch.randn(20, 12, generator=chance)
    blur = torch.randn(12, generator=chance)
    lr = hr[:, None] + 3 * blur + 0.1 * torch.randn(20, 2, 12, generator=chance)
    one, two = (fit_paired_head(hr, lr, rank=6) for _ in range(2))
    assert one.weights_sha256 == two.weights_sha256
    x, y = one.project(lr[:, 0], "lr"), one.project(hr, "sr")
    worse = one.project(lr[:, 0], "sr")
    own, unrestored = (x * y).sum(1), (x * worse).sum(1)
    # What all degradations share is taken off the LR's side, so the sharp picture is nearer than the LR itself.
    assert own.mean() > unrestored.mean() + 0.3


def test_files_that_ship_say_what_they_were_fitted_on():
    head = load_head(SHIPPED / "efficientnet_lite0-1.safetensors")
    assert head.trained_on is not None and head.trained_on.startswith("efficientnet_lite0 1-224px")
    told = (SHIPPED / "README.md").read_text()
    assert head.weights_sha256[:12] in told and load_departure().weights_sha256[:12] in told
