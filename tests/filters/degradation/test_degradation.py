"""Curves are monotone and say what they are told to; labels follow from them and from the classifier."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.degradation import (
    DEFAULT_CLASSIFIER,
    LABELS,
    NOT_DEGRADED,
    PLAIN_CLASSIFIER,
    SHARPNESS,
    DegradationPolicy,
    LabelCurve,
    amount_curve,
    judged,
    label,
)
from filters.degradation.classifier import Classifier, Term, load_classifier
from filters.measures import load_measure

UP = LabelCurve(label="blur", measure="m", mild=1.0, moderate=2.0, severe=4.0, why="test")
DOWN = LabelCurve(label="low_light", measure="d", mild=120, moderate=100, severe=50, why="test")
POINTS = load_classifier("degradation-2").points


def by_curves(*curves, **options):
    return DegradationPolicy(classifier=None, curves=curves, **options)


def table(**columns):
    rows = len(next(iter(columns.values())))
    return pa.table({"textured_share": [1.0] * rows} | columns)


def severities(curve, *values):
    return curve.severity(np.array(values, dtype=np.float64)).tolist()


def test_a_curve_goes_through_its_points():
    # Below mild the first slope goes on: from 0.25 at 1 to 0 at 0.
    expected = [0, 0, 0.125, 0.25, 0.375, 0.5, 0.75, 1, 1]
    assert severities(UP, -1, 0, 0.5, 1, 1.5, 2, 3, 4, 9) == expected
    assert severities(DOWN, 200, 140, 120, 100, 75, 50, 0) == [0, 0, 0.25, 0.5, 0.75, 1, 1]


@pytest.mark.parametrize("curve", [UP, DOWN, *(amount_curve(n, POINTS[n]) for n in LABELS)])
@given(values=st.lists(st.floats(-1000, 1000), min_size=2, max_size=20))
def test_severity_is_monotone_in_the_measure(curve, values):
    ordered = sorted(values, reverse=curve.severe < curve.mild)
    found = severities(curve, *ordered)
    assert found == sorted(found)
    assert all(0 <= s <= 1 for s in found)


def test_labels_severities_and_the_largest():
    found = label(
        table(m=[0.5, 2.0, None, 3.0], d=[200.0, 120.0, 200.0, 50.0]), by_curves(UP, DOWN)
    )
    assert found.column("labels").to_pylist() == [[], ["blur"], [], ["blur", "low_light"]]
    assert found.column("severity_blur").to_pylist() == [0.125, 0.5, None, 0.75]
    assert found.column("severity").to_pylist() == [0.125, 0.5, 0.0, 1.0]
    assert found.column("severity_noise").to_pylist() == [None] * 4


def test_several_curves_of_a_label_count_by_the_largest():
    other = LabelCurve(label="blur", measure="d", mild=120, moderate=100, severe=50, why="test")
    found = label(table(m=[2.0, 0.0], d=[200.0, 50.0]), by_curves(UP, other))
    assert found.column("severity_blur").to_pylist() == [0.5, 1.0]


def test_what_was_not_measured_has_no_label_and_no_severity():
    nothing = pa.array([None], pa.float64())
    found = label(pa.table({"m": nothing, "textured_share": nothing}), by_curves(UP))
    assert found.to_pylist()[0] == {
        "labels": None,
        **{f"severity_{name}": None for name in LABELS},
        "severity": None,
        "undecided": None,
    }


def test_a_flat_image_is_not_judged_for_sharpness_but_for_light():
    rows = table(m=[3.0, 3.0, 3.0], d=[200.0, 200.0, 50.0], textured_share=[0.5, 0.01, 0.01])
    found = label(rows, by_curves(UP, DOWN))
    assert found.column("labels").to_pylist() == [["blur"], [], ["low_light"]]
    assert found.column("severity_blur").to_pylist() == [0.75, None, None]
    assert found.column("undecided").to_pylist() == [False, True, False]


def test_being_a_drawing_is_no_degradation():
    drawn = LabelCurve(
        label="graphics", measure="g", mild=1.0, moderate=2.0, severe=3.0, why="test"
    )
    found = label(table(g=[9.0], m=[0.5]), by_curves(drawn, UP))
    assert found.column("labels").to_pylist() == [["graphics"]]
    assert found.column("severity_graphics").to_pylist() == [1.0]
    assert found.column("severity").to_pylist() == [0.125]


def test_a_recipes_curves_take_the_place_of_the_classifier_for_their_label():
    classifier = load_classifier(DEFAULT_CLASSIFIER)
    values = {name: [0.5] for name in classifier.measures}
    own = LabelCurve(
        label="noise", measure="noise_coarse", mild=0.1, moderate=0.2, severe=0.5, why="test"
    )
    rows = table(**values)
    plain = label(rows, DegradationPolicy()).to_pylist()[0]
    mine = label(rows, DegradationPolicy(curves=(own,))).to_pylist()[0]
    assert mine["severity_noise"] == 1.0
    others = [f"severity_{name}" for name in LABELS if name != "noise"]
    assert [mine[name] for name in others] == [plain[name] for name in others]


def test_a_missing_measure_is_named():
    with pytest.raises(KeyError, match="m"):
        label(pa.table({"textured_share": [1.0]}), by_curves(UP))


def test_no_rows_are_no_problem():
    empty = pa.array([], pa.float64())
    columns = dict.fromkeys(DegradationPolicy().measures, empty)
    assert label(pa.table(columns), DegradationPolicy()).num_rows == 0


@pytest.mark.parametrize("bad", [{"label": "sadness"}, {"moderate": 1.0}, {"severe": 1.5}])
def test_a_curve_that_makes_no_sense_is_refused(bad):
    sound = {"label": "blur", "measure": "m", "mild": 1.0, "moderate": 2.0, "severe": 4.0}
    with pytest.raises(ValueError, match=r"no label|one way"):
        LabelCurve(**{**sound, "why": "x", **bad})


@pytest.mark.parametrize(
    "name",
    [
        *("degradation-1", "degradation-2", "degradation-3", "degradation-3-plain"),
        *(DEFAULT_CLASSIFIER, PLAIN_CLASSIFIER),
    ],
)
def test_the_shipped_weights_are_for_the_measures_as_they_are(name):
    classifier = load_classifier(name)
    assert classifier.labels == LABELS
    for term in classifier.terms:
        measure, _, version = term.measure.partition("@")
        assert load_measure(measure).version == version, measure
        assert list(term.knots) == sorted(term.knots)
    for damage, points in classifier.points.items():
        assert points.mild < points.moderate < points.severe, damage
    assert set(SHARPNESS) < set(LABELS)


@pytest.mark.parametrize(
    "name",
    ["degradation-3", "degradation-3-plain", DEFAULT_CLASSIFIER, PLAIN_CLASSIFIER],
)
def test_calibrated_weights_say_where_each_label_begins(name):
    classifier = load_classifier(name)
    assert classifier.calibrated
    assert set(classifier.begins) == {*LABELS, classifier.overall}
    assert all(0.05 <= begins <= 0.75 for begins in classifier.begins.values())
    if name.endswith("plain"):
        assert not any(m.startswith(("early_", "layers_")) for m in classifier.measures)
    assert "jpeg_quality" not in classifier.measures


def calibrated(**begins):
    """Two labels that each look at one measure, and any damage at the first."""
    scores = dict.fromkeys((*LABELS, "degraded"), (0.0, 0.0))
    terms = (
        Term(
            measure="m@1",
            knots=(-4.0, 4.0),
            scores={**scores, "blur": (-4.0, 4.0), "degraded": (-4.0, 4.0)},
            missing=dict.fromkeys(scores, 0.0),
        ),
        Term(
            measure="d@1",
            knots=(-4.0, 4.0),
            scores={**scores, "noise": (-4.0, 4.0)},
            missing=dict.fromkeys(scores, 0.0),
        ),
    )
    low = dict.fromkeys(LABELS, -9.0) | {"blur": 0.0, "noise": 0.0, "degraded": 0.0}
    return Classifier(
        name="small-3",
        labels=LABELS,
        bias=low,
        terms=terms,
        points={},
        begins={"degraded": 0.5, **begins},
        overall="degraded",
        sha256="",
    )


def test_where_labels_are_covered_any_damage_is_no_less_likely_than_the_likeliest_of_them():
    covering = replace(calibrated(), covering=True)
    columns = {"m": [0.0, -4.0, -4.0], "d": [-4.0, np.log(3.0), -4.0]}
    found = said_of(covering, **columns)
    counted = [i for i, name in enumerate(LABELS) if name not in NOT_DEGRADED]
    assert (found.severity >= found.severities[counted].max(axis=0)).all()
    assert found.severity.tolist() == pytest.approx([0.5, 0.75, 0.018], abs=1e-3)
    # The noise that the head for any damage did not see is borne; what is drawn ails nothing.
    assert found.borne[LABELS.index("noise")].tolist() == [False, True, False]
    drawn = replace(covering, bias={**covering.bias, "graphics": 5.0})
    assert said_of(drawn, **columns).severity.tolist() == found.severity.tolist()
    # What cannot be told on a flat picture does not count.
    flat = said_of(covering, m=[-4.0], d=[-4.0], textured_share=[0.0])
    assert flat.severity.tolist() == pytest.approx([0.018], abs=1e-3)


def test_older_classifiers_say_of_any_damage_what_its_own_head_says():
    assert not load_classifier("degradation-3").covering
    assert load_classifier(DEFAULT_CLASSIFIER).covering
    assert load_classifier(PLAIN_CLASSIFIER).covering


def said_of(classifier, policy=None, **columns):
    values = {name: np.array(column) for name, column in columns.items()}
    rows = len(next(iter(values.values())))
    values = {"textured_share": np.ones(rows)} | values
    return judged(values, policy or DegradationPolicy(classifier=None), rows, classifier)


def test_a_calibrated_score_is_the_probability_and_any_damage_has_a_head_of_its_own():
    # Log-odds of 0 are 0.5, of ln 3 are 3 in 4.
    found = said_of(calibrated(), m=[0.0, np.log(3.0), -4.0], d=[-4.0, -4.0, np.log(3.0)])
    blur, noise = LABELS.index("blur"), LABELS.index("noise")
    assert found.severities[blur].tolist() == pytest.approx([0.5, 0.75, 0.018], abs=1e-3)
    assert found.severities[noise].tolist() == pytest.approx([0.018, 0.018, 0.75], abs=1e-3)
    assert found.severity.tolist() == pytest.approx([0.5, 0.75, 0.018], abs=1e-3)
    # The third is noisy by the label's head and clean by the one for any damage: it bears no label.
    assert found.borne[blur].tolist() == [True, True, False]
    assert not found.borne[noise].any()


def test_a_label_begins_where_the_classifier_says_unless_the_recipe_does():
    classifier = calibrated(blur=0.3, degraded=0.3)
    m = [np.log(0.4 / 0.6), np.log(0.2 / 0.8)]
    blur = LABELS.index("blur")
    assert said_of(classifier, m=m, d=[-4.0, -4.0]).borne[blur].tolist() == [True, False]
    stricter = DegradationPolicy(classifier=None, label_at=0.5)
    assert not said_of(classifier, stricter, m=m, d=[-4.0, -4.0]).borne[blur].any()


def test_what_is_near_the_threshold_without_a_label_is_undecided():
    m = [np.log(0.4 / 0.6), np.log(0.2 / 0.8), np.log(0.6 / 0.4)]
    found = said_of(calibrated(blur=0.9), m=m, d=[-4.0] * 3)
    assert found.undecided.tolist() == [True, False, False]


def test_a_recipes_curve_adds_to_the_head_for_any_damage():
    policy = DegradationPolicy(classifier=None, curves=(DOWN,))
    found = said_of(calibrated(), policy, m=[-4.0, -4.0], d=[200.0, 50.0])
    assert found.severity.tolist() == pytest.approx([0.018, 1.0], abs=1e-3)
