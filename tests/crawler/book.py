"""What a server of the tests notes of every request, by a clock that sleeps move on: were the manners kept?"""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from crawler.limits import Limits, retry_after_s


class Clock:
    """Real time, and with it what nobody really waited for: a sleep moves it on at once."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []
        self.ahead_s = 0.0
        self.lock = threading.Lock()

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s

    def sleep(self, seconds: float) -> None:
        """As time.sleep, for whoever looks at this clock."""
        with self.lock:
            self.slept_s.append(seconds)
            self.ahead_s += max(0.0, seconds)


@dataclass
class Asked:
    """One request, as the server saw it; times by its clock, in seconds."""

    kind: str
    """api or media, by the path."""
    path: str
    agent: str
    at_s: float
    in_flight: int
    """Requests of this kind under way, this one included."""
    answered_s: float = float("inf")
    status: int = 0
    retry_after: str | None = None


class Book:
    """The log of one server."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[Asked] = []
        self.under_way = {"api": 0, "media": 0}
        self.lock = threading.Lock()

    @contextmanager
    def noted(self, path: str, agent: str) -> Iterator[Asked]:
        """Notes a request while it is under way."""
        kind = "api" if urlsplit(path).path.endswith("api.php") else "media"
        with self.lock:
            self.under_way[kind] += 1
            asked = Asked(kind, path, agent, self.clock(), self.under_way[kind])
            self.asked.append(asked)
        try:
            yield asked
        finally:
            with self.lock:
                self.under_way[kind] -= 1

    def check(self, limits: Limits, contact: str) -> None:
        """Rate, requests at a time, pauses that the server asked for, who asks, and no wait beyond patience.

        Raises:
            AssertionError: a request that should not have been made, or not then.
        """
        for kind, slots in (("api", limits.api_in_flight), ("media", limits.media_in_flight)):
            asked = [entry for entry in self.asked if entry.kind == kind]
            assert max((entry.in_flight for entry in asked), default=0) <= slots
            for number, entry in enumerate(asked):
                assert contact in entry.agent
                pause = retry_after_s(entry.retry_after) if entry.status in (429, 503) else None
                if number + 1 < len(asked) and pause:
                    assert asked[number + 1].at_s >= entry.answered_s + min(pause, 1e9), entry
        api = [entry.at_s for entry in self.asked if entry.kind == "api"]
        for first, at in enumerate(api):
            assert bisect.bisect_left(api, at + 60) - first <= limits.api_per_minute
        assert max(self.clock.slept_s, default=0.0) <= limits.patience_s
