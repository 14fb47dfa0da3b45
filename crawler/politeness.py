"""The one HTTP door of a run: whoever asks Wikimedia goes through it, and it keeps the manners.

User-Agent with the operator's contact; hosts from an allow-list only (hosts.py); a token bucket for API requests and
one for media bytes, and few requests in flight; Retry-After honoured, jittered exponential backoff where
it is absent, and no wait longer than the recipe's patience; a refusal (403 of the API, 429 again and again) opens the
circuit breaker and ends the run (breaker.py). Answers end in time and size (connections.py, answers.py), and no cookie
is kept. Every attempt is handed to `log`. The numbers and their sources: Wikimedia's API rate limits, robot policy and
User-Agent policy.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from random import Random
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from catalog.records import RequestRow
from crawler.answers import CHUNK_BYTES, Body, DoorSession, TooLarge, broken, is_maxlag, read_body
from crawler.attempts import Attempts
from crawler.breaker import Breaker
from crawler.connections import timed_session, within
from crawler.hosts import AllowList, Kind, redirect_target
from crawler.limits import (
    BROKEN,
    CircuitOpen,
    ComeBack,
    GaveUp,
    HostReport,
    Lane,
    Limits,
    TokenBucket,
    checked_contact,
    retry_after_s,
)
from crawler.trouble import Trouble

MAX_REDIRECTS = 5
TOO_SLOW = "too slow an answer"


class PoliteDoor:
    """See the module's docstring. Thread-safe; one per run."""

    def __init__(
        self,
        *,
        contact: str | None,
        limits: Limits,
        api_hosts: Sequence[str],
        media_hosts: Sequence[str],
        schemes: Sequence[str] = ("https", "http"),
        host_map: Mapping[str, str] | None = None,
        run_id: str = "",
        log: Callable[[RequestRow], None] | None = None,
        say: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        random: Random | None = None,
    ) -> None:
        """`host_map` sends a public host's requests to a local base URL: the embedded Commons, which is ours and
        need not be spared; slots and retries stay, rates are not kept. `schemes` are what URLs may begin with. `say`
        gets a line when an attempt failed.

        Raises:
            MissingContact: `contact` holds neither an e-mail address nor a URL.
        """
        contact = checked_contact(contact)
        self.limits = limits
        self.host_map = dict(host_map or {})
        self.allowed = AllowList(
            api_hosts=api_hosts,
            media_hosts=media_hosts,
            schemes=schemes,
            host_map=self.host_map,
        )
        self.attempts = Attempts(run_id, log, clock)
        self.clock = clock
        self.trouble = Trouble(say, clock)
        self.ended = threading.Event()
        self.sleep = sleep or self._sleep
        self.random = random or Random()
        rate = math.inf if self.host_map else limits.media_mbit_per_s * 1e6 / 8
        # Hardly any burst, so that no window of ten seconds or of a minute holds more than the limit says.
        self.bandwidth = TokenBucket(rate, max(rate / 20, CHUNK_BYTES), clock)
        per_s = math.inf if self.host_map else max(limits.api_per_minute - 1, 0.5) / 60
        self.lanes: dict[Kind, Lane] = {
            "api": Lane(limits.api_in_flight, TokenBucket(per_s, 1, clock)),
            "media": Lane(limits.media_in_flight, None),
        }
        self.breaker = Breaker(limits)
        # What the machine's environment says about proxies and credentials is none of Wikimedia's business.
        self.http = timed_session(trust_env=not self.host_map)
        version = metadata.version("lucidlr")
        self.user_agent = f"LucidLR/{version} ({contact}) requests/{metadata.version('requests')}"
        self.session: requests.Session = DoorSession(self)

    # -- what others call ------------------------------------------------------------------------------------------

    def ask_api(self, method: str, url: str, **options: Any) -> requests.Response:
        """One API request with all its retries; the body has been read.

        Raises:
            HostNotAllowed, GaveUp, CircuitOpen, ComeBack: see there.
        """
        with self._answer("api", method, url, options) as response:
            return response

    @contextmanager
    def open_media(self, url: str) -> Generator[Body]:
        """An original, retried until its head is there; the slot is held until the body is read.

        Raises:
            HostNotAllowed, GaveUp: this file cannot be had, now or ever.
            CircuitOpen, ComeBack: nothing can.
        """
        with self._answer("media", "GET", url, {}) as response:
            yield Body(self, response)

    def pause(self, kind: Kind, attempt: int, reason: str, *, lagged_s: float = 0.0) -> float:
        """Waits as after a failed attempt; for errors that stand in the body of an API answer.

        Args:
            lagged_s: waited so far where the attempts do not count.

        Returns:
            `lagged_s` with this wait.

        Raises:
            GaveUp: that was the last attempt, or the recipe's patience is over.
        """
        wait = self._backoff(attempt) if lagged_s == 0 else self.limits.maxlag_s
        if attempt >= self.limits.max_attempts or lagged_s + wait > self.limits.patience_s:
            raise GaveUp(
                f"The wiki answered {reason}, {attempt} times. Run the same command again later."
            )
        self.trouble.say_wait(f"the wiki answered {reason}", wait)
        self.sleep(wait)
        return lagged_s + wait

    def report(self) -> dict[str, HostReport]:
        """What every host was asked so far."""
        return self.attempts.report()

    def end(self) -> None:
        """Ends every wait at once and lets nobody in any more: the person who runs this wants to leave."""
        self.breaker.end("The run was interrupted.")
        self.ended.set()

    def _sleep(self, seconds: float) -> None:
        if self.ended.wait(seconds):
            raise CircuitOpen(self.breaker.open_because or "The run was interrupted.")

    # -- one request -----------------------------------------------------------------------------------------------

    @contextmanager
    def _answer(
        self, kind: Kind, method: str, url: str, options: dict[str, Any]
    ) -> Generator[requests.Response]:
        attempt, redirects, waited_in_all, waited = 1, 0, 0.0, 0.0
        came_from = ""
        while True:
            if self.breaker.open_because:
                raise CircuitOpen(self.breaker.open_because)
            target = self.allowed.connect_to(url, kind, came_from)
            slot_wait = self._enter(kind)
            lane = self.lanes[kind]
            try:
                waited += slot_wait
                started = self.clock()
                row: dict[str, Any] = {
                    "kind": kind,
                    "host": urlsplit(url).netloc,
                    "url": url,
                    "started_at": datetime.now(UTC).replace(microsecond=0),
                    "waited_s": round(waited, 4),
                    "in_flight": lane.in_flight,
                    "attempt": attempt,
                }
                response, outcome = self._send(kind, method, target, options)
                if response is not None and self.host_map and BROKEN in response.headers:
                    self.attempts.record(row, response, "broken", started)
                    raise broken(response)
                wait = self._verdict(kind, response, outcome, attempt, url)
                if wait is None and response is not None:
                    if response.is_redirect and redirects < MAX_REDIRECTS:
                        self.attempts.record(row, response, "redirect", started)
                        redirects, waited, came_from = redirects + 1, 0.0, url
                        url, options = redirect_target(response, url), {}
                        response.close()
                        continue
                    try:
                        yield response
                    finally:
                        self.attempts.record(row, response, outcome, started)
                        response.close()
                    return
                self.attempts.record(row, response, outcome, started)
            finally:
                with lane.lock:
                    lane.in_flight -= 1
                lane.slots.release()
            if response is not None:
                response.close()
            if self.breaker.open_because:
                raise CircuitOpen(self.breaker.open_because)
            wait = wait or 0.0
            if wait > self.limits.patience_s:
                # Of an original, this file waits for another day; whoever is next is told to come back.
                told = ComeBack if kind == "api" else GaveUp
                raise told(self.trouble.come_back(urlsplit(url).netloc, wait, f"{url}: {outcome}"))
            waited_in_all += wait
            last = attempt >= self.limits.max_attempts and outcome != "maxlag"
            # So slow an answer is not asked for again at once, for one file.
            slow = kind == "media" and outcome == TOO_SLOW
            if last or slow or waited_in_all > self.limits.patience_s:
                raise GaveUp(self.trouble.last_word(url, outcome, attempt, wait))
            self.trouble.tell(
                url, outcome, attempt=attempt, most=self.limits.max_attempts, wait_s=wait
            )
            attempt += outcome != "maxlag"
            self.sleep(wait)
            waited = wait

    def _enter(self, kind: Kind) -> float:
        """Waits for a slot, for the bucket, and for the end of a pause that the host asked for.

        Raises:
            ComeBack: such a pause is longer than the recipe's patience.
            CircuitOpen: nobody may go in any more.
        """
        began = self.clock()
        lane = self.lanes[kind]
        lane.slots.acquire()
        try:
            told, paused = None, 0.0
            while told != lane.not_before:
                # While this one slept, another may have been told to wait; the host meant us all. A token taken
                # before the pause is given up, or all who waited would go at once after it.
                told = lane.not_before
                pause = told - self.clock()
                if pause > 0:
                    paused += pause
                    if paused > self.limits.patience_s:
                        raise ComeBack(self.trouble.come_back(self.allowed.named(kind), pause))
                    self.trouble.say_wait(f"the {kind} host asked to wait", pause)
                    self.sleep(pause)
                wait = lane.bucket.take() if lane.bucket is not None else 0.0
                if wait > 0:
                    self.sleep(wait)
            if self.breaker.open_because:
                raise CircuitOpen(self.breaker.open_because)
        except BaseException:
            lane.slots.release()
            raise
        with lane.lock:
            lane.in_flight += 1
        return self.clock() - began

    def _send(
        self, kind: Kind, method: str, url: str, options: dict[str, Any]
    ) -> tuple[requests.Response | None, str]:
        """One attempt: the answer, or None and what went wrong."""
        headers = {"User-Agent": self.user_agent, "Accept-Encoding": "gzip"}
        if kind == "media":
            headers["Accept-Encoding"] = "identity"
        headers |= {k: v for k, v in (options.get("headers") or {}).items() if k != "User-Agent"}
        total_s = self.limits.api_total_s if kind == "api" else self.limits.media_total_s
        began = time.monotonic()
        try:
            with within(total_s) as ends:
                response = self.http.request(
                    method,
                    url,
                    params=options.get("params"),
                    data=options.get("data"),
                    headers=headers,
                    timeout=(self.limits.connect_timeout_s, self.limits.read_timeout_s),
                    allow_redirects=False,
                    stream=True,
                )
                vars(response)["ends"] = ends
            if kind == "api" or response.status_code == 429:
                read_body(response, clock=self.clock, most_s=self.limits.api_total_s)
        except (requests.Timeout, TimeoutError, urllib3.exceptions.TimeoutError):
            return None, "timeout" if time.monotonic() < began + total_s - 0.05 else TOO_SLOW
        except TooLarge:
            return None, "too large an answer"
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            self.trouble.note(urlsplit(url).netloc, error)
            return None, "connection"
        if response.status_code == 200 and kind == "api" and is_maxlag(response):
            return response, "maxlag"
        return response, str(response.status_code)

    def _verdict(
        self,
        kind: Kind,
        response: requests.Response | None,
        outcome: str,
        attempt: int,
        url: str,
    ) -> float | None:
        """Seconds to wait before the next attempt; None when the answer is to be taken as it is."""
        if response is None:
            return self._backoff(attempt)
        status = response.status_code
        if status == 429 and b"thumbnail steps" in response.content[:2000].lower():
            return None
        self.breaker.heed(kind, url, status)
        if self.breaker.open_because:
            return 0.0
        if outcome != "maxlag" and status not in (408, 429) and status < 500:
            return None
        asked = retry_after_s(response.headers.get("Retry-After"))
        least = self.limits.backoff_429_s if status == 429 else 0.0
        # A moment that is over already is no advice.
        wait = asked if asked else max(least, self._backoff(attempt))
        if asked is not None:
            # The host speaks to all of us, not to this request alone.
            lane = self.lanes[kind]
            lane.not_before = max(lane.not_before, self.clock() + asked)
        return wait

    def _backoff(self, attempt: int) -> float:
        """Exponential with full jitter above half: between 0.5 and 1 times backoff_s * 2^(attempt-1)."""
        top = min(self.limits.backoff_max_s, self.limits.backoff_s * 2 ** (attempt - 1))
        return top * self.random.uniform(0.5, 1.0)
