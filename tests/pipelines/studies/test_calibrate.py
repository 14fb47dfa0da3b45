"""The published figures belong to the shipped weights, and every photograph has its place."""

import re
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from filters.degradation import (
    DEFAULT_CLASSIFIER,
    LABELS,
    PLAIN_CLASSIFIER,
)
from filters.degradation.arrays import Examples
from filters.degradation.classifier import load_classifier
from filters.degradation.judge import false_rates
from filters.degradation.synthesis import motion_blur
from filters.measures import measure_names
from pipelines.recipe import RecipeError
from pipelines.studies import calibrate as studies
from pipelines.studies.calibrate import CONTENT, natural_photographs
from pipelines.studies.measured import LEAVE_OUT, named_lines
from pipelines.studies.pictures import plain_measures

ROOT = Path(__file__).parents[3]
FIGURES = ROOT / "docs" / "calibration"


@pytest.mark.parametrize("name", ["results.md", "clean.md"])
def test_the_published_figures_are_those_of_the_shipped_weights(name):
    said = re.search(r"Weights: `(.+?)`, SHA-256 `([0-9a-f]+)`", (FIGURES / name).read_text())
    assert said is not None
    shipped = load_classifier(PLAIN_CLASSIFIER)
    assert said[1] == shipped.name
    assert shipped.sha256.startswith(said[2])


@pytest.mark.parametrize(
    ("plain", "full", "encoded"),
    [
        ("degradation-3-plain", "degradation-3", "early_"),
        (PLAIN_CLASSIFIER, DEFAULT_CLASSIFIER, "layers_"),
    ],
)
def test_the_classifiers_look_at_measures_that_there_are(plain, full, encoded):
    # A measure that was added since may be left to rules; the next calibration learns from it.
    heads = {name for name in measure_names() if name.startswith(encoded)}
    measures = set(load_classifier(plain).measures)
    assert len(measures) >= 30
    assert measures <= set(plain_measures()) - {"jpeg_quality"}
    assert set(load_classifier(full).measures) == measures | heads


def test_every_photograph_is_left_out_or_has_a_type_of_content():
    listed = (ROOT / "scripts" / "photos.list").read_text().splitlines()
    files = [line.split()[-1] for line in listed if line and line[0] != "#"]
    names = {name for name in files if Path(name).suffix in (".jpg", ".png")}
    out, shown = set(named_lines(LEAVE_OUT)), set(named_lines(CONTENT))
    assert len(names) > 60
    assert not out & shown
    assert out | shown == names


def examples(rows):
    """(photo, view, kind, way) as the evaluation takes them."""
    photo, view, kind, way = (np.array(column) for column in zip(*rows, strict=True))
    level = np.where(kind == "clean", 0, 2)
    return Examples(photo=photo, view=view, kind=kind, way=way, level=level, measures={})


def test_false_labels_are_counted_by_what_clean_photographs_show():
    rows = [
        ("a", "whole", "clean", "lab"),
        ("a", "sharp", "clean", "lab"),
        ("b", "whole", "clean", "lab"),
        ("c", "whole", "clean", "lab"),
        ("c", "whole", "gaussian_blur", "lab"),
        ("c", "flat", "clean", "lab"),
    ]
    borne = {label: np.zeros(6, bool) for label in LABELS}
    borne["blur"][[1, 4, 5]] = True
    found = false_rates(
        examples(rows), borne, np.array([0, 0, 1, 0, 0, 1], bool), {"a": "sky", "b": "sky"}
    )
    by_group = {rate.group: rate for rate in found}
    # Sky: three clean images of two photographs, one of them bears a label; the flat view and the blurred image do not
    # count.
    assert set(by_group) == {"sky", "other"}
    assert (by_group["sky"].photographs, by_group["sky"].images) == (2, 3)
    assert by_group["sky"].by_label["blur"] == pytest.approx(1 / 3)
    assert by_group["sky"].undecided == pytest.approx(1 / 3)
    assert (by_group["other"].images, by_group["other"].any_label) == (1, 0.0)
    # By view the flat one has a row of its own.
    views = {rate.group: rate for rate in false_rates(examples(rows), borne, borne["jpeg"])}
    assert views["flat"].any_label == 1.0
    assert views["whole"].images == 3


def test_too_few_photographs_are_told_before_anything_is_learnt(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "learn_weights", lambda *_, **__: pytest.fail("learnt"))
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "one.jpg")
    with pytest.raises(RecipeError, match="ten"):
        studies.calibrate(tmp_path, None, tmp_path / "out", real=[tmp_path])


def test_photographs_degraded_by_nature_are_labelled_as_they_are(tmp_path):
    moved = motion_blur(skimage.data.coffee(), 21.0, 30.0)
    Image.fromarray(moved).save(tmp_path / "text_motion.jpg", quality=92)
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "another.jpg")
    (found,) = natural_photographs(tmp_path, load_classifier(PLAIN_CLASSIFIER))
    assert (found.photo, found.ails) == ("text_motion.jpg", "moved")
    assert found.overall is not None
    assert found.overall >= 0.5
    assert "blur" in found.borne
    assert "jpeg" not in found.borne
