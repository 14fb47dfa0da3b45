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
from urllib.parse import unquote

LONGEST_AUTHOR = 500
"""Characters; what is longer is no name, and a credit in a table of a dataset has to end somewhere."""

_WORD = re.compile(r"[^\W_]+")
_LEADING = (
    r"[\W_]*(?:(?:photo|foto|fot)\w*\W+)?(?:(?:by|von|par|por|de|di|door|przez) )?"
    r"(?:(?:the|an?|einem?|une?|uno?) )?"
)
"""What may stand before "unknown photographer": a bracket, "photo by", an article."""


class _Tables(NamedTuple):
    """people.toml, ready to match."""

    vocabulary: frozenset[str]
    telling: frozenset[str]
    """Those words of it that say that nobody is named."""
    whole: re.Pattern[str]
    nobody: re.Pattern[str]
    """What begins a text that names nobody, whatever follows."""
    tiles: re.Pattern[str]
    """Words of the vocabulary that follow each other without blanks, as Chinese and Japanese write them."""
    roles: frozenset[str]
    not_there: re.Pattern[str]
    """Words that say that a name is missing."""
    agencies: re.Pattern[str]
    agencies_alone: frozenset[str]


@cache
def _tables() -> _Tables:
    with Path(__file__).with_name("people.toml").open("rb") as file:
        said = tomllib.load(file)
    words = " ".join(said[name] for name in ("unknown", "roles", "own", "nothing"))
    telling = frozenset(words.lower().split())
    # {role}: an optional word for the author; {told}: known, named, identified and the like.
    role = rf"(?:[\s:]*(?:{'|'.join(said['roles'].split())})[\s:]*)?"
    whole = "|".join(said["whole"]).replace("{role}", role).replace("{told}", said["told"])
    unknown, roles = (
        "|".join(re.escape(word) for word in sorted(said[name].split(), key=len, reverse=True))
        for name in ("unknown", "roles")
    )
    makers = "|".join(said["makers"].split())
    tiles = "|".join(
        re.escape(word) for word in sorted(telling, key=len, reverse=True) if word[0] > "\u3000"
    )
    return _Tables(
        vocabulary=telling | frozenset(said["fillers"].lower().split()),
        telling=telling,
        whole=re.compile(rf"\s*(?:{whole})\s*", re.IGNORECASE),
        nobody=re.compile(
            rf"{_LEADING}(?:(?:(?:{unknown}) (?:\w+ ){{0,3}}(?:{roles}|{makers})|(?:{roles})[\s:]*(?:{unknown}))"
            rf"(?:{said['after_role']})?|(?:{unknown})\b(?:{said['after_word']}))",
            re.IGNORECASE | re.DOTALL,
        ),
        tiles=re.compile(rf"(?:(?:{tiles})(?:に|による|より|で|が|の|は|的|所|した)*)+"),
        roles=frozenset(said["roles"].lower().split()),
        not_there=re.compile("|".join(said["not_there"].split())),
        agencies_alone=frozenset(said["agencies_alone"].split()),
        # Chinese, Japanese and Korean write no blanks between words.
        agencies=re.compile(
            rf"\b(?:{'|'.join(said['agencies'])})\b|{'|'.join(said['agencies_unspaced'])}",
            re.IGNORECASE,
        ),
    )


_TWICE = re.compile(r"^\s*(\w.{3,60}?)\s*\1(?!\w)", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_ACCOUNT = re.compile(
    r"^https?://[^/]+\.org/wiki/(?:\w{2,12}:)?(?:user|benutzer(?:in)?|utilisateur|utilisatrice|usuario|usuaria|usuário|"
    r"utente|gebruiker|wikipedysta|участник|участница|利用者|用户|用戶):([^/?#]+)",
    re.IGNORECASE,
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
    tables = _tables()
    text = _UPLOADED.sub("", unicodedata.normalize("NFKC", name)[:LONGEST_AUTHOR])
    # Templates say it once for people and once for programs: "Unknown authorUnknown author".
    text = _TWICE.sub(r"\1", text)
    if not text.strip() or tables.whole.fullmatch(text) or tables.nobody.fullmatch(text):
        return True
    if _says_no_name(text, tables):
        return True
    bare = [word.lower() for word in _WORD.findall(_IN_BRACKETS.sub(" ", text))]
    if sum(word in tables.telling for word in bare) > 1 and tables.vocabulary.issuperset(bare):
        return True
    said = [word.lower() for word in _WORD.findall(text)]
    telling = [word in tables.telling or tables.tiles.fullmatch(word) for word in said]
    known = [word in tables.vocabulary for word in said]
    return any(telling) and all(map(any, zip(telling, known, strict=True)))


def _says_no_name(text: str, tables: _Tables) -> bool:
    """Whether a role stands among small words alone, with a word for missing ("se desconoce el autor") or two others
    ("un amico fotografo"): names are written large, and a nickname is one word."""
    words = _WORD.findall(text)
    small = [word.lower() for word in words]
    if " " not in text or not any(word in tables.roles for word in small):
        return False
    large = [word for word in words[1:] if word[0].isupper() and word.lower() not in tables.roles]
    # Scripts without capitals, and numbers, tell nothing.
    others = [word for word in small if word not in tables.roles and word.upper() != word]
    missing = any(tables.not_there.fullmatch(word) for word in small)
    return not large and (missing or len(others) >= _SMALL_WORDS)


_SMALL_WORDS = 2


def names_account(name: str | None, url: str | None) -> bool:
    """Whether a text is the name of the account whose page on a wiki the link leads to.

    >>> names_account("The Photographer", "https://commons.wikimedia.org/wiki/User:The_Photographer")
    True
    """
    match = _ACCOUNT.search(unquote(url or "").replace("_", " "))
    said = re.sub(r"^\s*user\s*:", "", name or "", flags=re.IGNORECASE).replace("_", " ").strip()
    return match is not None and match[1].strip().lower() == said.lower() != ""


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


def is_agency(name: str | None) -> bool:
    """Whether a text is nothing but the name of an agency that is also a word or a name of something else."""
    said = re.sub(r"^\W*(?:photo|foto|image|picture)?\s*(?:by|:|-)?\s*", "", (name or "").lower())
    return said.strip(" .,;/()|\u00a9-") in _tables().agencies_alone


def agency_in(*texts: str | None) -> str | None:
    """A news or picture agency that is named as author or source: agencies do not publish under free licenses, so who
    put such a file on Commons had it to give only rarely. None where none is named."""
    for text in texts:
        for pattern in (_tables().agencies, *_SHORT_AGENCIES):
            found = pattern.search(_NO_AGENCY.sub(" ", text or ""))
            if found is not None:
                return found[0].strip(" /()|,")
    return None
