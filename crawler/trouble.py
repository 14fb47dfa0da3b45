"""What the door says while requests fail, so that nobody stares at nothing: each failed attempt, and the last word."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

TELL_EVERY_S = 0.5
"""Failed attempts at one host are told no closer together than this."""

_SIGNS = (
    ("NameResolutionError", "the host's name does not resolve"),
    ("Name or service not known", "the host's name does not resolve"),
    ("Temporary failure in name resolution", "the host's name does not resolve"),
    ("Network is unreachable", "the network is unreachable"),
    ("Connection refused", "the connection was refused"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted here"),
    ("ProxyError", "the proxy does not answer"),
)


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
        said = next((words for sign, words in _SIGNS if sign in text), type(error).__name__)
        self.reasons[host] = said

    def tell(self, url: str, outcome: str, attempt: int, most: int, wait_s: float) -> None:
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

    def last_word(self, url: str, outcome: str, attempts: int) -> str:
        """What to say of a request that is given up."""
        host = urlsplit(url).netloc
        if outcome == "connection":
            return (
                f"No connection to {host} in {attempts} attempts ({self._reason(host)}). Is there a network? "
                "Nothing that was committed is lost: run the same command again later."
            )
        return (
            f"{url} failed {attempts} times, last with {outcome}. Run the same command again later."
        )

    def _reason(self, host: str) -> str:
        return self.reasons.get(host, "refused")
