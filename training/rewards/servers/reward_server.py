"""A scorer behind HTTP, for one whose dependencies clash with ours: the other end of training/rewards/remote.py.

Only the standard library and Pillow, and no import of this project: it runs in the scorer's own environment.

    GET  /info     {"name", "version", "weights_sha256", "range": [low, high], "largest_batch"}
    POST /score    {"images": [PNG in base64, ...]}  ->  {"scores": [number or null, ...], "version"}

One image that fails is null in the answer and a line in the log; the others keep their scores. Images are scored one
request after the other, because there is one model. Requests are bounded in bytes, pixels, time and number; only PNG is
decoded. It listens on loopback unless told otherwise, and asks nobody for a password: on other addresses put it behind
something that does.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image, UnidentifiedImageError

MOST_BYTES = 128_000_000
"""Of one request: 16 PNGs of 2 megapixels and more."""
MOST_PIXELS = 20_000_000
"""Of one image, by its header, before it is decoded."""
ARRIVES_S = 60.0
"""A request has to be here in so many seconds, however it drips."""
WAITS_S = 600.0
"""For the model, while it scores what others sent; then the answer is 503."""
MOST_AT_ONCE = 16
"""Connections; further ones are closed."""


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


class _Server(ThreadingHTTPServer):
    """Serves MOST_AT_ONCE connections at a time."""

    def __init__(self, *given: Any) -> None:
        self.slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Closes the connection where there are too many."""
        if not self.slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves, and makes room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()


def make_server(scorer: Scorer, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is ready for `serve_forever()`; port 0 takes a free one (`server_address` says which)."""

    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = ARRIVES_S

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
            told = self.headers.get("Content-Length", "")
            length = int(told) if told.isascii() and told.isdigit() and len(told) < 20 else 0
            if self.path != "/score" or not 0 < length <= MOST_BYTES:
                self.close_connection = True
                self._answer(400, {"error": f"POST /score takes up to {MOST_BYTES} bytes of JSON."})
                return
            body = self._body(length)
            if body is None:
                self.close_connection = True
                self._answer(408, {"error": f"A request is here within {ARRIVES_S:g} s."})
                return
            try:
                encoded = json.loads(body)["images"]
                if len(encoded) > scorer.largest_batch:
                    most = f"At most {scorer.largest_batch} images at a time."
                    self._answer(400, {"error": most})
                    return
                contents = [base64.b64decode(text, validate=True) for text in encoded]
            except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
                said = f"Expected {{'images': [base64, ...]}}: {error!r:.200}"
                self._answer(400, {"error": said})
                return
            if not one_at_a_time.acquire(timeout=WAITS_S):
                self._answer(503, {"error": "The model is busy. Ask again later."})
                return
            try:
                scores = [_scored(scorer, content) for content in contents]
            finally:
                one_at_a_time.release()
            self._answer(200, {"scores": scores, "version": scorer.version})

        def _body(self, length: int) -> bytes | None:
            """So many bytes; None where they do not come in time."""
            ends, body = time.monotonic() + ARRIVES_S, bytearray()
            while len(body) < length:
                left = ends - time.monotonic()
                if left <= 0:
                    return None
                self.connection.settimeout(left)
                try:
                    piece = self.rfile.read1(min(65536, length - len(body)))
                except TimeoutError:
                    return None
                if not piece:
                    return None
                body += piece
            self.connection.settimeout(ARRIVES_S)
            return bytes(body)

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
    server = _Server((host, port), Handler)
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
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(
                    f"{image.width} x {image.height} are more than {MOST_PIXELS} pixels"
                )
            score = scorer.score(image.convert("RGB"))
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        ValueError,
        SyntaxError,
        RuntimeError,
    ) as error:
        sys.stderr.write(f"{scorer.name}: an image was not scored: {error!r}\n")
        return None
    # NaN and infinity are no JSON.
    return score if score is not None and score - score == 0 else None
