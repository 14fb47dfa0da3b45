"""Known kinds of hostile answers, one by one: what is repeated, what is a row, what ends a run and says so."""

import email.utils
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from crawler.commons import Commons, ListingError
from crawler.limits import (
    CircuitOpen,
    ComeBack,
    GaveUp,
    HostNotAllowed,
    Limits,
    MissingContact,
    Refused,
    checked_contact,
    retry_after_s,
)
from crawler.plausible import DAMAGED, trouble_of
from crawler.politeness import PoliteDoor
from crawler.shapes import BadAnswer, read_answer
from crawler.sources import SiteConfig
from tests.counts import sampled
from tests.crawler.servers import answer, drip, scripted

FAST = Limits(backoff_s=0.001, backoff_429_s=0.001, max_attempts=3, patience_s=100.0)
SITE = b'{"query":{"general":{"generator":"MediaWiki 1.45"}}}'
FINE = b'{"batchcomplete":true,"query":{"pages":[]}}'


def door_to(server, limits=FAST, **options):
    slept, said = [], []
    door = PoliteDoor(
        contact="me@lab.org",
        limits=limits,
        api_hosts=[server.netloc],
        media_hosts=[server.netloc],
        sleep=slept.append,
        say=said.append,
        **options,
    )
    return door, slept, said


def commons_of(server, **options):
    door, slept, said = door_to(server, **options)
    return Commons(door, SiteConfig(host=server.netloc, scheme="http")), slept, said


# -- the shape of an answer -------------------------------------------------------------------------------------------

DAMAGED_BODIES = {
    "null": b"null",
    "list": b"[]",
    "text": b'"x"',
    "number": b"5",
    "nothing": b"",
    "html": b"<html>",
    "query text": b'{"query":"x"}',
    "pages text": b'{"query":{"pages":"x"}}',
    "pages null": b'{"query":{"pages":[null]}}',
    "pages number": b'{"query":{"pages":[5]}}',
    "pages by id null": b'{"query":{"pages":{"1":null}}}',
    "warnings null": b'{"warnings":{"main":null}}',
    "warnings text": b'{"warnings":"x"}',
    "error text": b'{"error":"x"}',
    "error without code": b'{"error":{}}',
    "continue text": b'{"continue":"x"}',
    "continue object": b'{"continue":{"a":{"b":1}}}',
    "nested lists": b"[" * 200_000 + b"]" * 200_000,
    "nested objects": b'{"a":' * 100 + b"1" + b"}" * 100,
    "no UTF-8": b'{"query":{"pages":[]},"x":"\xff\xfe"}',
}


@pytest.mark.parametrize("body", DAMAGED_BODIES.values(), ids=DAMAGED_BODIES)
def test_an_answer_of_another_shape_is_damaged_and_asked_for_again(body):
    with pytest.raises(BadAnswer):
        read_answer(body)
    with scripted(answer(200, SITE), answer(200, body), answer(200, FINE)) as server:
        commons, _, _ = commons_of(server)
        assert commons.ask({"list": "search"}) == {"batchcomplete": True, "query": {"pages": []}}
    assert len(server.requests) == 3


def test_a_wiki_that_never_answers_in_shape_is_given_up_with_what_it_said():
    with scripted(answer(200, SITE), answer(200, b"[]")) as server:
        commons, _, _ = commons_of(server)
        with pytest.raises(GaveUp, match=r"JSON that is no object but a list.* 3 times"):
            commons.ask({"list": "search"})


def test_bytes_that_are_no_utf8_are_taken_with_replacements_when_repeating_did_not_help():
    body = b'{"query":{"pages":[{"title":"File:\xff.jpg"}]}}'
    with scripted(answer(200, SITE), answer(200, body)) as server:
        commons, _, _ = commons_of(server)
        (page,) = commons.ask({"titles": "x"})["query"]["pages"]
    assert page["title"] == "File:\ufffd.jpg"
    assert len(server.requests) == 4


def test_empty_arrays_of_php_stand_for_empty_objects():
    assert read_answer(b'{"query":[],"continue":[],"warnings":[],"entities":[]}') == {}
    assert read_answer(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_numbers_that_nobody_counts_with_and_lone_surrogates_become_storable():
    body = b'{"a":%s,"b":NaN,"c":1e999,"d":"x\\ud800y","\\udfffk":["\\ud83d\\ude00"]}' % (
        b"9" * 5000
    )
    assert read_answer(body) == {
        "a": None,
        "b": None,
        "c": None,
        "d": "x\ufffdy",
        "\ufffdk": ["\U0001f600"],
    }


def test_what_is_wrong_inside_of_a_page_costs_that_page_only():
    pages = [
        {"pageid": "x", "title": None, "imageinfo": [None], "categories": "x", "index": []},
        {"pageid": 7, "title": "File:Fine.jpg", "imageinfo": [{"sha1": "a" * 40}]},
    ]
    read = read_answer(json.dumps({"query": {"pages": pages}}).encode())
    assert read["query"]["pages"] == [{}, pages[1]]


@pytest.mark.parametrize("status", [400, 401, 404, 405, 410, 414, 451, 204, 206, 304, 300])
def test_a_status_that_repeating_does_not_change_is_a_sentence(status):
    with scripted(answer(200, SITE), answer(status, b"")) as server:
        commons, _, _ = commons_of(server)
        with pytest.raises(Refused, match=f"answered {status}: .*Check host, path and scheme"):
            commons.ask({"list": "search"})
    assert len(server.requests) == 2


def test_a_408_is_asked_again():
    with scripted(answer(200, SITE), answer(408), answer(200, FINE)) as server:
        assert commons_of(server)[0].ask({"list": "search"})


def test_a_redirect_loop_of_the_api_is_told_as_one():
    with (
        scripted(answer(200, SITE), answer(302, Location="/w/api.php")) as server,
        pytest.raises(Refused, match="redirects go round in a circle"),
    ):
        commons_of(server)[0].ask({"list": "search"})
    assert len(server.requests) == 7


# -- continuations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1, 2, 3, 7])
def test_a_continuation_of_any_period_ends(period):
    asked = []

    def page(handler):
        number = len(asked) % period
        asked.append(number)
        body = {"continue": {"gaicontinue": f"{number}", "continue": "||"}, "batchcomplete": True}
        answer(200, json.dumps({**body, "query": {"pages": []}}).encode())(handler)

    with scripted(answer(200, SITE), page) as server:
        commons, _, _ = commons_of(server)
        with pytest.raises(ListingError, match="continues where it was"):
            list(commons.batches({"generator": "allimages"}))
    assert len(asked) == period + 1


def endless(complete):
    count = [0]

    def page(handler):
        count[0] += 1
        body = {"continue": {"gaicontinue": str(count[0])}, "query": {"pages": []}}
        body |= {"batchcomplete": True} if complete else {}
        answer(200, json.dumps(body).encode())(handler)

    return page


@pytest.mark.parametrize("complete", [True, False])
def test_a_continuation_that_never_ends_and_never_repeats_ends_all_the_same(complete, monkeypatch):
    monkeypatch.setattr("crawler.commons.MOST_EMPTY", 20)
    monkeypatch.setattr("crawler.commons.MOST_PARTS", 20)
    with scripted(answer(200, SITE), endless(complete)) as server:
        commons, _, _ = commons_of(server)
        with pytest.raises(ListingError, match="does not end"):
            list(commons.batches({"generator": "allimages"}))
    assert len(server.requests) == 21


def test_a_continuation_does_not_change_the_question():
    body = b'{"continue":{"action":"purge","continue":"||","gaisort":"name"},"query":{}}'
    with scripted(answer(200, SITE), answer(200, body)) as server:
        commons, _, _ = commons_of(server)
        with pytest.raises(ListingError, match="another question"):
            list(commons.batches({"generator": "allimages", "gaisort": "timestamp"}))


# -- what is said of one file -----------------------------------------------------------------------------------------

GOOD = {
    "url": "https://upload.wikimedia.org/a.jpg",
    "sha1": "a" * 40,
    "size": 10,
    "width": 5,
    "height": 5,
    "mime": "image/jpeg",
}


def seen(server, info, **page):
    commons, _, _ = commons_of(server)
    held = {"pageid": 5, "title": "File:A.jpg", "imageinfo": [{**GOOD, **info}], **page}
    body = json.dumps({"query": {"pages": [held]}}).encode()
    (read,) = read_answer(body)["query"]["pages"]
    record, row = commons.seen(read, source="k", path="p")
    row.raw_json.encode()
    return record, trouble_of(record, json.loads(row.raw_json))


WRONG = {
    "wide": ({"width": 2**62}, {}, "width"),
    "negative": ({"height": -5}, {}, "height"),
    "heavy": ({"size": 10**30}, {}, "size"),
    "text for a number": ({"size": "10 kB"}, {}, "size"),
    "no number": ({"width": None}, {}, "width"),
    "malformed SHA-1": ({"sha1": "../../etc/passwd"}, {}, "is no SHA-1"),
    "no SHA-1": ({"sha1": None}, {}, "no SHA-1"),
    "no URL": ({"url": None}, {}, "no URL"),
    "null title": ({}, {"title": None}, "no title"),
    "null id": ({}, {"pageid": None}, "no page id"),
    "known, and missing": ({}, {"pageid": None, "missing": True, "known": True}, "knows its file"),
}


@pytest.mark.parametrize(("info", "page", "said"), WRONG.values(), ids=WRONG)
def test_a_file_of_which_the_wiki_says_what_cannot_be_is_damaged_and_told(info, page, said):
    with scripted(answer(200, SITE)) as server:
        record, trouble = seen(server, info, **page)
    assert record.state == DAMAGED
    assert said in trouble and "--retry" in trouble
    for number in (record.width, record.height, record.size_bytes):
        assert number is None or 0 <= number < 2**53


def test_a_fine_file_and_an_absent_one_are_not_damaged():
    with scripted(answer(200, SITE)) as server:
        assert seen(server, {})[0].state == "ok"
        gone = seen(server, {}, pageid=None, missing=True, imageinfo=[])
    assert (gone[0].state, gone[1]) == ("missing", None)


@pytest.mark.parametrize(
    "url",
    [
        "https://[upload.wikimedia.org/x.png",
        "https://169.254.169.254/x",
        "https://upload.wikimedia.org:8443/x",
        "https://UPLOAD.wikimedia.org/x",
        "https://user@upload.wikimedia.org/x",
        "https://upload.wikimedia.org.evil.test/x",
        "https://commons.wikimedia.org/w/api.php?action=query",
        "https://commons.wikimedia.org/wiki/Special:Random",
        "//upload.wikimedia.org/x",
        "file:///etc/passwd",
        "",
        "x",
        "http://upload.wikimedia.org/x",
        "https://upload.wiki\tmedia.org/x",
        "https://upload.wikimedia.org/a\n.jpg",
        "https://upload.wikimedia.org/\x00",
    ],
)
def test_a_foreign_or_malformed_url_gets_nothing_and_no_advice(url):
    door = PoliteDoor(
        contact="me@lab.org",
        limits=FAST,
        api_hosts=["commons.wikimedia.org"],
        media_hosts=["upload.wikimedia.org"],
        schemes=("https",),
    )
    with pytest.raises(HostNotAllowed) as caught, door.open_media(url):
        pass
    assert "nothing was sent" in str(caught.value)
    assert "recipe" not in str(caught.value)
    assert door.report() == {}


@pytest.mark.parametrize("target", ["https://[", "http://elsewhere.test/x", "\xff\xfe", "//x:y/"])
def test_a_redirect_to_nowhere_or_elsewhere_is_that_files_failure(target):
    with scripted(answer(302, Location=target), answer(200)) as server:
        door, _, _ = door_to(server)
        if target == "\xff\xfe":
            with door.open_media(server.base + "/a.jpg") as body:
                assert body.status == 200
            return
        with pytest.raises(HostNotAllowed), door.open_media(server.base + "/a.jpg"):
            pass
    assert len(server.requests) == 1


def test_encryption_is_not_left_by_a_redirect():
    door = PoliteDoor(contact="me@lab.org", limits=FAST, api_hosts=["wiki.test"], media_hosts=[])
    with pytest.raises(HostNotAllowed, match="not encrypted"):
        door.allowed.connect_to("http://wiki.test/w/api.php", "api", "https://wiki.test/w/api.php")
    assert door.allowed.connect_to("https://wiki.test/x", "api", "http://wiki.test/y")


def test_cookies_of_the_wiki_are_not_kept():
    cookie = answer(200, SITE, Set_Cookie="session=1; Path=/")
    with scripted(cookie) as server:
        door, _, _ = door_to(server)
        for _ in range(2):
            door.session.get(server.base + "/w/api.php")
        with door.open_media(server.base + "/a.jpg") as body:
            list(body.chunks())
    assert all("Cookie" not in headers for _, _, headers in server.requests)


@pytest.mark.parametrize("contact", ["me@lab.org\r\nX-Evil: 1", "me@lab.org\n", "me@lab.org\x00"])
def test_a_contact_with_a_line_break_is_refused_at_the_start(contact):
    with pytest.raises(MissingContact, match="line break"):
        checked_contact(contact)


def test_a_contact_with_letters_of_any_script_is_sent_encoded():
    with scripted(answer(200)) as server:
        door = PoliteDoor(
            contact="Zoë <私@例え.jp>", limits=FAST, api_hosts=[server.netloc], media_hosts=[]
        )
        door.ask_api("GET", server.base + "/w/api.php")
    agent = server.requests[0][2]["User-Agent"]
    assert agent.isascii() and "(Zo%C3%AB <%E7%A7%81@%E4%BE%8B%E3%81%88.jp>)" in agent


# -- Retry-After and patience -----------------------------------------------------------------------------------------

NOW = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("1e9", 1e9),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30.0),
        ("Sun Nov  6 08:50:07 1994", 30.0),
        ("Sun, 06 Nov 1994 08:50:07", 30.0),
        ("Sun, 06 Nov 1994 08:50:07 -0000", 30.0),
        ("Sun, 06 Nov 1994 10:50:07 +0200", 30.0),
        ("Sun, 06 Nov 1994 08:49:07 GMT", 0.0),
        ("5, 60", 60.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1_0", None),
        ("٣", None),
        ("0x10", None),
        ("Sun, 99 Nov 1994 99:99:99 GMT", None),
        ("Nov", None),
    ],
)
def test_retry_after_is_read_in_every_form_and_else_ignored(text, seconds):
    assert retry_after_s(text, now=NOW) == seconds


def test_no_retry_after_is_too_long_to_calculate_with():
    for text in ("9" * 400, "1e400", "Fri, 31 Dec 9999 23:59:59 GMT"):
        assert 1e9 < retry_after_s(text, now=NOW) < 1e11


@pytest.mark.parametrize("status", [429, 503])
def test_an_api_that_asks_for_more_patience_than_there_is_ends_the_run_with_a_time(status):
    with scripted(answer(status, Retry_After="86400")) as server:
        door, slept, _ = door_to(server)
        with pytest.raises(ComeBack, match=r"asks to wait until \d{4}-\d\d-\d\d \d\d:\d\d UTC"):
            door.ask_api("GET", server.base + "/w/api.php")
    assert len(server.requests) == 1
    assert sum(slept) == 0


def test_an_original_that_asks_for_a_day_is_a_failure_and_the_next_is_told_to_come_back():
    date = email.utils.format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
    with scripted(answer(503, Retry_After=date), answer(200)) as server:
        door, slept, _ = door_to(server)
        with pytest.raises(GaveUp, match="UTC"), door.open_media(server.base + "/a.jpg"):
            pass
        with pytest.raises(ComeBack, match="UTC"), door.open_media(server.base + "/b.jpg"):
            pass
    assert len(server.requests) == 1
    assert sum(slept) == 0


def test_a_wait_before_the_next_request_is_told():
    with scripted(answer(429, Retry_After="60"), answer(200)) as server:
        door, slept, said = door_to(server)
        door.ask_api("GET", server.base + "/w/api.php")
    assert max(slept) >= 59
    assert any("60" in line and "s" in line for line in said), said


def test_a_busy_wiki_whose_headers_were_taken_off_is_waited_for_by_its_body():
    lag = answer(200, b'{"error":{"code":"maxlag","info":"Waiting for db1"}}')
    with scripted(answer(200, SITE), *[lag] * 8, answer(200, FINE)) as server:
        assert commons_of(server)[0].ask({"list": "search"})
    assert len(server.requests) == 10


def test_403_of_the_api_ends_the_run_at_once():
    with scripted(answer(403)) as server:
        door, _, _ = door_to(server)
        with pytest.raises(CircuitOpen):
            door.ask_api("GET", server.base + "/w/api.php")


@pytest.mark.parametrize("status", [403, 429])
def test_one_original_that_is_refused_for_ever_does_not_open_the_breaker(status):
    with scripted(answer(status)) as server:
        door, _, _ = door_to(server)
        for _ in range(4):
            if status == 403:
                with door.open_media(server.base + "/a.jpg") as body:
                    assert body.status == 403
            else:
                with pytest.raises(GaveUp), door.open_media(server.base + "/a.jpg"):
                    pass
        assert door.breaker.open_because is None


# -- time and size ----------------------------------------------------------------------------------------------------


class Dripping:
    """A server that sends a byte now and then, for ever, from a place of the answer on."""

    def __init__(self, start):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.netloc = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.base, self.start, self.asked = f"http://{self.netloc}", start, 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.asked += 1
            threading.Thread(target=self.drip, args=(client,), daemon=True).start()

    def drip(self, client):
        try:
            client.recv(65536)
            client.sendall(self.start)
            for _ in range(400):
                client.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            pass
        finally:
            client.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.listener.close()


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"],
    ids=["status line", "head", "body"],
)
@pytest.mark.parametrize("kind", ["api", "media"])
def test_an_answer_that_drips_ends_wherever_it_drips(start, kind):
    limits = Limits(
        api_total_s=0.5, media_total_s=0.5, read_timeout_s=5, max_attempts=2, backoff_s=0.01
    )
    with Dripping(start) as server:
        door, _, _ = door_to(server, limits)
        began = time.monotonic()
        if kind == "api":
            with pytest.raises(GaveUp, match="2 times"):
                door.ask_api("GET", server.base + "/w/api.php")
        else:
            with pytest.raises((GaveUp, ConnectionError)), door.open_media(server.base) as body:
                list(body.chunks())
            assert server.asked == 1, "so long a wait is not repeated for one file"
        # 20 s of dripping were ahead.
        assert time.monotonic() - began < 15


MEMORY = """
import sys
from crawler.commons import Commons, ListingError
from crawler.limits import DoorError, Limits
from crawler.politeness import PoliteDoor
from crawler.sources import SiteConfig
limits = Limits(backoff_s=0.001, backoff_429_s=0.001, max_attempts=2)
door = PoliteDoor(contact="me@lab.org", limits=limits, api_hosts=[sys.argv[1]], media_hosts=[], sleep=lambda s: None)
commons = Commons(door, SiteConfig(host=sys.argv[1], scheme="http"))
try:
    for batch in commons.batches({"generator": "allimages"}):
        pass
    print("ended")
except (DoorError, ListingError) as error:
    print(type(error).__name__)
"""
PEAK = """
# Of this program alone: rusage also knows what the process was before it.
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""
ORIGINAL = """
import sys
from pathlib import Path
from crawler.download import DownloadFailure, ObjectStore, fetch_original
from crawler.limits import Limits
from crawler.politeness import PoliteDoor
limits = Limits(backoff_s=0.001, backoff_429_s=0.001, max_attempts=2, media_total_s=5, api_total_s=5)
door = PoliteDoor(contact="me@lab.org", limits=limits, api_hosts=[], media_hosts=[sys.argv[1]], sleep=lambda s: None)
try:
    fetch_original(door, ObjectStore(Path(sys.argv[2])), url=f"http://{sys.argv[1]}/a.jpg", sha1="a" * 40,
        size_bytes=200_000_000, mime="image/jpeg", check=lambda path, mime: None)
    print("taken")
except DownloadFailure as failure:
    print(failure.kind)
"""


def streamed(piece, count, head=b"", *, status=200, head_only=b""):
    def send(handler):
        handler.send_response(status)
        handler.send_header("Connection", "close")
        if head_only:
            handler.flush_headers()
            handler.wfile.write(head_only)
        else:
            handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(head)
        for _ in range(count):
            handler.wfile.write(piece)

    return send


BOMB = gzip.compress(b"[" * 300_000_000, compresslevel=1)
HEAVY = {
    "endless": streamed(b" " * 65536, 100_000),
    "63 MB of one text": streamed(b"x" * 65536, 960, b'{"a":"'),
    "63 MB of text with a wide letter": streamed(b"x" * 65536, 960, '{"a":"\U0001f600'.encode()),
    "60 MB of empty lists": streamed(b"[]," * 20_000, 1000, b'{"a":['),
    "60 MB of empty objects": streamed(b"{}," * 20_000, 1000, b'{"a":['),
    "60 MB of numbers": streamed(b"1.5," * 15_000, 1000, b'{"a":['),
    "60 MB of escapes": streamed(b"\\ud83d\\ude00" * 5000, 1000, b'{"a":"'),
    "60 MB of wide letters": streamed("\U0001f600".encode() * 15_000, 1000, b'{"a":"'),
    "gzip bomb": answer(200, BOMB, Content_Encoding="gzip"),
    "gzip bombs in each other": answer(
        200, gzip.compress(BOMB, compresslevel=9), Content_Encoding="gzip, gzip"
    ),
    "parts that never end a batch": None,
}
HEAVY_ORIGINALS = {
    "endless": streamed(b"x" * 65536, 100_000),
    "gzip bomb": answer(200, BOMB, Content_Encoding="gzip"),
    "gzip bombs in each other": answer(200, gzip.compress(BOMB), Content_Encoding="gzip, gzip"),
    "dripping": drip,
    "a refusal without end": streamed(b"x" * 65536, 10_000, status=429),
    "heads without end": lambda handler: handler.wfile.write(
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10**6
    ),
    "a line of a head without end": streamed(b"x" * 65536, 1000, head_only=b"X-Long: "),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_the_crawler_stays_under_300_mb_under_any_body(name):
    count = [0]

    def parts(handler):
        count[0] += 1
        pages = [{"pageid": count[0] * 1000 + i, "title": "x" * 20_000} for i in range(100)]
        body = {"query": {"pages": pages}, "continue": {"gaicontinue": str(count[0])}}
        answer(200, json.dumps(body).encode())(handler)

    with scripted(answer(200, SITE), HEAVY[name] or parts) as server:
        ended = ended_under_300_mb(name, MEMORY, server.netloc)
    assert ended in ("GaveUp", "ListingError")


def ended_under_300_mb(name, program, *arguments):
    """What the program printed, run in a process of its own whose peak is looked at."""
    done = subprocess.run(
        [sys.executable, "-c", program + PEAK, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    ended, peak = done.stdout.split()
    sys.stderr.write(f"{name}: {ended} {peak} MB\n")
    assert int(peak) < 300, f"{name}: {peak} MB"
    return ended


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(list(HEAVY_ORIGINALS)))
def test_the_crawler_stays_under_300_mb_under_any_original(tmp_path, name):
    with scripted(HEAVY_ORIGINALS[name]) as server:
        ended = ended_under_300_mb(name, ORIGINAL, server.netloc, str(tmp_path))
    assert ended in ("sha1_mismatch", "timeout", "gave_up", "truncated")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
