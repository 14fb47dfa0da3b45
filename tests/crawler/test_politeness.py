"""The door against a real local server; time is a clock that the tests turn, so that waits take none."""

import contextlib
import email.utils
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from crawler.limits import (
    BodyInterrupted,
    CircuitOpen,
    GaveUp,
    HostNotAllowed,
    Limits,
    MissingContact,
    TokenBucket,
    retry_after_s,
)
from crawler.politeness import PoliteDoor
from tests.crawler.servers import answer, drip, hang_up, scripted

FAST = Limits(api_per_minute=200, backoff_s=0.01, backoff_429_s=0.02, max_attempts=4, breaker_429=3)


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []
        self.lock = threading.Lock()

    def __call__(self):
        with self.lock:
            return self.now

    def sleep(self, seconds):
        with self.lock:
            if seconds > 0:
                self.slept.append(seconds)
                self.now += seconds


def door_to(server, limits=FAST, clock=None, **options):
    clock = clock or Clock()
    rows = []
    door = PoliteDoor(
        contact="me@lab.org",
        limits=limits,
        api_hosts=[server.netloc],
        media_hosts=[server.netloc],
        log=rows.append,
        clock=clock,
        sleep=clock.sleep,
        **options,
    )
    return door, clock, rows


@pytest.mark.parametrize("contact", [None, "", "me", "LucidLR bot"])
def test_without_a_contact_the_door_stays_shut_and_says_how_to_open_it(contact):
    with pytest.raises(MissingContact, match=r"--contact .*LUCIDLR_CONTACT"):
        PoliteDoor(contact=contact, limits=FAST, api_hosts=[], media_hosts=[])


def test_every_request_carries_the_operators_contact():
    with scripted(answer(200)) as server:
        door, _, _ = door_to(server)
        door.session.get(server.base + "/w/api.php", headers={"User-Agent": "mwclient"})
        with door.open_media(server.base + "/a.jpg") as body:
            list(body.chunks())
    for _, _, headers in server.requests:
        assert headers["User-Agent"].startswith("LucidLR/")
        assert "(me@lab.org)" in headers["User-Agent"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("1.5", 1.5), ("-3", 0.0), ("nonsense", None), (None, None), ("nan", None)],
)
def test_retry_after_is_read_as_integer_or_float(value, seconds):
    assert retry_after_s(value) == seconds


def test_retry_after_is_read_as_a_date():
    at = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 <= (retry_after_s(at) or 0) <= 31


def test_a_429_is_waited_out_as_long_as_the_server_asks():
    with scripted(answer(429, Retry_After="17.5"), answer(200)) as server:
        door, clock, rows = door_to(server)
        assert door.session.get(server.base + "/w/api.php").status_code == 200
    assert sum(clock.slept) >= 17.5
    assert [(row.status, row.attempt, row.retry_after_s) for row in rows] == [
        (429, 1, 17.5),
        (200, 2, None),
    ]


def test_without_retry_after_the_wait_after_a_429_is_at_least_the_configured_one():
    limits = Limits(backoff_429_s=5.0, backoff_s=0.01)
    with scripted(answer(429), answer(200)) as server:
        door, clock, _ = door_to(server, limits)
        door.session.get(server.base + "/w/api.php")
    assert max(clock.slept) >= 5.0


@pytest.mark.parametrize("trouble", [answer(503), answer(500), hang_up])
def test_servers_in_trouble_are_asked_again_with_growing_waits(trouble):
    # Waits longer than the bucket's 0.3 s between two requests, so that these are seen.
    limits = Limits(backoff_s=2.0)
    with scripted(trouble, trouble, answer(200)) as server:
        door, clock, rows = door_to(server, limits)
        assert door.session.get(server.base + "/w/api.php").status_code == 200
    assert len(server.requests) >= 3
    assert [row.attempt for row in rows] == [1, 2, 3]
    first, second = clock.slept[:2]
    assert 1.0 <= first <= 2.0 <= second <= 4.0


def test_the_door_gives_up_after_the_last_attempt_and_never_asks_endlessly():
    with scripted(answer(503)) as server:
        door, _, _ = door_to(server)
        with pytest.raises(GaveUp, match="failed 4 times, last with 503"):
            door.session.get(server.base + "/w/api.php")
    assert len(server.requests) == FAST.max_attempts


def test_maxlag_is_waited_for_and_does_not_use_up_the_attempts():
    lag = answer(
        200, b'{"error":{}}', Retry_After="5", X_Database_Lag="9", MediaWiki_API_Error="maxlag"
    )
    with scripted(*[lag] * 8, answer(200, b"{}")) as server:
        door, clock, rows = door_to(server)
        assert door.session.get(server.base + "/w/api.php").text == "{}"
    assert len(rows) == 9
    assert sum(clock.slept) >= 8 * 5


def test_a_wiki_that_lags_for_hours_is_left_alone():
    lag = answer(200, b"{}", Retry_After="600", MediaWiki_API_Error="maxlag")
    with scripted(lag) as server:
        door, _, _ = door_to(server)
        with pytest.raises(GaveUp):
            door.session.get(server.base + "/w/api.php")
    # patience_s is 1800: after 600, 1200 and 1800 seconds we still ask, then no more.
    assert len(server.requests) == 4


def test_a_403_opens_the_breaker_and_nothing_more_is_sent():
    with scripted(answer(403)) as server:
        door, _, _ = door_to(server)
        for _ in range(3):
            with pytest.raises(CircuitOpen, match="User-Agent policy"):
                door.session.get(server.base + "/w/api.php")
    assert len(server.requests) == 1


def test_a_streak_of_429_opens_the_breaker():
    with scripted(answer(429, Retry_After="1")) as server:
        door, _, _ = door_to(server)
        with pytest.raises(CircuitOpen, match="3 times in a row"):
            door.session.get(server.base + "/w/api.php")
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "final", [answer(400), answer(429, b"Use thumbnail steps listed on ..."), answer(404)]
)
def test_what_no_waiting_can_mend_is_not_asked_again(final):
    with scripted(final) as server:
        door, clock, _ = door_to(server)
        assert door.session.get(server.base + "/w/api.php").status_code in (400, 404, 429)
    assert len(server.requests) == 1
    assert clock.slept == []


def test_no_other_host_is_contacted_not_even_by_a_redirect():
    with (
        scripted(answer(200)) as other,
        scripted(answer(302, Location=other.base + "/x")) as server,
    ):
        door, _, _ = door_to(server)
        with pytest.raises(HostNotAllowed, match="nothing was sent there"):
            door.session.get(server.base + "/w/api.php")
        with pytest.raises(HostNotAllowed), door.open_media(other.base + "/a.jpg"):
            pass
        assert other.requests == []


def test_a_redirect_on_the_same_host_is_followed():
    with scripted(answer(301, Location="/w/new.php"), answer(200, b"there")) as server:
        door, _, _ = door_to(server)
        assert door.session.get(server.base + "/w/api.php").text == "there"
    assert [path for _, path, _ in server.requests] == ["/w/api.php", "/w/new.php"]


def test_a_redirect_in_a_circle_ends():
    with scripted(answer(302, Location="/round")) as server:
        door, _, _ = door_to(server)
        assert door.session.get(server.base + "/w/api.php").status_code == 302
    assert len(server.requests) == 6


def test_public_hosts_are_mapped_to_the_embedded_server():
    with scripted(answer(200, b"local")) as server:
        door = PoliteDoor(
            contact="me@lab.org",
            limits=FAST,
            api_hosts=["commons.wikimedia.org"],
            media_hosts=["upload.wikimedia.org"],
            host_map={"commons.wikimedia.org": server.base, "upload.wikimedia.org": server.base},
        )
        assert (
            door.session.get("https://commons.wikimedia.org/w/api.php", params={"a": "b"}).text
            == "local"
        )
        with door.open_media("https://upload.wikimedia.org/a/ab/%C3%A9.jpg") as body:
            assert b"".join(body.chunks()) == b"local"
    assert [path for _, path, _ in server.requests] == ["/w/api.php?a=b", "/a/ab/%C3%A9.jpg"]


def test_api_requests_keep_the_rate():
    # 60 a minute, no window of a minute with more: the first at once, 59 in the next minute.
    limits = Limits(api_per_minute=60, api_in_flight=3)
    with scripted(answer(200)) as server:
        door, clock, _ = door_to(server, limits)
        began = clock()
        for _ in range(10):
            door.session.get(server.base + "/w/api.php")
    assert clock() - began == pytest.approx(9 * 60 / 59, abs=0.01)


def sent_by_three_threads(limits, *answers):
    """(seconds since the start, outcome) of every request that three threads sent, on a real clock."""
    sent = []
    with scripted(*answers) as server:
        door = PoliteDoor(
            contact="me@lab.org", limits=limits, api_hosts=[server.netloc], media_hosts=[]
        )
        started = time.monotonic()
        real = door._send

        def noted(*given):
            began = time.monotonic() - started
            response, outcome = real(*given)
            sent.append((began, outcome))
            return response, outcome

        door._send = noted

        def ask():
            with contextlib.suppress(CircuitOpen):
                for _ in range(3):
                    door.session.get(server.base + "/w/api.php")

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sorted(sent)


@pytest.mark.slow
def test_a_retry_after_holds_for_threads_that_were_waiting_already():
    limits = Limits(api_per_minute=200)
    fine, busy = answer(200), answer(429, Retry_After="2")
    sent = sent_by_three_threads(limits, fine, fine, busy, fine)
    told = next(began for began, outcome in sent if outcome == "429")
    later = [began for began, _ in sent if began > told]
    assert later
    assert min(later) >= told + 2.0


def test_after_a_refusal_nobody_sends_anything_more():
    limits = Limits(api_per_minute=200)
    sent = sent_by_three_threads(limits, answer(200), answer(200), answer(403))
    refused = next(began for began, outcome in sent if outcome == "403")
    assert [began for began, _ in sent if began > refused] == []


def test_media_keep_the_bandwidth():
    # 8 Mbit/s are 1,000,000 bytes a second, of which hardly any may come at once: 3 MB take 3 s.
    limits = Limits(media_mbit_per_s=8)
    with scripted(answer(200, b"x" * 1_000_000)) as server:
        door, clock, rows = door_to(server, limits)
        began = clock()
        for _ in range(3):
            with door.open_media(server.base + "/a.jpg") as body:
                assert sum(len(chunk) for chunk in body.chunks()) == 1_000_000
    assert clock() - began == pytest.approx(3.0, abs=0.1)
    assert [row.size_bytes for row in rows] == [1_000_000] * 3


def test_no_more_downloads_are_in_flight_than_allowed():
    working, most = [], []

    def slow(handler):
        # Counted until the answer begins: its end reaches the client before the server knows.
        working.append(handler)
        most.append(len(working))
        time.sleep(0.03)
        working.remove(handler)
        answer(200)(handler)

    with scripted(slow) as server:
        door = door_to(server)[0]

        def download():
            with door.open_media(server.base + "/a.jpg") as body:
                list(body.chunks())

        threads = [threading.Thread(target=download) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert max(most) <= 2
        assert len(server.requests) == 8
        assert door.report()[server.netloc].max_in_flight <= 2


def test_a_body_that_breaks_off_is_an_interruption():
    with scripted(answer(200, b"half", length="1000")) as server:
        door, _, _ = door_to(server)
        with (
            pytest.raises(BodyInterrupted),
            door.open_media(server.base + "/a.jpg") as body,
        ):
            list(body.chunks())


def test_a_slow_drip_ends():
    limits = Limits(media_total_s=1.0, read_timeout_s=5)
    with scripted(drip) as server:
        door = PoliteDoor(
            contact="me@lab.org", limits=limits, api_hosts=[], media_hosts=[server.netloc]
        )
        began = time.monotonic()
        with (
            pytest.raises(BodyInterrupted, match="too slow"),
            door.open_media(server.base + "/a.jpg") as body,
        ):
            list(body.chunks())
        assert time.monotonic() - began < 10, "a minute was ahead"


def test_the_report_counts_by_host():
    with scripted(answer(503), answer(200)) as server:
        door, _, _ = door_to(server)
        door.session.get(server.base + "/w/api.php")
        report = door.report()[server.netloc]
    assert report.requests == 2
    assert report.outcomes == {"503": 1, "200": 1}


@pytest.mark.parametrize(
    "bad",
    [
        {"api_per_minute": 500},
        {"api_in_flight": 9},
        {"media_in_flight": 3},
        {"media_mbit_per_s": 100},
    ],
)
def test_limits_above_wikimedias_are_refused(bad):
    with pytest.raises(ValueError, match="Wikimedia"):
        Limits(**bad)


def test_a_bucket_lets_a_burst_through_and_then_keeps_its_rate():
    clock = Clock()
    bucket = TokenBucket(rate=2.0, burst=3.0, clock=clock)
    assert [bucket.take() for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]
