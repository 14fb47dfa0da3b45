"""What the loopback hub keeps: repositories of datasets with commits, branches, tags and large files, in a folder.

Commits are trees of (path -> entry); small files lie in the commit by their git blob SHA-1, large ones by SHA-256. All
bytes are files below `root`, so that a test can look whether something is really gone.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Entry:
    oid: str
    size: int
    large: bool


@dataclass
class Commit:
    oid: str
    title: str
    tree: dict[str, Entry]


@dataclass
class Repository:
    root: Path
    private: bool = True
    commits: dict[str, Commit] = field(default_factory=dict)
    histories: dict[str, list[str]] = field(default_factory=dict)
    """Commits of each branch, newest last."""
    tags: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        (self.root / "blobs").mkdir(parents=True, exist_ok=True)
        (self.root / "lfs").mkdir(exist_ok=True)
        self.histories["main"] = []
        self.add("main", "initial commit", {})

    def add(self, branch: str, title: str, tree: dict[str, Entry]) -> Commit:
        number = f"{branch} {title} {len(self.commits)} {sorted(tree.items())}"
        commit = Commit(hashlib.sha1(number.encode()).hexdigest(), title, dict(tree))
        self.commits[commit.oid] = commit
        self.histories[branch].append(commit.oid)
        return commit

    def head(self, branch: str = "main") -> Commit:
        return self.commits[self.histories[branch][-1]]

    def at(self, revision: str) -> Commit | None:
        if revision in self.histories:
            return self.head(revision)
        if revision in self.tags:
            return self.commits.get(self.tags[revision])
        return next((c for oid, c in self.commits.items() if oid.startswith(revision)), None)

    def path_of(self, entry: Entry) -> Path:
        return self.root / ("lfs" if entry.large else "blobs") / entry.oid

    def keep_small(self, content: bytes) -> Entry:
        entry = Entry(git_sha1(content), len(content), large=False)
        self.path_of(entry).write_bytes(content)
        return entry

    def squash(self, branch: str, message: str) -> None:
        """One commit without a past; commits that neither a branch nor a tag holds are gone, and their small files."""
        tree = self.head(branch).tree
        self.histories[branch] = []
        self.add(branch, message, tree)
        held = {oid for history in self.histories.values() for oid in history}
        held |= set(self.tags.values())
        self.commits = {oid: c for oid, c in self.commits.items() if oid in held}
        used = {e.oid for c in self.commits.values() for e in c.tree.values()}
        for blob in (self.root / "blobs").iterdir():
            if blob.name not in used:
                blob.unlink()

    def large_files(self) -> list[dict[str, object]]:
        names = {e.oid: p for c in self.commits.values() for p, e in c.tree.items() if e.large}
        return [
            {
                "fileOid": f"id-{path.name}",
                "oid": path.name,
                "filename": names.get(path.name, "unknown"),
                "pushedAt": "2026-01-01T00:00:00.000Z",
                "size": path.stat().st_size,
            }
            for path in sorted((self.root / "lfs").iterdir())
        ]

    def delete_large(self, oids: set[str]) -> None:
        """Also out of every commit that holds them: the history is rewritten."""
        for oid in oids:
            (self.root / "lfs" / oid).unlink(missing_ok=True)
        for commit in self.commits.values():
            commit.tree = {p: e for p, e in commit.tree.items() if e.oid not in oids}
