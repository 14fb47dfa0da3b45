"""Questions over all rows: what a filter finds, and that a person's `where` reads these rows and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from catalog import browse
from catalog.browse import BadQuestion, Browser
from tests.pipelines.review.pages import collection


@pytest.fixture(scope="module")
def browser():
    return Browser(collection(20_000, pictures=4).rows)


@pytest.fixture(scope="module")
def severity():
    return np.random.default_rng(0).random(20_000)


def test_filters_join_and_values_of_one_filter_are_alternatives(browser, severity):
    noisy = np.arange(20_000) % 7 == 0
    assert browser.ask({"labels": ["noise"]}).total == noisy.sum()
    assert browser.ask({"labels": ["noise", "blur"]}).total == (noisy | (severity > 0.5)).sum()
    both = {"labels": ["noise"], "verdict": "kept", "low": {"severity": 0.9}}
    assert browser.ask(both).total == (noisy & (severity >= 0.9)).sum()
    assert (
        browser.ask({"text": "photograph 1234"}).total == 13
    )  # 1234, 11234, 12340 to 12349, and page 1234
    assert browser.ask({"text": "1005"}).rows[0]["n"] == 5  # a page id
    assert browser.ask({"text": "%"}).total == 0
    assert browser.ask({"year": ["2005"], "license": ["CC0-1.0"]}).total == 1000


def test_rows_come_sorted_in_stretches_without_gaps(browser, severity):
    first = browser.ask({}, sort="severity", descending=True, limit=50)
    second = browser.ask({}, sort="severity", descending=True, offset=50, limit=50)
    found = [row["n"] for row in (*first.rows, *second.rows)]
    assert found == np.argsort(-severity)[:100].tolist()
    assert browser.numbers_of({}, sort="severity", descending=True)[:100] == found


def test_the_place_of_a_value_is_the_share_below_it(browser, severity):
    value, share = browser.places(7)["severity"]
    assert value == severity[7]
    assert share == pytest.approx((severity < severity[7]).mean())


def test_a_histogram_counts_every_row_once(browser):
    bins = browser.histogram("measure_3")
    assert sum(bins["kept"]) + sum(bins["dropped"]) == 20_000


def test_a_condition_of_a_person_is_heeded(browser, severity):
    where = "severity > 0.8 AND list_contains(labels, 'noise') -- heavy and noisy"
    wanted = (severity > 0.8) & (np.arange(20_000) % 7 == 0)
    assert browser.ask({"where": where}).total == wanted.sum()


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("severity >", "syntax error"),
        ("sevrity > 1", "not found"),
        ("true; DROP TABLE facts", "without a semicolon"),
        ("1=1); DROP TABLE facts; --", "syntax error"),
        ("true) OR (true", "syntax error"),
        ("true) UNION SELECT 1 FROM read_text('/etc/passwd') --", "syntax error"),
        ("n IN (SELECT 1 FROM read_text('/etc/passwd'))", "disabled"),
        ("n IN (SELECT 1 FROM read_csv('https://example.org/x'))", "disabled|not exist"),
        ("n IN (SELECT 1 FROM glob('/etc/*'))", "disabled"),
        ("getenv('HOME') = 'x'", "getenv"),
    ],
)
def test_a_condition_that_is_none_is_told_and_changes_nothing(browser, where, told):
    with pytest.raises(BadQuestion, match=f"(?i){told}"):
        browser.ask({"where": where})
    assert browser.ask({}).total == 20_000


def test_a_question_that_takes_too_long_ends(browser, monkeypatch):
    monkeypatch.setattr(browse, "MOST_S", 0.3)
    with pytest.raises(BadQuestion, match="takes more than"):
        browser.ask(
            {"where": "(SELECT count(*) FROM range(100000000000) t(i) WHERE i % 7 = n) > 0"}
        )
    assert browser.ask({}).total == 20_000


@pytest.mark.parametrize(
    "chosen",
    [{"nothing": 1}, {"verdict": "maybe"}, {"low": {"title": 1}}, {"low": {"x; DROP": 1}}],
)
def test_an_unknown_filter_is_told(browser, chosen):
    with pytest.raises(BadQuestion):
        browser.ask(chosen)
