"""Conditions of an author's own beside the license, in English and the ten languages most used on Commons.

Such text may be void beside a free license; whether it is, is for a person to say. Harmless sentences (of the licenses
themselves, of the volunteers' response team, requests to be told) are taken out first, so that what is left says no,
only, or ask first. The patterns stand in conditions.toml, by language; what is written in none of these languages is
not seen, and docs/licenses.md says so.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path

_SENTENCES = re.compile(r"(?<=[.;!?\u3002])\s*|\s+[-\u2013\u2014|/]\s+|\s*[(\uff08]")
_SPACE = re.compile(r"\s+")
_MOST = 20_000
"""Characters of a text that are read."""


@cache
def _tables() -> tuple[re.Pattern[str], dict[str, re.Pattern[str]]]:
    """What is harmless, and language -> what says no, only, or ask first."""
    with Path(__file__).with_name("conditions.toml").open("rb") as file:
        said = tomllib.load(file)
    languages = {name: re.compile("|".join(rows)) for name, rows in said["languages"].items()}
    return re.compile("|".join(said["harmless"])), languages


def languages() -> tuple[str, ...]:
    """The languages that are read, as codes."""
    return tuple(_tables()[1])


def condition_in(text: str | None) -> str | None:
    """The words of a text that add a condition to the license; None where none was seen.

    >>> condition_in("Kommerzielle Nutzung nur nach Absprache mit dem Fotografen")
    'nur nach absprache'
    >>> condition_in("You may use it, even for commercial purposes, without asking permission.") is None
    True
    """
    if not text:
        return None
    harmless, by_language = _tables()
    plain = unicodedata.normalize("NFKC", text[:_MOST]).lower().replace("\u2019", "'")
    plain = harmless.sub(" ~ ", _SPACE.sub(" ", plain))
    for pattern in by_language.values():
        found = pattern.search(plain)
        if found is not None:
            return found[0].strip()
    return None


def without_condition(text: str | None) -> str | None:
    """A name or credit without the sentences that add a condition; None when nothing is left.

    >>> without_condition("Mara Quill - non-commercial use only, ask before printing")
    'Mara Quill'
    """
    if condition_in(text) is None:
        return text
    kept = [part for part in _SENTENCES.split(text or "") if part and condition_in(part) is None]
    return " ".join(kept).strip(" .;,-") or None
