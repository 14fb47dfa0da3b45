"""Where the photographs of a release come from, and the words that a card and a Croissant file have for it.

A release made of somebody's own files must not say that Commons has them. What decides is the row: a page id of a wiki,
or a number made of the SHA-1 (`catalog.records.OWN_IDS`, docs/adr/0046).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from catalog.records import OWN_IDS


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How many photographs have a page on Commons, and how many were somebody's own files."""

    wiki: int
    own: int

    @property
    def photographs(self) -> str:
        """What the first sentence calls them."""
        if not self.own:
            return "photographs from Wikimedia Commons"
        if not self.wiki:
            return "photographs from files that the maker of this release had"
        return (
            f"photographs, {self.wiki:,} from Wikimedia Commons and {self.own:,} from files that the maker of this "
            "release had"
        )

    @property
    def made(self) -> str:
        """How they were collected."""
        own = (
            "Files were read from folders or shards, judged by the license that the data beside them or the recipe "
            "state"
        )
        if not self.own:
            return (
                "Files were listed through the API of Wikimedia Commons, judged by license first, downloaded as "
                "originals (never thumbnails, which Commons sharpens), checked against their SHA-1"
            )
        if not self.wiki:
            return own
        return (
            "Files were listed through the API of Wikimedia Commons and downloaded as originals, or read from folders "
            "or shards; they were judged by the license that the page, the data beside them or the recipe state"
        )

    @property
    def creators(self) -> str:
        """Who made the photographs, as an organization's name."""
        if not self.own:
            return "Contributors of Wikimedia Commons"
        return "The authors named in CREDITS.csv"


def origin_of(samples: pa.Table) -> Origin:
    """By the page ids of the rows."""
    own = compute.sum(compute.greater_equal(samples.column("page_id"), OWN_IDS)).as_py() or 0  # type: ignore[attr-defined]
    return Origin(wiki=samples.num_rows - own, own=own)


OWN_COLUMNS = {
    "page_id": "2^61 plus the first 61 bits of a SHA-1: of the bytes, or of the bytes and what is stated of them.",
    "title": "Name of the file as a wiki writes titles, with `File:`.",
    "sha1": "SHA-1 of the bytes, checked.",
    "license_short_name": "The license as it was stated.",
    "copyrighted": "Not told for files that come from no wiki.",
    "file_page_url": "Address of the source, as stated.",
    "categories": "Not told for files that come from no wiki.",
    "uploader": "Not told for files that come from no wiki.",
    "uploaded_at": "Not told for files that come from no wiki.",
}
"""What columns mean in a release without a photograph of a wiki, where that differs from `RELEASED`."""


def column_texts(about: dict[str, str], origin: Origin) -> dict[str, str]:
    """Name -> sentence."""
    if not origin.own:
        return about
    if not origin.wiki:
        return about | OWN_COLUMNS
    return about | {
        name: f"{about[name]} Of own files: {text[0].lower() + text[1:]}"
        for name, text in OWN_COLUMNS.items()
        if name in about and name != "sha1"
    }
