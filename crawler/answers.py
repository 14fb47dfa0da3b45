"""Answers as they arrive through the polite door: bodies read piece by piece, at a rate and within a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import requests
import urllib3

from crawler.limits import BodyInterrupted, Limits, TokenBucket

CHUNK_BYTES = 65536


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


class Body:
    """An open answer of the media host."""

    def __init__(self, door: Door, response: requests.Response) -> None:
        self.door = door
        self.response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.received = 0

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
                raise BodyInterrupted(f"after {self.received} bytes: {error}") from error
            if not chunk:
                return
            self.received += len(chunk)
            if self.door.clock() - started > self.door.limits.media_total_s:
                raise BodyInterrupted(
                    f"too slow: {self.received} bytes in {self.door.limits.media_total_s} s"
                )
            yield chunk
            self.door.sleep(self.door.bandwidth.take(len(chunk)))


def read_body(response: requests.Response, *, clock: Callable[[], float], most_s: float) -> None:
    """Reads an answer's body; that of a refusal may be damaged, what its head says counts all the same.

    Raises:
        TimeoutError, OSError, urllib3.exceptions.HTTPError: the body of another answer broke off.
    """
    try:
        _read_all(response, clock=clock, most_s=most_s)
    except (urllib3.exceptions.HTTPError, OSError):
        if response.status_code != 429 and response.status_code < 500:
            raise
        vars(response).update(_content=b"", _content_consumed=True)


def _read_all(response: requests.Response, *, clock: Callable[[], float], most_s: float) -> None:
    """Reads the whole body of an API answer, which ends also where it only drips.

    Raises:
        TimeoutError: it took longer than `most_s`.
    """
    ends, pieces = clock() + most_s, list[bytes]()
    while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
        pieces.append(piece)
        if clock() > ends:
            response.close()
            raise TimeoutError
    # What `requests` does when it reads a body itself.
    vars(response).update(_content=b"".join(pieces), _content_consumed=True)


def is_maxlag(response: requests.Response) -> bool:
    """Whether the wiki says that its databases lag, and that we are to wait."""
    return response.headers.get("MediaWiki-API-Error") == "maxlag" or (
        "X-Database-Lag" in response.headers and "Retry-After" in response.headers
    )
