"""Rules, verdicts, reasons; the arithmetic is small enough to do by eye."""

import pyarrow as pa
import pytest

from filters.policy import Rule, RuleError, evaluate

FACTS = pa.table(
    {
        "page_id": [1, 2, 3, 4],
        "short_side": [500, 90, None, 400],
        "mime": ["image/jpeg", "image/png", "image/jpeg", None],
        "categories": [["Trees"], ["Images with WATERMARKS", "Trees"], [], None],
    }
)
SIDE = Rule(name="side", value="short_side", min=96, max=450, why="test")
MIME = Rule(name="mime", value="mime", one_of=("image/jpeg", "image/png"), why="test")
TAGS = Rule(
    name="tags", value="categories", none_match=("watermarks?$",), if_missing="pass", why="test"
)


def verdicts(ledger, rule):
    return ledger.wide.column(f"{rule}:verdict").to_pylist()


def test_bounds_are_inclusive_and_a_missing_value_is_not_measured():
    ledger = evaluate(FACTS, [SIDE])
    assert verdicts(ledger, "side") == ["fail", "fail", "not_measured", "pass"]
    assert ledger.wide.column("side:value").to_pylist() == [500.0, 90.0, None, 400.0]
    assert ledger.wide.column("side:threshold")[0].as_py() == ">= 96 and <= 450"
    edge = pa.table({"page_id": [1, 2], "short_side": [96, 450]})
    assert verdicts(evaluate(edge, [SIDE]), "side") == ["pass", "pass"]


def test_a_text_must_be_one_of_those_listed_and_stands_in_the_ledger():
    ledger = evaluate(FACTS, [MIME])
    assert verdicts(ledger, "mime") == ["pass", "pass", "pass", "not_measured"]
    assert ledger.wide.column("mime:text").to_pylist()[1] == "image/png"


def test_a_list_fails_when_any_item_matches_whatever_the_case():
    ledger = evaluate(FACTS, [TAGS])
    assert verdicts(ledger, "tags") == ["pass", "fail", "pass", "not_measured"]
    assert ledger.passed.tolist() == [True, False, True, True]


def test_every_rule_is_evaluated_for_every_candidate_also_after_a_failure():
    ledger = evaluate(FACTS, [SIDE, MIME, TAGS])
    assert ledger.failures().to_pylist() == [["side"], ["side", "tags"], ["side"], ["mime"]]
    assert ledger.first_failures() == ["side", "side", "side", "mime"]
    effects = {row["rule"]: (row["fails"], row["alone"], row["first"]) for row in ledger.effects()}
    # side keeps out 1, 2 and 3 (not measured); alone only 1, because 2 also fails tags; mime was not measured for 4.
    assert effects == {"side": (3, 1, 3), "mime": (1, 0, 1), "tags": (1, 0, 0)}


def test_no_rules_pass_everybody_and_no_candidates_are_no_problem():
    assert evaluate(FACTS, []).passed.tolist() == [True] * 4
    assert evaluate(FACTS.slice(0, 0), [SIDE, MIME, TAGS]).passed.tolist() == []


def test_a_rule_on_an_unknown_fact_names_the_rule_and_the_facts():
    with pytest.raises(RuleError, match=r"Rule x looks at 'sharpness'.*short_side"):
        evaluate(FACTS, [Rule(name="x", value="sharpness", min=1, why="test")])


def test_bounds_on_a_text_are_refused():
    with pytest.raises(RuleError, match="not a number"):
        evaluate(FACTS, [Rule(name="x", value="mime", min=1, why="test")])


@pytest.mark.parametrize("conditions", [{}, {"min": 1, "one_of": ("a",)}])
def test_a_rule_has_exactly_one_kind_of_condition(conditions):
    with pytest.raises(ValueError, match="Rule x: give"):
        Rule(name="x", value="mime", why="test", **conditions)


def test_a_list_passes_any_match_with_one_hit_and_an_empty_one_does_not():
    facts = pa.table(
        {
            "page_id": [1, 2, 3],
            "tags": pa.array([["old", "phone"], [], None], pa.list_(pa.string())),
        }
    )
    rule = Rule(name="hinted", value="tags", any_match=("^PHONE$",), why="test")
    assert evaluate(facts, [rule]).passed.tolist() == [True, False, False]
    assert rule.threshold == "a match of ^PHONE$"
