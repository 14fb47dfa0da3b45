"""The license gate: what Commons says about a file -> accept, quarantine or reject, with a reason.

Quarantine means that a person has to look; like reject, it keeps the file out. What names and texts mean stands as
tables in filters/rights. The rules are strict because extmetadata names one license only and prefers "public domain"
over any other: a photograph under CC BY-SA of a work in the public domain can read `pd`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from catalog.records import FileRecord
from filters.rights.conditions import (
    condition_in,
    unexplained_credit,
    unexplained_terms,
    without_condition,
)
from filters.rights.licenses import cc_of, families_in_text, family_of, pd_evidence
from filters.rights.people import (
    LONGEST_AUTHOR,
    agency_in,
    is_agency,
    is_placeholder,
    names_account,
)
from filters.rights.reading import SPDX_PORTS, License, license_url_for, read_license
from filters.rights.signs import signs, signs_in_text, signs_of
from filters.rights.statements import contradiction, depicted

__all__ = [
    "SPDX_PORTS",
    "Objection",
    "Verdict",
    "bytes_refused",
    "judge",
    "license_url_for",
    "objections",
]

VERSION = "7"
"""Raised when a verdict would change."""

Outcome = Literal["accept", "quarantine", "reject"]
Family = Literal["pd_cc0", "cc_by", "cc_by_sa"]

RESTRICTIONS = {
    "2257": "record keeping of explicit content",
    "aus-reserve": "Australian reserves",
    "communist": "symbol outlawed in some countries",
    "costume": "costume design",
    "currency": "banknotes and coins",
    "design": "registered design",
    "fan-art": "fan art",
    "insignia": "official insignia",
    "ita-mibac": "Italian cultural heritage",
    "nazi": "symbol outlawed in some countries",
    "personality": "rights of persons shown",
    "trademarked": "trademark",
}
"""Restrictions beside the license that keep a file out of a set for redistribution, and why."""

_CC_NAME = re.compile(r"CC[ -]BY((?:-(?:SA|NC|ND))*)[ -](\d\.\d)(?=\W|$)", re.IGNORECASE)
_CC_ZERO = re.compile(r"CC-Zero|CC0", re.IGNORECASE)
_CC_URL = re.compile(
    r"^(?:https?:)?//(?:www\.)?creativecommons\.org/"
    r"(licenses/(?P<kind>by|by-sa)/(?P<version>\d\.\d)(?:/(?P<port>[a-z]{2,8}))?|publicdomain/(?P<pd>zero|mark)/1\.0)"
    r"(?:/(?:deed|legalcode)(?:\.[a-z_-]+)?)?/?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """May this file be redistributed as part of the dataset?"""

    outcome: Outcome
    reason: str
    """`ok`, or a short stable code that says what stands in the way."""
    license: str | None
    """SPDX id, LicenseRef-... where SPDX has none; also given where something else stands in the way."""

    @property
    def keep(self) -> bool:
        """Accepted."""
        return self.outcome == "accept"

    @property
    def family(self) -> Family | None:
        """Which part of the dataset it belongs to; None when not accepted."""
        if not self.keep or self.license is None:
            return None
        bare = self.license.removeprefix("LicenseRef-")
        if bare.startswith("CC-BY-SA"):
            return "cc_by_sa"
        if bare.startswith("CC-BY"):
            return "cc_by"
        return "pd_cc0"


class Objection(NamedTuple):
    """One thing that stands in the way."""

    reason: str
    """Short and stable; what a recipe switches off."""
    outcome: Literal["quarantine", "reject"]
    said: str = ""
    """What on the page says so: a category, a piece of text."""


def judge(
    file: FileRecord,
    sdc: Mapping[str, Any] | None = None,
    *,
    off: Collection[str] = (),
) -> Verdict:
    """Verdict on one file: of what stands in the way, the first that rejects gives the reason, or else the first.

    Args:
        file: as crawler.extmetadata.parse_page returns it.
        sdc: the file's entity from wbgetentities (structured data), where the wiki has it.
        off: reasons that do not count here: switched off by a recipe, or looked at by a person for this file.
    """
    known = read_license(file)
    spdx = known.spdx if known else None
    found = [item for item in objections(file, sdc) if item.reason not in off]
    if known is None and not any(item.outcome == "reject" for item in found):
        # Nobody can release a file under a license that has no name.
        found = found or [_unreadable(file)]
    if not found and known is not None and known.kind == "cc" and not _can_be_credited(file):
        # Nobody can say it away: there is no line that a re-user could print.
        found = [Objection("missing_author", "quarantine", file.artist or "")]
    if not found:
        return Verdict(outcome="accept", reason="ok", license=spdx)
    first = next((item for item in found if item.outcome == "reject"), found[0])
    return Verdict(outcome=first.outcome, reason=first.reason, license=spdx)


def objections(file: FileRecord, sdc: Mapping[str, Any] | None = None) -> list[Objection]:
    """Everything that stands in the way of one file, each reason once, in the order of the rules."""
    found: dict[str, Objection] = {}
    for item in _objections(file, read_license(file), sdc):
        found.setdefault(item.reason, item)
    return list(found.values())


def bytes_refused(reason: str) -> bool:
    """Whether a reason to refuse one page says something against its bytes, whatever the title.

    What is missing on one page (an address, an author, evidence) may stand on another; what is said about the picture
    or about the right to publish it may not be got round by another title.
    """
    if reason in ("deleted", "hidden", "not_a_file:hidden"):
        return True
    if reason.startswith("restricted:"):
        return True
    if reason.startswith("license_not_allowed:"):
        return re.search(r"(^|[-:])(nc|nd)(-|$)", reason) is not None
    return any(sign.name == reason and sign.name not in _OF_THE_PAGE for sign in signs())


_OF_THE_PAGE = ("duplicate_tagged", "lacking_author")
"""Signs about one page only."""


def _objections(
    file: FileRecord, known: License | None, sdc: Mapping[str, Any] | None
) -> Iterable[Objection]:
    if file.state != "ok":
        yield Objection(f"not_a_file:{file.state}", "reject", file.state)
        return
    yield from _said_by_templates(file)
    credited = known is None or known.kind == "cc"
    for sign, name in signs_of(file.categories or (), credited=credited):
        yield Objection(sign.name, sign.outcome, name)
    yield from _made_by_a_model(file)
    if known is None:
        yield _unreadable(file)
        return
    yield from _url_objections(file, known)
    yield from _name_objections(file)
    if known.kind == "pd":
        yield from _public_domain_objections(file)
    elif known.kind == "cc0":
        for name in file.categories or ():
            # Who gave up all rights offers no other license.
            if family_of(name) is not None:
                yield Objection("several_licenses", "quarantine", name)
    else:
        yield from _second_license(file, known)
    yield from _author_objections(file, known)
    for text in (file.permission, file.attribution, file.artist, file.credit, file.usage_terms):
        said = condition_in(text)
        if said is not None:
            yield Objection("custom_permission", "quarantine", said)
    for said in (
        *(unexplained_terms(text) for text in (file.permission, file.usage_terms)),
        *(unexplained_credit(text) for text in (file.credit, file.artist)),
        unexplained_credit(file.attribution, names=True),
    ):
        if said is not None:
            yield Objection("custom_permission", "quarantine", said)
    if sdc is not None:
        why = contradiction(sdc, kind=known.kind, code=known.code)
        if why is not None:
            yield Objection(why, "quarantine", "P275, P6216")
        for reason in depicted(sdc):
            yield Objection(reason, "reject", "P180")


def _said_by_templates(file: FileRecord) -> Iterable[Objection]:
    """What extmetadata itself holds: not free, nominated for deletion, restricted."""
    if file.non_free:
        yield Objection("non_free", "reject", "NonFree")
    if file.deletion_reason:
        yield Objection("deletion_tagged", "reject", file.deletion_reason)
    for restriction in file.restrictions or ():
        # An unknown restriction is one that nobody has thought about: a person has to look.
        outcome = "reject" if restriction in RESTRICTIONS else "quarantine"
        yield Objection(f"restricted:{restriction}", outcome, restriction)


def _made_by_a_model(file: FileRecord) -> Iterable[Objection]:
    """Texts are less sure than categories: a person looks."""
    texts = (
        file.artist,
        file.credit,
        file.attribution,
        file.permission,
        file.usage_terms,
        file.description,
    )
    for text in texts:
        for sign in signs_in_text(text) if text else ():
            if sign.kind == "made" and sign.name.startswith("ai_"):
                yield Objection(sign.name, "quarantine", (text or "")[:200])


def _unreadable(file: FileRecord) -> Objection:
    named = file.license_code or file.license_short_name
    if not named:
        return Objection("no_license", "quarantine")
    code = re.sub(r"[^a-z0-9.]+", "-", named.lower()).strip("-")[:60]
    forbids = re.search(r"(^|-)(nc|nd)(-|$)", code) is not None
    return Objection(f"license_not_allowed:{code}", "reject" if forbids else "quarantine", named)


def _url_objections(file: FileRecord, known: License) -> Iterable[Objection]:
    if not file.license_url:
        if known.kind != "pd":
            yield Objection("url_missing", "quarantine")
        return
    match = _CC_URL.match(file.license_url.strip())
    if match is None:
        # Public domain templates may link to a law or to a help page.
        if known.kind != "pd":
            yield Objection("url_disagrees", "quarantine", file.license_url)
        return
    parts = [match["kind"], match["version"], match["port"]]
    said = match["pd"] or "/".join(part for part in parts if part)
    if said.lower() != known.path:
        yield Objection("url_disagrees", "quarantine", file.license_url)


def _name_objections(file: FileRecord) -> Iterable[Objection]:
    """What people read as the license's name forbids what the code allows."""
    name = (file.license_short_name or "").strip()
    match = _CC_NAME.match(name)
    if match is not None and re.search(r"nc|nd", match[1], re.IGNORECASE):
        yield Objection("name_disagrees", "quarantine", name)


def _public_domain_objections(file: FileRecord) -> Iterable[Objection]:
    names = file.categories or ()
    for name in names:
        family = family_of(name)
        if family is not None:
            yield Objection(f"pd_beside_{family}", "quarantine", name)
    texts = (file.license_short_name, file.license_url, file.usage_terms, file.permission)
    for family in sorted(families_in_text(*texts, file.attribution, file.credit)):
        yield Objection(f"pd_beside_{family}", "quarantine", "named in a text of the page")
    if file.attribution_required:
        yield Objection("pd_beside_attribution", "quarantine", "AttributionRequired")
    if pd_evidence(names) is None:
        yield Objection("pd_without_evidence", "quarantine")


def _second_license(file: FileRecord, known: License) -> Iterable[Objection]:
    """A license that no template offers beside the page's: a photograph of a work with its own license is two works.

    GFDL and Free Art License stand beside CC in one template of the author's, and so do non-commercial licenses, which
    Commons accepts beside a free one only; what CommonsMetadata hands on is then the author's offer, too.
    """
    kind, _, version = known.path.partition("/")
    version = version.partition("/")[0]
    for name in file.categories or ():
        other = cc_of(name)
        if other is not None:
            offered = other.kind == kind and (not other.versions or version in other.versions)
            if offered or other.migrated or "nc" in other.kind or "nd" in other.kind:
                continue
            yield Objection("several_licenses", "quarantine", name)
        elif family_of(name) not in (None, "gfdl", "fal") or _CC_ZERO.match(name):
            yield Objection("several_licenses", "quarantine", name)


def _can_be_credited(file: FileRecord) -> bool:
    """Whether anything is left to print as a credit, as pipelines.build.report.rights.creditable prints it."""
    attribution = without_condition(file.attribution)
    return bool(without_condition(file.artist)) or not is_placeholder(attribution)


def _author_objections(file: FileRecord, known: License) -> Iterable[Objection]:
    if (file.author_count or 0) > 1:
        # Only the first author is in the answer.
        yield Objection("several_authors", "quarantine", f"AuthorCount {file.author_count}")
    if known.kind == "pd":
        return
    names = (file.attribution, file.artist)
    if known.kind == "cc0" and not any(names):
        # Museums give CC0 as the source of a file without an author.
        names = (file.credit,)
    # "The Photographer" is an account of Commons; without a link to it, a person has to say so.
    account = names_account(file.artist, file.artist_url)
    if all(is_placeholder(name) for name in names) and not account:
        yield Objection("missing_author", "quarantine", file.artist or "")
    elif known.kind == "cc" and max(len(name or "") for name in names) > LONGEST_AUTHOR:
        yield Objection("author_unclear", "quarantine", "a text of this length names nobody")
    agency = agency_in(file.artist, file.credit, file.attribution)
    if agency is None and not account and is_agency(file.artist):
        agency = file.artist
    if agency is not None:
        yield Objection("agency", "quarantine", agency)
