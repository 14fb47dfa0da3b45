"""Scores decisions about the demo corpus against its known truth: the numbers of README and tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a build decided about one title."""

    keep: bool
    reason: str
    duplicate_of: str | None = None
    """Title of the kept copy."""
    failure: str | None = None
    """Kind of the failure record, where download or decoding failed."""
    labels: tuple[str, ...] = ()
    """Degradations that the file was found to bear."""


def score(truth: Mapping[str, Any], decisions: Mapping[str, Judged]) -> dict[str, Any]:
    """Agreement of `decisions` (by title, `File:` included) with `truth` (truth.json).

    Keys of the answer: `files`, `unseen` (no decision: counts as not kept); `non_free_in_dataset` (kept although the
    license or a restriction forbids it); `twins`, `twins_found`, `twin_recall` (a planted copy and its original were
    linked, whichever was kept, or both linked to a third of their cluster), `canonical_right` (share of those found
    where the right one was kept), `false_merges` (called duplicate of a file from another tile); `degraded`,
    `degraded_kept`, `clean`, `clean_dropped`, `agreement` (share of the free, whole, untwinned files whose fate is the
    true one), `by_kind` (the same for each degradation, and how many of its files bear which label); `broken`,
    `broken_found` (files with a fault or a corrupt body, and those that have a failure record), `wrong` (titles behind
    every number that is not perfect).
    """
    items: list[dict[str, Any]] = truth["items"]
    cluster = {item["title"]: item["twin_of"] or item["title"] for item in items}

    def kept(item: dict[str, Any]) -> bool:
        judged = decisions.get(item["title"])
        return judged is not None and judged.keep

    def root(title: str) -> str:
        judged = decisions.get(title)
        return title if judged is None or judged.duplicate_of is None else judged.duplicate_of

    non_free = [i["title"] for i in items if i["license_expected"] != "accept" and kept(i)]
    twins = [i for i in items if i["twin_of"]]
    found = [i for i in twins if root(i["title"]) == root(i["twin_of"])]
    canonical = [i for i in found if root(i["title"]) == i["twin_of"]]
    merged = [
        title
        for title, judged in decisions.items()
        if judged.duplicate_of is not None
        and cluster.get(title) != cluster.get(judged.duplicate_of)
    ]
    judgeable = [i for i in items if i["role"] in ("degraded", "clean")]
    right = [i for i in judgeable if kept(i) == (i["expected"] == "kept")]
    degraded = [i for i in judgeable if i["role"] == "degraded"]
    clean = [i for i in judgeable if i["role"] == "clean"]
    broken = [i for i in items if i["role"] in ("fault", "corrupt")]
    reported = [i for i in broken if _failure(decisions.get(i["title"])) is not None]
    by_kind: dict[str, dict[str, Any]] = {}
    for item in judgeable:
        kind = item["degradation"]["kind"] if item["degradation"] else "clean"
        cell = by_kind.setdefault(kind, {"files": 0, "right": 0, "labels": Counter()})
        cell["files"] += 1
        cell["right"] += kept(item) == (item["expected"] == "kept")
        judged = decisions.get(item["title"])
        cell["labels"].update(judged.labels if judged else ())
    return {
        "files": len(items),
        "unseen": sum(i["title"] not in decisions for i in items),
        "non_free_in_dataset": len(non_free),
        "twins": len(twins),
        "twins_found": len(found),
        "twin_recall": _share(len(found), len(twins)),
        "canonical_right": _share(len(canonical), len(found)),
        "false_merges": len(merged),
        "degraded": len(degraded),
        "degraded_kept": _share(sum(kept(i) for i in degraded), len(degraded)),
        "clean": len(clean),
        "clean_dropped": _share(sum(not kept(i) for i in clean), len(clean)),
        "agreement": _share(len(right), len(judgeable)),
        "by_kind": dict(sorted(by_kind.items())),
        "broken": len(broken),
        "broken_found": len(reported),
        "wrong": {
            "non_free": non_free,
            "twins_missed": [i["title"] for i in twins if i not in found],
            "false_merges": merged,
            "fate": [i["title"] for i in judgeable if i not in right],
            "broken_missed": [i["title"] for i in broken if i not in reported],
        },
    }


def _failure(judged: Judged | None) -> str | None:
    return None if judged is None else judged.failure


def _share(part: int, whole: int) -> float:
    """1 where there is nothing to get wrong."""
    return 1.0 if whole == 0 else part / whole
