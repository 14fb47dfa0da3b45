"""PSNR and SSIM held to scikit-image and pyiqa, on photographs that are not ours where they are here."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from filters.measures import Photo
from filters.metrics import UnknownMetric, load_reference_metric, reference_names
from filters.metrics.reference.luma import planes
from tests.shared import SHARED


def photographs():
    """Twelve: of the folder of real photographs where it is here, otherwise of installed packages."""
    manifest = SHARED / "real" / "manifest.csv"
    if manifest.is_file():
        rows = [row for row in csv.DictReader(manifest.open()) if row["eye_class"] == "clean"]
        files = [SHARED / "real" / row["file"] for row in rows[:: max(1, len(rows) // 12)]][:12]
        return [np.asarray(Image.open(file).convert("RGB"))[:256, :256] for file in files]
    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    return [image[at : at + 256, at : at + 256] for image in sources for at in (0, 20, 40)]


def degraded(image, kind):
    low = Image.fromarray(image).resize((64, 64), Image.Resampling.BICUBIC)
    up = np.asarray(low.resize((image.shape[1], image.shape[0]), Image.Resampling.BICUBIC))
    if kind % 2:
        noise = np.random.default_rng(kind).normal(0, 6, image.shape)
        return np.clip(image + noise, 0, 255).astype(np.uint8)
    return up


def pairs():
    return [(Photo(degraded(image, n)), Photo(image)) for n, image in enumerate(photographs())]


def y_of(photo, *, rounded):
    return planes(photo, space="y", border=0, rounded=rounded)[..., 0]


def test_psnr_is_that_of_scikit_image_and_of_pyiqa_to_a_ten_thousandth():
    import pyiqa
    import torch

    model = pyiqa.create_metric("psnr", device="cpu", test_y_channel=True, color_space="ycbcr")
    exact = load_reference_metric("psnr")
    with_eps = load_reference_metric("psnr", eps=1e-8)
    for ours, theirs in pairs():
        found = exact.compare(ours, theirs)
        y = [y_of(photo, rounded=False) for photo in (theirs, ours)]
        assert found == pytest.approx(peak_signal_noise_ratio(*y, data_range=255), abs=1e-9)
        tensors = [
            torch.from_numpy(p.rgb.copy()).permute(2, 0, 1)[None].float() / 255
            for p in (ours, theirs)
        ]
        direct = model(*tensors).item()
        assert with_eps.compare(ours, theirs) == pytest.approx(direct, abs=1e-4)
        # pyiqa's 1e-8 is worth .0001 dB at 33.6 dB, and more above.
        assert found == pytest.approx(direct, abs=1e-4 if found < 33 else 1e-3)


def test_ssim_is_that_of_pyiqa_and_without_clipping_that_of_scikit_image():
    import pyiqa
    import torch

    model = pyiqa.create_metric("ssim", device="cpu", color_space="ycbcr")
    default, unclipped = load_reference_metric("ssim"), load_reference_metric("ssim", clipped=False)
    raw = load_reference_metric("ssim", clipped=False, rounded=False)
    about = {
        "data_range": 255,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    for ours, theirs in pairs():
        tensors = [
            torch.from_numpy(p.rgb.copy()).permute(2, 0, 1)[None].float() / 255
            for p in (ours, theirs)
        ]
        assert default.compare(ours, theirs) == pytest.approx(model(*tensors).item(), abs=1e-4)
        for metric, rounded in ((unclipped, True), (raw, False)):
            y = [y_of(photo, rounded=rounded) for photo in (theirs, ours)]
            direct = structural_similarity(*y, **about)
            assert metric.compare(ours, theirs) == pytest.approx(direct, abs=1e-9)


def test_luma_spans_16_to_235_and_so_psnr_lies_132_hundredths_above_that_of_yiq():
    white, black = (Photo(np.full((32, 32, 3), v, dtype=np.uint8)) for v in (255, 0))
    assert y_of(white, rounded=False)[0, 0] == pytest.approx(235)
    assert y_of(black, rounded=False)[0, 0] == pytest.approx(16)
    # A difference of full range: 20 log10(255 / 219) = 1.3219 dB.
    assert load_reference_metric("psnr").compare(white, black) == pytest.approx(1.3219, abs=1e-4)


def test_a_border_is_left_out_and_every_option_stands_in_the_version():
    image = photographs()[0]
    framed = image.copy()
    framed[:4] = framed[-4:] = 0
    framed[:, :4] = framed[:, -4:] = 0
    whole, inner = load_reference_metric("psnr"), load_reference_metric("psnr", border=4)
    assert whole.compare(Photo(framed), Photo(image)) < 40
    assert inner.compare(Photo(framed), Photo(image)) == 100
    versions = {
        load_reference_metric(name, **options).version
        for name in reference_names()
        for options in ({}, {"border": 4}, {"space": "rgb"}, {"rounded": name == "psnr"})
    }
    assert len(versions) == 8


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"boarder": 4}, "did you mean 'border'"),
        ({"border": -1}, "from 0 up"),
        ({"space": "lab"}, "y or rgb"),
    ],
)
def test_an_option_that_there_is_not_is_told(options, told):
    with pytest.raises(UnknownMetric, match=told):
        load_reference_metric("psnr", **options)
