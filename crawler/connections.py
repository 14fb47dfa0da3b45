"""HTTP connections that end in time: a whole answer, head included, has one deadline, however slowly its bytes drip.

The time-outs of sockets start again with every byte. Here each read of an answer gets at most what is left of the time
that the request was given (`within`); the same object is asked for heads and bodies, chunked or not, with TLS or not.
"""

from __future__ import annotations

import http.client
import io
import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

_ENDS: ContextVar[float] = ContextVar("lucidlr_answer_ends", default=math.inf)


@contextmanager
def within(seconds: float) -> Generator[float]:
    """Answers to what is asked inside have to be whole in so many seconds, or reading them raises TimeoutError.

    Yields the moment at which they end, of time.monotonic().
    """
    ends = time.monotonic() + seconds
    token = _ENDS.set(ends)
    try:
        yield ends
    finally:
        _ENDS.reset(token)


class _TimedStream(io.RawIOBase):
    """The bytes of a socket, until a moment."""

    def __init__(self, sock: Any, ends: float) -> None:
        self.sock = sock
        self.ends = ends
        self.patience_s: float | None = sock.gettimeout()
        self.raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Reads what comes; raises TimeoutError when the answer's time, or the socket's patience, is over."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long in all")
        if left < math.inf:
            self.sock.settimeout(left if self.patience_s is None else min(left, self.patience_s))
        return self.raw.readinto(buffer)

    def close(self) -> None:
        """Closes the stream; the connection stays with its pool."""
        try:
            self.raw.close()
        finally:
            super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer that is read through a _TimedStream."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        untimed = self.fp
        timed: Any = io.BufferedReader(_TimedStream(sock, _ENDS.get()))
        self.fp = timed
        untimed.close()


class _HTTPConnection(HTTPConnection):
    response_class = _TimedResponse


class _HTTPSConnection(HTTPSConnection):
    response_class = _TimedResponse


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection  # pyright: ignore[reportAssignmentType]


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection  # pyright: ignore[reportAssignmentType]


_POOLS: Any = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """requests' adapter over these connections."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """See HTTPAdapter."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """See HTTPAdapter."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: the door follows redirects itself; requests would read any body, and trip over a malformed target."""
        return None


def timed_session(*, trust_env: bool) -> requests.Session:
    """A session whose answers end in time, and that keeps no cookie.

    `trust_env`: whether the machine's environment may name proxies and certificates.
    """
    session = _Session()
    adapter = _Adapter(pool_maxsize=8)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.trust_env = trust_env
    return session
