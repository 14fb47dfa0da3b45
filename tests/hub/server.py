"""A small Hugging Face Hub on 127.0.0.1: two origins (the hub, and the storage it sends clients to), faults on demand.

What the client accepts was found out by running it against this; a test that passes here says that the client works
against this contract, not that the real Hub is identical.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from tests.hub.answers import Answer, error
from tests.hub.api import RepositoryApi, Request, validate_card
from tests.hub.storage import Repository

NAMESPACE = "lab"
TOKENS = {"owner": "write", "reader": "read"}
"""Token -> what it may do in the namespace."""


@dataclass
class Fault:
    """What happens to some requests instead of an answer."""

    method: str
    path: str
    """Regular expression, searched in the path."""
    status: int = 0
    """Answered instead; 0 cuts the connection."""
    times: int = 1
    after: int = 0
    """Requests that match and are let through first."""
    late: bool = False
    """The request is done, then the connection is cut: the answer is lost."""
    call: Callable[[], object] | None = None
    """Called before the connection is cut, e.g. to kill the client."""

    def hits(self, method: str, path: str) -> bool:
        if not self.times or self.method != method or not re.search(self.path, path):
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Hub:
    """The server's state, for a test to look at and to disturb."""

    root: Path
    url: str = ""
    storage: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) of every request, in order."""
    faults: list[Fault] = field(default_factory=list)

    def requests(self, method: str, pattern: str = "") -> list[str]:
        """Paths that were asked for since the log was cleared."""
        return [path for verb, path in self.log if verb == method and re.search(pattern, path)]

    def environment(self, home: Path, token: str | None = "owner") -> dict[str, str]:
        """For a client in a process of its own: it reads these when it is imported."""
        named = {"HF_TOKEN": token} if token else {}
        return {
            **named,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def holding(self, needle: bytes) -> list[str]:
        """Names of the files, of whatever commit or none, that hold these bytes."""
        files = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(path.name for path in files if needle in path.read_bytes())

    def handle(self, request: Request) -> None:
        """Raises the answer; returns where there is no such route."""
        path, method = request.path, request.method
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if found := re.fullmatch(r"/store/([^/]+/[^/]+)/([0-9a-f]{64})", path):
            self._api(found[1]).store(request, found[2])
        if path == "/api/whoami-v2":
            if token not in TOKENS:
                raise error(401, message="Invalid user token")
            role = {"accessToken": {"role": TOKENS[token]}}
            raise Answer(200, {"name": NAMESPACE, "type": "user", "orgs": [], "auth": role})
        if path == "/api/agent-harnesses":
            raise Answer(200, {"standardEnvVars": [], "harnesses": {}})
        if path == "/api/validate-yaml":
            validate_card(request.body)
        if path == "/api/repos/create":
            self._create(token, json.loads(request.body))
        if found := re.fullmatch(r"/(?:api/)?datasets/([^/]+/[^/]+?)(?:\.git)?(/.*)?", path):
            repository = self.repositories.get(found[1])
            if repository is None or (repository.private and token not in TOKENS):
                raise error(404 if token else 401, "RepoNotFound", "Repository not found")
            if method not in ("GET", "HEAD") and "/paths-info/" not in path:
                _may_write(token)
            self._api(found[1]).route(request, found[2] or "")

    def _api(self, name: str) -> RepositoryApi:
        return RepositoryApi(self.repositories[name], name, self.url, self.storage)

    def _create(self, token: str, wanted: dict[str, Any]) -> None:
        _may_write(token)
        namespace = wanted.get("organization") or NAMESPACE
        if namespace != NAMESPACE:
            raise error(
                403, message=f"You don't have the rights to create a dataset in {namespace}"
            )
        name = f"{namespace}/{wanted['name']}"
        url = f"{self.url}/datasets/{name}"
        if name in self.repositories:
            raise Answer(409, {"error": "You already created this dataset repo", "url": url})
        private = wanted.get("visibility") == "private"
        self.repositories[name] = Repository(self.root / name, private=private)
        raise Answer(200, {"url": url})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application. The event loop's one thread keeps requests apart."""
        method, path = scope["method"], scope["raw_path"].decode()
        self.log.append((method, path))
        fault = next((f for f in self.faults if f.hits(method, path)), None)
        if fault is not None and not fault.late:
            if fault.call is not None:
                fault.call()
            if fault.status == 0:
                receive.__self__.transport.abort()
                return
            await _send(send, error(fault.status, message="injected"), method)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        try:
            self.handle(Request(method, path, query, headers, body))
            answer = error(404, "EntryNotFound", f"no route {method} {path}")
        except Answer as given:
            answer = given
        if fault is not None:
            if fault.call is not None:
                fault.call()
            receive.__self__.transport.abort()
            return
        await _send(send, answer, method)


def _may_write(token: str) -> None:
    if token not in TOKENS:
        raise error(401, message="Invalid credentials in Authorization header")
    if TOKENS[token] != "write":
        raise error(403, message="This token may only read")


async def _send(send: Any, answer: Answer, method: str) -> None:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})


@contextlib.contextmanager
def running_hub(root: Path) -> Generator[Hub]:
    """A hub on two free ports for the time of the block."""
    hub = Hub(root)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    for one in sockets:
        # Otherwise every answer waits 40 ms between its head and its body.
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    hub.url, hub.storage = (f"http://127.0.0.1:{s.getsockname()[1]}" for s in sockets)
    config = uvicorn.Config(hub, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            if time.monotonic() > deadline:
                raise RuntimeError("the loopback hub did not start")
            time.sleep(0.01)
        yield hub
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        for one in sockets:
            one.close()
