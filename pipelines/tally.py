"""What a running build has done so far, source by source: a terminal's live lines and the table of a Prefect run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_SOURCES = 8
"""Lines of sources under the live line; the rest is counted."""


@dataclass
class Counts:
    """Of one source; a file that several sources list counts for the first once the gate was asked."""

    listed: int = 0
    passed: int = 0
    at_hand: int = 0
    media_bytes: int = 0
    """Of the originals at hand, as listed."""
    kept: int = 0
    """By the last decision."""


class Tally:
    """Counts of a run; changed from any thread."""

    def __init__(
        self, labels: Mapping[str, str] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._labels = dict(labels or {})
        self._counts = {key: Counts() for key in self._labels}
        self._lock, self._now = threading.Lock(), now
        self._to_fetch = self._tried = 0
        self._fetching_since: float | None = None

    def note(self, source: str, **counts: int) -> None:
        """These counts of a source are now what is given."""
        with self._lock:
            held = self._counts.setdefault(source, Counts())
            for name, count in counts.items():
                setattr(held, name, count)

    def counts(self) -> dict[str, dict[str, int]]:
        """Of every source, as `note` takes them."""
        with self._lock:
            return {source: dict(vars(held)) for source, held in self._counts.items()}

    def add(self, source: str, **counts: int) -> None:
        """These counts of a source grow by what is given."""
        with self._lock:
            held = self._counts.setdefault(source, Counts())
            for name, count in counts.items():
                setattr(held, name, getattr(held, name) + count)

    def to_fetch(self, files: int) -> None:
        """So many originals are still to be tried; the time left is reckoned from now on."""
        with self._lock:
            self._to_fetch, self._tried, self._fetching_since = files, 0, self._now()

    def tried(self) -> None:
        """One more original was fetched, or failed."""
        with self._lock:
            self._tried += 1

    def rate(self) -> float | None:
        """Originals a second since fetching began; None: none yet."""
        if self._fetching_since is None or not self._tried:
            return None
        return self._tried / max(1e-9, self._now() - self._fetching_since)

    def line(self) -> str:
        """All sources together, for a terminal."""
        with self._lock:
            whole, rate = self._whole(), self.rate()
            left = max(0, self._to_fetch - self._tried)
        said = [f"listed {whole.listed:,}", f"passed the gate {whole.passed:,}"]
        said.append(f"at hand {whole.at_hand:,} ({whole.media_bytes / 1e9:.2f} GB)")
        said.append(f"kept so far {whole.kept:,}")
        if rate is not None:
            said.append(f"{rate:.1f} files/s")
            said += [f"fetched in {told(left / rate)}"] if left else []
        return ", ".join(said)

    def lines(self) -> list[str]:
        """The line, and one for each source with its yield."""
        rows = self.rows()
        shown = [
            f"  {row['source']:.60}: listed {row['listed']:,}, passed {row['passed']:,}, at hand {row['at hand']:,}, "
            f"kept {row['kept']:,} ({row['yield']})"
            for row in rows[:MOST_SOURCES]
        ]
        more = len(rows) - MOST_SOURCES
        return [self.line(), *shown, *([f"  and {more} more sources"] if more > 0 else [])]

    def rows(self) -> list[dict[str, Any]]:
        """A row per source, for a table; yield is kept of what was listed."""
        with self._lock:
            return [
                {
                    "source": self._labels.get(key, key),
                    "listed": held.listed,
                    "passed": held.passed,
                    "at hand": held.at_hand,
                    "MB": round(held.media_bytes / 1e6, 1),
                    "kept": held.kept,
                    "yield": f"{held.kept / held.listed:.1%}" if held.listed else "-",
                }
                for key, held in self._counts.items()
            ]

    def _whole(self) -> Counts:
        every = list(self._counts.values())
        names = ("listed", "passed", "at_hand", "media_bytes", "kept")
        return Counts(**{name: sum(getattr(one, name) for one in every) for name in names})


def told(seconds: float) -> str:
    """`4.2 s`, `3 min`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
