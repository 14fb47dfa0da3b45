"""Answers as they arrive through the polite door: bodies read piece by piece, at a rate, within a time and a size."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import requests
import urllib3

from crawler.limits import BodyInterrupted, EmbeddedBroken, Limits, Refused, TokenBucket

CHUNK_BYTES = 65536
MOST_ANSWER_BYTES = 64 * 1024 * 1024
"""Of one unpacked answer of the API; MediaWiki cuts its own at 8 MiB of content."""
MOST_REFUSAL_BYTES = 65536
"""Of a refusal, which is only looked into."""


class TooLarge(ConnectionError):
    """An answer of the API that does not end where answers end."""


class Door(Protocol):
    """What an answer needs of the door that it came through (crawler.politeness.PoliteDoor)."""

    limits: Limits
    bandwidth: TokenBucket
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def ask_api(self, method: str, url: str, **options: Any) -> requests.Response:
        """One API request with all its retries."""
        ...


class DoorSession(requests.Session):
    """Looks like a requests session to mwclient; every request goes through the door as an API request."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """See requests.Session.request; time-outs, redirects and retries are the door's."""
        sent = {key: options[key] for key in ("params", "data", "headers") if options.get(key)}
        return self.door.ask_api(method, url, **sent)


class ApiSession(DoorSession):
    """The same for one wiki's API: hands on answers with status 200 only, and keeps their bytes for `take`."""

    body: bytes | bytearray = b""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """As DoorSession; an empty answer to mwclient, which would guess at its encoding and its headers.

        Raises:
            Refused: another status, which repeating does not change.
            crawler.limits.DoorError: see there.
        """
        response = super().request(method, url, *args, **options)
        status = response.status_code
        if status != 200:
            said = {
                401: "it wants a login",
                404: "there is no API",
                414: "the question is too long",
            }.get(
                status, "redirects go round in a circle" if response.is_redirect else "it refuses"
            )
            raise Refused(
                f"{url} answered {status}: {said}. Check host, path and scheme under site in the recipe; nothing that "
                "was committed is lost."
            )
        self.body = response.content
        taken = requests.Response()
        taken.status_code = 200
        vars(taken).update(_content=b"", _content_consumed=True)
        return taken

    def take(self) -> bytes | bytearray:
        """The body of the last answer, once."""
        body, self.body = self.body, b""
        return body


class Body:
    """An open answer of the media host."""

    def __init__(self, door: Door, response: requests.Response) -> None:
        self.door = door
        self.response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.received = 0
        self.ends: float = getattr(response, "ends", math.inf)

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece, at no more than the allowed rate.

        Raises:
            BodyInterrupted: it broke off, stalled, or took longer than `media_total_s`.
        """
        started = self.door.clock()
        while True:
            try:
                chunk = self.response.raw.read1(CHUNK_BYTES, decode_content=True)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if time.monotonic() >= self.ends - 0.05:
                    raise BodyInterrupted(self._too_slow()) from None
                raise BodyInterrupted(f"after {self.received} bytes: {error}") from error
            if not chunk:
                return
            self.received += len(chunk)
            if self.door.clock() - started > self.door.limits.media_total_s:
                raise BodyInterrupted(self._too_slow())
            yield chunk
            self.door.sleep(self.door.bandwidth.take(len(chunk)))

    def _too_slow(self) -> str:
        return f"too slow: {self.received} bytes in {self.door.limits.media_total_s} s"


def read_body(response: requests.Response, *, clock: Callable[[], float], most_s: float) -> None:
    """Reads an answer's body; that of a refusal may be damaged, what its head says counts all the same.

    Raises:
        TimeoutError, OSError, urllib3.exceptions.HTTPError: the body of another answer broke off.
        TooLarge: it has more than MOST_ANSWER_BYTES, unpacked.
    """
    refusal = response.status_code != 200
    most_bytes = MOST_REFUSAL_BYTES if refusal else MOST_ANSWER_BYTES
    body = bytearray()
    ends = clock() + most_s
    try:
        while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
            body += piece
            if clock() > ends:
                raise TimeoutError
            if len(body) > most_bytes:
                raise TooLarge(f"more than {most_bytes} bytes")
    except (urllib3.exceptions.HTTPError, OSError):
        # A connection that was not read to its end serves nobody else.
        response.close()
        if not refusal:
            raise
        del body[most_bytes:]
    # What `requests` does when it reads a body itself; of a large one there is no second copy.
    vars(response).update(_content=body, _content_consumed=True)


def is_maxlag(response: requests.Response) -> bool:
    """Whether the wiki says that its databases lag, and that we are to wait."""
    return response.headers.get("MediaWiki-API-Error") == "maxlag" or (
        "X-Database-Lag" in response.headers and "Retry-After" in response.headers
    )


def broken(response: requests.Response) -> EmbeddedBroken:
    """The error for a 500 of the embedded Commons, which carries a traceback."""
    last_line = "".join(response.text.strip().splitlines()[-1:])
    response.close()
    return EmbeddedBroken(
        f"The embedded Commons failed at {response.url}: {last_line}. Its traceback is in the log; this is a mistake "
        "in crawler/loopback or in the corpus, not in the recipe."
    )
