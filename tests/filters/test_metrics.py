"""Metrics behind the protocol: pyiqa's piqe for real, and clear errors for what is not here."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from skimage import data

from filters.degradation.synthesis import gaussian_blur, jpeg
from filters.measures import Photo
from filters.metrics import DeviceMissing, Scoring, UnknownMetric, WeightsMissing, load_metric
from filters.metrics.pyiqa_adapter import load_pyiqa

SHARP = data.astronaut()[::2, ::2].copy()


@pytest.fixture(scope="module")
def piqe():
    return load_metric("pyiqa:piqe")


def test_piqe_ranks_a_sharp_photograph_above_a_blurred_and_a_blocky_one(piqe):
    assert piqe.lower_better
    clean = piqe.score(Photo(SHARP))
    assert clean < piqe.score(Photo(gaussian_blur(SHARP, 3.0)))
    assert clean < piqe.score(Photo(jpeg(SHARP, 8)))


def test_a_score_says_what_made_it(piqe):
    assert piqe.name == "pyiqa:piqe"
    assert piqe.version.startswith("pyiqa-0.1.")
    assert "PolyForm-Noncommercial" in piqe.license
    assert (piqe.scoring.device, piqe.scoring.precision) == ("cpu", "float32")


def test_another_precision_is_another_version_and_a_device_that_is_not_here_is_named(piqe):
    lower = Scoring(precision="bfloat16")
    metric = load_metric("pyiqa:piqe", lower)
    assert metric.version == f"{piqe.version}+cpu.bfloat16"
    assert Scoring.of(metric.version) == lower
    assert Scoring.of(piqe.version) == Scoring()
    score = metric.score(Photo(SHARP))
    assert score is not None and np.isfinite(score)
    with pytest.raises(ValueError, match="no known device"):
        Scoring.of("pyiqa-1+cpu.float8")
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(DeviceMissing, match=r"set scoring\.device to cpu"):
            load_metric("pyiqa:piqe", Scoring(device="cuda"))


def test_scores_do_not_depend_on_threads_or_on_what_was_scored_before(piqe):
    photos = [Photo(SHARP[:, : 100 + 10 * k].copy()) for k in range(6)]
    alone = [piqe.score(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(piqe.score, reversed(photos)))
    assert together[::-1] == alone


@pytest.mark.parametrize("shape", [(1, 1), (20, 200), (31, 31)])
def test_images_too_small_for_it_have_no_score(piqe, shape):
    assert piqe.score(Photo(np.zeros((*shape, 3), dtype=np.uint8))) is None


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UnknownMetric, match="did you mean 'pyiqa:piqe'"):
        load_metric("pyiqa:piqee")
    with pytest.raises(UnknownMetric, match="did you mean"):
        load_metric("sharpness")


def test_a_metric_whose_weights_cannot_be_fetched_says_how_to_get_them(tmp_path, monkeypatch):
    import socket
    import urllib.request

    def unreachable(*args, **options):
        raise OSError("no network in this test")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(WeightsMissing, match="copy its cache folder"):
        load_pyiqa("pyiqa:brisque")
