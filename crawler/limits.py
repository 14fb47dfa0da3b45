"""What a run allows itself towards Wikimedia, the errors of its HTTP door, and the bucket that keeps a rate."""

from __future__ import annotations

import email.utils
import re
import string
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import quote

from catalog.errors import Expected
from catalog.records import RequestRow


class DoorError(Expected, RuntimeError):
    """A request that was not made or not answered; the message says what to do."""


class MissingContact(DoorError):
    """Wikimedia asks for the operator's contact in the User-Agent; without one nothing is sent."""


_CONTACT = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|https?://\S+")
_PRINTABLE = string.punctuation + " "
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def checked_contact(contact: str | None) -> str:
    """The contact as it goes into a header: letters outside of ASCII as %XX of their UTF-8.

    Raises:
        MissingContact: it holds neither an e-mail address nor a URL, or a line break.
    """
    if not contact or not _CONTACT.search(contact):
        raise MissingContact(
            "Wikimedia asks every client to name its operator. Pass --contact with your e-mail address or a page "
            "about you, or set LUCIDLR_CONTACT."
        )
    if _BREAKS.search(contact):
        raise MissingContact(
            f"The contact {contact!r} holds a line break or another control character, which no header may. Pass "
            "--contact with your e-mail address or a page about you on one line."
        )
    # Lone surrogates are what is left of bytes that were no UTF-8 on the command line.
    return quote(contact, safe=_PRINTABLE, errors="replace")


class HostNotAllowed(DoorError):
    """A URL, or a redirect, points to where this run may not ask, or cannot be read as one; nothing was sent there."""


class GaveUp(DoorError):
    """All attempts failed."""


class Refused(DoorError):
    """The wiki answered with a status that no repetition changes."""


class CircuitOpen(DoorError):
    """The wiki refuses us; the run ends, and nothing that was committed is lost."""


class ComeBack(CircuitOpen):
    """The wiki asks for a longer wait than `patience_s`; the message says until when."""


class EmbeddedBroken(DoorError):
    """The embedded Commons failed: a mistake in its code or its corpus, which no waiting mends."""


BROKEN = "X-LucidLR-Broken"
"""Header of the embedded Commons' 500; the body is its traceback."""


class BodyInterrupted(ConnectionError):
    """The body of an answer broke off or came too slowly."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run allows itself."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    api_per_minute: float = 100.0
    """API requests a minute; 200 is Wikimedia's limit for a User-Agent with contact."""
    api_in_flight: int = 3
    """API requests at a time."""
    media_in_flight: int = 2
    """Downloads at a time."""
    media_mbit_per_s: float = 25.0
    """All downloads together."""
    maxlag_s: int = 5
    """The API refuses work while its replicas lag more than this; we wait."""
    max_attempts: int = 6
    """Attempts per request; waiting for a lagging wiki does not count."""
    patience_s: float = 1800.0
    """Longest wait in all for one request; a wiki that asks for more ends the run, with the time to come back."""
    backoff_s: float = 1.0
    """First wait where no Retry-After is given; doubled each time, with jitter."""
    backoff_429_s: float = 5.0
    """Shortest wait after a 429 without Retry-After."""
    backoff_max_s: float = 120.0
    """Longest wait between two attempts where no Retry-After is given."""
    connect_timeout_s: float = 10.0
    """For a connection."""
    read_timeout_s: float = 60.0
    """For the next bytes."""
    api_total_s: float = 300.0
    """For one whole answer of the API, its head included."""
    media_total_s: float = 900.0
    """For one whole download, its head included: a slow drip ends."""
    breaker_429: int = 5
    """So many 429 in a row of the API, or 429 or 403 of so many different originals in a row, open the breaker."""

    def __post_init__(self) -> None:
        if not 0 < self.api_per_minute <= 200:
            raise ValueError(
                "api_per_minute: above 0 and at most 200, Wikimedia's limit with a contact."
            )
        if not 1 <= self.api_in_flight <= 3 or not 1 <= self.media_in_flight <= 2:
            raise ValueError(
                "in flight: Wikimedia asks for at most 3 API requests and 2 downloads at a time."
            )
        if not 0 < self.media_mbit_per_s <= 25:
            raise ValueError("media_mbit_per_s: above 0 and at most 25, Wikimedia's limit.")
        if self.max_attempts < 1 or self.breaker_429 < 1:
            raise ValueError("max_attempts and breaker_429 are at least 1.")


INTERRUPTED = "The run was interrupted."


class Waits:
    """Pauses that all end at once when the run is interrupted."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def sleep(self, seconds: float) -> None:
        """As time.sleep.

        Raises:
            CircuitOpen: the run was interrupted.
        """
        if self.ended.wait(seconds):
            raise CircuitOpen(INTERRUPTED)


class TokenBucket:
    """Allows `rate` units a second on average and `burst` at once. Thread-safe; debts are waited for in order."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self.rate = rate
        self.burst = burst
        self.clock = clock
        self.level = burst
        self.at = clock()
        self.lock = threading.Lock()

    def take(self, amount: float = 1.0) -> float:
        """Takes `amount` and returns the seconds to wait before using it; an infinite rate never waits."""
        if self.rate == float("inf"):
            return 0.0
        with self.lock:
            now = self.clock()
            self.level = min(self.burst, self.level + (now - self.at) * self.rate) - amount
            self.at = now
            return max(0.0, -self.level / self.rate)


@dataclass
class HostReport:
    """What one host was asked in this run."""

    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    max_in_flight: int = 0
    retry_after: int = 0
    outcomes: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, row: RequestRow) -> None:
        """One attempt more."""
        self.requests += 1
        self.bytes += row.size_bytes
        self.seconds += row.seconds
        self.waited_s += row.waited_s
        self.max_in_flight = max(self.max_in_flight, row.in_flight)
        self.retry_after += row.retry_after_s is not None
        self.outcomes[row.outcome] = self.outcomes.get(row.outcome, 0) + 1


LONGEST_S = 100 * 365 * 86400.0
"""What is longer is read as this."""
_SECONDS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def retry_after_s(value: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or an HTTP date in any of its three forms.

    Dates without a zone are UTC, of several values the longest wait counts, and what is over already is 0. None when
    it is absent or cannot be read. `now`: default is the clock.
    """
    if value is None:
        return None
    parts = [value] if _date(value) else value.split(",")
    waits = [wait for part in parts if (wait := _wait_s(part.strip(), now)) is not None]
    return max(waits, default=None)


def _wait_s(text: str, now: datetime | None) -> float | None:
    if _SECONDS.fullmatch(text):
        # An overflow is infinite, and LONGEST_S then.
        return min(max(float(text), 0.0), LONGEST_S)
    at = _date(text)
    if at is None:
        return None
    return min(max((at - (now or datetime.now(UTC))).total_seconds(), 0.0), LONGEST_S)


def _date(text: str) -> datetime | None:
    """An HTTP date: IMF-fixdate, RFC 850 or asctime."""
    # Others are taken apart by the parser, too, and mean nothing: it needs the name of a month.
    if not re.search(r"[A-Za-z]{3}", text):
        return None
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class Lane:
    """One kind of request: its semaphore, its bucket, and the time before which nothing may be sent."""

    def __init__(self, slots: int, bucket: TokenBucket | None) -> None:
        self.slots = threading.BoundedSemaphore(slots)
        self.bucket = bucket
        self.lock = threading.Lock()
        self.in_flight = 0
        self.not_before = 0.0
