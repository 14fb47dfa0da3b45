"""When a source that was listed to its end is looked at again, because the wiki has gone on since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

OVERLAP = timedelta(days=1)
"""Asked for again before the last look: a wiki's replicas and its search index come a while behind."""


@dataclass(frozen=True, kw_only=True)
class Relist:
    """How often a source is looked at for new files."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    every_days: float = 6.0
    """Days between two looks at what is new. 6 for a weekly build: a run that starts a minute early still looks."""
    whole_every_days: float = 27.0
    """Days between two walks over all of it, which also see what moved, changed or was filed deep down."""

    def __post_init__(self) -> None:
        if self.every_days < 0 or self.whole_every_days < 0:
            raise ValueError("every_days and whole_every_days are 0 or more.")
