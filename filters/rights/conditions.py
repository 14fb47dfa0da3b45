"""Conditions of an author's own beside the license, in English and the ten languages most used on Commons.

Such text may be void beside a free license; whether it is, is for a person to say. Harmless sentences (of the licenses
themselves, of the volunteers' response team, requests to be told) are taken out first, so that what is left says no,
only, or ask first. The patterns stand in conditions.toml, by language, and beside them the kinds of words of which a
condition is made (use, without, permission): a sentence with one of each of a rule's kinds adds a condition in whatever
form. Where a field states the terms (permission, usage terms), a sentence about use that nothing frees is for a person,
and so is a text of several words in none of these languages; in the other fields such a text is not read.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

_SENTENCES = re.compile(r"(?<=[.;!?\u3002])\s*|\s+[-\u2013\u2014|/]\s+|\s*[(\uff08]")
_SENTENCE_ENDS = re.compile(r"[.;!?\u3002\uff1b]+(?=\s|$)|[\u3002\uff1b]|~")
_STOPS = re.compile(r"[.;!?\u3002\uff1b]+(?=\s|$)|[\u3002\uff1b]")
"""Sentence ends without the mark ~ that stands for what was harmless."""
_ADDRESS = re.compile(r"https?://\S+|\b\w+@\w+(\.\w+)+")
_SPACE = re.compile(r"\s+")
_MOST = 20_000
"""Characters of a text that are read."""
_LONGEST_SAID = 200
_SHORT = 300
"""Characters up to which a text is remembered with what was read in it."""
_FEW_WORDS, _FEW_SIGNS = 4, 8
"""A text of so many words, or Chinese and Japanese signs, may be a name."""


class _Rule(NamedTuple):
    """Kinds of words that are a condition when they stand in one sentence."""

    present: frozenset[str]
    absent: frozenset[str]
    """Kinds that excuse the sentence."""


@cache
def _tables() -> tuple[re.Pattern[str], dict[str, re.Pattern[str]]]:
    """What is harmless, and language -> what says no, only, or ask first."""
    with Path(__file__).with_name("conditions.toml").open("rb") as file:
        said = tomllib.load(file)
    languages = {name: re.compile("|".join(rows)) for name, rows in said["languages"].items()}
    return re.compile("|".join(said["harmless"])), languages


@cache
def _frees() -> re.Pattern[str]:
    """What is harmless where nothing is forbidden."""
    with Path(__file__).with_name("conditions.toml").open("rb") as file:
        return re.compile("|".join(tomllib.load(file)["harmless_where_nothing_is_forbidden"]))


@cache
def _rules() -> tuple[dict[str, re.Pattern[str]], list[_Rule]]:
    """Kind of words -> its pattern, and the sets of kinds that are a condition together."""
    with Path(__file__).with_name("conditions.toml").open("rb") as file:
        said = tomllib.load(file)
    kinds = {name: _one_of(words.split()) for name, words in said["kinds"].items()}
    rules: list[_Rule] = []
    for row in said["rules"]["together"]:
        parts = row.split()
        absent = frozenset(part[1:] for part in parts if part.startswith("!"))
        rules.append(_Rule(frozenset(part for part in parts if part[0] != "!"), absent))
    return kinds, rules


def _one_of(words: list[str]) -> re.Pattern[str]:
    """`word` as a whole, `word*` with any end, `two_words`; Chinese and Japanese, which write no blanks, anywhere."""
    forms: list[str] = []
    for word in words:
        stem = r"\w*".join(re.escape(part) for part in word.removesuffix("*").split("*"))
        start = "" if word[0] > "\u3000" else r"\b"
        forms.append(start + stem.replace("_", r"\s") + ("" if word.endswith("*") else r"\b"))
    return re.compile("|".join(forms))


def _said_together(plain: str) -> str | None:
    """The first sentence in which all kinds of words of a rule stand; None without one."""
    kinds, rules = _rules()
    for sentence in _SENTENCE_ENDS.split(plain):
        if not sentence.strip():
            continue
        here = {name for name, pattern in kinds.items() if pattern.search(sentence)}
        if any(rule.present <= here and not rule.absent & here for rule in rules):
            return sentence.strip()[:_LONGEST_SAID]
    return None


def unexplained_terms(text: str | None) -> str | None:
    """What a field that states the terms (permission, usage terms) says and no rule here takes for free: a sentence
    about use in which no word frees, credits or wishes, or a text of several words in no language that is read.

    >>> unexplained_terms("For editorial and promotional use in connection with the band.")
    'for editorial and promotional use in connection with the band'
    >>> unexplained_terms("This work is free and may be used by anyone for any purpose.") is None
    True
    """
    if not text:
        return None
    return _unexplained_short(text) if len(text) <= _SHORT else _unexplained(text)


def _unexplained(text: str) -> str | None:
    plain, kinds = _plain(text), _rules()[0]
    excuses = [kinds[name] for name in ("frees", "any", "license", "credit", "wish", "ticket")]
    about = [kinds[name] for name in ("use", "commercial", "purpose")]
    for sentence in _STOPS.split(plain):
        excused = "~" in sentence or any(kind.search(sentence) for kind in excuses)
        if not excused and any(kind.search(sentence) for kind in about):
            return sentence.strip()[:_LONGEST_SAID]
        if "~" not in sentence and _costs_or_ends(sentence, kinds):
            return sentence.strip()[:_LONGEST_SAID]
    long = (
        len(plain.split()) > _FEW_WORDS or sum(letter > "\u2e80" for letter in plain) > _FEW_SIGNS
    )
    known = (kinds[name] for name in ("read", "license", "any", "frees", "credit"))
    if long and "~" not in plain and not any(kind.search(plain) for kind in known):
        return plain.strip()[:_LONGEST_SAID]
    return None


def _costs_or_ends(sentence: str, kinds: dict[str, re.Pattern[str]]) -> bool:
    """Whether a sentence of terms names a price, or a day on which they end."""
    if kinds["priced"].search(sentence) and not kinds["no"].search(sentence):
        return True
    about = [kinds[name] for name in ("use", "frees", "release")]
    ends = kinds["until"].search(sentence) and _YEAR.search(sentence)
    return bool(ends) and any(kind.search(sentence) for kind in about)


_YEAR = re.compile(r"\b20\d\d\b|20\d\d\s*年")


def unexplained_credit(text: str | None, *, names: bool = False) -> str | None:
    """What a field that credits (credit, attribution, artist) says beyond a name, a link, a license and where it comes
    from: a sentence to the reader in which nothing frees, credits or wishes, or one in no language that is read.

    Args:
        names: the field holds names, not sources: there a sentence of other words is for a person, too.

    >>> unexplained_credit("Jo Quill, and please ring before you put it in a book")
    'jo quill, and please ring before you put it in a book'
    >>> unexplained_credit("Own work, taken on a rainy evening from the town hall") is None
    True
    """
    if not text:
        return None
    plain, kinds = _quoted().sub(" ", _plain(text)), _rules()[0]
    for sentence in _STOPS.split(plain):
        here = {name for name in _CREDIT_KINDS if kinds[name].search(sentence)}
        # "With pleasure, but ask first" is no pleasure, and a copy in return is a price.
        first = {"before", "ask"} <= here
        excused = "~" in sentence or (here & _EXCUSES and "voucher" not in here) or "wish" in here
        if "asks" in here and (first or not excused):
            return sentence.strip()[:_LONGEST_SAID]
        if "owned" in here and not here & {"frees", "license", "wish"} and "~" not in sentence:
            return sentence.strip()[:_LONGEST_SAID]
    known = [kinds[name] for name in ("plain", "read")]
    for sentence in _STOPS.split(_ADDRESS.sub(" ", text[:_MOST])):
        small = [word for word in _SMALL_WORD.findall(sentence) if word.islower()]
        other = [word for word in small if not any(kind.fullmatch(word) for kind in known)]
        if any(kinds[name].search(sentence.lower()) for name in (*_EXCUSES, "wish", "license")):
            continue
        unread = len(other) == len(small) and len(other) >= _UNREAD_WORDS
        if unread or (names and len(other) >= _OTHER_WORDS):
            return sentence.strip()[:_LONGEST_SAID]
    return None


_EXCUSES = frozenset(("frees", "credit", "told", "ticket", "resolution"))
_CREDIT_KINDS = (*sorted(_EXCUSES), "wish", "voucher", "before", "ask", "asks", "owned", "license")
_SMALL_WORD = re.compile(r"[^\W\d_]{3,}")
_UNREAD_WORDS, _OTHER_WORDS = 6, 4
"""Words in small letters of none of the kinds that are known: in no language that is read; beside a name."""


@cache
def _quoted() -> re.Pattern[str]:
    with Path(__file__).with_name("conditions.toml").open("rb") as file:
        return re.compile("|".join(tomllib.load(file)["quoted"]))


def _plain(text: str) -> str:
    """Lower case, one kind of blank, without what is harmless."""
    plain = unicodedata.normalize("NFKC", text[:_MOST]).lower().replace("\u2019", "'")
    plain = _ADDRESS.sub(lambda found: " by-nc " if re.search("by-n[cd]", found[0]) else " ", plain)
    return _without_what_frees(_tables()[0].sub(" ~ ", _SPACE.sub(" ", plain)))


def _without_what_frees(plain: str) -> str:
    """The text without "without asking" and the like in the sentences that forbid nothing."""
    frees, kinds = _frees(), _rules()[0]
    if not frees.search(plain):
        return plain
    forbids = [kinds[name] for name in ("no", "forbidden", "maynot")]
    parts = re.split(rf"({_SENTENCE_ENDS.pattern})", plain)
    for place, sentence in enumerate(parts):
        rest = frees.sub(" ~ ", sentence)
        if rest != sentence and not any(pattern.search(rest) for pattern in forbids):
            parts[place] = rest
    return "".join(parts)


def languages() -> tuple[str, ...]:
    """The languages that are read, as codes."""
    return tuple(name for name in _tables()[1] if name != "any")


def condition_in(text: str | None) -> str | None:
    """The words of a text that add a condition to the license; None where none was seen.

    >>> condition_in("Kommerzielle Nutzung nur nach Absprache mit dem Fotografen")
    'nur nach absprache'
    >>> condition_in("You may use it, even for commercial purposes, without asking permission.") is None
    True
    """
    if not text:
        return None
    return _condition_short(text) if len(text) <= _SHORT else _condition(text)


def _condition(text: str) -> str | None:
    plain = _plain(text)
    for pattern in _tables()[1].values():
        found = pattern.search(plain)
        if found is not None:
            return found[0].strip()
    return _said_together(plain)


# Authors, credits and terms are the same on many pages.
_unexplained_short = lru_cache(maxsize=16384)(_unexplained)
_condition_short = lru_cache(maxsize=16384)(_condition)


def without_condition(text: str | None) -> str | None:
    """A name or credit without the sentences that add a condition; None when nothing is left.

    >>> without_condition("Mara Quill - non-commercial use only, ask before printing")
    'Mara Quill'
    """
    if condition_in(text) is None:
        return text
    kept = [part for part in _SENTENCES.split(text or "") if part and condition_in(part) is None]
    return " ".join(kept).strip(" .;,-") or None
