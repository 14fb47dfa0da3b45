"""The loopback hub's HTTP side: as much of the Hub's API as huggingface_hub and datasets use with Xet switched off.

What the client accepts was found out by running it against this; how the real Hub rewrites history and what it keeps
afterwards is an assumption.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn

from tests.hub.storage import Entry, Repository

TOKENS = {"owner": "write", "reader": "read"}
"""Token -> what it may do; the user's name is the token's."""
NAMESPACE = "lab"
PAGE = 4


@dataclass
class Fault:
    """Answers `times` requests that match with a status, or drops the connection (status 0)."""

    method: str
    path: str
    status: int
    times: int = 1
    after: int = 0
    """Requests that match and are let through first."""


@dataclass
class Hub:
    """The server's state, for a test to look at."""

    root: Path
    port: int = 0
    repositories: dict[str, Repository] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self, method: str, pattern: str = "") -> list[str]:
        return [path for verb, path in self.log if verb == method and re.search(pattern, path)]

    def scan(self, needle: bytes) -> list[Path]:
        """Files of the hub that hold these bytes."""
        return [p for p in self.root.rglob("*") if p.is_file() and needle in p.read_bytes()]


class Answer(Exception):
    def __init__(
        self, status: int, body: Any = None, headers: dict[str, str] | None = None, code: str = ""
    ) -> None:
        self.status, self.headers = status, dict(headers or {})
        self.body = b"" if body is None else body
        if not isinstance(self.body, bytes):
            self.body = json.dumps(self.body).encode()
            self.headers.setdefault("Content-Type", "application/json")
        if code:
            self.headers |= {"X-Error-Code": code, "X-Error-Message": code}


def error(status: int, code: str, message: str = "") -> Answer:
    answer = Answer(status, {"error": message or code})
    answer.headers |= {"X-Error-Code": code, "X-Error-Message": message or code}
    return answer


class App:
    """A plain ASGI application: routes look at the raw, percent-encoded path."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.lock = threading.RLock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["raw_path"].decode()
        query = scope["query_string"].decode()
        headers = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
        self.hub.log.append((method, path))
        for fault in self.hub.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.status == 0:
                    receive.__self__.transport.abort()
                    return
                await respond(send, error(fault.status, "Injected"), method)
                return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        try:
            with self.lock:
                self.route(method, path, query, headers, body)
            answer = error(404, "NotFound", f"no route {method} {path}")
        except Answer as given:
            answer = given
        await respond(send, answer, method)

    def route(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> None:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if path == "/api/whoami-v2":
            if token not in TOKENS:
                raise error(401, "", "Invalid user token")
            role = {"accessToken": {"role": TOKENS[token]}}
            raise Answer(200, {"name": NAMESPACE, "type": "user", "orgs": [], "auth": role})
        if path.startswith("/store/"):
            self.store(method, path, body)
        if path == "/api/agent-harnesses":
            raise Answer(200, {"standardEnvVars": [], "harnesses": {}})
        if path == "/api/validate-yaml":
            raise Answer(200, {})
        if path == "/api/repos/create":
            self.create(token, json.loads(body))
        if found := re.match(r"/(?:api/)?datasets/([^/]+/[^/.]+)(\.git)?(/.*)?$", path):
            name, _, rest = found.groups()
            repository = self.hub.repositories.get(name)
            if repository is None or (repository.private and token not in TOKENS):
                raise error(404 if token else 401, "RepoNotFound", f"no dataset {name}")
            if method not in ("GET", "HEAD") and "paths-info" not in path:
                if token not in TOKENS:
                    raise error(401, "", "Invalid credentials in Authorization header")
                if TOKENS[token] != "write":
                    raise error(403, "", "this token may only read")
            self.repository(repository, name, method, rest or "", query, headers, body)

    def create(self, token: str, wanted: dict[str, Any]) -> None:
        if token not in TOKENS:
            raise error(401, "", "Invalid credentials in Authorization header")
        if TOKENS[token] != "write" or wanted.get("organization", NAMESPACE) != NAMESPACE:
            raise error(403, "", "you may not create a repository in this namespace")
        name = f"{NAMESPACE}/{wanted['name']}"
        url = f"{self.hub.url}/datasets/{name}"
        if name in self.hub.repositories:
            raise Answer(409, {"error": "exists", "url": url})
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.hub.repositories[name] = Repository(self.hub.root / name, private=private)
        raise Answer(200, {"url": url})

    def store(self, method: str, path: str, body: bytes) -> None:
        """Large files are put where their signed address says."""
        _, _, namespace, name, oid = path.split("/")
        (self.hub.repositories[f"{namespace}/{name}"].root / "lfs" / oid).write_bytes(body)
        raise Answer(200)

    def repository(
        self,
        repository: Repository,
        name: str,
        method: str,
        rest: str,
        query: str,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        parts = [unquote(part) for part in rest.strip("/").split("/")]
        verb, *tail = parts
        if verb == "" and method == "GET":
            raise Answer(200, self.info(repository, name, repository.head()))
        if verb == "settings":
            repository.private = json.loads(body).get("visibility") != "public"
            raise Answer(200, {"private": repository.private})
        if verb == "revision":
            raise Answer(200, self.info(repository, name, self.revision(repository, tail[0])))
        if verb == "tree":
            self.tree(repository, name, tail, query, rest)
        if verb == "paths-info":
            commit = self.revision(repository, tail[0])
            wanted = [unquote(v.replace("+", " ")) for k, v in pairs(body.decode()) if k == "paths"]
            raise Answer(200, [item(p, commit.tree[p]) for p in wanted if p in commit.tree])
        if verb == "preupload":
            files = json.loads(body)["files"]
            raise Answer(200, {"files": [self.mode(repository, f) for f in files]})
        if verb == "info" and tail[:3] == ["lfs", "objects", "batch"]:
            self.batch(repository, name, json.loads(body))
        if verb == "commit":
            self.commit(repository, name, tail[0], body)
        if verb == "commits":
            history = reversed(repository.histories[tail[0]])
            commits = [repository.commits[oid] for oid in history]
            raise Answer(
                200,
                [
                    {
                        "id": c.oid,
                        "title": c.title,
                        "message": "",
                        "date": "2026-01-01T00:00:00.000Z",
                        "authors": [{"user": NAMESPACE}],
                    }
                    for c in commits
                ],
            )
        if verb == "refs":
            branches = [
                {"name": b, "ref": f"refs/heads/{b}", "targetCommit": h[-1]}
                for b, h in repository.histories.items()
            ]
            tags = [
                {"name": t, "ref": f"refs/tags/{t}", "targetCommit": oid}
                for t, oid in repository.tags.items()
            ]
            raise Answer(200, {"branches": branches, "converts": [], "tags": tags})
        if verb == "tag":
            self.tag(repository, method, tail[0], body)
        if verb == "super-squash":
            repository.squash(tail[0], json.loads(body).get("message") or "squashed")
            raise Answer(200)
        if verb == "lfs-files" and method == "GET":
            raise Answer(200, repository.large_files())
        if verb == "lfs-files":
            wanted = {oid.removeprefix("id-") for oid in json.loads(body)["deletions"]["sha"]}
            repository.delete_large(wanted)
            raise Answer(200)
        if verb == "resolve":
            self.resolve(repository, tail[0], "/".join(tail[1:]), headers)

    def revision(self, repository: Repository, revision: str) -> Any:
        commit = repository.at(revision)
        if commit is None:
            raise error(404, "RevisionNotFound", f"no revision {revision}")
        return commit

    def info(self, repository: Repository, name: str, commit: Any) -> dict[str, Any]:
        siblings = [
            {"rfilename": path, "size": e.size, "blobId": e.oid, **lfs(e)}
            for path, e in sorted(commit.tree.items())
        ]
        return {"id": name, "sha": commit.oid, "private": repository.private, "siblings": siblings}

    def tree(
        self, repository: Repository, name: str, tail: list[str], query: str, rest: str
    ) -> None:
        commit = self.revision(repository, tail[0])
        below = "/".join(tail[1:])
        prefix = f"{below}/" if below else ""
        options = dict(pairs(query))
        folders: set[str] = set()
        items = []
        for path, entry in sorted(commit.tree.items()):
            if not path.startswith(prefix):
                continue
            inner = path.removeprefix(prefix).split("/")
            for depth in range(1, len(inner)):
                folders.add(prefix + "/".join(inner[:depth]))
            if len(inner) == 1 or options.get("recursive") == "true":
                items.append(item(path, entry))
        if not items and not folders and below:
            raise error(404, "EntryNotFound", f"no {below}")
        if options.get("recursive") != "true":
            folders = {f for f in folders if "/" not in f.removeprefix(prefix)}
        items += [{"type": "directory", "path": f, "oid": "0" * 40} for f in sorted(folders)]
        start = int(options.get("cursor", 0))
        headers = {}
        if start + PAGE < len(items):
            following = "&".join(f"{k}={v}" for k, v in options.items() if k != "cursor")
            link = f"{self.hub.url}/api/datasets/{name}{rest}?{following}&cursor={start + PAGE}"
            headers["Link"] = f'<{link}>; rel="next"'
        raise Answer(200, items[start : start + PAGE], headers)

    def mode(self, repository: Repository, file: dict[str, Any]) -> dict[str, Any]:
        large = file["size"] > 0 and file["path"].endswith(".parquet")
        answer = {
            "path": file["path"],
            "uploadMode": "lfs" if large else "regular",
            "shouldIgnore": False,
        }
        there = repository.head().tree.get(file["path"])
        return answer | ({"oid": there.oid} if there else {})

    def batch(self, repository: Repository, name: str, wanted: dict[str, Any]) -> None:
        objects = []
        for one in wanted["objects"]:
            stored = (repository.root / "lfs" / one["oid"]).is_file()
            upload = {"upload": {"href": f"{self.hub.url}/store/{name}/{one['oid']}"}}
            objects.append(one if stored else one | {"actions": upload})
        raise Answer(200, {"transfer": "basic", "objects": objects})

    def commit(self, repository: Repository, name: str, branch: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines() if line]
        header = lines[0]["value"]
        head = repository.head(branch)
        if header.get("parentCommit") not in (None, head.oid):
            raise error(412, "", "a commit has come between")
        tree = dict(head.tree)
        for line in lines[1:]:
            value = line["value"]
            path = value["path"]
            if line["key"] == "file":
                tree[path] = repository.keep_small(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if not (repository.root / "lfs" / value["oid"]).is_file():
                    raise error(400, "", f"{path} was not uploaded")
                tree[path] = Entry(value["oid"], value["size"], large=True)
            elif line["key"] == "deletedFile":
                if path not in tree:
                    raise error(404, "EntryNotFound", "A file with this name doesn't exist")
                del tree[path]
            else:
                tree = {p: e for p, e in tree.items() if not p.startswith(path.rstrip("/") + "/")}
        made = repository.add(branch, header["summary"], tree)
        url = f"{self.hub.url}/datasets/{name}/commit/{made.oid}"
        raise Answer(200, {"commitOid": made.oid, "commitUrl": url})

    def tag(self, repository: Repository, method: str, which: str, body: bytes) -> None:
        if method == "DELETE":
            if repository.tags.pop(which, None) is None:
                raise error(404, "RevisionNotFound", f"no tag {which}")
            raise Answer(200)
        wanted = json.loads(body)["tag"]
        if wanted in repository.tags:
            raise error(409, "", f"tag {wanted} exists")
        repository.tags[wanted] = self.revision(repository, which).oid
        raise Answer(200)

    def resolve(
        self, repository: Repository, revision: str, path: str, headers: dict[str, str]
    ) -> None:
        commit = self.revision(repository, revision)
        entry = commit.tree.get(path)
        if entry is None or not repository.path_of(entry).is_file():
            raise error(404, "EntryNotFound", f"no {path}")
        content = repository.path_of(entry).read_bytes()
        given = {
            "X-Repo-Commit": commit.oid,
            "ETag": f'"{entry.oid}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        if entry.large:
            given |= {"X-Linked-Etag": f'"{entry.oid}"', "X-Linked-Size": str(entry.size)}
        if found := re.match(r"bytes=(\d*)-(\d*)$", headers.get("range", "")):
            low, high = found.groups()
            start = int(low) if low else max(0, len(content) - int(high))
            end = min(int(high), len(content) - 1) if low and high else len(content) - 1
            if start >= len(content):
                raise Answer(416, headers={"Content-Range": f"bytes */{len(content)}"})
            given["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            raise Answer(206, content[start : end + 1], given)
        raise Answer(200, content, given)


def pairs(text: str) -> list[tuple[str, str]]:
    return [(k, v) for k, _, v in (part.partition("=") for part in text.split("&")) if k]


def lfs(entry: Entry) -> dict[str, Any]:
    if not entry.large:
        return {}
    return {"lfs": {"oid": entry.oid, "sha256": entry.oid, "size": entry.size, "pointerSize": 130}}


def item(path: str, entry: Entry) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": entry.size, "oid": entry.oid, **lfs(entry)}


async def respond(send: Any, answer: Answer, method: str) -> None:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    raw = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})


@contextlib.contextmanager
def running_hub(root: Path) -> Generator[Hub]:
    """A hub on a free port for the time of the block."""
    hub = Hub(root)
    config = uvicorn.Config(App(hub), host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > deadline:
            raise RuntimeError("the loopback hub did not start")
        time.sleep(0.02)
    hub.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(timeout=10)
