"""Who made each photograph, and under which license: the attribution line of a row, and CREDITS for the whole dataset.

CC BY and CC BY-SA ask a re-user for title, author, source and license (TASL) and for a note of changes. The line is
made once, at export, so that nobody downstream has to put it together again. A row for which it cannot be made
complete stops the export: a dataset with one photograph uncredited is not license-clean.
"""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import files
from catalog.errors import Expected
from catalog.records import OWN_IDS, FileRecord

FREE_OF_CONDITIONS = "pd_cc0"
"""The family whose files ask for nothing: an author may be unknown there, a license text need not exist."""

CREDIT_COLUMNS = (
    "license",
    "license_name",
    "license_url",
    "page_id",
    "title",
    "sha1",
    "file_page_url",
    "attribution_line",
)
"""Columns of CREDITS.csv, in this order."""

_NEEDED = (
    "page_id",
    "title",
    "license",
    "family",
    "file_page_url",
    "license_short_name",
    "license_url",
    "artist",
    "artist_url",
    "attribution",
)
# Only what is shaped like a tag: `Jane <jane@example.org>` keeps its address.
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>|<!--.*?-->", re.DOTALL)
_SPACE = re.compile(r"\s+")
# Control characters (C0, DEL, C1; the next-line sign of C1 counts as white space), and those that reorder the text
# around them (overrides, embeddings, isolates): a line of credit with one of these in a name would show license and
# address in another order than they stand in.
_UNSEEN = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_CC = re.compile(r"(?:LicenseRef-)?(CC-BY(?:-SA)?)-(\d\.\d)(?:-([A-Za-z]{2,}))?")


class AttributionError(Expected, ValueError):
    """A row lacks something that its license asks a re-user to state."""


def plain(text: str | None, *, markup: bool = True) -> str:
    """Text on one line: tags dropped and entities resolved (`markup`), white space collapsed, controls removed.

    Titles go through with `markup=False`: MediaWiki gives them as plain text, and what looks like a tag is a name.
    """
    if text is None:
        return ""
    if markup:
        text = html.unescape(_TAG.sub(" ", text))
    return _SPACE.sub(" ", _UNSEEN.sub("", text)).strip()


def license_terms(license: str, short_name: str | None, url: str | None) -> tuple[str, str]:
    """Name and address of a license as they should be printed; the address is "" where there is none.

    What Commons said has the first word; what it left out follows from the SPDX id, for ported licenses too.
    """
    name, address = plain(short_name), plain(url)
    if address.startswith("//"):
        address = "https:" + address
    match = _CC.fullmatch(license)
    if match is not None:
        kind, version, port = match.groups()
        name = name or " ".join(filter(None, [kind.replace("CC-", "CC "), version, port]))
        path = "/".join(filter(None, [kind.removeprefix("CC-"), version, port])).lower()
        address = address or f"https://creativecommons.org/licenses/{path}/"
    elif license == "CC0-1.0":
        name = name or "CC0 1.0"
        address = address or "https://creativecommons.org/publicdomain/zero/1.0/"
    return name or "Public domain", address


def attribution_line(
    *,
    title: str,
    file_page_url: str,
    license: str,
    family: str,
    license_short_name: str | None = None,
    license_url: str | None = None,
    artist: str | None = None,
    artist_url: str | None = None,
    attribution: str | None = None,
    via_commons: bool = True,
) -> str:
    """One line with title, author, source, license and the note that nothing was changed (TASL).

    `"<title>" by <author> (<author url>), via Wikimedia Commons, <file page url>, licensed under <license name>
    (<license url>), unmodified.` Where the author asks for an attribution of their own wording (`attribution`), it
    stands in the place of the author, word for word. Public domain and CC0 name no license to comply with, and go
    without an author where none is known. Files of one's own do not come `via Wikimedia Commons` (`via_commons`).

    Raises:
        AttributionError: title, file page, author or license address is missing; the message names which.
    """
    name, address = license_terms(license, license_short_name, license_url)
    work = plain(title, markup=False).removeprefix("File:").strip()
    author, override = plain(artist), plain(attribution)
    free = family == FREE_OF_CONDITIONS
    missing = [
        what
        for what, there in (
            ("a title", work),
            ("the address of its file page", plain(file_page_url)),
            ("an author or an attribution text", author or override or free),
            (f"the address of the license {license}", address or free),
        )
        if not there
    ]
    if missing:
        raise AttributionError(f"{title!r} lacks {' and '.join(missing)}")
    if override:
        by = f", {override}"
    elif author:
        link = plain(artist_url)
        by = f" by {author} ({link})" if link else f" by {author}"
    else:
        by = ""
    terms = f"{name} ({address})" if address else name
    if not free:
        terms = f"licensed under {terms}"
    elif license == "CC0-1.0":
        terms = f"dedicated to the public domain under {terms}"
    else:
        terms = f"in the public domain: {terms}"
    via = ", via Wikimedia Commons" if via_commons else ""
    return f'"{work}"{by}{via}, {plain(file_page_url)}, {terms}, unmodified.'


def _rows(samples: pa.Table) -> Iterator[Mapping[str, Any]]:
    absent = [name for name in _NEEDED if name not in samples.column_names]
    if absent:
        raise AttributionError(
            f"The table of samples has no column {', '.join(absent)}; join the columns of {FileRecord.__name__} and "
            "the decision's license and family before the export."
        )
    # A slice at a time: as Python objects the rows take many times the room that they take in the table.
    for slice_ in samples.select(list(_NEEDED)).to_batches(max_chunksize=1000):
        yield from slice_.to_pylist()


def attribution_lines(samples: pa.Table) -> list[str]:
    """The line of each row of `samples`, in its order.

    Raises:
        AttributionError: rows without a complete attribution, all of them named, up to the first twenty.
    """
    lines: list[str] = []
    failed: list[str] = []
    for row in _rows(samples):
        named = {key: value for key, value in row.items() if key != "page_id"}
        for key in ("title", "file_page_url", "license", "family"):
            named[key] = named[key] or ""
        try:
            lines.append(attribution_line(**named, via_commons=row["page_id"] < OWN_IDS))
        except AttributionError as error:
            failed.append(f"page {row['page_id']}: {error}")
    if failed:
        more = f"\n  and {len(failed) - 20} more" if len(failed) > 20 else ""
        raise AttributionError(
            f"{len(failed)} of {samples.num_rows} samples cannot be attributed; drop them with a license rule, or "
            "refresh their metadata:\n  " + "\n  ".join(failed[:20]) + more
        )
    return lines


def write_credits(samples: pa.Table, path: Path) -> None:
    """Write CREDITS.csv: one row per sample, grouped by license, then by page id; the same bytes for any row order.

    CSV rather than prose: it opens in a spreadsheet, can be searched, and addresses stay addresses. The columns that
    hold free text begin with `File:` or a quotation mark, so a spreadsheet takes none of them for a formula.

    Raises:
        AttributionError: a row without a complete attribution.
    """
    lines = attribution_lines(samples)
    hashes = samples.column("sha1").to_pylist()
    rows: list[tuple[Any, ...]] = []
    for row, sha1, line in zip(_rows(samples), hashes, lines, strict=True):
        name, address = license_terms(row["license"], row["license_short_name"], row["license_url"])
        title = plain(row["title"], markup=False)
        rows.append(
            (row["license"], name, address, row["page_id"], title, sha1, row["file_page_url"], line)
        )
    rows.sort(key=lambda row: (row[0], row[3]))
    with files.text(path, newline="") as sink:
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(CREDIT_COLUMNS)
        writer.writerows(rows)
