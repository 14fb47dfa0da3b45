"""A model hub on 127.0.0.1: as much as downloads of single files need; gated repositories want the right token."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee" + "0" * 34


@dataclass
class ModelHub:
    files: dict[str, bytes]
    """`owner/name/path` -> content."""
    gated: set[str] = field(default_factory=set)
    token: str = "accepted"
    lie: dict[str, bytes] = field(default_factory=dict)
    """What is sent in place of the content, under the content's SHA-256."""
    requests: list[str] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def model_hub(hub: ModelHub) -> Generator[ModelHub]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path.split("?")[0])
            if not found:
                return self.answer(404, {})
            repo, revision, path = found.groups()
            if repo in hub.gated and self.headers.get("Authorization") != f"Bearer {hub.token}":
                status = 403 if self.headers.get("Authorization") else 401
                return self.answer(
                    status, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"}
                )
            if not any(name.startswith(f"{repo}/") for name in hub.files):
                return self.answer(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no"})
            if revision not in ("main", COMMIT):
                return self.answer(404, {"X-Error-Code": "RevisionNotFound"})
            name = f"{repo}/{path}"
            if name not in hub.files:
                return self.answer(404, {"X-Error-Code": "EntryNotFound"})
            digest = hashlib.sha256(hub.files[name]).hexdigest()
            body = hub.lie.get(name, hub.files[name])
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"', "Accept-Ranges": "none"}
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(body))}
            return self.answer(200, {"Content-Length": str(len(body)), **headers}, body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
