"""What a recipe may change about the gate: signs switched off by name with a reason, a classifier of contents."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from filters.rights.signs import signs

RESTRICTION = "restricted:"
"""Beginning of the reasons that extmetadata's Restrictions give: any of them may be switched off, known or not."""


@dataclass(frozen=True, kw_only=True)
class RightsPolicy:
    """Everything is on by default."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    off: Mapping[str, str] = field(default_factory=dict[str, str])
    """Sign that does not count -> why; the card tells both. Names: `lucidlr licenses --signs`."""
    screen: str | None = None
    """Score that screens the pictures themselves for nudity and minors: a name in `scores`, with a rule of its own in
    `rules`. None: not run, and the card says so. No such classifier comes with this project."""

    def __post_init__(self) -> None:
        known = [sign.name for sign in signs()]
        for name, why in self.off.items():
            if name not in known and not name.startswith(RESTRICTION):
                nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
                raise ValueError(f"there is no sign {name!r}; did you mean {nearest!r}?")
            if not why.strip():
                raise ValueError(f"say why {name!r} is switched off; the card prints it.")

    @property
    def suffix(self) -> str:
        """What the version of the gate ends with; nothing while all signs are on."""
        if not self.off:
            return ""
        return f"-without-{hashlib.sha256(' '.join(sorted(self.off)).encode()).hexdigest()[:8]}"
