"""Tables for a report as the pipeline hands them over, with real photographs behind most candidates."""

from __future__ import annotations

import pyarrow as pa

from catalog.page.report import RuleSummary
from pipelines.build.doors import view
from tests.catalog.release.release_samples import HOSTILE, release

FUNNEL = [
    ("listed", 64),
    ("license accepted", 44),
    ("downloaded", 40),
    ("near-duplicates dropped", 34),
    ("kept", 24),
]


def report_inputs():
    """Everything `render_report` takes but the path; 24 samples, 40 candidates with bytes, 20 without."""
    samples, _ = release(24)
    more, store = release(40)
    rows = []
    for n, row in enumerate(more.to_pylist()):
        keep = n < 24
        twin = 24 <= n < 30
        reason = "kept" if keep else "near-duplicate" if twin else "too clean"
        rows.append(
            {
                "page_id": row["page_id"],
                "title": row["title"],
                "sha1": row["sha1"],
                "keep": keep,
                "reason": reason,
                "labels": row["labels"],
                "severity": row["severity"],
                "license": row["license"],
                "family": row["family"],
                "uploaded_at": row["uploaded_at"],
                "cluster_id": 1000 + 7 * (n % 3) if twin or n < 3 else row["page_id"],
                "laplacian": row["measures"]["laplacian"] + n / 7,
                "jpeg_quality": row["measures"]["jpeg_quality"],
                "noise": None if n % 5 == 0 else 1.7 ** (n % 23),
            }
        )
    for n in range(20):
        reason = "license not free: <b>nc</b>" if n < 12 else "too small"
        rows.append(
            {
                **dict.fromkeys(rows[0]),
                "page_id": 5000 + n,
                "keep": False,
                "reason": reason,
                "title": HOSTILE,
            }
        )
    rules = [
        RuleSummary(
            name="license",
            threshold="accept",
            why="Only what may be shared and changed.",
            passed=48,
            failed=12,
            failed_alone=9,
        ),
        RuleSummary(
            name="not_too_sharp",
            threshold="<= 60",
            why="A clean photograph teaches a restorer nothing about damage <script>.",
            passed=30,
            failed=10,
            failed_alone=10,
            not_measured=20,
            column="laplacian",
            bounds=(60.0,),
        ),
    ]
    return {
        "name": "lucidlr <tiny>",
        "funnel": FUNNEL,
        "candidates": pa.Table.from_pylist(rows),
        "samples": samples,
        "rules": rules,
        "failures": pa.table(
            {"kind": ["corrupt", "truncated", "odd<kind>", "corrupt"], "count": [1, 3, 1, 1]}
        ),
        "thumbnails": store.get,
        "decode": view,
        "target_mix": {"blur": 0.4, "jpeg": 0.3, "noise": 0.1},
        "facts": {"dataset": "222a1c0e659f2eb0", "recipe": "abc"},
    }
