"""Weekly builds for more than a year: parts, disk and the time of a build with nothing to do stay flat."""

import json
import time

import duckdb
import pytest

from catalog import sums
from catalog.release.export import verify_dataset
from crawler.relist import Relist
from crawler.sources import CategorySource
from tests.counts import rounds
from tests.pipelines.build.test_relist import Wiki

QUIET = Relist(every_days=6, whole_every_days=27)


@pytest.mark.slow
def test_sixty_weekly_builds_leave_parts_and_time_flat(tmp_path):
    wiki = Wiki(tmp_path, (CategorySource(root="All", depth=0, relist=QUIET),))
    wiki.add(30, 0)
    wiki.build(0)

    def weighed():
        found = list((wiki.out / "catalog" / "parts").rglob("*.parquet"))
        # Requests are a log: a part for each run that asked.
        kept = [p for p in found if "/request/" not in str(p)]
        return len(kept), sum(p.stat().st_size for p in kept)

    wiki.build(1)
    first, seconds = weighed(), []
    for week in range(2, 2 + rounds(60)):
        began = time.process_time()
        wiki.build(week)
        seconds.append(time.process_time() - began)
    last = weighed()
    assert last[0] <= 1.5 * first[0]
    assert last[1] <= 1.5 * first[1]
    # The median of the last third against that of the first: one slow run is no trend.
    third = max(1, len(seconds) // 3)
    early, late = sorted(seconds[:third])[third // 2], sorted(seconds[-third:])[third // 2]
    assert late <= 1.5 * early + 0.5, seconds


@pytest.mark.slow
def test_a_build_that_finds_nothing_changed_writes_its_run_and_nothing_else(tmp_path):
    wiki = Wiki(tmp_path, (CategorySource(root="All", depth=0, relist=QUIET),))
    wiki.add(6, 0)
    first, _ = wiki.build(0)
    outputs = ("dataset/manifest.json", "report/index.html", "evidence.parquet")

    def written():
        return [(wiki.out / name).stat().st_ino for name in outputs]

    before = written()
    # A look at what is new that finds nothing changes nothing either.
    second, asked = wiki.build(1)
    assert asked
    assert written() == before
    assert (second.dataset_hash, second.funnel) == (first.dataset_hash, first.funnel)
    with duckdb.connect(str(wiki.out / "lucidlr.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM decisions").fetchone() == (6,)
    # What was taken away, changed or said since is seen.
    (wiki.out / "report" / "index.html").unlink()
    wiki.build(1.1)
    assert (wiki.out / "report" / "index.html").exists()
    shard = next((wiki.out / "dataset" / "data").rglob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-9] + b"\0" * 9)
    wiki.build(1.2)
    assert verify_dataset(wiki.out / "dataset") == []
    wiki.add(1, 2)
    assert wiki.build(2)[0].funnel[0] == ("listed", 7)
    other, _ = wiki.build(2.1, rules=wiki.recipe.rules[:1])
    assert other.recipe_hash != first.recipe_hash
    assert len(other.funnel) < len(first.funnel)


@pytest.mark.slow
def test_a_note_of_the_last_build_that_says_what_cannot_be_is_as_if_it_were_not_there(tmp_path):
    wiki = Wiki(tmp_path, (CategorySource(root="All", depth=0, relist=QUIET),))
    wiki.add(2, 0)
    first, _ = wiki.build(0)
    place = wiki.out / "catalog" / "settled.json"
    note = json.loads(place.read_text())
    wrong = (
        [],
        {"state": note["state"]},
        {**note, "funnel": [["listed"]]},
        {**note, "counts": {"s": {"listed": "2"}}},
        {**note, "dataset_hash": None},
    )
    for number, said in enumerate(wrong, 1):
        # With its sum made again, as who changes a file can.
        sums.put(place, json.dumps(said))
        again, _ = wiki.build(number / 100)
        assert (again.dataset_hash, again.funnel) == (first.dataset_hash, first.funnel), said
        assert json.loads(place.read_text())["state"] == note["state"]
    assert wiki.build(0.1)[0].stage_seconds.keys() <= {"link", "list"}, "nothing was decided again"
