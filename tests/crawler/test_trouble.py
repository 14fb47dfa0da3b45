"""What the door says while a host does not answer."""

import threading
import time

import pytest

from crawler.limits import CircuitOpen, GaveUp, Limits, MissingContact, checked_contact
from crawler.politeness import PoliteDoor
from tests.crawler.servers import scripted

NOBODY = "127.0.0.1:9"
"""Port 9, discard: nobody listens."""


def door(said, **limits):
    return PoliteDoor(
        contact="me@example.org",
        limits=Limits(backoff_s=0.01, **limits),
        api_hosts=(NOBODY,),
        media_hosts=(),
        # Ours to ask as often as we like: no rate is kept.
        host_map={NOBODY: f"http://{NOBODY}"},
        say=said.append,
    )


def test_each_failed_attempt_is_told_with_the_next_and_the_end_is_one_sentence(monkeypatch):
    monkeypatch.setattr("crawler.trouble.TELL_EVERY_S", 0.0)
    said = []
    with pytest.raises(GaveUp) as caught:
        door(said, max_attempts=3).ask_api("GET", f"http://{NOBODY}/w/api.php")
    assert [line.split(";")[0] for line in said] == [
        f"{NOBODY}: no connection (the connection was refused)"
    ] * 2
    assert "next attempt (2 of 3)" in said[0]
    assert "next attempt (3 of 3)" in said[1]
    assert str(caught.value).startswith(
        f"No connection to {NOBODY} in 3 attempts (the connection was refused). Is there a network?"
    )


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "it hung up without an answer"),
        (b"220 mail.lab.org ESMTP\r\n", "what answers speaks no HTTP"),
        (HEAD + b"X: y\r\n" * 500 + b"\r\n", "the head of its answer cannot be read"),
        (HEAD + b"Content-Length: 99\r\n\r\n{}", "its answer broke off"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}", "its answer broke off"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "cannot be unpacked"),
    ],
)
def test_an_answer_that_cannot_be_read_is_no_missing_network(sent, said):
    def garbage(handler):
        handler.close_connection = True
        handler.wfile.write(sent)

    with scripted(garbage) as server:
        one = PoliteDoor(
            contact="me@example.org",
            limits=Limits(backoff_s=0.001, max_attempts=2),
            api_hosts=(server.netloc,),
            media_hosts=(),
            host_map={server.netloc: server.base},
        )
        with pytest.raises(GaveUp, match=f"was asked 2 times, and .*{said}"):
            one.ask_api("GET", f"{server.base}/w/api.php")


def test_many_requests_at_once_say_it_once():
    said = []
    one = door(said, max_attempts=2)
    threads = [threading.Thread(target=_asked, args=(one,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1


def _asked(one):
    with pytest.raises(GaveUp):
        one.ask_api("GET", f"http://{NOBODY}/w/api.php")


def test_who_interrupts_waits_for_no_pause():
    said = []
    one = PoliteDoor(
        contact="me@example.org",
        limits=Limits(backoff_s=3600.0, backoff_max_s=3600.0, patience_s=1e6),
        api_hosts=(NOBODY,),
        media_hosts=(),
        say=said.append,
    )
    ended = []

    def ask():
        with pytest.raises(CircuitOpen, match="interrupted"):
            one.ask_api("GET", f"http://{NOBODY}/w/api.php")
        ended.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    for _ in range(500):
        if said:
            break
        time.sleep(0.02)
    one.end()
    thread.join(timeout=30)
    assert ended == [True], "it would have waited for an hour"
    with pytest.raises(CircuitOpen):
        one.ask_api("GET", f"http://{NOBODY}/w/api.php")


@pytest.mark.parametrize("contact", [None, "", "me", "me@host", "lab.org"])
def test_what_is_neither_an_address_nor_a_page_is_no_contact(contact):
    with pytest.raises(MissingContact, match="Pass --contact"):
        checked_contact(contact)
