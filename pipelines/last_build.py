"""Which build a command means when none is named: the last one of this working directory.

A build leaves its folder's name in `.lucidlr.json` of the working directory, interrupted or not. Without that note the
newest build under out/ counts. Whoever asks sees folder and recipe on the first line, so that nobody takes one build's
answer for another's. Looking for it writes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from catalog import files
from catalog.errors import Expected, NoBuild
from catalog.looks import said_in

NOTE = ".lucidlr.json"
RUN = {"recipe": (str,), "finished_at": (str,)}
"""What is asked of a run record here."""
NOTE_VARIABLE = "LUCIDLR_LAST_BUILD"
"""Names another file for the note; tests keep theirs apart with it."""


@dataclass(frozen=True, kw_only=True)
class LastBuild:
    """A folder with a catalog, and what is known of what made it."""

    out: Path
    recipe: str | None
    """Name of the recipe of its last finished run; None before the first."""
    finished_at: str | None
    """ISO 8601, UTC."""

    def line(self) -> str:
        """For the first line of an answer."""
        if self.recipe is None:
            return f"{self.out}  (not finished yet)"
        when = (self.finished_at or "")[:16].replace("T", " ")
        return f"{self.out}  (recipe {self.recipe}, {when} UTC)"


def note_build(out: Path) -> None:
    """Remembers `out` as the last build of this working directory; where that cannot be written, nothing is."""
    if not _holds_build(out):
        return
    note = _note()
    with contextlib.suppress(OSError, Expected):
        files.put(note, json.dumps({"out": str(out)}))


def last_build(base: Path = Path("out")) -> LastBuild:
    """The last build of this working directory.

    Raises:
        NoBuild: there is none.
    """
    noted = _noted()
    if noted is not None and _holds_build(noted):
        return build_in(noted)
    found = [folder.parent.parent for folder in base.glob("*/catalog/parts")]
    if not found:
        gone = f" ({noted}, noted here, is gone)" if noted is not None else ""
        raise NoBuild(
            f"There is no build in this directory{gone}. Run `lucidlr demo` or `lucidlr build RECIPE` first, "
            "or name a build's folder with --out."
        )
    return build_in(max(found, key=_last_touched))


def build_in(out: Path) -> LastBuild:
    """What is known of the build in `out`, finished or not."""
    runs = sorted((out / "catalog" / "runs").glob("*.json"), reverse=True)
    # One that is damaged is left out, as everywhere.
    run = next((said for said in (said_in(file, RUN) for file in runs) if said is not None), None)
    if run is None:
        return LastBuild(out=out, recipe=None, finished_at=None)
    return LastBuild(out=out, recipe=run["recipe"], finished_at=run["finished_at"])


def _holds_build(out: Path) -> bool:
    return (out / "catalog" / "parts").is_dir()


def _note() -> Path:
    return Path(os.environ.get(NOTE_VARIABLE) or NOTE)


def _noted() -> Path | None:
    try:
        held = json.loads(_note().read_text(encoding="utf-8"))
        return Path(held["out"])
    except (OSError, ValueError, KeyError, TypeError):
        # No note, or not one of ours: the folders themselves are looked at.
        return None


def _last_touched(out: Path) -> str:
    """Start of the last run; a build that never finished counts by its folder's time."""
    runs = sorted(file.name for file in (out / "catalog" / "runs").glob("*.json"))
    if runs:
        return runs[-1]
    from datetime import UTC, datetime

    touched = datetime.fromtimestamp((out / "catalog" / "parts").stat().st_mtime, UTC)
    return f"{touched:%Y%m%dT%H%M%SZ}"
