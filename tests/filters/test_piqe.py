"""PIQE in NumPy: beside pyiqa's, on real photographs, and where it says nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from PIL import Image

from filters.measures import Photo
from filters.metrics import load_metric, piqe

PHOTOGRAPHS = [
    Path(skimage.__file__).parent / "data" / name
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "brick.png")
]


def rgb_of(path):
    """In whole blocks of 16: how the rest is filled up differs between implementations."""
    rgb = np.array(Image.open(path).convert("RGB"))
    return np.ascontiguousarray(rgb[: rgb.shape[0] // 16 * 16, : rgb.shape[1] // 16 * 16])


def of(rgb):
    return load_metric("piqe").score(Photo(rgb))


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_it_agrees_with_pyiqas_within_a_tenth_of_a_point(path):
    pytest.importorskip("pyiqa")
    rgb = rgb_of(path)
    for said in (rgb, cv2.GaussianBlur(rgb, (0, 0), 2.0)):
        assert of(said) == pytest.approx(load_metric("pyiqa:piqe").score(Photo(said)), abs=0.1)


@pytest.mark.parametrize("path", PHOTOGRAPHS[:4], ids=lambda path: path.stem)
def test_blur_and_coarse_jpeg_score_worse(path):
    rgb = rgb_of(path)
    coarse = cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 8])[1], 1)
    assert of(rgb) < of(cv2.GaussianBlur(rgb, (0, 0), 1.5))
    assert of(rgb) < of(coarse)
    assert load_metric("piqe").lower_better


def test_the_arithmetic_of_an_image_without_active_blocks():
    # No block is active: 100 (0 + 1) / (0 + 1).
    assert of(np.full((64, 64, 3), 128, np.uint8)) == 100.0


def test_a_block_whose_border_shows_counts_one_minus_its_variance():
    # A checkerboard of 8 x 8 in the middle of a grey block: its border is flat, hence noticeable.
    luma = np.full((16, 16), 100, np.uint8)
    luma[4:12:2, 4:12:2] = luma[5:12:2, 5:12:2] = 255
    variance = piqe.normalised(luma.astype(float)).var(ddof=1)
    assert variance > piqe.ACTIVE
    noisy = piqe._noisy(piqe.normalised(luma.astype(float))[None], np.array([variance]))[0]
    wanted = 100 * (1 - variance + noisy * variance + 1) / 2
    assert piqe.piqe(luma) == pytest.approx(wanted)


def test_bands_change_nothing(monkeypatch):
    luma = piqe.stretched_luma(rgb_of(PHOTOGRAPHS[0]))
    whole = piqe.piqe(luma)
    monkeypatch.setattr(piqe, "BAND_PX", 48)
    assert piqe.piqe(luma) == pytest.approx(whole, abs=1e-9)


def test_too_small_and_black_images_have_no_score():
    assert of(np.zeros((64, 64, 3), np.uint8)) is None
    assert of(np.full((31, 64, 3), 9, np.uint8)) is None
    assert of(np.full((32, 33, 3), 9, np.uint8)) is not None
