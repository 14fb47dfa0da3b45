"""The review page and the page as files over 20,000 rows with thumbnails of photographs, in Chromium: how soon filters
answer, what it holds in memory, and how smoothly it scrolls.

    python -m benchmarks pages [ROWS [PHOTOGRAPHS]]

Rows are synthetic, thumbnails are of pieces of the packaged photographs. Times are those that the page sees. Without a
GPU Chromium draws in software: frames are then a lower bound.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from PIL import Image

from pipelines.review.collection import Collection
from pipelines.review.site import write_site
from tests.browser import Visit, chromium, visit
from tests.pipelines.review.pages import collection, served
from tests.pipelines.review.test_site import served as served_files
from training.photographs import photographs

QUESTIONS: tuple[dict[str, Any], ...] = (
    {"text": "photograph 19"},
    {"labels": ["blur"]},
    {"labels": ["noise"], "low": {"severity": 0.8}},
    {"license": ["CC0-1.0"], "high": {"width": 2000}},
    {"uploader": ["User 7", "User 8"]},
    {"year": ["2010", "2011"], "verdict": "kept"},
    {"text": "no such title"},
    {},
)
ASKED = """async (questions) => {
  const home = document.querySelector('script[type=module]').src.replace(/[^/]+$/, '');
  const { ask } = await import(home + 'tools.js');
  const taken = [];
  for (const sort of ['n', 'severity', 'measure_3']) for (const chosen of questions) {
    const begun = performance.now();
    await ask('/api/rows', { chosen: JSON.stringify(chosen), sort, desc: true, offset: 0, limit: 120 });
    taken.push(performance.now() - begun);
  }
  return taken;
}"""
SCROLLED = """() => new Promise((done) => {
  const box = document.getElementById('grid');
  const frames = []; let last; let begun;
  const step = (now) => {
    begun ??= now;
    if (last !== undefined) frames.push(now - last);
    last = now;
    box.scrollTop += 40;
    if (now - begun < 5000) requestAnimationFrame(step); else done(frames);
  };
  requestAnimationFrame(step);
})"""


def pieces(count: int, edge_px: int = 640) -> dict[str, bytes]:
    """SHA-1 -> JPEG of different pieces of the packaged photographs."""
    rng, held = np.random.default_rng(0), [photo.pixels for photo in photographs()]
    found: dict[str, bytes] = {}
    while len(found) < count:
        pixels = held[len(found) % len(held)]
        side = int(rng.integers(64, min(pixels.shape[:2])))
        top, left = (int(rng.integers(0, n - side + 1)) for n in pixels.shape[:2])
        piece = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
        sink = io.BytesIO()
        piece.resize((edge_px, edge_px * 3 // 4)).save(sink, "JPEG", quality=85)
        found[hashlib.sha1(sink.getvalue()).hexdigest()] = sink.getvalue()
    return found


def rows_of(count: int, pictures: int) -> Collection:
    """`count` rows that share `pictures` pictures."""
    shown, held = collection(count, hostile=False), pieces(pictures)
    names = list(held)
    at = shown.rows.column_names.index("sha1")
    sha1s = pa.array([names[i % pictures] for i in range(count)])
    return replace(shown, rows=shown.rows.set_column(at, "sha1", sha1s), read=held.get)


def look(seen: Visit, server: psutil.Process) -> dict[str, Any]:
    """What a visit measures."""
    page = seen.page
    page.wait_for_selector("body[data-ready=yes]")
    page.wait_for_selector(".tile")
    shown_s = page.evaluate("performance.now()") / 1000
    taken = np.array(page.evaluate(ASKED, list(QUESTIONS)))
    frames = np.array(page.evaluate(SCROLLED))
    page.wait_for_timeout(500)
    browser = [p for p in psutil.process_iter(["name"]) if "chrom" in (p.info["name"] or "")]
    return {
        "first tiles s": round(shown_s, 2),
        "answers ms": [round(float(q), 1) for q in np.quantile(taken, [0.5, 0.95, 1])],
        "frames/s": round(1000 / float(np.median(frames)), 1),
        "slowest 5 % frame ms": round(float(np.quantile(frames, 0.95)), 1),
        "elements": page.evaluate("document.querySelectorAll('*').length"),
        "script heap MB": round(page.evaluate("performance.memory.usedJSHeapSize") / 1e6, 1),
        "Chromium MB": round(sum(p.memory_info().rss for p in browser) / 1e6),
        "server MB": round(server.memory_info().rss / 1e6),
    }


def main(rows: str = "20000", photographs_: str = "2000") -> None:
    """Prints what was measured, as JSON."""
    shown, me = rows_of(int(rows), int(photographs_)), psutil.Process()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        begun = time.perf_counter()
        done = write_site(shown, Path(folder))
        made_s = time.perf_counter() - begun
        told: dict[str, Any] = {
            "site": {"rows": done.rows, "made s": round(made_s, 1), "index MB": done.index_bytes / 1e6}
        }  # fmt: skip
        with (
            served_files(folder) as address,
            visit(browser, address, width=1440, height=900) as seen,
        ):
            told["page as files"] = look(seen, me)
        with (
            served(shown) as (address, _),
            visit(browser, address, width=1440, height=900) as seen,
        ):
            told["review page"] = look(seen, me)
    print(json.dumps(told, indent=1))
