"""What a method made for a benchmark, and the names of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import Expected


class MethodError(Expected, RuntimeError):
    """A method that cannot make or find its outputs; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a method made for one benchmark."""

    files: Mapping[str, Path]
    """By the case's name."""
    problems: tuple[str, ...] = ()
    made: int = 0
    """Outputs that this call made; others were there."""


def slug(name: str) -> str:
    """A name as a file name; different names stay different."""
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    if plain == name:
        return name
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
