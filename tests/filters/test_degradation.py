"""Curves are monotone and say what they are told to; labels follow."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.degradation import DEFAULT_CURVES, LABELS, DegradationPolicy, LabelCurve, label

UP = LabelCurve(label="blur", measure="m", mild=1.0, moderate=2.0, severe=4.0, why="test")
DOWN = LabelCurve(label="low_light", measure="d", mild=120, moderate=100, severe=50, why="test")


def severities(curve, *values):
    return curve.severity(np.array(values, dtype=np.float64)).tolist()


def test_a_curve_goes_through_its_points():
    # Below mild the first slope goes on: from 0.25 at 1 to 0 at 0.
    assert severities(UP, -1, 0, 0.5, 1, 1.5, 2, 3, 4, 9) == [
        0,
        0,
        0.125,
        0.25,
        0.375,
        0.5,
        0.75,
        1,
        1,
    ]
    assert severities(DOWN, 200, 140, 120, 100, 75, 50, 0) == [0, 0, 0.25, 0.5, 0.75, 1, 1]


@pytest.mark.parametrize("curve", DEFAULT_CURVES, ids=lambda c: f"{c.label}-{c.measure}")
@given(values=st.lists(st.floats(-1000, 1000), min_size=2, max_size=20))
def test_severity_is_monotone_in_the_measure(curve, values):
    ordered = sorted(values, reverse=curve.severe < curve.mild)
    found = severities(curve, *ordered)
    assert found == sorted(found)
    assert all(0 <= s <= 1 for s in found)


def test_labels_severities_and_the_largest():
    table = pa.table({"m": [0.5, 2.0, None, 3.0], "d": [200.0, 120.0, 200.0, 50.0]})
    found = label(table, DegradationPolicy(curves=(UP, DOWN)))
    assert found.column("labels").to_pylist() == [[], ["blur"], [], ["blur", "low_light"]]
    assert found.column("severity_blur").to_pylist() == [0.125, 0.5, None, 0.75]
    assert found.column("severity").to_pylist() == [0.125, 0.5, 0.0, 1.0]
    assert found.column("severity_noise").to_pylist() == [None] * 4


def test_several_curves_of_a_label_count_by_the_largest():
    other = LabelCurve(label="blur", measure="d", mild=120, moderate=100, severe=50, why="test")
    table = pa.table({"m": [2.0, 0.0], "d": [200.0, 50.0]})
    found = label(table, DegradationPolicy(curves=(UP, other)))
    assert found.column("severity_blur").to_pylist() == [0.5, 1.0]


def test_what_was_not_measured_has_no_label_and_no_severity():
    found = label(pa.table({"m": pa.array([None], pa.float64())}), DegradationPolicy(curves=(UP,)))
    assert found.to_pylist()[0] == {
        "labels": None,
        **{f"severity_{name}": None for name in LABELS},
        "severity": None,
        "undecided": None,
    }


def test_a_flat_image_without_label_is_undecided():
    table = pa.table({"m": [0.0, 0.0, 3.0], "contrast": [2.0, 40.0, 2.0]})
    found = label(table, DegradationPolicy(curves=(UP,)))
    assert found.column("undecided").to_pylist() == [True, False, False]


def test_no_rows_are_no_problem():
    assert (
        label(pa.table({"m": pa.array([], pa.float64())}), DegradationPolicy(curves=(UP,))).num_rows
        == 0
    )


@pytest.mark.parametrize("bad", [{"label": "sadness"}, {"moderate": 1.0}, {"severe": 1.5}])
def test_a_curve_that_makes_no_sense_is_refused(bad):
    given = {
        "label": "blur",
        "measure": "m",
        "mild": 1.0,
        "moderate": 2.0,
        "severe": 4.0,
        "why": "x",
    }
    with pytest.raises(ValueError, match=r"no label|one way"):
        LabelCurve(**{**given, **bad})
