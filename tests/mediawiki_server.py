"""A real MediaWiki on loopback for tests: started from the scripts beside the checkout, stopped at the end.

Where these are absent a test skips, saying so; with LUCIDLR_REQUIRE_SHARED=1 it fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mwclient
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "shared" / "mediawiki"
ADMIN = ("Admin", "loopback-only-pw1")
RESULT_LIMIT_BYTES = 8_388_608


@dataclass(frozen=True, kw_only=True)
class MediaWiki:
    """A running instance."""

    port: int
    folder: Path

    @property
    def base_url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def host_map(self) -> Mapping[str, str]:
        """Host that an answer names -> where it is served from; answers name ports themselves."""
        return {
            "commons.wikimedia.org": self.base_url,
            "upload.wikimedia.org": f"http://127.0.0.1:{self.port + 1}",
        }

    def set_lag(self, seconds: float) -> None:
        """Replication lag that the wiki claims; 0 for none."""
        self.set_faults({"lag": seconds} if seconds else {})

    def set_faults(self, faults: Mapping[str, object]) -> None:
        """Faults inside the wiki, read with every API request; none for an empty mapping."""
        # Renamed into place: half a file would be no faults at all.
        temporary = self.folder / "faults.json.tmp"
        temporary.write_text(json.dumps(faults))
        temporary.chmod(0o644)
        temporary.replace(self.folder / "faults.json")

    def limit_result(self, most_bytes: int) -> None:
        """Size at which an answer is cut and continued."""
        limit = self.folder / "maxresult"
        limit.write_text(str(most_bytes))
        limit.chmod(0o644)

    def site(self) -> mwclient.Site:
        """Logged in as the administrator."""
        site = mwclient.Site(f"127.0.0.1:{self.port}", path="/w/", scheme="http")
        site.login(*ADMIN)
        return site


@contextlib.contextmanager
def running_mediawiki(
    photos: Path, manifest: Path, cache: Path | None = None, *, via: int | None = None
) -> Iterator[MediaWiki]:
    """Starts a MediaWiki seeded with a manifest; a seeded copy is kept in `cache` for a faster next start.

    With `via` the URLs in its answers name ports that are so much higher: where `fault_proxy` listens.
    """
    reason = None
    if not (SCRIPTS / "start_mediawiki.sh").is_file():
        reason = "the scripts of the real MediaWiki (../shared/mediawiki) are not here"
    elif os.geteuid() != 0:
        reason = "the real MediaWiki is started as root, and this is another user"
    if reason and os.environ.get("LUCIDLR_REQUIRE_SHARED") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    cache = cache or Path(tempfile.gettempdir()) / "lucidlr-mediawiki-snapshots"
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() else Path(tempfile.gettempdir())
    folder = parent / f"lucidlr-mw-{secrets.token_hex(4)}"
    # Two workers that look at the same moment would find the same ones free.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    port = _free_pair(8190 + 50 * (worker % 4), via)
    # The wiki's own user reads the manifest, and pytest's folders are closed to other users.
    readable = Path(tempfile.mkdtemp(prefix="lucidlr-mw-seed-"))
    readable.chmod(0o755)
    manifest = Path(shutil.copy(manifest, readable / "manifest.json"))
    manifest.chmod(0o644)
    command = ["bash", SCRIPTS / "start_mediawiki.sh", "--photos", photos, "--manifest", manifest]
    command += ["--port", port, "--dir", folder, "--snapshots", cache, "--workers", 4]
    command += ["--via", via] if via else []
    try:
        started = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=580
        )
        assert started.returncode == 0, started.stdout[-2000:] + started.stderr[-4000:]
        settings = folder / "LocalSettings.php"
        with settings.open("a") as lines:
            lines.write(
                "\n$wgAPIMaxResultSize = is_file( __DIR__ . '/maxresult' )"
                f" ? (int)file_get_contents( __DIR__ . '/maxresult' ) : {RESULT_LIMIT_BYTES};\n"
            )
        time.sleep(2.5)  # PHP looks for a changed file every two seconds.
        yield MediaWiki(port=port, folder=folder)
    finally:
        stop = ["bash", str(SCRIPTS / "stop_mediawiki.sh"), str(folder), "--wipe"]
        subprocess.run(stop, check=True)
        shutil.rmtree(readable)


class FaultProxy:
    """A proxy in front of both ports that breaks what its rules say, and keeps a log of its own."""

    def __init__(self, port: int, rules: Path, log: Path) -> None:
        self.port, self.rules, self.log = port, rules, log

    def set_rules(self, rules: list[dict[str, Any]]) -> None:
        """Takes effect with the next request."""
        temporary = self.rules.with_suffix(".tmp")
        temporary.write_text(json.dumps(rules))
        temporary.replace(self.rules)

    def clear(self) -> None:
        """Empties the log; the proxy goes on at its new end."""
        os.truncate(self.log, 0)

    def entries(self) -> list[dict[str, Any]]:
        """One entry a request, as it ended."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


@contextlib.contextmanager
def fault_proxy(wiki: MediaWiki, via: int, folder: Path) -> Iterator[FaultProxy]:
    """Runs the fault proxy at the wiki's ports plus `via`."""
    rules, log = folder / "rules.json", folder / "proxy.jsonl"
    rules.write_text("[]")
    log.touch()
    pairs = [f"{wiki.port + i + via}:{wiki.port + i}" for i in (0, 1)]
    command = [sys.executable, str(SCRIPTS / "faultproxy.py"), *pairs]
    running = subprocess.Popen([*command, "--rules", str(rules), "--log", str(log)])
    try:
        for i in (0, 1):
            deadline = time.monotonic() + 20
            while True:
                assert running.poll() is None, "the fault proxy ended: is a port taken?"
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", wiki.port + i + via), 1).close()
                    break
                assert time.monotonic() < deadline, "the fault proxy did not start"
                time.sleep(0.05)
        yield FaultProxy(wiki.port + via, rules, log)
    finally:
        running.terminate()
        running.wait(20)


def _free_pair(first: int, via: int | None) -> int:
    """The first of two free neighbours, those of the proxy in front of them included."""
    offsets = [0, 1, *([via, via + 1] if via else [])]
    for port in range(first, first + 50, 2):
        with contextlib.ExitStack() as stack:
            try:
                for offset in offsets:
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port
    raise RuntimeError(f"No two neighbouring ports are free from {first} on.")
