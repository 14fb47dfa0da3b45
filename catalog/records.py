"""The records that flow through a build, and their Arrow schemas.

Every stage hands on frozen records; what Parquet holds is derived from the annotations below, so that a field is
declared once. `schema(FileRecord)` gives the Arrow schema, `to_table` and `from_table` go there and back without loss.
The rules for annotations stand in catalog/arrow.py. All fields are keyword-only and frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

from catalog.arrow import Hash64 as Hash64
from catalog.arrow import from_table as from_table
from catalog.arrow import schema as schema
from catalog.arrow import to_table as to_table

OWN_IDS = 1 << 61
"""Page ids from here on are made of SHA-1s: images of somebody's own, which no wiki has a page for (ADR 0046)."""
PageState = Literal[
    "ok", "missing", "invalid", "no_file", "hidden", "redirect", "damaged", "purged"
]
Outcome = Literal["accept", "quarantine", "reject"]
RuleVerdict = Literal["pass", "fail", "not_measured"]


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """What Commons said about one file: keyed by `page_id` (survives a move) and `sha1` (says that bytes changed).

    A field that the answer did not hold is None. Text fields are plain text; what came as HTML is kept beside it in
    the `*_html` field, verbatim.
    """

    state: str = "ok"
    """One of PageState: ok; missing (no such page); invalid (no such title possible); no_file (a page without a file);
    hidden (file revision deleted or suppressed); redirect (shows another page's file); damaged (the wiki said of it
    what cannot be: a failure row says what); purged (taken out of this catalog, catalog/purge.py)."""
    page_id: int | None = None
    title: str
    """With the `File:` prefix, spaces not underscores."""
    sha1: str | None = None
    """40 lower-case hex digits of the original bytes."""
    url: str | None = None
    """Of the original bytes, never of a thumbnail."""
    file_page_url: str | None = None
    width: int | None = None
    height: int | None = None
    size_bytes: int | None = None
    mime: str | None = None
    media_type: str | None = None
    """BITMAP, DRAWING, ... as MediaWiki says it."""
    uploaded_at: datetime | None = None
    """Of the current version."""
    uploader: str | None = None
    revision_id: int | None = None
    """Latest revision of the description page."""
    categories: tuple[str, ...] | None = None
    """Real categories (prop=categories), hidden ones included, without the `Category:` prefix, sorted."""
    license_code: str | None = None
    """extmetadata `License`, e.g. cc-by-sa-4.0, cc0, pd; absent when CommonsMetadata could not parse the license."""
    license_short_name: str | None = None
    license_url: str | None = None
    usage_terms: str | None = None
    copyrighted: bool | None = None
    non_free: bool | None = None
    attribution_required: bool | None = None
    attribution: str | None = None
    """The verbatim attribution that the author asks for, as text."""
    artist: str | None = None
    artist_html: str | None = None
    artist_url: str | None = None
    """Link to the author in the artist field, absolute; None where none is one."""
    author_count: int | None = None
    credit: str | None = None
    credit_html: str | None = None
    object_name: str | None = None
    description: str | None = None
    date_original: str | None = None
    permission: str | None = None
    restrictions: tuple[str, ...] | None = None
    deletion_reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class ListingRow:
    """Where and when a file was seen, and the answer itself: the evidence behind a FileRecord. Run-dependent."""

    source: str
    """Key of the source that listed it."""
    source_path: str
    """How it was found, e.g. the path of categories or the search query."""
    fetched_at: datetime
    api_version: str
    """`generator` of the wiki, e.g. MediaWiki 1.45.0-wmf.7."""
    raw_json: str
    """The page object as merged from the API's answers."""
    sdc_json: str | None = None
    """The file's structured data (the entity of wbgetentities), where it was asked for; `{}` where there is none."""


REDIRECT_FROM = ", redirect from "
"""In `source_path` of a page that was asked for by another title: what follows is that title."""
AGAIN = "refresh"
"""Source key under which pages stand that were asked for again; such a row wins over the one that listed the page."""


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """What one version of the license gate says of one listed row; same part, same order as the listing."""

    page_id: int | None
    license: str | None
    """SPDX id, LicenseRef-... where SPDX has none."""
    license_outcome: str
    """One of Outcome."""
    license_reason: str
    family: str | None


@dataclass(frozen=True, kw_only=True)
class CheckRow:
    """One page that was asked for again. Run-dependent."""

    page_id: int
    checked_at: datetime
    changes: tuple[str, ...]
    """What was found since the last time; empty: nothing. See crawler/recheck.py."""


@dataclass(frozen=True, kw_only=True)
class TombstoneRow:
    """A file that may no longer be in any release, and why; or, with reason `restored`, that it may again."""

    page_id: int
    sha1: str | None
    """Of the bytes that were held; None where none were."""
    reason: str
    """deleted, hidden, overwritten, relicensed, restricted, tagged, requested, or restored."""
    detail: str
    """For a person: what the log or the license gate says."""
    removed_at: datetime


@dataclass(frozen=True, kw_only=True)
class ClearedRow:
    """A quarantined file that a person looked at and let through."""

    page_id: int
    sha1: str
    """Of the bytes that were looked at."""
    reason: str
    """Of the gate; another one needs another look."""
    cleared_by: str
    """Who looked."""
    why: str
    cleared_at: datetime


@dataclass(frozen=True, kw_only=True)
class ReviewRow:
    """What one person said of one picture (catalog/reviews.py). A later row about the same thing takes its place."""

    page_id: int
    sha1: str
    """Of the bytes that were looked at."""
    reviewer: str
    what: str
    """keep, drop, skip, wrong_label, right_label, undo, or frozen (in the test split)."""
    label: str | None
    """For wrong_label and right_label, and for an undo of one."""
    why: str
    reviewed_at: datetime
    question: str
    """What was asked, with its version: page@1, or sample-<name>@1 where every label was asked for."""
    row_id: str
    """Grows with time: of two rows of one second the larger is later; a row that is taken in twice counts once."""


@dataclass(frozen=True, kw_only=True)
class ObjectRecord:
    """An original that was downloaded and checked; its bytes stand in the object store under `sha1`."""

    page_id: int
    sha1: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class RequestRow:
    """One HTTP attempt of a crawl, for the politeness report. Run-dependent."""

    run_id: str
    started_at: datetime
    kind: str
    """api or media."""
    host: str
    url: str
    status: int | None
    size_bytes: int
    seconds: float
    waited_s: float
    """Spent waiting for the limits or a Retry-After before this attempt."""
    retry_after_s: float | None
    in_flight: int
    attempt: int
    outcome: str


@dataclass(frozen=True, kw_only=True)
class HashRecord:
    """Perceptual hashes of a decoded original, from one decode (filters/duplicates/hashing.py)."""

    sha1: str
    version: str
    phash: Hash64
    dhash: Hash64
    phash_mirror: Hash64
    """Of the image flipped left to right; cannot be derived from `phash`."""
    dhash_mirror: Hash64
    spread: float
    """Standard deviation of the 32x32 grey thumbnail as seen, 0 to 255: near 0 it is blank and hashes mean little."""
    decoded_width: int
    """As seen: after the turn of its orientation tag."""
    decoded_height: int
    seen_phash: tuple[Hash64, ...] = ()
    """Of the picture as seen, in eight looks (filters.duplicates.hashing.LOOKS); twins are looked for by these. Empty
    in what was hashed before there were looks."""
    seen_dhash: tuple[Hash64, ...] = ()
    thumbnail: bytes = b""
    """Small luma and color, to confirm twins by (filters.duplicates.hashing.SeenHashes)."""
    camera: str | None = None
    """Make and model by EXIF: a sign that the file comes from a camera as it is."""


@dataclass(frozen=True, kw_only=True)
class TwinRow:
    """Two files that hashes confirm to be one photograph, or one file that was compared with all others so far."""

    sha1: str
    twin: str | None = None
    """None: this row only says that the file was compared."""
    phash_bits: int | None = None
    """Bits in which the pHashes differ."""
    dhash_bits: int | None = None
    mirrored: bool | None = None
    """One is the mirror image of the other."""
    look: int | None = None
    """How the second lies against the first, a position in filters.duplicates.hashing.LOOKS; 0: as it is."""


@dataclass(frozen=True, kw_only=True)
class MeasureRecord:
    """One weight-free measure of one image (filters/measures/<name>.py)."""

    sha1: str
    name: str
    version: str
    value: float | None
    """None: the measure does not apply to this image (its docstring says when)."""


@dataclass(frozen=True, kw_only=True)
class ScoreRecord:
    """One no-reference IQA score of one image (filters/metrics)."""

    sha1: str
    name: str
    version: str
    value: float | None
    lower_better: bool
    weights_sha256: str | None
    license: str
    """License of the scorer, SPDX id: some forbid commercial use of what they computed."""
    device: str
    """cpu or cuda: the last digits depend on it."""
    precision: str
    """float32, float16 or bfloat16."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingRecord:
    """What an encoder saw of one image, for twins that hashes miss (filters/duplicates/embedding.py)."""

    sha1: str
    name: str
    """Of the encoder."""
    version: str
    weights_sha256: str
    license: str
    """Of the encoder's weights, SPDX id."""
    vector: bytes
    """Of unit length, float16, little-endian."""
    thumbnail: bytes
    """Luma, uint8 [64, 64] row by row."""


@dataclass(frozen=True, kw_only=True)
class FailureRecord:
    """What could not be done, so that it is neither lost nor retried for ever."""

    stage: str
    key: str
    """What failed: a page id, a SHA-1 or a title."""
    kind: str
    """Short and stable, e.g. sha1_mismatch, truncated, not_an_image, gone, corrupt."""
    error: str
    """For a person: what happened and what to do next."""
    retryable: bool
    failed_at: datetime


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """One rule applied to one candidate."""

    recipe_hash: str
    page_id: int
    rule: str
    value: float | None
    text: str | None
    """The value where it is not a number."""
    threshold: str
    verdict: str
    """One of RuleVerdict."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of one candidate under one recipe."""

    recipe_hash: str
    page_id: int
    sha1: str | None
    title: str
    keep: bool
    reason: str
    """`kept`, or the reason of the first rule that failed."""
    failed_rules: tuple[str, ...]
    license_outcome: str
    license: str | None
    license_reason: str
    family: str | None
    """pd_cc0, cc_by or cc_by_sa."""
    cluster_id: int | None
    """Lowest page id of the near-duplicate cluster; None when the file was not hashed."""
    duplicate_of: int | None
    """Page id of the kept copy that this one is a near-duplicate of."""
    labels: tuple[str, ...]
    severity: float | None
    """The largest severity over all labels, 0 to 1."""
    split: str | None


LISTING = pa.schema([*schema(FileRecord), *schema(ListingRow)])

STAGES: dict[str, pa.Schema] = {
    "listing": LISTING,
    "verdict": schema(VerdictRow),
    "download": schema(ObjectRecord),
    "hash": schema(HashRecord),
    "measure": schema(MeasureRecord),
    "score": schema(ScoreRecord),
    "embed": schema(EmbeddingRecord),
    "twin": schema(TwinRow),
    "failure": schema(FailureRecord),
    "decision": schema(Decision),
    "request": schema(RequestRow),
    "check": schema(CheckRow),
    "tombstone": schema(TombstoneRow),
    "cleared": schema(ClearedRow),
    "review": schema(ReviewRow),
}
"""Schema of the parts of every stage. Each gets one empty part, so that no view is ever missing."""
