"""LICENSES.md of a release: every license that occurs in it, where its text stands, and what it asks of a user.

The obligations are told in our words, so that a reader knows what to look for; the license text decides. SPDX ids that
begin with `LicenseRef-` are ours: SPDX has no entry for them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from catalog.release.columns import FAMILIES

LICENSES_NAME = "LICENSES.md"
_CC = re.compile(r"(?:LicenseRef-)?CC-(BY(?:-SA)?)-(\d\.\d)(?:-([A-Za-z]{2,}))?")
_SITE = "https://creativecommons.org"


@dataclass(frozen=True, kw_only=True)
class LicenseFacts:
    """One license id, and where to read more."""

    spdx: str
    family: str
    rows: int
    deed: str | None
    """Summary for people, on creativecommons.org; None for the public domain."""
    text: str | None
    """The legal code itself."""
    listed: str | None
    """Its entry on spdx.org; None for a LicenseRef."""
    asks: tuple[str, ...]
    """What it asks of a user, one sentence each."""


def licenses_of(samples: pa.Table) -> list[LicenseFacts]:
    """The licenses of a table of samples, from no conditions to share-alike, the most frequent first.

    Args:
        samples: with `license` and `family`.
    """
    pairs = zip(
        samples.column("license").to_pylist(), samples.column("family").to_pylist(), strict=True
    )
    counted = Counter(pairs)
    found = [_facts(spdx, family, rows) for (spdx, family), rows in counted.items()]
    return sorted(found, key=lambda one: (FAMILIES.index(one.family), -one.rows, one.spdx))


def _facts(spdx: str, family: str, rows: int) -> LicenseFacts:
    deed = text = None
    match = _CC.fullmatch(spdx)
    if match is not None:
        kind, version, port = match.groups()
        path = "/".join(filter(None, [kind, version, port])).lower()
        deed, text = f"{_SITE}/licenses/{path}/", f"{_SITE}/licenses/{path}/legalcode"
        asks = _asks_of_cc(kind, version, port)
    elif spdx == "CC0-1.0":
        deed = f"{_SITE}/publicdomain/zero/1.0/"
        text = f"{deed}legalcode"
        asks = (
            "Nothing. Credit is good manners and helps others to find the source.",
            "Trademarks, patents and the rights of persons shown are not waived by it.",
        )
    else:
        asks = (
            "Copyright asks for nothing where the work is in the public domain. The id names the reason that Commons "
            "gives; it can hold in some countries and not in others, so check it for yours.",
        )
    listed = None if spdx.startswith("LicenseRef-") else f"https://spdx.org/licenses/{spdx}.html"
    return LicenseFacts(
        spdx=spdx, family=family, rows=rows, deed=deed, text=text, listed=listed, asks=asks
    )


def _asks_of_cc(kind: str, version: str, port: str | None) -> tuple[str, ...]:
    """The conditions of CC BY and CC BY-SA that a user of photographs meets, by version."""
    fourth = version == "4.0"
    title = "" if fourth else "; name the title too, where there is one"
    asks = [
        "Credit: name the author as they ask for it, the source, and this license with its address, and keep "
        f"copyright notices{title}. `attribution_line` holds all of it.",
        "Say whether you changed the photograph.",
        "Add no terms or technical locks that take these rights from others.",
    ]
    if version >= "3.0":
        asks.append("Do not suggest that the author stands behind you or your use.")
    if kind == "BY-SA":
        asks.append(_share_alike(version))
    asks.append(
        "Who breaks it loses the rights, and has them back when it is mended within 30 days of being found."
        if fourth
        else "Who breaks it loses the rights; they do not come back by themselves."
    )
    if port:
        asks.append(
            f"This is the text adapted for {port.upper()}; it differs from the general one in details."
        )
    return tuple(asks)


def _share_alike(version: str) -> str:
    under = {
        "1.0": "this same license",
        "4.0": "this license, a later version of it, or one that Creative Commons lists as compatible",
    }.get(
        version, "this license, a later version of it, or a national version with the same elements"
    )
    return f"Share alike: what you adapt from the photograph and publish goes under {under}."


def licenses_text(samples: pa.Table) -> str:
    """LICENSES.md of a release; the same text for any order of rows."""
    found = licenses_of(samples)
    lines = [
        "# Licenses of the photographs",
        "",
        "There is no license for the collection as a whole: each photograph has its own, in the column `license`, with "
        "a ready credit in `attribution_line` (all of them in `CREDITS.csv`). What follows tells in short what each "
        "license asks; it is no legal advice, and the license's own text decides.",
        "",
        "| SPDX id | configuration | photographs | text |",
        "|---|---|---:|---|",
        *(
            f"| `{one.spdx}` | `{one.family}` | {one.rows:,} | {f'<{one.text}>' if one.text else 'none'} |"
            for one in found
        ),
    ]
    for one in found:
        lines += [
            "",
            f"## {one.spdx}",
            "",
            f"{one.rows:,} photographs, configuration `{one.family}`.",
            "",
        ]
        lines += [f"- {name}: <{url}>" for name, url in _addresses(one)]
        if one.listed is None:
            lines.append("- SPDX: not listed; the id is this dataset's own")
        lines += ["", *(f"- {sentence}" for sentence in one.asks)]
    return "\n".join([*lines, ""])


def _addresses(one: LicenseFacts) -> list[tuple[str, Any]]:
    named = (("summary", one.deed), ("legal text", one.text), ("SPDX", one.listed))
    return [(name, url) for name, url in named if url]
