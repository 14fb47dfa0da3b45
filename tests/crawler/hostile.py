"""A Commons that answers as no wiki should: the embedded one's answers, damaged by seeded chance."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from crawler.loopback import LoopbackCommons
from crawler.loopback.api import answer
from tests.crawler.book import Asked, Book, Clock

WRONG_VALUES: list[Any] = [
    *(None, [], {}, "", "x", 5, -1, 0, True, False, 1.5, 2**62, -(2**70), 10**30),
    *("\ud800", "\x00", "\x1b]0;x\x07", "\x9b31m", "\u202e", "A" * 5000, "https://[x", "ÄÖ|#{}"),
    *([None], [5], [[]], [{}], {"1": None}, {"*": []}, [None, {"title": None}], {"_type": "lang"}),
]
RETRY_AFTER = [
    *("0", "-5", "1e9", "nonsense", "1, 2", "Sun, 06 Nov 1994 08:49:37 GMT", "\xe9"),
    *("Sun, 06 Nov 1994 08:49:37", "Sun Nov  6 08:49:37 1994", "Sunday, 06-Nov-94 08:49:37 GMT"),
    *("Sun, 06 Nov 2094 08:49:37 -0000", "99999999999999999999", "nan", "inf", ""),
    *("7", "30", "1.5", "90, 12"),
]
LOCATIONS = [
    *("http://elsewhere.test/", "https://[", "//upload.wikimedia.org:81/x", "/w/api.php", "", "#"),
    *("\xff\xfe", "file:///etc/passwd", "http://169.254.169.254/", "HTTP://COMMONS.WIKIMEDIA.ORG/"),
]
HEADERS = [
    ("Set-Cookie", "a=b; Domain=.org; Expires=Mon, 99 Foo 9999"),
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "br, zstd, x"),
    ("Content-Length", "5, 7"),
    ("Content-Length", "-1"),
    ("Content-Type", "text/html; charset=utf-99"),
    ("X-Database-Lag", "x"),
    ("MediaWiki-API-Error", "maxlag"),
    ("Transfer-Encoding", "chunked"),
    ("X-Long", "y" * 70_000),
]


class Hostile:
    """Decides, request by request, what is wrong with the answer."""

    def __init__(self, seed: int, commons: LoopbackCommons, *, rate: float, most: int) -> None:
        self.chance = random.Random(seed)
        self.commons = commons
        self.rate = rate
        self.left = most
        self.base = ""
        self.clock = Clock()
        self.book = Book(self.clock)
        self.did: list[str] = []
        self.mistakes: list[str] = []
        self.lock = threading.Lock()

    @property
    def netloc(self) -> str:
        """Host and port."""
        return self.base.removeprefix("http://")

    def damage(self) -> Callable[[Reply], None] | None:
        """What to do to the next answer; None: nothing."""
        with self.lock:
            if self.left <= 0 or self.chance.random() >= self.rate:
                return None
            self.left -= 1
            ways = [
                *[_wrong_value] * 8,
                *(_key_gone, _status, _status, _header, _retry_after, _redirect, _bytes, _bytes),
                *(_text, _continue, _continue, _nested, _number, _hang_up, _empty),
            ]
            way = self.chance.choice(ways)
            self.did.append(way.__name__)
            return way


class Reply:
    """One answer before it goes out."""

    def __init__(self, chance: random.Random, body: bytes, kind: str) -> None:
        self.chance = chance
        self.status, self.body = 200, body
        self.headers: list[tuple[str, str]] = [("Content-Type", kind)]
        self.hang_up = False

    @property
    def answer(self) -> Any:
        """As JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def put(self, answer: Any) -> None:
        """Sends this JSON."""
        self.body = json.dumps(answer).encode()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, below in list(pairs)[:60]:
            found += _places(below, (*path, key))
    return found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _wrong_value(reply: Reply) -> None:
    held = reply.answer
    if held is None:
        return _bytes(reply)
    held = copy.deepcopy(held)
    places = _places(held)
    # As often near the root as among the many leaves.
    depth = reply.chance.randint(0, max(map(len, places), default=0))
    near = [place for place in places if len(place) == depth]
    wrong = reply.chance.choice(WRONG_VALUES)
    if not near:
        return reply.put(wrong)
    path = reply.chance.choice(near)
    _at(held, path[:-1])[path[-1]] = wrong
    return reply.put(held)


def _key_gone(reply: Reply) -> None:
    held = reply.answer
    places = [place for place in _places(held) if isinstance(place[-1], str)] if held else []
    if places:
        path = reply.chance.choice(places)
        del _at(held, path[:-1])[path[-1]]
        reply.put(held)


def _status(reply: Reply) -> None:
    reply.status = reply.chance.choice(
        [
            *(201, 204, 206, 300, 304, 400, 401, 403, 404, 405, 408, 410, 413, 414, 416, 418),
            *(429, 431, 451, 500, 501, 502, 503, 504, 511, 599, 999),
        ]
    )
    if reply.chance.random() < 0.5:
        reply.body = b"<html><title>no</title>"


def _header(reply: Reply) -> None:
    reply.headers.append(reply.chance.choice(HEADERS))


def _retry_after(reply: Reply) -> None:
    reply.status = reply.chance.choice([429, 503, 200])
    reply.headers.append(("Retry-After", reply.chance.choice(RETRY_AFTER)))


def _redirect(reply: Reply) -> None:
    reply.status = reply.chance.choice([301, 302, 303, 307, 308])
    reply.headers.append(("Location", reply.chance.choice(LOCATIONS)))


def _bytes(reply: Reply) -> None:
    body, chance = reply.body, reply.chance
    cut = chance.randrange(len(body) + 1)
    reply.body = chance.choice(
        [
            body[:cut],
            body[:cut] + b"\xff\xfe\x80" + body[cut:],
            b"\xef\xbb\xbf" + body,
            bytes(chance.randrange(256) for _ in range(200)),
            gzip.compress(body),
            gzip.compress(b"[" * 3_000_000),
            body + b"}",
            b"[" * 200_000,
            b'{"a":' * 100_000,
        ]
    )
    if reply.body[:2] == b"\x1f\x8b":
        reply.headers.append(("Content-Encoding", "gzip"))


def _text(reply: Reply) -> None:
    reply.body = reply.body.replace(
        b'"', reply.chance.choice([b'"\\ud83d', b'"\\u0000', b'"\\ud800\\ud800']), 9
    )


def _continue(reply: Reply) -> None:
    held = reply.answer
    if not isinstance(held, dict):
        return
    chance = reply.chance
    held["continue"] = chance.choice(
        [
            {"continue": "||", "gaicontinue": "A.jpg"},
            {"continue": f"-||{chance.randrange(3)}"},
            {"gsroffset": "x"},
            {"action": "purge", "continue": "||"},
            {"continue": None},
            "||",
            {"gcmcontinue": {"a": 1}},
        ]
    )
    held.pop("batchcomplete", None)
    reply.put(held)


def _nested(reply: Reply) -> None:
    held = reply.answer
    if isinstance(held, dict):
        deep: Any = []
        for _ in range(500):
            deep = [deep]
        held["query"] = {"pages": [{"title": "File:Deep.jpg", "imageinfo": deep}]}
        reply.put(held)


def _number(reply: Reply) -> None:
    digits = reply.chance.choice([b"9" * 5000, b"1e9999", b"NaN", b"-Infinity", b"0.1e-99999"])
    reply.body = reply.body.replace(b'"width": ', b'"width": ' + digits + b', "was": ')
    reply.body = reply.body.replace(b'"pageid": ', b'"pageid": ' + digits + b', "was": ', 1)


def _hang_up(reply: Reply) -> None:
    reply.hang_up = True


def _empty(reply: Reply) -> None:
    reply.body = reply.chance.choice([b"", b"{}", b"null", b"[]", b'"x"', b"5"])


@contextmanager
def hostile_commons(
    seed: int, commons: LoopbackCommons, *, rate: float, most: int = 10**9
) -> Iterator[Hostile]:
    """Serves the answers of an embedded Commons, each damaged with a chance of `rate`, `most` of them in all."""
    state = Hostile(seed, commons, rate=rate, most=most)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = self.rfile.read(length).decode() if length else ""
            with state.book.noted(self.path, self.headers.get("User-Agent") or "") as asked:
                self.answer(form, asked)

        def answer(self, form: str, asked: Asked) -> None:
            url = urlsplit(self.path)
            if url.path.endswith("api.php"):
                params = dict(parse_qsl(f"{url.query}&{form}", keep_blank_values=True))
                body = json.dumps(answer(commons.wiki, params, lag_s=0.0).body).encode()
                # Without a host map the door keeps its rates; so the files have to be here.
                body = body.replace(b"https://upload.wikimedia.org", state.base.encode())
                reply = Reply(state.chance, body, "application/json; charset=utf-8")
            else:
                path = unquote(url.path).removeprefix("/wikipedia/commons/")
                page = commons.wiki.pages.by_path.get(path)
                stored = page.file if page else None
                body = stored.path.read_bytes() if stored else b"gone"
                reply = Reply(state.chance, body, stored.mime if stored else "text/html")
                reply.status = 200 if stored else 404
            damage = state.damage()
            if damage is not None:
                try:
                    damage(reply)
                except Exception as error:
                    # A mistake of the test, which must not look like one more way to hang up.
                    state.mistakes.append(f"{state.did[-1]}: {error!r}")
                    raise
            asked.status, asked.answered_s = 0 if reply.hang_up else reply.status, state.clock()
            asked.retry_after = dict(reply.headers).get("Retry-After")
            with contextlib.suppress(ConnectionError):
                self.send(reply)

        do_POST = do_GET

        def send(self, reply: Reply) -> None:
            if reply.hang_up:
                self.close_connection = True
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                return
            lines = [f"HTTP/1.1 {reply.status} Any", f"X-Now: {time.time()}"]
            lines += [f"{name}: {value}" for name, value in reply.headers]
            if not any(name == "Content-Length" for name, _ in reply.headers):
                lines.append(f"Content-Length: {len(reply.body)}")
            self.close_connection = True
            lines.append("Connection: close")
            head = "\r\n".join(lines) + "\r\n\r\n"
            self.wfile.write(head.encode("latin-1", "replace") + reply.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
