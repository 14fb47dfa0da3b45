"""When a build stops before everything is fetched: the recipe's `budget`, and the clock of one run.

A build that a budget stops is whole: a dataset of what is there, and a sentence that says how to get the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

LISTING_SHARE, FETCHING_SHARE = 0.5, 0.8
"""Of max_hours: when listing and fetching end. The rest is for measuring what was fetched, which ends at the whole."""


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """When a build stops before everything is fetched. It is whole then, and the same command with a larger budget
    resumes; what comes out without one does not depend on the stops before. Files are fetched in an order drawn by the
    seed, so that what is there at a stop is a fair sample."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    max_hours: float | None = None
    """Of one run, by the clock: half of it at most for listing, fetching ends at four fifths; deciding and exporting
    come after. What is there then depends on the speed of the day."""
    max_bytes: float | None = None
    """Of the originals of this recipe, all runs together, by the sizes that were listed. The same listing gives the
    same files."""
    stop_at: Literal["kept"] | None = None
    """kept: fetch in rounds, decide after each, and stop when `sampling.max_samples` can be drawn with every quota
    filled. The same listing gives the same files."""

    def __post_init__(self) -> None:
        for name in ("max_hours", "max_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is more than 0, or left out.")

    @property
    def bounded(self) -> bool:
        """Whether there is any bound."""
        return self != BudgetConfig()


def chosen_budget(
    held: BudgetConfig, *, max_hours: float | None, max_bytes: float | None, stop_at: str | None
) -> BudgetConfig:
    """The recipe's (`held`), with what was asked for in its place.

    Raises:
        ValueError: what was asked for is not more than 0.
    """
    asked = {"max_hours": max_hours, "max_bytes": max_bytes, "stop_at": stop_at}
    return replace(held, **{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]


class Clock:
    """How much of a run's hours is over."""

    def __init__(
        self, max_hours: float | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._most_s = None if max_hours is None else 3600.0 * max_hours
        self._now, self._began = now, now()

    def over(self, share: float = 1.0) -> bool:
        """Whether this share of the hours is over; never where there is no bound."""
        return self._most_s is not None and self._now() - self._began >= share * self._most_s
