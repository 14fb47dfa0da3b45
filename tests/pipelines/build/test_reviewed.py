"""How decisions obey people: drops always, keeps where other rules pass, labels before any rule."""

from __future__ import annotations

import pyarrow as pa
import pytest

from catalog.reviews import add_reviews
from catalog.store import Catalog
from filters.degradation import LABELS, DegradationPolicy
from filters.policy import Rule, evaluate
from pipelines.build.reviewed import REVIEW_RULE, corrected_labels, obeyed, with_reviews
from pipelines.recipe import DEMO_RECIPE, load_recipe
from tests.catalog.test_reviews import said


def rule(name, value, **bounds):
    return Rule(name=name, value=value, why="", **bounds)


def test_a_drop_is_obeyed_and_a_keep_passes_only_rules_on_the_picture():
    facts = pa.table(
        {
            "page_id": [1, 2, 3, 4, 5],
            "license_reason": ["ok", "ok", "non_free", "ok", "ok"],
            "twin": ["unique", "unique", "unique", "copy", "unique"],
            "severity": [0.9, 0.1, 0.9, 0.9, 0.1],
            "review": ["drop 0:1", "keep 1:0", "keep 2:1", "keep 1:0", None],
        }
    )
    rules = (rule("degraded", "severity", min=0.5),)
    recipe = load_recipe(DEMO_RECIPE).model_copy(update={"rules": rules})
    ledger = evaluate(
        facts,
        (
            rule("license", "license_reason", one_of=("ok",)),
            REVIEW_RULE,
            rule("near_duplicate", "twin", one_of=("unique",)),
            *rules,
        ),
    )
    after = obeyed(ledger, facts, recipe)
    assert after.first_failures() == ["review", None, "license", "near_duplicate", "degraded"]
    # What the rule said stays in the ledger.
    assert after.wide.column("degraded:verdict").to_pylist()[1] == "fail"


def test_a_word_is_about_these_bytes_under_whatever_title(tmp_path):
    catalog = Catalog(tmp_path)
    table = pa.table(
        {
            "page_id": [1, 2, 3],
            "sha1": [f"{1:040x}", f"{9:040x}", None],
            "title": ["File:Moved since.jpg", "File:New bytes.jpg", "File:No bytes.jpg"],
        }
    )
    # Nobody said anything: nothing changes.
    assert with_reviews(table, catalog).equals(table)
    add_reviews(catalog, [said("drop", 1), said("drop", 2), said("drop", 3)])
    found = with_reviews(table, catalog)
    assert found.column("review").to_pylist() == ["drop 0:1", None, None]


def labelled(labels, severity, **levels):
    columns = {
        "labels": pa.array([labels], pa.list_(pa.string())),
        "severity": pa.array([severity]),
    }
    for name in LABELS:
        columns[f"severity.{name}"] = pa.array([levels.get(name, 0.0)], pa.float64())
    columns["undecided"] = pa.array([False])
    return columns


@pytest.mark.parametrize(
    ("right", "wrong", "labels", "severity"),
    [
        ([], ["noise"], ["blur"], 0.6),  # the heavier was wrong: the other is left
        ([], ["blur", "noise"], [], 0.0),
        (["low_light"], [], ["blur", "noise", "low_light"], 0.8),  # in the order of LABELS
        (["graphics"], ["blur", "noise"], ["graphics"], 0.0),  # no damage
    ],
)
def test_labels_are_corrected_and_the_severity_with_them(right, wrong, labels, severity):
    policy = DegradationPolicy(classifier="degradation-2")
    columns = labelled(["blur", "noise"], 0.8, blur=0.6, noise=0.8)
    texts = pa.list_(pa.string())
    candidates = pa.table(
        {"review_right": pa.array([right], texts), "review_wrong": pa.array([wrong], texts)}
    )
    after = corrected_labels(columns, candidates, policy)
    assert after["labels"].to_pylist() == [labels]
    assert after["severity"].to_pylist() == pytest.approx([severity])
    for name in right:
        assert after[f"severity.{name}"].to_pylist()[0] >= policy.begins(name)
