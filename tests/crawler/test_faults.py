"""The fault matrix: a real MediaWiki behind a proxy that breaks things; the crawl ends with the same originals.

For every fault: the objects are those of the undisturbed crawl; the limits hold by our own request log and,
independently, by the proxy's; and nothing is asked more often than it was broken. Faults that never end come to an end.
"""

import hashlib
import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import numpy as np
import pyarrow.parquet as pq
import pytest

from catalog import views
from crawler.download import ATTEMPTS
from crawler.limits import CircuitOpen, GaveUp, Limits
from crawler.sources import CategorySource, SiteConfig
from filters.degradation.synthesis import encode_jpeg
from pipelines.build.crawl import download_originals, list_sources, opened_door, retry_failures
from pipelines.build.run import start_run
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe
from tests.mediawiki_server import fault_proxy, running_mediawiki
from tests.pipelines.test_recipe import DEMO

pytestmark = [pytest.mark.mediawiki, pytest.mark.slow]

FILES, CATEGORIES, VIA = 40, 3, 10
CONTACT = "fault-matrix@example.org"
LIMITS = Limits(
    api_per_minute=200,
    max_attempts=4,
    backoff_s=0.1,
    backoff_429_s=0.3,
    backoff_max_s=1.0,
    connect_timeout_s=2.0,
    read_timeout_s=2.0,
    api_total_s=2.5,
    media_total_s=3.0,
)
SLOTS = {"api": LIMITS.api_in_flight, "media": LIMITS.media_in_flight}
BURST = 1
"""API requests that may go at once after a rest."""
LATE_S = 0.1
"""A request that arrives so soon after an answer to another was on its way already."""
NOTED_S = 0.02
"""The client has the last byte before the proxy has noted the end."""
API, MEDIA = r"generator=categorymembers", r"/wikipedia/commons/"
TREE = (CategorySource(root="Faults", depth=1),)
SIDE_BY_SIDE = tuple(
    CategorySource(root=f"Faults {i}" if i else "Faults", depth=0) for i in range(CATEGORIES)
)


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
                "limits": LIMITS,
                "gate": load_recipe(DEMO).gate[:3],
            }
        )
        self.crawls = 0

    def photo(self, number):
        """A photo's bytes, and its SHA-1, by which objects and failures are named."""
        content = (self.folder / "photos" / f"Photo {number:02d}.jpg").read_bytes()
        return content, hashlib.sha1(content).hexdigest()

    def out(self):
        """A fresh folder for a build."""
        self.crawls += 1
        return self.folder / f"out-{self.crawls}"

    def crawl(
        self, *, listing=(), downloading=(), between=None, sources=TREE, out=None, retry=True
    ):
        """One crawl under rules for its two halves, and one retry where there is something to retry."""
        self.proxy.set_rules([])
        self.proxy.clear()
        with pool_runner("threads", 1) as runner:
            run = start_run(
                self.recipe.model_copy(update={"sources": sources}),
                out=out or self.out(),
                runner=runner,
                limit=None,
                progress=None,
            )
        crawl = Crawl(run, self.proxy)
        with run.catalog.locked():
            try:
                with opened_door(run, CONTACT, {}) as door:
                    crawl.rules = [in_time(rule) for rule in listing]
                    self.proxy.set_rules(crawl.rules)
                    list_sources(run, door)
                    if between is not None:
                        between()
                    late = [in_time(rule) for rule in downloading]
                    crawl.rules += late
                    self.proxy.set_rules(late)
                    download_originals(run, door)
                    open_failures = views.failures(run.catalog).to_pylist()
                    crawl.retried = retry and any(row["retryable"] for row in open_failures)
                    if crawl.retried:
                        retry_failures(run)
                        download_originals(run, door)
            except (GaveUp, CircuitOpen) as error:
                crawl.ended = error
            crawl.read_logs()
        self.proxy.set_rules([])
        return crawl


class Crawl:
    """What a crawl left: objects, open failures, our request log, and the proxy's."""

    def __init__(self, run, proxy):
        self.run, self.proxy = run, proxy
        self.ended, self.retried, self.rules = None, False, []

    def read_logs(self):
        """Waits for the proxy, which notes a stalled request long after we have left it."""
        objects = self.run.catalog.root / "objects"
        self.objects = {p.name for p in objects.glob("*/*/*") if not p.name.startswith(".")}
        self.failures = views.failures(self.run.catalog).to_pylist()
        files = sorted((self.run.catalog.parts / "request" / self.run.run_id).glob("*.parquet"))
        self.requests = [row for file in files for row in pq.read_table(file).to_pylist()]
        deadline = time.monotonic() + 10
        while len(self.proxy.entries()) < len(self.requests) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.proxied = sorted(self.proxy.entries(), key=lambda e: e["t"])
        for e in self.proxied:
            e["kind"] = "api" if "api.php" in e["request"] else "media"
        self.asked = Counter(e["request"] for e in self.proxied)
        self.broken = [e for e in self.proxied if e["do"] not in ("pass", "delay")]

    def peak(self, kind):
        """Most requests under way at a time, as the proxy saw it."""
        # The proxy notes the end of what it held back later than we have left it.
        left = {
            "stall": LIMITS.read_timeout_s,
            "slow": LIMITS.api_total_s if kind == "api" else LIMITS.media_total_s,
        }
        spans = [
            (e["t"], e["t"] + min(e["dt"], left.get(e["do"], e["dt"])) - NOTED_S)
            for e in self.proxied
            if e["kind"] == kind
        ]
        return max((sum(s <= start < end for s, end in spans) for start, _ in spans), default=0)

    def failed(self):
        """SHA-1 -> kind of failure and whether a retry may help."""
        return {row["key"]: (row["kind"], row["retryable"]) for row in self.failures}


def check_limits(crawl):
    """Ours and the proxy's logs agree that the manners were kept."""
    assert len(crawl.proxied) == len(crawl.requests), "the logs do not hold the same requests"
    assert {e["kind"] for e in crawl.proxied} <= {row["kind"] for row in crawl.requests}
    assert all(CONTACT in e["user_agent"] for e in crawl.proxied)
    for row in crawl.requests:
        assert row["in_flight"] <= SLOTS[row["kind"]]
        assert row["attempt"] <= LIMITS.max_attempts
    for kind, slots in SLOTS.items():
        assert crawl.peak(kind) <= slots
    check_rate([e["t"] for e in crawl.proxied if e["kind"] == "api"], rounded_s=0)
    # Our log has whole seconds.
    ours = [row["started_at"].timestamp() for row in crawl.requests if row["kind"] == "api"]
    check_rate(sorted(ours), rounded_s=1)


def check_rate(times, rounded_s):
    """In every window no more than the bucket lets through, and one that was late."""
    rate = LIMITS.api_per_minute / 60
    for i, first in enumerate(times):
        for j in range(i, len(times)):
            assert j - i + 1 <= BURST + rate * (times[j] - first + rounded_s) + 1


def check_pause(crawl):
    """By the proxy's log nobody asked that host before its Retry-After was over."""
    (after,) = (rule["retry_after"] for rule in crawl.rules)
    for e in crawl.broken:
        answered = e["t"] + e["dt"]
        is_date = after.endswith("GMT")
        over = parsedate_to_datetime(after).timestamp() if is_date else answered + float(after)
        assert over > answered + 0.2, "the pause was over before it began"
        for x in crawl.proxied:
            on_its_way = x["request"] != e["request"] and x["t"] < answered + LATE_S
            if x["port"] == e["port"] and x["t"] > answered and not on_its_way:
                assert x["t"] >= over - 0.05


def in_time(rule):
    """The rule; its Retry-After "in 3 s" as a date."""
    if not rule.get("retry_after", "").startswith("in "):
        return rule
    at = datetime.now(UTC) + timedelta(seconds=float(rule["retry_after"].split()[1]))
    return {**rule, "retry_after": format_datetime(at, usegmt=True)}


@pytest.fixture(scope="module")
def undisturbed(house):
    # The wiki parses each page when it is first asked for, which on a busy machine takes longer than LIMITS allow.
    house.crawl()
    crawl = house.crawl()
    assert crawl.failures == []
    assert crawl.objects == {house.photo(i)[1] for i in range(FILES)}
    assert crawl.broken == []
    check_limits(crawl)
    return crawl


FAULTS = {
    "429 with Retry-After in whole seconds": {"do": "status", "status": 429, "retry_after": "1"},
    "429 with Retry-After as a fraction": {"do": "status", "status": 429, "retry_after": "0.5"},
    # Once: at the second time the date would be over.
    "429 with Retry-After as a date": {
        "do": "status",
        "status": 429,
        "retry_after": "in 3 s",
        "times": 1,
    },
    "429 without Retry-After": {"do": "status", "status": 429},
    "503": {"do": "status", "status": 503},
    "503 with Retry-After": {"do": "status", "status": 503, "retry_after": "1"},
    "reset before the answer": {"do": "reset"},
    "reset within the body": {"do": "reset_body", "bytes": 900},
    "truncation": {"do": "truncate", "bytes": 900},
    "corruption": {"do": "corrupt"},
    "stall": {"do": "stall", "seconds": 3},
    "slow drip": {"do": "slow", "bps": 1200},
}
SECOND_PASS = {("slow drip", "media")}
"""What needs the one retry: a wait of `media_total_s` is not repeated at once."""


@pytest.mark.parametrize("where", ["api", "media"])
@pytest.mark.parametrize("name", FAULTS)
def test_after_a_fault_the_originals_are_those_of_an_undisturbed_crawl(
    name, where, house, undisturbed
):
    rule = {"match": API if where == "api" else MEDIA, "times": 2, **FAULTS[name]}
    crawl = house.crawl(**{"listing" if where == "api" else "downloading": [rule]})
    assert len(crawl.broken) == rule["times"], "the fault did not happen"
    assert crawl.objects == undisturbed.objects
    assert crawl.failures == []
    assert crawl.retried == ((name, where) in SECOND_PASS)
    again = Counter(e["request"] for e in crawl.broken)
    assert crawl.asked == undisturbed.asked + again, "more was asked than was broken"
    check_limits(crawl)
    if "retry_after" in rule:
        check_pause(crawl)


def test_with_slow_answers_no_more_requests_are_under_way_than_allowed(house, undisturbed):
    crawl = house.crawl(
        listing=[{"match": API, "times": 4, "do": "delay", "seconds": 1.2}],
        downloading=[{"match": MEDIA, "times": 10, "do": "delay", "seconds": 0.2}],
        sources=SIDE_BY_SIDE,
    )
    assert crawl.objects == undisturbed.objects
    check_limits(crawl)
    # The limits were reached, so that they could have been exceeded.
    assert {kind: crawl.peak(kind) for kind in SLOTS} == SLOTS


@pytest.mark.parametrize("after", ["2", "in 4 s"])
def test_a_pause_that_the_wiki_asks_of_one_walk_holds_for_those_beside_it(
    after, house, undisturbed
):
    rule = {"match": API, "times": 1, "do": "status", "status": 429, "retry_after": after}
    crawl = house.crawl(listing=[rule], sources=SIDE_BY_SIDE)
    assert crawl.objects == undisturbed.objects
    assert len(crawl.broken) == 1
    check_pause(crawl)


def test_after_a_pause_the_walks_do_not_all_go_at_once(house, undisturbed):
    rule = {"match": API, "times": 1, "do": "status", "status": 429, "retry_after": "2"}
    crawl = house.crawl(listing=[rule], sources=SIDE_BY_SIDE)
    assert crawl.objects == undisturbed.objects
    check_limits(crawl)


@pytest.mark.parametrize(
    "where",
    [
        "api",
        "media",
    ],
)
def test_a_refusal_whose_body_is_damaged_is_still_a_refusal(where, house, undisturbed):
    # The proxy writes the rule's text into the head as it stands: a body that is not the chunks it claims to be.
    after = "1\r\nTransfer-Encoding: chunked"
    match = API if where == "api" else MEDIA
    rule = {"match": match, "times": 1, "do": "status", "status": 429, "retry_after": after}
    rule["body"] = "no length of a chunk\r\n"
    crawl = house.crawl(**{"listing" if where == "api" else "downloading": [rule]})
    crawl.rules[0]["retry_after"] = "1"
    assert crawl.objects == undisturbed.objects
    assert len(crawl.broken) == 1
    check_limits(crawl)
    check_pause(crawl)


@pytest.mark.parametrize("after_requests", [0, 4], ids=["at the start", "within the listing"])
@pytest.mark.parametrize(
    "fault", [{"lag": 12.5}, {"ratelimited": 1.0}], ids=lambda f: next(iter(f))
)
def test_a_wiki_that_says_it_is_busy_is_waited_for(fault, after_requests, house, undisturbed):
    refusals = 1 if "lag" in fault else 2
    house.proxy.clear()

    def busy_for_a_while():
        for so_many, faults in ((after_requests, fault), (after_requests + refusals, {})):
            deadline = time.monotonic() + 30
            while len(house.proxy.entries()) < so_many and time.monotonic() < deadline:
                time.sleep(0.01)
            house.wiki.set_faults(faults)

    watcher = threading.Thread(target=busy_for_a_while)
    if after_requests == 0:
        house.wiki.set_faults(fault)
    watcher.start()
    try:
        crawl = house.crawl()
    finally:
        watcher.join()
        house.wiki.set_faults({})
    assert crawl.objects == undisturbed.objects
    assert crawl.failures == []
    repeated = crawl.asked - undisturbed.asked
    assert 1 <= repeated.total() <= refusals + 1, "as often as it was refused, or one more"
    assert sum(row["outcome"] == "maxlag" for row in crawl.requests) == (
        repeated.total() if "lag" in fault else 0
    )
    check_limits(crawl)
    if "lag" in fault:
        # The wiki says Retry-After: 5, in an answer 200.
        (line,) = repeated
        first, second = [e for e in crawl.proxied if e["request"] == line][:2]
        assert second["t"] >= first["t"] + first["dt"] + 5 - 0.05


ENDLESS = {
    "503": ({"do": "status", "status": 503}, ("gave_up", True), LIMITS.max_attempts),
    "reset before the answer": ({"do": "reset"}, ("gave_up", True), LIMITS.max_attempts),
    "truncation": ({"do": "truncate", "bytes": 900}, ("truncated", True), ATTEMPTS),
    "corruption": ({"do": "corrupt"}, ("sha1_mismatch", True), ATTEMPTS),
    "404": ({"do": "status", "status": 404}, ("gone", False), 1),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_original_that_never_comes_is_one_failure_row_after_a_bounded_number_of_attempts(
    name, house, undisturbed
):
    what, failure, attempts = ENDLESS[name]
    _, sha1 = house.photo(7)
    crawl = house.crawl(downloading=[{"match": r"Photo_07\.jpg", **what}], retry=False)
    assert crawl.failed() == {sha1: failure}
    assert crawl.objects == undisturbed.objects - {sha1}
    assert len(crawl.broken) == attempts
    check_limits(crawl)


@pytest.mark.parametrize(
    ("rules", "ends_with", "most"),
    [
        ({"listing": [{"match": API, "do": "status", "status": 503}]}, GaveUp, LIMITS.max_attempts),
        ({"listing": [{"match": API, "do": "reset"}]}, GaveUp, LIMITS.max_attempts),
        (
            {"downloading": [{"match": MEDIA, "do": "status", "status": 429}]},
            CircuitOpen,
            # A streak is one over different files, each of which is asked for a few times.
            LIMITS.breaker_429 * LIMITS.max_attempts + LIMITS.media_in_flight - 1,
        ),
    ],
    ids=["503 of the API", "reset by the API", "429 of the media host"],
)
def test_a_host_that_never_recovers_ends_the_crawl_and_the_same_command_later_goes_on(
    rules, ends_with, most, house, undisturbed
):
    out = house.out()
    crawl = house.crawl(**rules, out=out)
    assert isinstance(crawl.ended, ends_with)
    assert 1 < len(crawl.broken) <= most
    check_limits(crawl)
    later = house.crawl(out=out)
    assert later.ended is None
    assert later.objects == undisturbed.objects
    assert later.failures == []


def test_a_file_that_is_deleted_after_the_listing_is_gone_and_the_others_are_there(
    house, undisturbed
):
    site, (_, sha1) = house.wiki.site(), house.photo(0)
    try:
        crawl = house.crawl(between=lambda: site.pages["File:Photo 00.jpg"].delete(reason="test"))
    finally:
        site.post("undelete", title="File:Photo 00.jpg", token=site.get_token("csrf"))
    assert crawl.failed() == {sha1: ("gone", False)}
    assert crawl.objects == undisturbed.objects - {sha1}
    # It could have been moved: the wiki is asked once for that page, after one question about the wiki itself.
    asked = crawl.asked - undisturbed.asked
    assert not undisturbed.asked - crawl.asked
    assert sorted("pageids=" in line for line in asked.elements()) == [False, True]
    check_limits(crawl)


@pytest.mark.parametrize("pixels", [(16, 16), (200, 300)], ids=["smaller", "larger"])
def test_a_file_that_is_overwritten_after_the_listing_is_a_mismatch_and_the_others_are_there(
    pixels, house, undisturbed
):
    site, (old, sha1) = house.wiki.site(), house.photo(1)
    noise = np.random.default_rng(3).integers(0, 255, (*pixels, 3)).astype(np.uint8)

    def upload(content):
        path = house.folder / "upload.jpg"
        path.write_bytes(content)
        with path.open("rb") as file:
            site.upload(file, "Photo 01.jpg", comment="test", ignore=True)

    try:
        crawl = house.crawl(between=lambda: upload(encode_jpeg(noise, 90)))
    finally:
        time.sleep(1.1)  # The wiki names old versions by the second.
        upload(old)
    assert crawl.failed() == {sha1: ("sha1_mismatch", True)}
    assert crawl.objects == undisturbed.objects - {sha1}
    (changed,) = crawl.asked - undisturbed.asked
    assert crawl.asked[changed] <= 2 * ATTEMPTS, "the crawl and its one retry"
    check_limits(crawl)
