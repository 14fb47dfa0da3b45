"""What the door says while requests fail, so that nobody stares at nothing: each failed attempt, and the last word."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

TELL_EVERY_S = 0.5
"""Failed attempts at one host are told no closer together than this."""
SHORTEST_TOLD_S = 5.0
"""Shorter pauses are not told: they belong to the manners."""

_SIGNS = (
    ("NameResolutionError", "the host's name does not resolve"),
    ("Name or service not known", "the host's name does not resolve"),
    ("Temporary failure in name resolution", "the host's name does not resolve"),
    ("Network is unreachable", "the network is unreachable"),
    ("Connection refused", "the connection was refused"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted here"),
    ("ProxyError", "the proxy does not answer"),
)

_ANSWERED = (
    ("failed to decode", "its answer cannot be unpacked"),
    ("RemoteDisconnected", "it hung up without an answer"),
    ("BadStatusLine", "what answers speaks no HTTP"),
    ("UnknownProtocol", "what answers speaks no HTTP"),
    ("LineTooLong", "the head of its answer cannot be read"),
    ("got more than", "the head of its answer cannot be read"),
    ("InvalidChunkLength", "its answer broke off"),
    ("IncompleteRead", "its answer broke off"),
    ("Connection broken", "its answer broke off"),
)
"""The same where somebody was there: it is not the network then."""


class Trouble:
    """Failed attempts by host. Thread-safe."""

    def __init__(self, say: Callable[[str], None] | None, clock: Callable[[], float]) -> None:
        self.say = say
        self.clock = clock
        self.reasons: dict[str, str] = {}
        self.told: dict[str, float] = {}
        self.lock = threading.Lock()

    def note(self, host: str, error: BaseException) -> None:
        """Keeps why a connection to `host` failed, in a person's words."""
        text = str(error)
        signs = (*_SIGNS, *_ANSWERED)
        said = next((words for sign, words in signs if sign in text), type(error).__name__)
        self.reasons[host] = said

    def tell(self, url: str, outcome: str, *, attempt: int, most: int, wait_s: float) -> None:
        """Says that an attempt failed and when the next one comes; of many requests at once only one says so."""
        host = urlsplit(url).netloc
        now = self.clock()
        with self.lock:
            if self.say is None or now - self.told.get(host, -math.inf) < TELL_EVERY_S:
                return
            self.told[host] = now
        what = {
            "connection": f"no connection ({self._reason(host)})",
            "timeout": "no answer in time",
            "maxlag": "the wiki is busy and asks to wait",
        }.get(outcome, f"answered {outcome}")
        self.say(f"{host}: {what}; next attempt ({attempt + 1} of {most}) in {wait_s:.1f} s")

    def say_wait(self, why: str, wait_s: float) -> None:
        """Says that nothing is asked for a while, where that is long enough to be noticed; once for all who wait."""
        now = self.clock()
        with self.lock:
            if self.say is None or wait_s < SHORTEST_TOLD_S or now < self.told.get(why, -math.inf):
                return
            self.told[why] = now + wait_s / 2
        self.say(f"{why}; next request in {wait_s:.0f} s")

    def last_word(self, url: str, outcome: str, attempts: int, wait_s: float = 0.0) -> str:
        """What to say of a request that is given up; `wait_s` is how long the next one would have had to wait."""
        host = urlsplit(url).netloc
        if outcome == "connection":
            reason = self._reason(host)
            if reason in dict(_ANSWERED).values():
                return (
                    f"{host} was asked {attempts} times, and {reason}. Nothing that was committed is lost: run the "
                    "same command again later."
                )
            return (
                f"No connection to {host} in {attempts} attempts ({reason}). Is there a network? "
                "Nothing that was committed is lost: run the same command again later."
            )
        when = f"after {_clock_in(wait_s)}" if wait_s > SHORTEST_TOLD_S else "later"
        return f"{url} failed {attempts} times, last with {outcome}. Run the same command again {when}."

    def come_back(self, host: str, wait_s: float, because: str = "") -> str:
        """What to say where a host asks for more patience than there is."""
        said = f" ({because})" if because else ""
        return (
            f"{host} asks to wait until {_clock_in(wait_s)}{said}, longer than limits.patience_s allows. Nothing "
            "that was committed is lost: run the same command again after that."
        )

    def _reason(self, host: str) -> str:
        return self.reasons.get(host, "refused")


def _clock_in(seconds: float) -> str:
    """The time of day in so many seconds, in UTC."""
    longest = timedelta(days=36525)
    moment = datetime.now(UTC) + min(timedelta(seconds=min(seconds, 4e9)), longest)
    return f"{moment + timedelta(minutes=1):%Y-%m-%d %H:%M} UTC"
