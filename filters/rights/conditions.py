"""Conditions of an author's own beside the license, in English and the ten languages most used on Commons.

Such text may be void beside a free license; whether it is, is for a person to say. Harmless sentences (of the licenses
themselves, of the volunteers' response team, requests to be told) are taken out first, so that what is left says no,
only, or ask first. The patterns stand in conditions.toml, by language, and beside them the kinds of words of which a
condition is made (use, without, permission): a sentence with one of each of a rule's kinds adds a condition in whatever
form. What is written in none of these languages is not seen, and docs/licenses.md says so.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path

_SENTENCES = re.compile(r"(?<=[.;!?\u3002])\s*|\s+[-\u2013\u2014|/]\s+|\s*[(\uff08]")
_SENTENCE_ENDS = re.compile(r"[.;!?\u3002\uff1b]+(?=\s|$)|[\u3002\uff1b]|~")
_SPACE = re.compile(r"\s+")
_MOST = 20_000
"""Characters of a text that are read."""
_LONGEST_SAID = 200


@cache
def _tables() -> tuple[re.Pattern[str], dict[str, re.Pattern[str]]]:
    """What is harmless, and language -> what says no, only, or ask first."""
    with Path(__file__).with_name("conditions.toml").open("rb") as file:
        said = tomllib.load(file)
    languages = {name: re.compile("|".join(rows)) for name, rows in said["languages"].items()}
    return re.compile("|".join(said["harmless"])), languages


@cache
def _rules() -> tuple[dict[str, re.Pattern[str]], list[tuple[str, ...]]]:
    """Kind of words -> its pattern, and the sets of kinds that are a condition together."""
    with Path(__file__).with_name("conditions.toml").open("rb") as file:
        said = tomllib.load(file)
    kinds = {name: _one_of(words.split()) for name, words in said["kinds"].items()}
    return kinds, [tuple(rule.split()) for rule in said["rules"]["together"]]


def _one_of(words: list[str]) -> re.Pattern[str]:
    """`word` as a whole, `word*` with any end; Chinese and Japanese, which write no blanks, anywhere."""
    forms: list[str] = []
    for word in words:
        stem = re.escape(word.removesuffix("*"))
        start = "" if word[0] > "\u3000" else r"\b"
        forms.append(start + stem + ("" if word.endswith("*") else r"\b"))
    return re.compile("|".join(forms))


def _said_together(plain: str) -> str | None:
    """The first sentence in which all kinds of words of a rule stand; None without one."""
    kinds, rules = _rules()
    for sentence in _SENTENCE_ENDS.split(plain):
        if not sentence.strip():
            continue
        here = {name for name, pattern in kinds.items() if pattern.search(sentence)}
        if any(here.issuperset(rule) for rule in rules):
            return sentence.strip()[:_LONGEST_SAID]
    return None


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
    return _said_together(plain)


def without_condition(text: str | None) -> str | None:
    """A name or credit without the sentences that add a condition; None when nothing is left.

    >>> without_condition("Mara Quill - non-commercial use only, ask before printing")
    'Mara Quill'
    """
    if condition_in(text) is None:
        return text
    kept = [part for part in _SENTENCES.split(text or "") if part and condition_in(part) is None]
    return " ".join(kept).strip(" .;,-") or None
