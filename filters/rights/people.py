"""Who is named as the author: a name, or something that stands in the place of one; and names that need a second look.

Placeholders are told by their words, in the ten languages most used on Commons and English: a text is a placeholder
when it has no word that is not one of "unknown", "author", "photo", "own work" and the like, in any language. The
words stand in people.toml.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path
from typing import NamedTuple

LONGEST_AUTHOR = 500
"""Characters; what is longer is no name, and a credit in a table of a dataset has to end somewhere."""

_WORD = re.compile(r"[^\W_]+")


class _Tables(NamedTuple):
    """people.toml, ready to match."""

    vocabulary: frozenset[str]
    telling: frozenset[str]
    """Those words of it that say that nobody is named."""
    whole: re.Pattern[str]
    agencies: re.Pattern[str]


@cache
def _tables() -> _Tables:
    with Path(__file__).with_name("people.toml").open("rb") as file:
        said = tomllib.load(file)
    words = " ".join(said[name] for name in ("unknown", "roles", "own", "nothing"))
    telling = frozenset(words.lower().split())
    # {role}: an optional word for the author; {told}: known, named, identified and the like.
    role = rf"(?:[\s:]*(?:{'|'.join(said['roles'].split())})[\s:]*)?"
    whole = "|".join(said["whole"]).replace("{role}", role).replace("{told}", said["told"])
    return _Tables(
        vocabulary=telling | frozenset(said["fillers"].lower().split()),
        telling=telling,
        whole=re.compile(rf"\s*(?:{whole})\s*", re.IGNORECASE),
        # Chinese, Japanese and Korean write no blanks between words.
        agencies=re.compile(
            rf"\b(?:{'|'.join(said['agencies'])})\b|{'|'.join(said['agencies_unspaced'])}",
            re.IGNORECASE,
        ),
    )


_UPLOADED = re.compile(
    r"[\s,;(/|-]*\b(?:uploaded|transferred|scanned|digiti[sz]ed|hochgeladen|importée?|téléversée?|subid[oa]|caricat[oa]|"
    r"carregad[oa]|geüpload|przesłan[ey]|загру[зж]\w+)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
"""Who uploaded or scanned a file is not who made it."""


def is_placeholder(name: str | None) -> bool:
    """Whether a text in the author's place names nobody; None and blank texts name nobody.

    >>> is_placeholder("Unbekannter Fotograf"), is_placeholder("Own work"), is_placeholder("Will Self")
    (True, True, False)
    """
    if not name or not name.strip():
        return True
    text = _UPLOADED.sub("", unicodedata.normalize("NFKC", name))
    if not text.strip() or _tables().whole.fullmatch(text):
        return True
    said = [word.lower() for word in _WORD.findall(text)]
    tables = _tables()
    return any(word in tables.telling for word in said) and all(
        word in tables.vocabulary for word in said
    )


_SHORT_AGENCIES = (
    # Short names, which are also words: capitals only, and beside a slash, in brackets, or alone.
    re.compile(
        r"(?:^|[/(|]\s*)(?:AP|AFP|EFE|EPA|DPA|ANSA|TASS|UPI|PTI|PAP|ANI|AAP|ANP|APA|ČTK|CTK|MTI|SIPA|SWNS|WENN|Bloomberg)(?:\s*[/)|,]|$)"
    ),
    re.compile(r"(?:^|[/(|]\s*)dpa(?:\s*[/)|]|$)"),
    # Names of people and places, too: only beside the photographer's.
    re.compile(r"(?:^|[/(|]\s*)(?:Belga|Imago|imago|Keystone|KEYSTONE|Lusa|LUSA|Sipa)\s*/"),
    re.compile(
        r"\b(?i:photo|foto|image|credit|source|\u00a9)\s*(?:by|:|-)?\s*(?:AP|AFP|EFE|EPA|DPA|dpa|ANSA|TASS|UPI)\b"
    ),
)
_NO_AGENCY = re.compile(
    r"ria novosti archive|paul getty|getty (?:museum|center|centre|research|villa|trust|foundation|open content)",
    re.IGNORECASE,
)


def agency_in(*texts: str | None) -> str | None:
    """A news or picture agency that is named as author or source: agencies do not publish under free licenses, so who
    put such a file on Commons had it to give only rarely. None where none is named."""
    for text in texts:
        for pattern in (_tables().agencies, *_SHORT_AGENCIES):
            found = pattern.search(_NO_AGENCY.sub(" ", text or ""))
            if found is not None:
                return found[0].strip(" /()|,")
    return None
