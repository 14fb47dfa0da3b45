"""The one HTTP door of a run: whoever asks Wikimedia goes through it, and it keeps the manners.

User-Agent with the operator's contact; hosts from an allow-list only, redirects included; a token bucket for API
requests and one for media bytes, and few requests in flight; Retry-After honoured, jittered exponential backoff where
it is absent; a refusal (403, or 429 again and again) opens the circuit breaker and ends the run. Every attempt is
handed to `log`. The numbers and their sources: Wikimedia's API rate limits, robot policy and User-Agent policy.
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
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from catalog.records import RequestRow
from crawler.answers import CHUNK_BYTES, Body, DoorSession, is_maxlag, read_body
from crawler.limits import (
    BROKEN,
    INTERRUPTED,
    CircuitOpen,
    EmbeddedBroken,
    GaveUp,
    HostNotAllowed,
    HostReport,
    Lane,
    Limits,
    TokenBucket,
    Waits,
    checked_contact,
    retry_after_s,
)
from crawler.trouble import Trouble

Kind = Literal["api", "media"]
MAX_REDIRECTS = 5


class PoliteDoor:
    """See the module's docstring. Thread-safe; one per run."""

    def __init__(
        self,
        *,
        contact: str | None,
        limits: Limits,
        api_hosts: Sequence[str],
        media_hosts: Sequence[str],
        host_map: Mapping[str, str] | None = None,
        run_id: str = "",
        log: Callable[[RequestRow], None] | None = None,
        say: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        random: Random | None = None,
    ) -> None:
        """`host_map` sends a public host's requests to a local base URL: the embedded Commons, which is ours and
        need not be spared; slots and retries stay, rates are not kept. `say` gets a line when an attempt failed.

        Raises:
            MissingContact: `contact` holds neither an e-mail address nor a URL.
        """
        contact = checked_contact(contact)
        self.limits = limits
        self.hosts: dict[str, Kind] = dict.fromkeys(media_hosts, "media")
        self.hosts |= dict.fromkeys(api_hosts, "api")
        self.host_map = dict(host_map or {})
        self.run_id = run_id
        self.log = log
        self.clock = clock
        self.trouble = Trouble(say, clock)
        self.waits = Waits()
        self.sleep = sleep or self.waits.sleep
        self.random = random or Random()
        rate = math.inf if self.host_map else limits.media_mbit_per_s * 1e6 / 8
        # Hardly any burst, so that no window of ten seconds or of a minute holds more than the limit says.
        self.bandwidth = TokenBucket(rate, max(rate / 20, CHUNK_BYTES), clock)
        per_s = math.inf if self.host_map else max(limits.api_per_minute - 1, 0.5) / 60
        self.lanes: dict[Kind, Lane] = {
            "api": Lane(limits.api_in_flight, TokenBucket(per_s, 1, clock)),
            "media": Lane(limits.media_in_flight, None),
        }
        self.reports: dict[str, HostReport] = {}
        self.streak_429 = 0
        self.open_because: str | None = None
        self.lock = threading.Lock()
        self.http = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=8)
        self.http.mount("http://", adapter)
        self.http.mount("https://", adapter)
        # What the machine's environment says about proxies and credentials is none of Wikimedia's business.
        self.http.trust_env = not self.host_map
        version = metadata.version("lucidlr")
        self.user_agent = f"LucidLR/{version} ({contact}) requests/{metadata.version('requests')}"
        self.session: requests.Session = DoorSession(self)

    # -- what others call ------------------------------------------------------------------------------------------

    def ask_api(self, method: str, url: str, **options: Any) -> requests.Response:
        """One API request with all its retries; the body has been read.

        Raises:
            HostNotAllowed, GaveUp, CircuitOpen: see there.
        """
        with self._answer("api", method, url, options) as response:
            return response

    @contextmanager
    def open_media(self, url: str) -> Generator[Body]:
        """An original, retried until its head is there; the slot is held until the body is read.

        Raises:
            HostNotAllowed, GaveUp, CircuitOpen: see there.
        """
        with self._answer("media", "GET", url, {}) as response:
            yield Body(self, response)

    def pause(self, kind: Kind, attempt: int, reason: str) -> None:
        """Waits as after a failed attempt; for errors that stand in the body of an API answer.

        Raises:
            GaveUp: that was the last attempt.
        """
        if attempt >= self.limits.max_attempts:
            raise GaveUp(
                f"The wiki answered {reason!r} {attempt} times. Run the same command again later."
            )
        self.sleep(self._backoff(attempt))

    def report(self) -> dict[str, HostReport]:
        """What every host was asked so far."""
        with self.lock:
            return dict(self.reports)

    def end(self) -> None:
        """Ends every wait at once and lets nobody in any more: the person who runs this wants to leave."""
        self.open_because = self.open_because or INTERRUPTED
        self.waits.ended.set()

    # -- one request -----------------------------------------------------------------------------------------------

    @contextmanager
    def _answer(
        self, kind: Kind, method: str, url: str, options: dict[str, Any]
    ) -> Generator[requests.Response]:
        attempt, redirects, waited_in_all, waited = 1, 0, 0.0, 0.0
        while True:
            target = self._allowed(url)
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
                    self._record(row, response, "broken", started)
                    last_line = response.text.strip().splitlines()[-1:]
                    response.close()
                    raise EmbeddedBroken(
                        f"The embedded Commons failed at {response.url}: {''.join(last_line)}. Its traceback is in "
                        "the log; this is a mistake in crawler/loopback or in the corpus, not in the recipe."
                    )
                wait = self._verdict(kind, response, outcome, attempt)
                if wait is None and response is not None:
                    location = response.headers.get("Location")
                    if response.is_redirect and location and redirects < MAX_REDIRECTS:
                        self._record(row, response, "redirect", started)
                        redirects, waited = redirects + 1, 0.0
                        url, options = urljoin(url, location), {}
                        response.close()
                        continue
                    try:
                        yield response
                    finally:
                        self._record(row, response, outcome, started)
                        response.close()
                    return
                self._record(row, response, outcome, started)
            finally:
                with lane.lock:
                    lane.in_flight -= 1
                lane.slots.release()
            if response is not None:
                response.close()
            if self.open_because:
                raise CircuitOpen(self.open_because)
            wait = wait or 0.0
            waited_in_all += wait
            last = attempt >= self.limits.max_attempts and outcome != "maxlag"
            if last or waited_in_all > self.limits.patience_s:
                raise GaveUp(self.trouble.last_word(url, outcome, attempt))
            self.trouble.tell(url, outcome, attempt, self.limits.max_attempts, wait)
            attempt += outcome != "maxlag"
            self.sleep(wait)
            waited = wait

    def _allowed(self, url: str) -> str:
        """The URL to connect to."""
        if self.open_because:
            raise CircuitOpen(self.open_because)
        parts = urlsplit(url)
        host = parts.netloc
        if host not in self.hosts:
            known = ", ".join(sorted(self.hosts))
            raise HostNotAllowed(
                f"{url} is on {host or 'no host'}, which this run may not ask (allowed: {known}). "
                "If that is right, name it under site in the recipe."
            )
        if host in self.host_map:
            base = urlsplit(self.host_map[host])
            return urlunsplit((base.scheme, base.netloc, parts.path, parts.query, ""))
        return url

    def _enter(self, kind: Kind) -> float:
        """Waits for a slot, for the bucket, and for the end of a pause that the host asked for."""
        began = self.clock()
        lane = self.lanes[kind]
        lane.slots.acquire()
        try:
            told = None
            while told != lane.not_before:
                # While this one slept, another may have been told to wait; the host meant us all. A token taken
                # before the pause is given up, or all who waited would go at once after it.
                told = lane.not_before
                pause = told - self.clock()
                if pause > 0:
                    self.sleep(pause)
                wait = lane.bucket.take() if lane.bucket is not None else 0.0
                if wait > 0:
                    self.sleep(wait)
            if self.open_because:
                raise CircuitOpen(self.open_because)
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
        try:
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
            if kind == "api" or response.status_code == 429:
                read_body(response, clock=self.clock, most_s=self.limits.api_total_s)
        except (requests.Timeout, TimeoutError, urllib3.exceptions.TimeoutError):
            return None, "timeout"
        except (requests.ConnectionError, urllib3.exceptions.HTTPError, OSError) as error:
            self.trouble.note(urlsplit(url).netloc, error)
            return None, "connection"
        if response.status_code == 200 and kind == "api" and is_maxlag(response):
            return response, "maxlag"
        return response, str(response.status_code)

    def _verdict(
        self, kind: Kind, response: requests.Response | None, outcome: str, attempt: int
    ) -> float | None:
        """Seconds to wait before the next attempt; None when the answer is to be taken as it is."""
        if response is None:
            return self._backoff(attempt)
        status = response.status_code
        if status == 403:
            self.open_because = (
                f"{response.url} answered 403: this client is refused. Check --contact and "
                "Wikimedia's User-Agent policy before you run again; nothing that was committed is lost."
            )
            return 0.0
        if status != 429:
            with self.lock:
                self.streak_429 = 0
            if outcome != "maxlag" and status < 500:
                return None
        elif "thumbnail steps" in response.text[:2000].lower():
            return None
        else:
            with self.lock:
                self.streak_429 += 1
                if self.streak_429 >= self.limits.breaker_429:
                    self.open_because = (
                        f"{response.url} answered 429 {self.streak_429} times in a row. Wait an hour, lower the "
                        "limits in the recipe, and run the same command again; nothing that was committed is lost."
                    )
                    return 0.0
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

    def _record(
        self, row: dict[str, Any], response: requests.Response | None, outcome: str, started: float
    ) -> None:
        size = 0
        retry_after = None
        if response is not None:
            retry_after = retry_after_s(response.headers.get("Retry-After"))
            streamed = getattr(response.raw, "tell", lambda: 0)()
            size = streamed or 0
        entry = RequestRow(
            run_id=self.run_id,
            status=None if response is None else response.status_code,
            size_bytes=size,
            seconds=round(self.clock() - started, 4),
            retry_after_s=retry_after,
            outcome=outcome,
            **row,
        )
        with self.lock:
            report = self.reports.setdefault(entry.host, HostReport())
            report.requests += 1
            report.bytes += entry.size_bytes
            report.seconds += entry.seconds
            report.waited_s += entry.waited_s
            report.max_in_flight = max(report.max_in_flight, entry.in_flight)
            report.retry_after += retry_after is not None
            report.outcomes[outcome] = report.outcomes.get(outcome, 0) + 1
        if self.log is not None:
            self.log(entry)
