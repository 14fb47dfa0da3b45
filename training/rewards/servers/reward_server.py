"""A scorer behind HTTP, for one whose dependencies clash with ours: the other end of training/rewards/remote.py.

Only the standard library and Pillow, and no import of this project: it runs in the scorer's own environment.

    GET  /info     {"name", "version", "weights_sha256", "range": [low, high], "largest_batch"}
    POST /score    {"images": [PNG in base64, ...]}  ->  {"scores": [number or null, ...], "version"}

One image that fails is null in the answer and a line in the log; the others keep their scores. Images are scored one
request after the other, because there is one model. It listens on loopback unless told otherwise, and asks nobody for a
password: on other addresses put it behind something that does.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image, UnidentifiedImageError

MOST_BYTES = 512_000_000
"""Of one request."""


@dataclass(frozen=True)
class Scorer:
    """What is served."""

    name: str
    version: str
    weights_sha256: str | None
    range: tuple[float, float]
    score: Callable[[Image.Image], float | None]
    """Of one RGB image; None where it can't be scored. Errors of these kinds count as None: OSError, ValueError,
    RuntimeError (what a model raises about one image)."""
    largest_batch: int = 16


def make_server(scorer: Scorer, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is ready for `serve_forever()`; port 0 takes a free one (`server_address` says which)."""

    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path != "/info":
                self._answer(404, {"error": "There are GET /info and POST /score."})
                return
            info = {
                "name": scorer.name,
                "version": scorer.version,
                "weights_sha256": scorer.weights_sha256,
                "range": list(scorer.range),
                "largest_batch": scorer.largest_batch,
            }
            self._answer(200, info)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if self.path != "/score" or not 0 < length <= MOST_BYTES:
                self.close_connection = True
                self._answer(400, {"error": f"POST /score takes up to {MOST_BYTES} bytes of JSON."})
                return
            try:
                encoded = json.loads(self.rfile.read(length))["images"]
                contents = [base64.b64decode(text, validate=True) for text in encoded]
            except (ValueError, KeyError, TypeError, binascii.Error) as error:
                self._answer(400, {"error": f"Expected {{'images': [base64, ...]}}: {error!r}"})
                return
            if len(contents) > scorer.largest_batch:
                self._answer(400, {"error": f"At most {scorer.largest_batch} images at a time."})
                return
            with one_at_a_time:
                scores = [_scored(scorer, content) for content in contents]
            self._answer(200, {"scores": scores, "version": scorer.version})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Every request in the log would hide what matters."""

    # A thread per connection, because a client keeps its own open; daemons, so that none holds up the end.
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


def serve(scorer: Scorer, host: str, port: int) -> None:
    """Serves until interrupted; says where."""
    server = make_server(scorer, host, port)
    sys.stderr.write(
        f"{scorer.name} {scorer.version} on http://{host}:{server.server_address[1]}\n"
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _scored(scorer: Scorer, content: bytes) -> float | None:
    try:
        with Image.open(io.BytesIO(content)) as image:
            score = scorer.score(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"{scorer.name}: an image was not scored: {error!r}\n")
        return None
    # NaN and infinity are no JSON.
    return score if score is not None and score - score == 0 else None
