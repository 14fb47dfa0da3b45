"""Real pictures that a person labelled by eye: what is in a folder with a manifest, and what is true of it.

The manifest (manifest.csv) has a line per picture: `file`, `source` (which public set it comes from), `eye_class` (lq:
a person sees that it is degraded; clean; graphics; ref: noise-free and partly soft) and `degradation_seen`, names
separated by `|` or `,`. Pictures of one source succeed and fail together, and some sources share pictures: those are
one group.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import Expected
from filters.degradation import LABELS
from filters.degradation.examples import Example
from filters.degradation.heads import HEADS, OVERALL
from filters.degradation.kinds import KINDS
from filters.degradation.wide import WIDE
from filters.degradation.wild import WILD

Floats = NDArray[np.float64]

GROUPS = {
    "restoration sets": (
        *("RealSRSet", "RealSet65", "RealSet80", "RealSet128", "SwinIR5", "RNI15", "NC12"),
        *("SCUNet3", "SCUNet9", "DiffBIRdemo", "faceir", "FBCNN_real"),
    ),
    "deblurring demos": ("SRN", "DeblurGANv2"),
    "Nam": ("Nam_GT", "Nam_real"),
    "Berkeley": ("CBSD68", "BSDS500"),
    "exposure demos": ("MercuryYen_HDR", "SSARCandy_HDR"),
}
"""Sources that share pictures or scenes (told by their publishers, or by equal perceptual hashes)."""
_GROUP = {source: group for group, sources in GROUPS.items() for source in sources}
MOST_STORED = 12
"""Clean pictures of a source that are also damaged and saved again: no source is to decide."""
STORED_AT = (85, 75)
"""Qualities of those saved again."""
FEW = 0.3
"""How much a picture counts that is no plain example of clean: a soft reference, one that is merely small."""
KNOWN = 0.25
"""How much an example of a known amount counts beside one that is damaged as in the wild."""
CLEAN_KINDS = ("clean", "small", "wide_clean")
"""Synthetic pictures without damage."""
SMALL_PX = 250
"""Long side below which nobody can say that a clean picture was not enlarged a little."""
_UNCLEAR_WHEN_OLD = ("blur", "noise", "jpeg", "upscaled")


class NoManifest(Expected, ValueError):
    """The folder has no manifest.csv, or one that lacks a column."""


@dataclass(frozen=True, kw_only=True)
class RealPicture:
    """One line of a manifest."""

    file: Path
    name: str
    """Unique: folder/file."""
    source: str
    group: str
    eye: str
    """lq, clean, graphics or ref."""
    seen: tuple[str, ...]
    """What a person saw, as written."""

    @property
    def merely_small(self) -> bool:
        """Called low quality for nothing but its size."""
        return self.eye == "lq" and self.seen == ("low resolution only",)

    @property
    def truth(self) -> Floats:
        """[heads]: 1, 0, or NaN where it is unclear."""
        found = dict.fromkeys(HEADS, 0.0)
        if self.eye == "graphics":
            # Nothing is known of how sharp or how bright a drawing is.
            found = dict.fromkeys(HEADS, np.nan) | {
                "graphics": 1.0,
                "noise": 0.0,
                "motion_blur": 0.0,
            }
        elif self.eye == "ref":
            found |= {"blur": np.nan, "motion_blur": np.nan}
        elif self.merely_small:
            found["upscaled"] = np.nan
        elif any("slight" in word for word in self.seen):
            found |= {OVERALL: np.nan, "noise": np.nan}
        elif self.eye == "lq":
            found |= self._seen()
        return np.array([found[head] for head in HEADS])

    def _seen(self) -> dict[str, float]:
        found = {OVERALL: 1.0}
        if any(word.startswith(("old", "over-sharpened", "processed")) for word in self.seen):
            found |= dict.fromkeys(_UNCLEAR_WHEN_OLD, np.nan)
        found |= {word: 1.0 for word in self.seen if word in LABELS}
        if "motion_blur" in self.seen:
            found["blur"] = 1.0
        if "upscaled" in self.seen and "blur" not in self.seen:
            found["blur"] = np.nan
        if "blur" in self.seen and "upscaled" not in self.seen:
            found["upscaled"] = 0.0
        return found

    @property
    def counts(self) -> float:
        """How much it counts among its kind."""
        return FEW if self.eye == "ref" or self.merely_small else 1.0


def real_pictures(folder: Path) -> list[RealPicture]:
    """All of a folder, in the manifest's order.

    Raises:
        NoManifest: see there; the message says which.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise NoManifest(
            f"{folder} has no manifest.csv with file, source, eye_class, degradation_seen."
        )
    with manifest.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    lacking = {"file", "source", "eye_class", "degradation_seen"} - set(rows[0] if rows else ())
    if lacking:
        raise NoManifest(f"{manifest} lacks {', '.join(sorted(lacking))}, or has no line.")
    return [
        RealPicture(
            file=folder / row["file"],
            name=f"{folder.name}/{row['file']}",
            source=row["source"],
            group=_GROUP.get(row["source"], row["source"]),
            eye=row["eye_class"],
            seen=tuple(w.strip() for w in re.split(r"[|,]", row["degradation_seen"]) if w.strip()),
        )
        for row in rows
    ]


def chosen_clean(pictures: Iterable[RealPicture]) -> set[str]:
    """Names of the clean ones that synthetic examples are made of: MOST_STORED of a source, by chance of the name."""
    taken: dict[str, int] = {}
    found: set[str] = set()
    for picture in sorted(pictures, key=_chance):
        count = taken.get(picture.source, 0)
        if picture.eye == "clean" and count < MOST_STORED:
            taken[picture.source] = count + 1
            found.add(picture.name)
    return found


def _chance(picture: RealPicture) -> str:
    inside = picture.name.split("/", 1)[1]
    return hashlib.md5(inside.encode()).hexdigest()


def truth_of_example(example: Example) -> Floats:
    """[heads] of a synthetic picture: 1 from moderate on, 0 where not so damaged, NaN where mild or unclear."""
    found = dict.fromkeys(HEADS, 0.0)
    if example.kind == "graphics":
        found = dict.fromkeys(HEADS, np.nan) | {"graphics": 1.0, "noise": 0.0, "motion_blur": 0.0}
    elif example.kind in CLEAN_KINDS:
        if example.kind == "wide_clean" and max(example.rgb.shape) < SMALL_PX:
            found["upscaled"] = np.nan
    else:
        labels, unclear = _DAMAGE[example.kind]
        borne = 1.0 if example.level >= 2 else np.nan
        found |= dict.fromkeys((*labels, OVERALL), borne) | dict.fromkeys(unclear, np.nan)
    return np.array([found[head] for head in HEADS])


_DAMAGE = {kind.name: (kind.labels, kind.unclear) for kind in KINDS} | {
    name: (kind.labels, kind.unclear) for name, kind in (WILD | WIDE).items()
}


def counts_of_example(example: Example) -> float:
    """How much a synthetic picture counts among its kind: small crops show mostly chance."""
    if example.view == "wild" or example.kind == "graphics":
        return FEW if example.kind == "small" else 1.0
    return KNOWN * {"small": 0.5, "tiny": 0.25}.get(example.view, 1.0)
