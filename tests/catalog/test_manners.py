"""The politeness report: known logs give known figures, and what broke a limit is said."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from catalog.manners import broken_limits, manners, politeness, politeness_lines
from catalog.records import RequestRow, to_table
from catalog.store import Catalog
from pipelines.build.crawl import download_originals, list_sources, opened_door
from pipelines.build.run import start_run
from pipelines.build.runners import pool_runner
from pipelines.recipe import DEMO_RECIPE, load_recipe

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


def note_limits(catalog, run, limits):
    folder = catalog.root / "limits"
    folder.mkdir(exist_ok=True)
    (folder / f"{run}.json").write_text(json.dumps(limits))


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


def test_ends_other_than_an_answer_are_counted_by_what_they_were(told):
    lag = {"outcome": "maxlag", "retry_after_s": 5.0}
    rows = [row(0, **lag), row(9, **lag), row(20, status=403, outcome="403"), row(30)]
    lost = row(40, status=None, outcome="timeout")
    entry = one(told(*rows, lost, row(50, status=302, outcome="redirect")))
    assert entry.failed == "403 1, maxlag 2, timeout 1"
    assert (entry.maxlag, entry.answers_403, entry.answers_429, entry.errors) == (2, 1, 0, 1)


@pytest.mark.parametrize(
    ("next_at", "after", "honoured"),
    [
        # Answered between 10.5 and 11.5, over 10 later; what the log calls second b began in [b, b + 1).
        (11, 10.0, 1),  # may have begun before the answer was read
        (12, 10.0, 0),
        (19, 10.0, 0),
        (20, 10.0, 1),  # 20.9 may be after 20.5
        (11, 1.9, 1),  # too short for the log's clock: never found
    ],
)
def test_a_wait_is_broken_only_where_whole_seconds_prove_it(told, next_at, after, honoured):
    refused = row(10, status=429, retry_after_s=after, outcome="429")
    assert one(told(refused, row(next_at))).retry_after_honoured == honoured


def test_a_wait_is_broken_by_its_own_host_and_kind_only(told):
    refused = row(10, status=429, retry_after_s=9.0, outcome="429")
    api, other = manners(told(refused, media(14)))
    assert (api.retry_after_honoured, other.retry_after) == (1, 0)


def test_a_short_run_is_measured_over_ten_seconds_all_the_same(told):
    # 12 MB in the only second of a run: 96 Mbit in a window of 10 s are 9.6 Mbit/s.
    entry = one(told(media(0, size_bytes=12_000_000, seconds=1.0)))
    assert entry.most_mbit_per_s == pytest.approx(9.6)
    assert broken_limits(entry, LIMITS) == []


def test_the_mean_bandwidth_leaves_out_the_spells_in_which_nothing_came(told):
    # 10 MB in each of two spells of 10 s, an hour apart: 8 Mbit/s each.
    spells = [media(second, size_bytes=10_000_000, seconds=1.0) for second in (0, 3600)]
    assert one(told(*spells)).mean_mbit_per_s == pytest.approx(8.0)


def test_the_share_of_the_rate_leaves_out_long_pauses(told):
    # 50 a minute for 10 minutes, a pause of an hour that counts as a minute, and 10 minutes more.
    seconds = [i * 60 // 50 for i in range(500)]
    table = politeness(told(*map(row, [*seconds, *(s + 4200 for s in seconds)])), limits=LIMITS)
    # 1000 requests in 598 + 60 + 598 = 1256 s are 47.8 a minute.
    assert table.column("share_of_rate").to_pylist() == [pytest.approx(0.478, abs=0.001)]


def test_what_burst_and_rounding_explain_is_told_and_is_no_complaint(told):
    catalog = told(*[media(i, size_bytes=3_400_000, seconds=1.0) for i in range(60)])
    note_limits(catalog, "r1", LIMITS)
    lines = politeness_lines(catalog)
    assert "within its limits" in lines
    assert any("27.2 Mbit/s over 10 s, 25 configured" in line for line in lines)


def test_a_commons_of_our_own_is_judged_by_slots_and_waits_and_not_by_rates(told):
    catalog = told(*[row(0, in_flight=3) for _ in range(500)], row(1, in_flight=4))
    note_limits(catalog, "r1", {**LIMITS, "local": True})
    complaints = [line for line in politeness_lines(catalog) if "EXCEEDED" in line]
    assert complaints == [
        "LIMIT EXCEEDED at commons.wikimedia.org: 4 requests at a time, 3 allowed"
    ]


def test_limits_that_were_half_written_are_not_known_and_nothing_fails(told):
    catalog = told(row(0))
    note_limits(catalog, "r1", LIMITS)
    noted = catalog.root / "limits" / "r1.json"
    noted.write_text(noted.read_text()[:20])
    assert "the limits of this run are not known" in politeness_lines(catalog)


def test_the_table_of_an_empty_log_has_the_columns_of_a_full_one(told):
    empty, full = politeness(told()), politeness(told(row(0), media(0)))
    assert (empty.num_rows, full.num_rows) == (0, 2)
    assert empty.schema == full.schema


def test_the_report_of_a_real_crawl_adds_up_to_its_log(tmp_path):
    recipe = load_recipe(DEMO_RECIPE)
    assert recipe.corpus is not None
    recipe = recipe.model_copy(update={"corpus": dataclasses.replace(recipe.corpus, files=60)})
    with pool_runner("threads", 1) as runner:
        run = start_run(recipe, out=tmp_path, runner=runner, limit=None, progress=None)
    with run.catalog.locked(), opened_door(run, None, {}) as door:
        list_sources(run, door)
        download_originals(run, door)
        seen = door.report()
    files = (run.catalog.parts / "request" / run.run_id).glob("*.parquet")
    logged = [entry for file in files for entry in pq.read_table(file).to_pylist()]
    found = politeness(run.catalog, run_id=run.run_id).to_pylist()
    assert sorted(entry["kind"] for entry in found) == ["api", "media"]
    for entry in found:
        mine = [r for r in logged if (r["host"], r["kind"]) == (entry["host"], entry["kind"])]
        assert entry["requests"] == len(mine) == seen[entry["host"]].requests > 0
        assert entry["bytes"] == sum(r["size_bytes"] for r in mine) == seen[entry["host"]].bytes
        assert entry["retries"] == sum(r["attempt"] > 1 for r in mine)
        assert entry["most_in_flight"] == seen[entry["host"]].max_in_flight
        assert entry["waited_s"] == pytest.approx(sum(r["waited_s"] for r in mine), abs=0.001)
        assert entry["share_of_rate"] is None
    originals = list((run.catalog.root / "objects").glob("*/*/*"))
    (media_entry,) = (entry for entry in found if entry["kind"] == "media")
    assert media_entry["requests"] >= len(originals) > 0
    lines = politeness_lines(run.catalog)
    assert "a Commons of our own: rates do not apply" in lines
    assert not any("EXCEEDED" in line for line in lines)
