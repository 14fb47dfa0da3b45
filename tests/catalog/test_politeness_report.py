"""The politeness report: known logs give known figures, and what broke a limit is said."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from catalog.politeness import broken_limits, manners, politeness_lines
from catalog.records import RequestRow, to_table
from catalog.store import Catalog

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = {"api_per_minute": 100, "api_in_flight": 3, "media_in_flight": 2, "media_mbit_per_s": 25}


def row(second, **fields):
    given = {
        "run_id": "r1",
        "started_at": START + timedelta(seconds=second),
        "kind": "api",
        "host": "commons.wikimedia.org",
        "url": "u",
        "status": 200,
        "size_bytes": 1000,
        "seconds": 0.5,
        "waited_s": 0.0,
        "retry_after_s": None,
        "in_flight": 1,
        "attempt": 1,
        "outcome": "200",
    }
    return RequestRow(**{**given, **fields})


def media(second, **fields):
    return row(second, kind="media", host="upload.wikimedia.org", **fields)


@pytest.fixture
def told(tmp_path):
    def make(*rows):
        catalog = Catalog(tmp_path / "catalog")
        for run in {r.run_id for r in rows}:
            mine = [r for r in rows if r.run_id == run]
            catalog.write_rows("request", run, "00000", to_table(mine, RequestRow))
        return catalog

    return make


def one(catalog):
    (entry,) = manners(catalog)
    return entry


def test_a_run_within_its_limits_has_its_figures_and_no_complaint(told):
    rows = [row(i * 0.6 // 1, waited_s=0.1) for i in range(200)]
    entry = one(told(*rows))
    assert (entry.requests, entry.retries, entry.errors, entry.refused) == (200, 0, 0, 0)
    assert entry.bytes == 200_000
    assert entry.waited_s == pytest.approx(20.0)
    assert 99 <= entry.most_in_minute <= 102
    assert entry.requests_per_minute == pytest.approx(100, rel=0.02)
    assert broken_limits(entry, LIMITS) == []


def test_a_minute_with_too_many_requests_is_found_wherever_it_lies(told):
    calm = [row(i) for i in range(0, 600, 6)]
    burst = [row(300 + i % 30) for i in range(130)]
    entry = one(told(*calm, *burst))
    assert entry.most_in_minute == pytest.approx(140, abs=2)
    (said,) = broken_limits(entry, LIMITS)
    assert "requests in a minute, 100 allowed" in said


def test_too_many_at_a_time_are_found(told):
    entry = one(told(row(0), row(1, in_flight=4)))
    assert broken_limits(entry, LIMITS) == ["4 requests at a time, 3 allowed"]


def test_a_retry_after_is_honoured_only_when_nothing_is_sent_before_it_is_over(told):
    refused = row(10, status=429, retry_after_s=5.0, outcome="429")
    patient = one(told(row(0), refused, row(16, attempt=2)))
    assert (patient.retry_after, patient.retry_after_honoured, patient.refused) == (1, 1, 1)
    assert patient.retries == 1


def test_a_request_sent_before_retry_after_is_over_is_found(told):
    refused = row(10, status=429, retry_after_s=5.0, outcome="429")
    hasty = one(told(refused, row(12, attempt=2)))
    assert hasty.retry_after_honoured == 0
    assert broken_limits(hasty, LIMITS) == ["1 of 1 Retry-After not waited for"]


def test_bytes_are_spread_over_the_time_that_they_took(told):
    # 30 MB in 10 seconds are 24 Mbit/s; had they come in one second they would be ten times that.
    slow = one(told(media(0, size_bytes=30_000_000, seconds=10.0)))
    assert slow.most_mbit_per_s == pytest.approx(24.0, rel=0.01)
    assert broken_limits(slow, LIMITS) == []


def test_too_many_bytes_in_ten_seconds_are_found_in_a_run_with_media_only(told):
    entry = one(told(*[media(i, size_bytes=10_000_000, seconds=1.0) for i in range(10)]))
    assert entry.most_mbit_per_s == pytest.approx(80.0, rel=0.01)
    assert "25 allowed" in broken_limits(entry, LIMITS)[0]


def test_runs_and_hosts_are_told_apart(told):
    catalog = told(row(0), media(1), row(5, run_id="r2"), row(6, run_id="r2", status=None))
    found = manners(catalog)
    assert [(m.run_id, m.kind, m.requests) for m in found] == [
        ("r1", "api", 1),
        ("r1", "media", 1),
        ("r2", "api", 2),
    ]
    assert found[2].errors == 1
    assert [m.run_id for m in manners(catalog, run_id="r2")] == ["r2"]


def test_the_text_says_whether_the_limits_held(told):
    catalog = told(row(0, in_flight=9), row(5, run_id="r2"))
    folder = catalog.root / "limits"
    folder.mkdir()
    for run in ("r1", "r2"):
        (folder / f"{run}.json").write_text(json.dumps(LIMITS))
    text = "\n".join(politeness_lines(catalog))
    assert "LIMIT EXCEEDED at commons.wikimedia.org: 9 requests at a time, 3 allowed" in text
    assert text.count("within its limits") == 1
    assert "not known" in "\n".join(politeness_lines(told(row(0, run_id="r3")), run_id="r3"))


def test_an_empty_log_says_so(tmp_path):
    assert politeness_lines(Catalog(tmp_path)) == ["No requests are logged for this catalog."]


def test_the_fields_of_an_entry_are_plain_values(told):
    values = dataclasses.asdict(one(told(row(0)))).values()
    assert all(type(value) in (str, int, float) for value in values)
