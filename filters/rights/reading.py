"""The license of a file page as extmetadata names it, with its SPDX id and its place on creativecommons.org."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from catalog.records import FileRecord
from filters.rights.licenses import pd_evidence

VERSIONS = ("1.0", "2.0", "2.1", "2.5", "3.0", "4.0")
SPDX_PORTS = {
    *(
        "CC-BY-2.5-AU",
        "CC-BY-3.0-AT",
        "CC-BY-3.0-AU",
        "CC-BY-3.0-DE",
        "CC-BY-3.0-IGO",
        "CC-BY-3.0-NL",
    ),
    *(
        "CC-BY-3.0-US",
        "CC-BY-SA-2.0-UK",
        "CC-BY-SA-2.1-JP",
        "CC-BY-SA-3.0-AT",
        "CC-BY-SA-3.0-DE",
        "CC-BY-SA-3.0-IGO",
    ),
}
"""Ported licenses that SPDX lists; others are called LicenseRef-<the same>."""

_CC_HOST = "https://creativecommons.org"
CC_CODE = re.compile(r"cc-by(-sa)?-(\d\.\d)(?:-([a-z]{2,8}))?")


class License(NamedTuple):
    """What a page is under."""

    kind: Literal["cc", "cc0", "pd"]
    spdx: str
    path: str
    """Path of the license below creativecommons.org, for comparison with the URL."""
    code: str
    """As extmetadata spells it."""


def read_license(file: FileRecord) -> License | None:
    """The license of a page; None where it is none that this project releases."""
    code = (file.license_code or "").lower()
    if code == "cc0":
        return License("cc0", "CC0-1.0", "zero", code)
    if code in ("pd", "cc-pd"):
        return License("pd", _public_domain_id(file), "mark", "pd")
    match = CC_CODE.fullmatch(code)
    if match is None or match[2] not in VERSIONS:
        return None
    kind, version, port = "by-sa" if match[1] else "by", match[2], match[3]
    spdx = "-".join(["CC", kind.upper(), version, *([port.upper()] if port else [])])
    if port and spdx not in SPDX_PORTS:
        spdx = f"LicenseRef-{spdx}"
    return License("cc", spdx, _path(match), code)


def _public_domain_id(file: FileRecord) -> str:
    """LicenseRef-PD-<the evidence>, e.g. LicenseRef-PD-old-70; LicenseRef-PD without any."""
    name = pd_evidence(file.categories or ())
    if name is None:
        return "LicenseRef-PD"
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")
    return f"LicenseRef-{slug if slug.upper().startswith('PD') else 'PD-' + slug}"


def license_url_for(spdx: str) -> str | None:
    """Address of the license text on creativecommons.org; None for the public domain, which has none.

    Raises:
        ValueError: an id that `judge` never gives.
    """
    bare = spdx.removeprefix("LicenseRef-")
    if bare == "CC0-1.0":
        return f"{_CC_HOST}/publicdomain/zero/1.0/"
    match = CC_CODE.fullmatch(bare.lower())
    if match is not None and match[2] in VERSIONS:
        return f"{_CC_HOST}/licenses/{_path(match)}/"
    if re.match(r"LicenseRef-PD(-|$)", spdx, re.IGNORECASE):
        return None
    raise ValueError(
        f"{spdx!r} is no license of the gate: give Verdict.license of an accepted file."
    )


def _path(code: re.Match[str]) -> str:
    """by-sa/3.0/de of a matched cc-by-sa-3.0-de."""
    return "/".join(part for part in ("by-sa" if code[1] else "by", code[2], code[3]) if part)
