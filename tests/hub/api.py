"""The loopback hub's API: what huggingface_hub and datasets ask of a repository of a dataset, with Xet switched off.

Each route raises its answer. Paths arrive percent-encoded: a revision such as refs/pr/1 is one segment.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import yaml

from tests.hub.answers import Answer, content, error
from tests.hub.storage import Commit, Entry, Repository

PAGE = 7
"""Most items in one answer: every listing in a test has several pages."""
SIGNATURE = "signed"
"""What an address for bytes carries in place of a token."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    """Percent-encoded, without the query."""
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class RepositoryApi:
    """The routes below one repository."""

    repository: Repository
    name: str
    origin: str
    """The hub's own address."""
    storage: str
    """Another origin, where large files are put and fetched; no token goes there."""

    def route(self, request: Request, rest: str) -> None:
        """Answers what is asked below the repository's address; returns where there is no such route."""
        verb, *tail = [unquote(part) for part in rest.strip("/").split("/")]
        match request.method, verb, tail:
            case "GET", "", []:
                raise Answer(200, self._info(self.repository.head()))
            case "GET", "revision", [revision]:
                raise Answer(200, self._info(self._commit(revision)))
            case "PUT", "settings", []:
                self.repository.private = json.loads(request.body).get("visibility") != "public"
                raise Answer(200, {})
            case "GET", "tree", [revision, *below]:
                self._tree(request, rest, self._commit(revision), "/".join(below))
            case "POST", "paths-info", [revision]:
                tree = self._commit(revision).tree
                asked = parse_qs(request.body.decode())["paths"]
                raise Answer(200, [_item(path, tree[path]) for path in asked if path in tree])
            case "POST", "preupload", [branch]:
                files = json.loads(request.body)["files"]
                raise Answer(200, {"files": [self._mode(branch, file) for file in files]})
            case "POST", "info", ["lfs", "objects", "batch"]:
                self._batch(json.loads(request.body))
            case "POST", "info", ["lfs", "verify"]:
                asked = json.loads(request.body)
                stored = self.repository.large(asked["oid"])
                whole = stored.is_file() and stored.stat().st_size == asked["size"]
                raise Answer(200) if whole else error(404, "EntryNotFound", "not stored")
            case "POST", "commit", [branch]:
                self._receive(branch, [json.loads(line) for line in request.body.splitlines()])
            case "GET", "commits", [revision]:
                found = self.repository.history(self._commit(revision))
                self._page(request, rest, [_told(commit) for commit in found])
            case "GET", "refs", []:
                raise Answer(200, self._refs())
            case "POST", "tag", [revision]:
                tag = json.loads(request.body)["tag"]
                if tag in self.repository.tags:
                    raise error(409, message=f"tag {tag} exists")
                self.repository.tags[tag] = self._commit(revision).oid
                raise Answer(200, {})
            case "DELETE", "tag", [tag]:
                if self.repository.tags.pop(tag, None) is None:
                    raise error(404, "RevisionNotFound", f"no tag {tag}")
                self.repository.collect()
                raise Answer(200, {})
            case "POST", "branch", [branch]:
                start = json.loads(request.body or b"{}").get("startingPoint") or "main"
                self.repository.branches[branch] = self._commit(start).oid
                raise Answer(200, {})
            case "POST", "super-squash", [branch]:
                self.repository.squash(branch, json.loads(request.body).get("message") or "squash")
                raise Answer(200, {})
            case "GET", "lfs-files", []:
                self._page(request, rest, self.repository.large_files())
            case "POST", "lfs-files", ["batch"]:
                asked = json.loads(request.body)["deletions"]
                oids = {oid.removeprefix("id-") for oid in asked["sha"]}
                self.repository.delete_large(oids, rewrite=asked["rewriteHistory"])
                raise Answer(200, {})
            case (("GET" | "HEAD"), "resolve", [revision, *path]):
                self._resolve(request, self._commit(revision), "/".join(path))

    def _commit(self, revision: str) -> Commit:
        found = self.repository.at(revision)
        if found is None:
            raise error(404, "RevisionNotFound", f"no revision {revision}")
        return found

    def _info(self, commit: Commit) -> dict[str, Any]:
        siblings = [{"rfilename": path, "size": e.size} for path, e in sorted(commit.tree.items())]
        private = self.repository.private
        return {"id": self.name, "sha": commit.oid, "private": private, "siblings": siblings}

    def _refs(self) -> dict[str, Any]:
        def told(kind: str, held: dict[str, str]) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
                for name, oid in held.items()
            ]

        return {
            "branches": told("heads", self.repository.branches),
            "tags": told("tags", self.repository.tags),
            "converts": [],
            "pullRequests": [],
        }

    def _page(self, request: Request, rest: str, items: list[Any]) -> None:
        start = int(request.query.get("cursor", ["0"])[0])
        headers = {}
        if start + PAGE < len(items):
            query = {**{k: v[0] for k, v in request.query.items()}, "cursor": str(start + PAGE)}
            told = "&".join(f"{key}={quote(value)}" for key, value in query.items())
            address = f"{self.origin}/api/datasets/{self.name}{rest}?{told}"
            headers["Link"] = f'<{address}>; rel="next"'
        raise Answer(200, items[start : start + PAGE], headers)

    def _tree(self, request: Request, rest: str, commit: Commit, below: str) -> None:
        prefix = f"{below}/" if below else ""
        recursive = request.query.get("recursive") == ["true"]
        items: list[dict[str, Any]] = []
        folders: set[str] = set()
        for path, entry in sorted(commit.tree.items()):
            if path.startswith(prefix):
                *parents, _ = path.removeprefix(prefix).split("/")
                folders |= {prefix + "/".join(parents[: n + 1]) for n in range(len(parents))}
                if recursive or not parents:
                    items.append(_item(path, entry))
        if below and not items and not folders:
            raise error(404, "EntryNotFound", f"no {below}")
        shown = {f for f in folders if recursive or "/" not in f.removeprefix(prefix)}
        items += [{"type": "directory", "path": f, "oid": "0" * 40} for f in sorted(shown)]
        self._page(request, rest, items)

    def _mode(self, branch: str, file: dict[str, Any]) -> dict[str, Any]:
        """Parquet and what is large goes to the large files' store, as .gitattributes and the Hub have it."""
        large = file["size"] > 0 and (file["path"].endswith(".parquet") or file["size"] > 10**7)
        there = self._commit(branch).tree.get(file["path"])
        told = {"path": file["path"], "uploadMode": "lfs" if large else "regular"}
        return {**told, "shouldIgnore": False, **({"oid": there.oid} if there else {})}

    def _batch(self, asked: dict[str, Any]) -> None:
        objects: list[dict[str, Any]] = []
        for one in asked["objects"]:
            if not self.repository.large(one["oid"]).is_file():
                verify = f"{self.origin}/datasets/{self.name}.git/info/lfs/verify"
                one = {
                    **one,
                    "actions": {
                        "upload": {"href": self._address(one["oid"])},
                        "verify": {"href": verify},
                    },
                }
            objects.append(one)
        raise Answer(200, {"transfer": "basic", "objects": objects})

    def _address(self, oid: str) -> str:
        return f"{self.storage}/store/{self.name}/{oid}?signature={SIGNATURE}"

    def store(self, request: Request, oid: str) -> None:
        """The other origin: bytes of large files, by address alone."""
        if "authorization" in request.headers:
            raise error(400, message="a token was sent to the storage")
        if request.query.get("signature") != [SIGNATURE]:
            raise error(403, message="the address is not signed")
        if request.method == "PUT":
            if hashlib.sha256(request.body).hexdigest() != oid:
                raise error(400, message="not the bytes that were announced")
            self.repository.large(oid).write_bytes(request.body)
            raise Answer(200)
        if not self.repository.large(oid).is_file():
            raise error(404, "EntryNotFound", "no such large file")
        data = self.repository.large(oid).read_bytes()
        raise content(data, request.headers.get("range", ""), {})

    def _receive(self, branch: str, lines: list[dict[str, Any]]) -> None:
        if branch not in self.repository.branches:
            raise error(404, "RevisionNotFound", f"no branch {branch}")
        header, *changes = lines
        head = self.repository.head(branch)
        if header["value"].get("parentCommit") not in (None, head.oid):
            raise error(412, message="A commit has happened since. Please refresh and try again.")
        tree = dict(head.tree)
        for change in changes:
            value = change["value"]
            path = value["path"]
            match change["key"]:
                case "file":
                    tree[path] = self.repository.keep_small(base64.b64decode(value["content"]))
                case "lfsFile":
                    if not self.repository.large(value["oid"]).is_file():
                        raise error(400, message=f"{path} was not uploaded")
                    size = self.repository.large(value["oid"]).stat().st_size
                    tree[path] = Entry(value["oid"], size, large=True)
                case "deletedFile":
                    if tree.pop(path, None) is None:
                        raise error(404, "EntryNotFound", "A file with this name doesn't exist")
                case "deletedFolder":
                    folder = path.rstrip("/") + "/"
                    tree = {p: e for p, e in tree.items() if not p.startswith(folder)}
                case other:
                    raise error(400, message=f"unknown operation {other}")
        made = self.repository.commit(branch, header["value"]["summary"], tree)
        address = f"{self.origin}/datasets/{self.name}/commit/{made.oid}"
        raise Answer(200, {"commitOid": made.oid, "commitUrl": address})

    def _resolve(self, request: Request, commit: Commit, path: str) -> None:
        entry = commit.tree.get(path)
        if entry is None or not self.repository.path_of(entry).is_file():
            raise error(404, "EntryNotFound", f"no {path}")
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{entry.oid}"'}
        if entry.large:
            headers |= {"X-Linked-Etag": f'"{entry.oid}"', "X-Linked-Size": str(entry.size)}
            raise Answer(302, headers={**headers, "Location": self._address(entry.oid)})
        data = self.repository.path_of(entry).read_bytes()
        raise content(data, request.headers.get("range", ""), headers)


def validate_card(body: bytes) -> None:
    """The card's YAML block, as far as a parser alone can tell."""
    text = json.loads(body)["content"]
    try:
        header = yaml.safe_load(text.split("---")[1]) if text.startswith("---") else {}
        problem = "" if isinstance(header, dict) else "no mapping"
    except (yaml.YAMLError, IndexError) as failure:
        problem = str(failure)
    if problem:
        raise Answer(400, {"errors": [{"message": problem}], "warnings": []})
    raise Answer(200, {})


def _item(path: str, entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "file", "path": path, "size": entry.size, "oid": entry.oid}
    if entry.large:
        told["lfs"] = {"oid": entry.oid, "size": entry.size, "pointerSize": 130}
    return told


def _told(commit: Commit) -> dict[str, Any]:
    date = "2026-01-01T00:00:00.000Z"
    authors = [{"user": "lab"}]
    title = commit.title
    return {"id": commit.oid, "title": title, "message": "", "date": date, "authors": authors}
