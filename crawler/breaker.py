"""When refusals end a run: those of the API at once, those of originals when many different ones are refused in a row.

One original that is always refused is that file's failure, and the others go on.
"""

from __future__ import annotations

import threading

from crawler.limits import Limits

KEPT = "nothing that was committed is lost"


class Breaker:
    """Counts refusals in a row. Thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open_because: str | None = None
        self.busy = 0
        self.refused: set[str] = set()
        self.lock = threading.Lock()

    def heed(self, kind: str, url: str, status: int) -> None:
        """Takes note of an answer; afterwards `open_because` says whether the run may go on."""
        with self.lock:
            if kind == "media":
                self._heed_original(url, status)
            elif status == 403:
                self.open_because = (
                    f"{url} answered 403: this client is refused. Check --contact and "
                    f"Wikimedia's User-Agent policy before you run again; {KEPT}."
                )
            elif status != 429:
                self.busy = 0
            else:
                self.busy += 1
                if self.busy >= self.limits.breaker_429:
                    self.open_because = (
                        f"{url} answered 429 {self.busy} times in a row. Wait an hour, lower the "
                        f"limits in the recipe, and run the same command again; {KEPT}."
                    )

    def _heed_original(self, url: str, status: int) -> None:
        if status not in (403, 429):
            self.refused.clear()
            return
        self.refused.add(url)
        if len(self.refused) >= self.limits.breaker_429:
            self.open_because = (
                f"{len(self.refused)} different originals in a row were refused, the last one with {status}: {url}. "
                "Wait an hour, check --contact and Wikimedia's User-Agent policy, lower the limits in the recipe, and "
                f"run the same command again with --retry; {KEPT}."
            )

    def end(self, why: str) -> None:
        """Opens it from outside."""
        self.open_because = self.open_because or why
