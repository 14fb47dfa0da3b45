"""Scores are sums of what single measures say; nothing is known of an image of which nothing was measured."""

import json

import numpy as np
import pytest

from filters.degradation.classifier import (
    Points,
    Term,
    UnknownClassifier,
    load_classifier,
    read_classifier,
    write_classifier,
)

TERMS = (
    Term(
        measure="a@1",
        knots=(0.0, 1.0, 3.0),
        scores={"blur": (0.0, 2.0, -2.0), "blur.amount": (0.0, 1.0, 2.0)},
        missing={"blur": 0.5, "blur.amount": 0.0},
    ),
    Term(
        measure="b@2",
        knots=(10.0, 20.0),
        scores={"blur": (1.0, 3.0), "blur.amount": (0.0, 0.0)},
        missing={"blur": -1.0, "blur.amount": 0.0},
    ),
)


@pytest.fixture
def small(tmp_path):
    file = tmp_path / "small-1.json"
    write_classifier(
        file,
        labels=("blur",),
        bias={"blur": 0.25, "blur.amount": 0.0},
        terms=TERMS,
        points={"blur": Points(begins=0.0, mild=1.0, moderate=2.0, severe=3.0)},
        made_from={"photographs": 1},
    )
    return read_classifier(file)


def test_scores_are_interpolated_between_knots_level_beyond_them_and_added(small):
    found = small.scores({"a": np.array([0.5, 2.0, 99.0]), "b": np.array([15.0, 0.0, 20.0])})
    assert found["blur"].tolist() == [0.25 + 1 + 2, 0.25 + 0 + 1, 0.25 - 2 + 3]
    assert found["blur.amount"].tolist() == [0.5, 1.5, 2.0]


def test_a_null_measure_says_what_was_learnt_of_nulls_and_all_null_is_unknown(small):
    found = small.scores({"a": np.array([np.nan, np.nan]), "b": np.array([10.0, np.nan])})
    assert found["blur"][0] == 0.25 + 0.5 + 1
    assert np.isnan(found["blur"][1])


def test_contributions_add_up_to_the_score(small):
    said = small.contributions({"a": 2.5, "b": None}, "blur")
    score = small.scores({"a": np.array([2.5]), "b": np.array([np.nan])})["blur"][0]
    assert 0.25 + sum(said.values()) == pytest.approx(score)
    assert list(said) == ["a", "b"] or abs(said["b"]) >= abs(said["a"])


def test_writing_what_was_read_gives_the_same_file(small, tmp_path):
    again = tmp_path / "again" / "small-1.json"
    write_classifier(
        again,
        labels=small.labels,
        bias=small.bias,
        terms=small.terms,
        points=small.points,
        made_from={"photographs": 1},
    )
    assert read_classifier(again).sha256 == small.sha256
    assert json.loads(again.read_text())["labels"] == ["blur"]


def test_unknown_weights_are_named_with_those_that_there_are():
    with pytest.raises(
        UnknownClassifier, match=r"'degradation-0'; there is .*degradation-1.*degradation-2"
    ):
        load_classifier("degradation-0")
