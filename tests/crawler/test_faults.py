"""The fault matrix: a real MediaWiki behind a proxy that breaks things; the crawl ends with the same originals.

For every fault: the set of objects equals the undisturbed crawl's; the limits hold by our own request log and,
independently, by the proxy's; and no request is repeated without end.
"""

import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pyarrow.parquet as pq
import pytest

from catalog import views
from crawler.download import ATTEMPTS
from crawler.limits import Limits
from crawler.sources import CategorySource, SiteConfig
from filters.synthesis import encode_jpeg
from pipelines.crawl import download_originals, list_sources, opened_door, retry_failures
from pipelines.recipe import load_recipe
from pipelines.run import start_run
from pipelines.runners import pool_runner
from tests.mediawiki_server import fault_proxy, running_mediawiki
from tests.pipelines.test_recipe import DEMO

pytestmark = [pytest.mark.mediawiki, pytest.mark.slow]

FILES, CATEGORIES, VIA = 24, 4, 10
CONTACT = "fault-matrix@example.org"
LIMITS = Limits(
    api_per_minute=200,
    backoff_s=0.1,
    backoff_429_s=0.3,
    backoff_max_s=1.0,
    connect_timeout_s=2.0,
    read_timeout_s=1.5,
    api_total_s=3.0,
    media_total_s=4.0,
)
API, MEDIA = r"generator=categorymembers", r"/wikipedia/commons/"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    photos = folder / "photos"
    photos.mkdir()
    chance = np.random.default_rng(9)
    items = []
    for i in range(FILES):
        pixels = chance.integers(0, 255, (64, 80, 3)).astype(np.uint8)
        (photos / f"Photo {i:02d}.jpg").write_bytes(encode_jpeg(pixels, 90))
        items.append(
            {
                "filename": f"Photo {i:02d}.jpg",
                "license": "Cc-by-4.0",
                "author": "A",
                "categories": [f"Faults {i % CATEGORIES}" if i % CATEGORIES else "Faults"],
                "description": "noise",
            }
        )
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items))
    with (
        running_mediawiki(photos, manifest, via=VIA) as wiki,
        fault_proxy(wiki, VIA, folder) as proxy,
    ):
        for i in range(1, CATEGORIES):
            wiki.site().pages[f"Category:Faults {i}"].save("[[Category:Faults]]")
        yield House(wiki, proxy, folder)


class House:
    """The wiki, the proxy before it, and crawls into fresh folders."""

    def __init__(self, wiki, proxy, folder):
        self.wiki, self.proxy, self.folder = wiki, proxy, folder
        hosts = [f"127.0.0.1:{proxy.port + i}" for i in (0, 1)]
        self.recipe = load_recipe(DEMO).model_copy(
            update={
                "corpus": None,
                "site": SiteConfig(host=hosts[0], scheme="http", media_hosts=(hosts[1],)),
                "sources": (CategorySource(root="Faults", depth=1),),
                "limits": LIMITS,
                "gate": load_recipe(DEMO).gate[:3],
            }
        )
        self.crawls = 0

    def crawl(self, rules=(), between=None):
        """One crawl under these rules, and one retry where there is something to retry."""
        self.crawls += 1
        self.proxy.set_rules(list(rules))
        with pool_runner("threads", 1) as runner:
            run = start_run(
                self.recipe,
                out=self.folder / f"out-{self.crawls}",
                runner=runner,
                limit=None,
                progress=None,
            )
        with run.catalog.locked(), opened_door(run, CONTACT, {}) as door:
            list_sources(run, door)
            if between is not None:
                between()
            download_originals(run, door)
            if any(row["retryable"] for row in views.failures(run.catalog).to_pylist()):
                retry_failures(run)
                download_originals(run, door)
        # The proxy notes a request when it ends, a stalled one long after we have left.
        expected = sum(rule.get("times", 0) for rule in rules)
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            entries = self.proxy.entries()
            if sum(e["do"] != "pass" for e in entries) >= expected:
                break
            time.sleep(0.1)
        return Crawl(run, entries)


class Crawl:
    """What a crawl left: objects, open failures, our request log, and the proxy's."""

    def __init__(self, run, proxied):
        objects = run.catalog.root / "objects"
        self.objects = {p.name for p in objects.glob("*/*/*") if not p.name.startswith(".")}
        self.failures = views.failures(run.catalog).to_pylist()
        files = sorted((run.catalog.parts / "request").glob("*/*.parquet"))
        self.requests = [row for file in files for row in pq.read_table(file).to_pylist()]
        self.proxied = proxied


def check_limits(crawl, house):
    """Ours and the proxy's logs agree that the manners were kept."""
    slots = {"api": LIMITS.api_in_flight, "media": LIMITS.media_in_flight}
    for row in crawl.requests:
        assert row["in_flight"] <= slots[row["kind"]]
        assert row["attempt"] <= LIMITS.max_attempts
    per_url = Counter(row["url"] for row in crawl.requests if row["kind"] == "media")
    assert max(per_url.values()) <= 2 * ATTEMPTS * LIMITS.max_attempts
    assert all(CONTACT in entry["user_agent"] for entry in crawl.proxied)
    for offset, kind in enumerate(("api", "media")):
        entries = [e for e in crawl.proxied if e["port"] == house.wiki.port + offset]
        entries = entries or [e for e in crawl.proxied if e["port"] == house.proxy.port + offset]
        assert entries, f"the proxy saw no {kind} request"
        # The proxy notes the end of what it broke later than we have left it.
        left = {
            "stall": LIMITS.read_timeout_s,
            "slow": min(LIMITS.api_total_s, LIMITS.media_total_s),
        }
        spans = [(e["t"], e["t"] + min(e["dt"], left.get(e["do"], e["dt"]))) for e in entries]
        for start, _ in spans:
            assert sum(s <= start < end for s, end in spans) <= slots[kind]
    times = sorted(e["t"] for e in crawl.proxied if "api.php" in e["request"])
    rate = LIMITS.api_per_minute / 60
    for i, first in enumerate(times):
        for j in range(i, len(times)):
            assert j - i + 1 <= LIMITS.api_in_flight + rate * (times[j] - first) + 1


def in_seconds(count):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=count), usegmt=True)


def status(match, code, retry_after=None, times=2):
    rule = {"match": match, "times": times, "do": "status", "status": code}
    return rule if retry_after is None else {**rule, "retry_after": retry_after}


@pytest.fixture(scope="module")
def undisturbed(house):
    crawl = house.crawl()
    check_limits(crawl, house)
    assert len(crawl.objects) == FILES
    assert crawl.failures == []
    return crawl.objects


FAULTS = {
    f"{name}, {where}": (match, what)
    for where, match in (("API", API), ("media", MEDIA))
    for name, what in {
        "429 with Retry-After in whole seconds": ("status", 429, "1"),
        "429 with Retry-After as a fraction": ("status", 429, "0.5"),
        "429 with Retry-After as a date": ("status", 429, "date"),
        "429 without Retry-After": ("status", 429, None),
        "503": ("status", 503, None),
        "503 with Retry-After": ("status", 503, "1"),
        "reset before the answer": ("do", {"do": "reset"}),
        "reset within the body": ("do", {"do": "reset_body", "bytes": 900}),
        "truncation": ("do", {"do": "truncate", "bytes": 900}),
        "corruption": ("do", {"do": "corrupt"}),
        "stall": ("do", {"do": "stall", "seconds": 3}),
        "slow drip": ("do", {"do": "slow", "bps": 1200}),
    }.items()
}


@pytest.mark.parametrize("name", FAULTS)
def test_after_a_fault_the_originals_are_those_of_an_undisturbed_crawl(name, house, undisturbed):
    match, (kind, *what) = FAULTS[name]
    if kind == "status":
        code, after = what
        after = in_seconds(2) if after == "date" else after
        rules = [status(match, code, after)]
    else:
        rules = [{"match": match, "times": 2, **what[0]}]
    crawl = house.crawl(rules)
    broken = [e for e in crawl.proxied if e["do"] != "pass"]
    assert len(broken) == 2, "the fault did not happen"
    assert crawl.objects == undisturbed
    assert crawl.failures == []
    check_limits(crawl, house)
    if kind == "status" and what[1] not in (None, "date"):
        for e in broken:
            over = e["t"] + e["dt"] + float(what[1])
            early = [
                x for x in crawl.proxied if x["port"] == e["port"] and x["t"] > e["t"] + e["dt"]
            ]
            # A request that was on its way when the answer came is no disobedience.
            assert all(x["t"] >= over - 0.05 for x in early if x["t"] > e["t"] + e["dt"] + 0.1)


@pytest.mark.parametrize("fault", [{"lag": 12.5}, {"ratelimited": 1.0}])
def test_a_wiki_that_says_it_is_busy_is_waited_for(fault, house, undisturbed):
    faults = house.wiki.folder / "faults.json"
    faults.write_text(json.dumps(fault))
    faults.chmod(0o644)
    timer = threading.Timer(1.0, faults.write_text, args=("{}",))
    timer.start()
    try:
        crawl = house.crawl()
    finally:
        timer.join()
    assert crawl.objects == undisturbed
    assert crawl.failures == []
    check_limits(crawl, house)
    assert len([e for e in crawl.proxied if "api.php" in e["request"]]) < 60


def test_a_file_that_is_deleted_or_overwritten_meanwhile_is_a_failure_row_and_the_others_are_there(
    house, undisturbed, tmp_path
):
    site = house.wiki.site()
    new = tmp_path / "new.jpg"
    new.write_bytes(encode_jpeg(np.full((64, 80, 3), 90, np.uint8), 90))

    def meanwhile():
        site.pages["File:Photo 00.jpg"].delete(reason="test")
        with new.open("rb") as content:
            site.upload(content, "Photo 01.jpg", comment="test", ignore=True)
        time.sleep(0.2)

    crawl = house.crawl(between=meanwhile)
    kinds = sorted(row["kind"] for row in crawl.failures)
    assert kinds == ["gone", "sha1_mismatch"]
    assert len(crawl.objects) == FILES - 2
    assert crawl.objects < undisturbed
    check_limits(crawl, house)
