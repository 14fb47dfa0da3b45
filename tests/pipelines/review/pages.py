"""Pages for tests: a collection of pictures that are made here, and a server of it in this process."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import uvicorn
from PIL import Image

from catalog.store import Catalog
from pipelines.review.collection import Collection
from pipelines.review.server import free_port, make_app
from pipelines.review.state import State

HOSTILE = (
    "File:<img src=x onerror=alert(1)>.jpg",
    "File:</bdi><script>alert(2)</script>.jpg",
    "File:\u202egpj.exe javascript:alert(3) \"'&amp;.jpg",
    "File:{{7*7}} ${alert(4)} `x`.jpg",
)


def png(seed: int, size: tuple[int, int] = (96, 64)) -> bytes:
    """Another picture for each seed."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 255, (4, 6, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(rows).resize(size, Image.Resampling.BICUBIC).save(sink, "PNG")
    return sink.getvalue()


def collection(
    count: int, *, folder: Path | None = None, pictures: int = 40, hostile: bool = True
) -> Collection:
    """`count` rows that share `pictures` pictures, the first with hostile titles. With `folder` verdicts are kept."""
    rng = np.random.default_rng(0)
    held = {hashlib.sha1(data).hexdigest(): data for data in map(png, range(pictures))}
    names = list(held)
    severity = rng.random(count)
    titles = [f"File:Photograph {i}.jpg" for i in range(count)]
    if hostile:
        titles[: len(HOSTILE)] = HOSTILE
    labels = [
        (["blur"] if level > 0.5 else []) + ([] if i % 7 else ["noise"])
        for i, level in enumerate(severity)
    ]
    rows = pa.table(
        {
            "n": np.arange(count),
            "page_id": np.arange(count) + 1000,
            "sha1": [names[i % pictures] for i in range(count)],
            "title": titles,
            "file_page_url": [
                "javascript:alert(5)" if i == 0 else f"https://commons.wikimedia.org/?curid={i}"
                for i in range(count)
            ],
            "keep": severity > 0.5,
            "reason": np.where(severity > 0.5, "kept", "degraded").tolist(),
            "labels": pa.array(labels, pa.list_(pa.string())),
            "severity": severity,
            "severity_blur": severity,
            "license": [("CC0-1.0", "CC-BY-4.0")[i % 2] for i in range(count)],
            "artist": ["<b onclick=alert(6)>A</b>"] * count,
            "uploader": [f"User {i % 900}" for i in range(count)],
            "width": rng.integers(64, 6000, count),
            "height": rng.integers(64, 6000, count),
            "year": 2005 + np.arange(count) % 20,
            "cluster_id": np.arange(count) // 2,
            **{f"measure_{k}": rng.normal(size=count) for k in range(30)},
        }
    )
    return Collection(
        title="<u>Test</u>",
        rows=rows,
        read=held.get,
        catalog=None if folder is None else Catalog(folder),
    )


@contextmanager
def served(shown: Collection, *, reviewer: str = "Ann") -> Generator[tuple[str, State]]:
    """A server of the collection in this process: its address, and what it knows."""
    state, port = State(shown, reviewer=reviewer), free_port()
    app, address = make_app(state, port=port)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield address, state
    finally:
        server.should_exit = True
        thread.join(10)
