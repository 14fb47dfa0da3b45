"""Which files are likely to be naturally degraded, by metadata alone: what is worth downloading first.

Tags for bad quality are rare on Commons. Age, phones, small files and few bytes a pixel are no proof either, but they
are free: they decide what is fetched, the measures decide what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pyarrow import compute

pc: Any = compute

HINTS = ("old", "phone", "small", "few_bytes", "tagged")
"""What `hints` may say of a file."""


@dataclass(frozen=True, kw_only=True)
class PrefilterPolicy:
    """Where a hint begins. Not yet run on Commons."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    old_until: int = 2010
    """`old`: uploaded in this year or before: compact cameras, strong JPEG compression."""
    small_kib: float = 150.0
    """`small`: fewer KiB than this."""
    few_bytes_per_pixel: float = 0.15
    """`few_bytes`: fewer bytes a pixel: about JPEG quality 75 and below, or hardly any detail."""
    phone: tuple[str, ...] = (
        r"^(taken|photographs? taken) with .*(nokia|sony ericsson|motorola|blackberry|htc|palm|samsung sgh|lg )",
        r"^(taken|photographs? taken) with .*(iphone( 3gs?| 4s?| 5)?$|mobile phone|camera phone)",
        r"mobile phone camera|camera phone|uploaded (with|via) .*(mobile|android)",
    )
    """`phone`: regular expressions on categories (case ignored): phones whose cameras were poor, mobile uploads."""
    tagged: tuple[str, ...] = (
        r"\b(blurr?(ed|y)|out of focus|motion blur|camera shake|unsharp)\b",
        r"\b(under|over)exposed\b|\b(image noise|noisy images?|low quality|low resolution|pixelated)\b",
        r"\bimages for cleanup\b|\b(jpeg|compression) artifacts?\b",
    )
    """`tagged`: regular expressions on categories that say so themselves."""

    def __post_init__(self) -> None:
        for pattern in (*self.phone, *self.tagged):
            re.compile(pattern)


def hints(metadata: pa.Table, policy: PrefilterPolicy) -> Mapping[str, pa.Array]:
    """Columns `hints` (list of HINTS) and `hint_count` for a table with upload_year, size_bytes, bytes_per_pixel and
    categories; what is not known gives no hint."""

    def true(condition: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return pc.fill_null(condition, False).to_numpy(zero_copy_only=False).astype(bool)

    names = metadata.column("categories").combine_chunks()
    found = {
        "old": true(
            pc.less_equal(metadata.column("upload_year").combine_chunks(), policy.old_until)
        ),
        "phone": _any_category(names, policy.phone),
        "small": true(
            pc.less(metadata.column("size_bytes").combine_chunks(), int(policy.small_kib * 1024))
        ),
        "few_bytes": true(
            pc.less(metadata.column("bytes_per_pixel").combine_chunks(), policy.few_bytes_per_pixel)
        ),
        "tagged": _any_category(names, policy.tagged),
    }
    flags = np.stack([found[name] for name in HINTS], axis=1)
    _, positions = np.nonzero(flags)
    ends = np.concatenate([[0], flags.sum(axis=1).cumsum()])
    listed = pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()), pa.array(HINTS, pa.string()).take(pa.array(positions))
    )
    return {"hints": listed, "hint_count": pa.array(flags.sum(axis=1), pa.int64())}


def _any_category(
    names: pa.Array, patterns: tuple[str, ...]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    hit = np.zeros(len(names), dtype=bool)
    if patterns:
        pattern = "|".join(f"(?:{p})" for p in patterns)
        matches = pc.match_substring_regex(pc.list_flatten(names), pattern, ignore_case=True)
        parents = pc.list_parent_indices(names).to_numpy(zero_copy_only=False)
        hit[parents[pc.fill_null(matches, False).to_numpy(zero_copy_only=False)]] = True
    return hit
