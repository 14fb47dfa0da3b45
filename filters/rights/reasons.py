"""Every reason that the gate gives, in a sentence for people: for `lucidlr licenses`, the card and docs/licenses.md."""

from __future__ import annotations

from filters.rights.signs import signs

REASONS: dict[str, tuple[str, str]] = {
    "ok": ("accept", "Free to redistribute, by everything that the page says."),
    "not_a_file": (
        "reject",
        "No visible file: missing, hidden, a redirect to another page, or taken out here.",
    ),
    "same_bytes": (
        "reject",
        "The same bytes were refused under another title, for the reason named.",
    ),
    "restricted": (
        "reject",
        "A restriction beside copyright that the page's templates name; an unknown one waits.",
    ),
    "no_license": ("quarantine", "The page names no license that a program can read."),
    "license_not_allowed": (
        "quarantine",
        "A license that this project does not release; NC and ND are rejected.",
    ),
    "url_missing": ("quarantine", "The license has no address on the page."),
    "url_disagrees": ("quarantine", "License and address name different licenses."),
    "name_disagrees": ("quarantine", "The license's name forbids what its code allows."),
    "pd_beside_cc": (
        "quarantine",
        "Public domain is claimed, and a Creative Commons license stands beside it.",
    ),
    "pd_beside_gfdl": ("quarantine", "Public domain is claimed, and the GFDL stands beside it."),
    "pd_beside_fal": (
        "quarantine",
        "Public domain is claimed, and the Free Art License stands beside it.",
    ),
    "pd_beside_government": (
        "quarantine",
        "Public domain is claimed, and a government's license stands beside it.",
    ),
    "pd_beside_attribution": (
        "quarantine",
        "Public domain is claimed, and an attribution is asked for beside it.",
    ),
    "pd_beside_software": (
        "quarantine",
        "Public domain is claimed, and a software license stands beside it.",
    ),
    "pd_beside_other": (
        "quarantine",
        "Public domain is claimed, and another license stands beside it.",
    ),
    "pd_without_evidence": (
        "quarantine",
        "Public domain is claimed without a tag of the allow-list that says why.",
    ),
    "several_licenses": (
        "quarantine",
        "Another template offers another license: perhaps these are two works.",
    ),
    "several_authors": ("quarantine", "Several authors, of whom the answer holds only the first."),
    "missing_author": ("quarantine", "Nobody is named whom the credit could name."),
    "author_unclear": ("quarantine", "The author's place holds a text too long for a name."),
    "agency": (
        "quarantine",
        "A news or picture agency is named, which hardly ever publishes under a free license.",
    ),
    "custom_permission": ("quarantine", "The author adds a condition of their own to the license."),
    "sdc_disagrees": (
        "quarantine",
        "Structured data name another license or status than the page.",
    ),
    "sdc_unknown_license": (
        "quarantine",
        "Structured data name a license that we do not know, and not the page's.",
    ),
}
"""Reason, or what stands before its colon -> (outcome, what it means); signs of the table come on top."""


def means(reason: str) -> str:
    """What a reason of the gate means; an empty text for one that nobody described."""
    for sign in signs():
        if sign.name == reason:
            return sign.means
    known = REASONS.get(reason) or REASONS.get(reason.partition(":")[0])
    return known[1] if known else ""
