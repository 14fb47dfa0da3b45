"""Every attempt of a run at an answer: handed to the request log, and counted by host."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import requests

from catalog.records import RequestRow
from crawler.limits import HostReport, retry_after_s


class Attempts:
    """Takes note of attempts. Thread-safe."""

    def __init__(
        self, run_id: str, log: Callable[[RequestRow], None] | None, clock: Callable[[], float]
    ) -> None:
        self.run_id = run_id
        self.log = log
        self.clock = clock
        self.reports: dict[str, HostReport] = {}
        self.lock = threading.Lock()

    def record(
        self, row: dict[str, Any], response: requests.Response | None, outcome: str, started: float
    ) -> None:
        """One attempt: `row` as it began at `started`, and what came."""
        size, retry_after = 0, None
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
            self.reports.setdefault(entry.host, HostReport()).add(entry)
        if self.log is not None:
            self.log(entry)

    def report(self) -> dict[str, HostReport]:
        """What every host was asked so far."""
        with self.lock:
            return dict(self.reports)
