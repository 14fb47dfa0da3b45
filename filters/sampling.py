"""Which of the accepted candidates enter the dataset, and in which split: pure functions of keys and a seed.

Candidates are gone through in the order of a keyed hash, so that adding some changes few choices, and each is taken if
its quotas and caps have room. Quotas (`mix`, `severities`, `subjects`) are shares of the whole per class and dimension;
with all of them filled every dimension has its target mix. A quota that could not be filled is a shortfall: a row, not
a silence.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

CAPPED = ("uploader", "category", "camera", "upload_year", "scene")
"""What a cap may be set on."""
BANDS: dict[str, tuple[float, float]] = {
    "mild": (0.0, 0.5),
    "moderate": (0.5, 0.75),
    "severe": (0.75, math.inf),
}
"""Bands of severity for `severities`, upper ends excluded."""
NO_LABEL = "none"
OTHER = "other"
_CAMERA = re.compile(r"^(?:photographs? )?taken with (.+)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class SamplingPolicy:
    """How many, of what, and how they are split."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    max_samples: int | None = None
    """At most this many samples; None takes all that passed, or with quotas as many as these allow."""
    mix: Mapping[str, float] = field(default_factory=dict[str, float])
    """Share per main degradation (the label of the largest severity, or `none`), 0 to 1 each, 1 together."""
    severities: Mapping[str, float] = field(default_factory=dict[str, float])
    """Share per band of severity: mild (below 0.5), moderate (below 0.75), severe."""
    subjects: Mapping[str, float] = field(default_factory=dict[str, float])
    """Share per subject of `subject_patterns`, and `other` for what matches none."""
    subject_patterns: Mapping[str, str] = field(default_factory=dict[str, str])
    """Subject -> regular expression on categories (case ignored); the first that matches counts."""
    caps: Mapping[str, int] = field(default_factory=dict[str, int])
    """At most so many samples of one uploader, category, camera, upload_year or scene. A camera is known by its
    category (`Taken with ...`), a scene by the encoder of `dedupe.embedding`: pictures within its least_cosine."""
    uncapped_categories: str = (
        r"^(CC-|PD-|Self-published|License|Files? |Media |Uploaded|Taken |Photographs taken)"
    )
    """Categories (regular expression) that the cap on categories leaves out: licenses, tools, cameras."""
    validation_share: float = 0.0
    """Share of groups that go to the `validation` split, 0 to 1; the rest is `train`."""
    together: tuple[Literal["cluster", "uploader"], ...] = ("cluster", "uploader")
    """Files of one near-duplicate cluster, or of one uploader, stay in one split."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_share < 1.0:
            raise ValueError("validation_share is a share: at least 0 and below 1.")
        if self.max_samples is not None and self.max_samples < 1:
            raise ValueError("max_samples is at least 1, or left out.")
        for name in ("mix", "severities", "subjects"):
            shares: Mapping[str, float] = getattr(self, name)
            if shares and (
                min(shares.values()) < 0 or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6)
            ):
                raise ValueError(f"the shares of {name} are 0 or more and add up to 1.")
        unknown = set(self.severities) - set(BANDS)
        unknown |= set(self.caps) - set(CAPPED)
        unknown |= set(self.subjects) - {*self.subject_patterns, OTHER}
        if unknown:
            raise ValueError(
                f"{', '.join(sorted(unknown))}: severities are {', '.join(BANDS)}; caps are on {', '.join(CAPPED)}; "
                "subjects are those of subject_patterns, and other."
            )
        if any(cap < 1 for cap in self.caps.values()):
            raise ValueError("a cap is at least 1.")
        for pattern in (*self.subject_patterns.values(), self.uncapped_categories):
            re.compile(pattern)


class Accepted(NamedTuple):
    """What sampling looks at of a candidate that passed all rules."""

    page_id: int
    label: str | None = None
    """Of the largest severity."""
    severity: float | None = None
    uploader: str | None = None
    upload_year: int | None = None
    categories: tuple[str, ...] = ()
    scene: int | None = None
    """Page id of the first picture of its scene."""


class Shortfall(NamedTuple):
    """A quota that could not be filled."""

    dimension: str
    """mix, severities, subjects, or all."""
    value: str
    wanted: int
    got: int


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What was drawn, and why the others were not."""

    page_ids: frozenset[int]
    reasons: Mapping[int, str]
    """Page id -> not_drawn, quota:<dimension> or cap:<what>, for those that were left out."""
    shortfalls: tuple[Shortfall, ...]


def _position(seed: int, purpose: str, key: int) -> int:
    """A number in [0, 2**64) that depends on nothing but these three."""
    digest = hashlib.blake2b(f"{purpose}:{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def draw(accepted: Sequence[Accepted], *, seed: int, policy: SamplingPolicy) -> Drawn:
    """Draws by keyed hash, within quotas and caps. The order of `accepted` does not matter."""
    if takes_all(len(accepted), policy):
        wanted = policy.max_samples or 0
        lacking = (Shortfall("all", "samples", wanted, len(accepted)),)
        return Drawn(
            page_ids=frozenset(a.page_id for a in accepted),
            reasons={},
            shortfalls=lacking if len(accepted) < wanted else (),
        )
    ranked = sorted(accepted, key=lambda a: (_position(seed, "draw", a.page_id), a.page_id))
    classes = {a.page_id: _classes(a, policy) for a in ranked}
    total = _total(ranked, classes, policy)
    quotas = {
        (dimension, value): count
        for dimension, shares in _dimensions(policy).items()
        for value, count in _apportioned(shares, total).items()
    }
    filled: Counter[tuple[str, str]] = Counter()
    used: Counter[tuple[str, str]] = Counter()
    taken: set[int] = set()
    reasons: dict[int, str] = {}
    for a in ranked:
        mine = classes[a.page_id]
        reason = "not_drawn" if len(taken) >= total else _full(mine, filled, quotas)
        if reason is None:
            names = _capped(a, policy)
            reason = next((f"cap:{n[0]}" for n in names if used[n] >= policy.caps[n[0]]), None)
            if reason is None:
                taken.add(a.page_id)
                filled.update(mine)
                used.update(names)
                continue
        reasons[a.page_id] = reason
    short = [
        Shortfall(dimension, value, count, filled[dimension, value])
        for (dimension, value), count in quotas.items()
        if filled[dimension, value] < count
    ]
    if policy.max_samples is not None and len(taken) < policy.max_samples:
        short.append(Shortfall("all", "samples", policy.max_samples, len(taken)))
    return Drawn(page_ids=frozenset(taken), reasons=reasons, shortfalls=tuple(short))


def takes_all(count: int, policy: SamplingPolicy) -> bool:
    """Whether every one of `count` candidates is drawn, whatever they are."""
    bounded = policy.max_samples is not None and policy.max_samples < count
    return not (bounded or policy.caps or _dimensions(policy))


def _full(
    mine: Sequence[tuple[str, str]],
    filled: Mapping[tuple[str, str], int],
    quotas: Mapping[tuple[str, str], int],
) -> str | None:
    """The first dimension whose quota for this candidate is used up."""
    return next((f"quota:{key[0]}" for key in mine if filled[key] >= quotas.get(key, 0)), None)


def _dimensions(policy: SamplingPolicy) -> dict[str, Mapping[str, float]]:
    """The dimensions that have quotas."""
    held = {"mix": policy.mix, "severities": policy.severities, "subjects": policy.subjects}
    return {name: shares for name, shares in held.items() if shares}


def _classes(a: Accepted, policy: SamplingPolicy) -> list[tuple[str, str]]:
    """(dimension, class) of a candidate, for the dimensions that have quotas."""
    found: dict[str, str] = {"mix": a.label or NO_LABEL}
    severity = a.severity or 0.0
    found["severities"] = next(n for n, (low, high) in BANDS.items() if low <= severity < high)
    found["subjects"] = next(
        (
            subject
            for subject, pattern in policy.subject_patterns.items()
            if any(re.search(pattern, name, re.IGNORECASE) for name in a.categories)
        ),
        OTHER,
    )
    return [(dimension, found[dimension]) for dimension in _dimensions(policy)]


def _capped(a: Accepted, policy: SamplingPolicy) -> list[tuple[str, str]]:
    """(what, which) that a candidate counts for, for the caps that are set."""
    found: list[tuple[str, str]] = []
    if "uploader" in policy.caps and a.uploader:
        found.append(("uploader", a.uploader))
    if "upload_year" in policy.caps and a.upload_year is not None:
        found.append(("upload_year", str(a.upload_year)))
    if "scene" in policy.caps and a.scene is not None:
        found.append(("scene", str(a.scene)))
    if "category" in policy.caps:
        left_out = re.compile(policy.uncapped_categories, re.IGNORECASE)
        found += [("category", name) for name in a.categories if not left_out.search(name)]
    if "camera" in policy.caps:
        cameras = (_CAMERA.match(name) for name in a.categories)
        found += sorted({("camera", m.group(1).strip().lower()) for m in cameras if m})
    return found


def _total(
    ranked: Sequence[Accepted],
    classes: Mapping[int, Sequence[tuple[str, str]]],
    policy: SamplingPolicy,
) -> int:
    """How many to draw: the bound, or without one as many as every quota allows."""
    if policy.max_samples is not None:
        return (
            min(policy.max_samples, len(ranked)) if not _dimensions(policy) else policy.max_samples
        )
    there = Counter(key for held in classes.values() for key in held)
    bounds = [
        math.floor(there[dimension, value] / share + 1e-9)
        for dimension, shares in _dimensions(policy).items()
        for value, share in shares.items()
        if share > 0
    ]
    return min([len(ranked), *bounds])


def _apportioned(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers that add up to `total`, by largest remainders; ties in the order of the recipe."""
    exact = {name: share * total for name, share in shares.items()}
    counts = {name: math.floor(value + 1e-9) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: -(exact[name] - counts[name]))
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def split_groups(
    page_ids: Sequence[int],
    clusters: Sequence[int],
    uploaders: Sequence[str | None],
    policy: SamplingPolicy,
) -> list[int]:
    """[N]: lowest page id of those that must stay together with each, by cluster and uploader as the policy says."""
    parent = list(range(len(page_ids)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    keys: dict[tuple[str, object], int] = {}
    for i, (cluster, uploader) in enumerate(zip(clusters, uploaders, strict=True)):
        mine: list[tuple[str, object]] = []
        if "cluster" in policy.together:
            mine.append(("cluster", cluster))
        if "uploader" in policy.together and uploader is not None:
            mine.append(("uploader", uploader))
        for key in mine:
            first = keys.setdefault(key, i)
            parent[root(i)] = root(first)
    lowest: dict[int, int] = {}
    for i, page_id in enumerate(page_ids):
        at = root(i)
        lowest[at] = min(lowest.get(at, page_id), page_id)
    return [lowest[root(i)] for i in range(len(page_ids))]


def split_of(group: int, *, seed: int, policy: SamplingPolicy) -> str:
    """`train` or `validation`; what shares a group shares a split."""
    share = _position(seed, "split", group) / 2**64
    return "validation" if share < policy.validation_share else "train"
