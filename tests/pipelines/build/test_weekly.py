"""Weekly builds for more than a year: parts, disk and the time of a build with nothing to do stay flat."""

import time

import pytest

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
