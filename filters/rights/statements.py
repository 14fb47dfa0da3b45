"""Structured data of a file: does it name the page's license, and what does it say is shown?

Licenses of P275 come from wikidata_licenses.csv beside this file: the items that multichill's own-work bot writes on
Commons for each license template, and those of the NC and ND licenses, which Commons does not host but which importers
write. Statements never free a file; they contradict, or they do not.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

COPYRIGHTED = "Q50423863"
DEDICATED, PUBLIC_DOMAIN = "Q88088423", "Q19652"
"""P6216 (copyright status): copyrighted; dedicated to the public domain by the holder; in the public domain."""

DEPICTS: dict[str, str] = {
    "Q10791": "subject:nudity",
    "Q40446": "subject:nudity",
    "Q22808839": "subject:nudity",
    "Q7569": "subject:minors",
    "Q3010": "subject:minors",
    "Q3031": "subject:minors",
    "Q998": "subject:minors",
}
"""P180 (depicts): nudity, nude (genre), naked woman; child, boy, girl, baby -> the sign that it is. The first three and
girl are seen in public mappings of museum tags; the others are Wikidata's own items for these words."""


@cache
def licenses() -> dict[str, str]:
    """Wikidata item -> license code as extmetadata spells it; `pd` for the public domain in any form."""
    path = Path(__file__).with_name("wikidata_licenses.csv")
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["qid"]: row["license"] for row in csv.DictReader(lines)}


def items(sdc: Mapping[str, Any], prop: str) -> list[str]:
    """Item ids of a property's statements, deprecated ones left out; no statements may come as an empty list."""
    statements = sdc.get("statements") or sdc.get("claims") or {}
    found: list[str] = []
    said = statements.get(prop) if isinstance(statements, Mapping) else None
    for statement in said if isinstance(said, list) else []:
        if not isinstance(statement, Mapping) or statement.get("rank") == "deprecated":
            continue
        snak = statement.get("mainsnak")
        held = snak.get("datavalue") if isinstance(snak, Mapping) else None
        value = held.get("value") if isinstance(held, Mapping) else None
        if isinstance(value, Mapping) and "id" in value:
            found.append(str(value["id"]))
    return found


def contradiction(
    sdc: Mapping[str, Any], *, kind: Literal["cc", "cc0", "pd"], code: str
) -> str | None:
    """`sdc_disagrees` where the statements contradict the page's license, `sdc_unknown_license` where they name only
    one that we do not know; None where they say nothing or agree.

    Args:
        kind: of the page's license.
        code: of the page's license, as extmetadata spells it.
    """
    said = items(sdc, "P275")
    known = {licenses()[item] for item in said if item in licenses()}
    # CC0 is a way into the public domain; a page that reads `pd` may name it, a page under CC0 may not claim more.
    agreeing = {"pd", "cc0"} if kind == "pd" else {code}
    if known and (not known & agreeing or (kind == "pd" and known - agreeing)):
        return "sdc_disagrees"
    statuses = set(items(sdc, "P6216"))
    against = {
        "cc": {DEDICATED, PUBLIC_DOMAIN},
        "cc0": {PUBLIC_DOMAIN},
        "pd": {COPYRIGHTED},
    }[kind]
    if statuses & against:
        return "sdc_disagrees"
    return "sdc_unknown_license" if said and not known & agreeing else None


def depicted(sdc: Mapping[str, Any]) -> list[str]:
    """Names of the signs that the statements about what is shown are."""
    return list(dict.fromkeys(DEPICTS[item] for item in items(sdc, "P180") if item in DEPICTS))
