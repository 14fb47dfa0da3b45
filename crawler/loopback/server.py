"""A small Commons on 127.0.0.1 that serves a folder of photos and a manifest: the embedded default of the demo.

    with LoopbackCommons(folder, manifest) as commons:
        commons.base_url    # http://127.0.0.1:PORT
        commons.host_map    # public host -> base URL, for the crawler's door

It speaks the parts of MediaWiki's API that the crawler uses, held to a real MediaWiki by the contract tests
(tests/crawler/test_contract.py). Answers name the public addresses of Commons, never the port, so that a build is the
same whatever the port. Nothing outside this machine is asked.

The manifest is a JSON list of items: `filename`, `license` (template, list of templates or ""), `author`, `date`,
`description`, `source` (one line of wikitext each), `categories`, `location` [lat, lon], `uploader`, `uploaded`
(YYYYMMDDHHMMSS), `extra` (wikitext), `path`; and, which the seeding of a MediaWiki leaves out, `fault`,
`deletion_reason`, `extmetadata` (merged over what is derived; null removes a field), `mime`, `width`, `height`,
`page_id`. Faults: `gone` (listed, but 404 on the original), `html` (200 with an HTML page), `truncated` (right
Content-Length, body cut), `sha1` (other bytes). Beside the manifest may lie `categories.json` (category page -> its
parents) and `redirects.json` (title -> title).
"""

from __future__ import annotations

import email.utils
import json
import logging
import threading
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from crawler.limits import BROKEN
from crawler.loopback.api import Answer, answer
from crawler.loopback.core import Wiki
from crawler.loopback.pages import Look, ManifestError, StoredFile, read_pages

__all__ = ["LoggedRequest", "LoopbackCommons", "ManifestError", "serve"]

FAULTS = ("gone", "html", "truncated", "sha1")
MEDIA_PATH = "/wikipedia/commons/"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoggedRequest:
    """One request that was served, for tests."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    user_agent: str = ""


class LoopbackCommons:
    """Serves from `__enter__` (or `start`) to `__exit__` (or `close`), on a port of its own choice unless told.

    `page_size` is the most rows that one listing gives; `lag_s` above 0 makes requests with a smaller `maxlag` fail;
    `max_result_bytes` is where one answer's imageinfo is cut and continued; `most_hits` is how deep a search goes,
    `answer_s` how long the API thinks before it answers.
    `categories` and `redirects` default to the files beside the manifest. `look` reads width, height and MIME type from
    a file's bytes (pipelines/build/doors.py); without it they are what the manifest says, else 0 x 0 pixels.

    Raises:
        ManifestError: the manifest names a file that is not there, a name twice, or an unknown fault.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Path | list[dict[str, Any]],
        *,
        port: int = 0,
        page_size: int = 50,
        hosts: tuple[str, str] = ("commons.wikimedia.org", "upload.wikimedia.org"),
        lag_s: float = 0.0,
        max_result_bytes: int = 8 * 1024 * 1024,
        most_hits: int = 10_000,
        answer_s: float = 0.0,
        categories: Mapping[str, list[str]] | None = None,
        redirects: Mapping[str, str] | None = None,
        look: Look | None = None,
    ) -> None:
        self.hosts, self.lag_s, self.answer_s = hosts, lag_s, answer_s
        self.requests: list[LoggedRequest] = []
        self._folder, self._manifest = folder, manifest
        self._categories, self._redirects = categories, redirects
        self._look = look
        self._port, self._page_size, self._most_hits = port, page_size, most_hits
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.wiki = self._read(max_result_bytes)

    def _read(self, max_result_bytes: int) -> Wiki:
        items, categories, redirects = self._manifest, self._categories, self._redirects
        if isinstance(items, Path):
            beside = items.parent
            categories = (
                _json_beside(beside / "categories.json") if categories is None else categories
            )
            redirects = _json_beside(beside / "redirects.json") if redirects is None else redirects
            items = json.loads(items.read_text("utf-8"))
        if not isinstance(items, list) or not all(
            isinstance(item, dict) and isinstance(item.get("filename"), str) for item in items
        ):
            raise ManifestError(
                "The manifest of the embedded Commons is no list of files with a filename each. Delete the folder "
                "that it lies in to have the demo's made again."
            )
        for item in items:
            if item.get("fault") not in (None, *FAULTS):
                raise ManifestError(
                    f"{item['filename']!r}: fault {item['fault']!r} is none of {', '.join(FAULTS)}."
                )
        site, upload = self.hosts
        # Links in extmetadata come without a scheme from Commons.
        pages = read_pages(
            self._folder, items, categories or {}, redirects or {}, f"//{site}", self._look
        )
        return Wiki(
            pages=pages,
            site=f"https://{site}",
            upload=f"https://{upload}{MEDIA_PATH.rstrip('/')}",
            page_size=self._page_size,
            max_result_bytes=max_result_bytes,
            most_hits=self._most_hits,
        )

    def reload(self) -> None:
        """Reads folder and manifest again, as after uploads and deletions; the server goes on."""
        self.wiki = self._read(self.wiki.max_result_bytes)

    @property
    def base_url(self) -> str:
        """http://127.0.0.1:PORT"""
        if self._server is None:
            raise RuntimeError("The embedded Commons is not running; use it as a context manager.")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def host_map(self) -> Mapping[str, str]:
        """Public host -> where it is served from."""
        return dict.fromkeys(self.hosts, self.base_url)

    def start(self) -> LoopbackCommons:
        """Binds the port and serves from threads."""
        self._server = _Server(self, self._port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """Stops serving; may be called twice."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> LoopbackCommons:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self.close()


@contextmanager
def serve(
    folder: Path, manifest: Path | list[dict[str, Any]], **options: Any
) -> Generator[LoopbackCommons]:
    """A running LoopbackCommons; `options` as there."""
    with LoopbackCommons(folder, manifest, **options) as commons:
        yield commons


def _json_beside(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, commons: LoopbackCommons, port: int) -> None:
        self.commons = commons
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is told as usual."""
        import sys

        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve("")

    def do_HEAD(self) -> None:
        self._serve("")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._serve(self.rfile.read(length).decode())

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are logged in `LoopbackCommons.requests`, not on the terminal."""

    def _serve(self, form: str) -> None:
        assert isinstance(self.server, _Server)
        commons = self.server.commons
        url = urlsplit(self.path)
        params = dict(parse_qsl(f"{url.query}&{form}", keep_blank_values=True))
        agent = self.headers.get("User-Agent", "")
        path = unquote(url.path)
        logged = LoggedRequest(method=self.command, path=path, params=params, user_agent=agent)
        commons.requests.append(logged)
        try:
            self._answer(commons, path, params)
        except ConnectionError:
            raise
        except Exception as error:
            # The boundary of a server: whatever went wrong behind it is a mistake of ours, and is told to whoever
            # asked instead of hanging up on them.
            logger.exception("The embedded Commons failed at %s %s", self.command, self.path)
            text = "".join(traceback.format_exception(error))
            self._send_broken(text)

    def _answer(self, commons: LoopbackCommons, path: str, params: dict[str, str]) -> None:
        if path == "/w/api.php":
            time.sleep(commons.answer_s)
            self._api(answer(commons.wiki, params, lag_s=commons.lag_s))
        elif path.startswith(MEDIA_PATH):
            page = commons.wiki.pages.by_path.get(path.removeprefix(MEDIA_PATH))
            if page is None or page.file is None:
                self._page(404, "Not found")
            else:
                self._original(page.file)
        else:
            self._page(404, "Not found")

    def _api(self, reply: Answer) -> None:
        body = json.dumps(reply.body).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", **reply.headers}
        self._send(200, headers, body, len(body))

    def _original(self, stored: StoredFile) -> None:
        content = stored.path.read_bytes()
        match stored.fault:
            case "gone":
                return self._page(404, "Not found")
            case "html":
                return self._page(200, "This is not the picture")
            case "sha1":
                # The same length, the last byte changed: only the hash tells.
                shown = content[:-1] + bytes([content[-1] ^ 1])
            case "truncated":
                shown = content[: len(content) // 2]
                self.close_connection = True
            case _:
                shown = content
        at = datetime.strptime(stored.uploaded, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        headers = {
            "Content-Type": stored.mime,
            "Last-Modified": email.utils.format_datetime(at, usegmt=True),
        }
        self._send(200, headers, shown, len(content))

    def _page(self, status: int, text: str) -> None:
        body = f"<!DOCTYPE html><title>{text}</title><p>{text}.</p>".encode()
        self._send(status, {"Content-Type": "text/html; charset=utf-8"}, body, len(body))

    def _send_broken(self, text: str) -> None:
        """500 with the traceback; `BROKEN` tells the crawler that waiting will not help."""
        body = text.encode("utf-8", "replace")
        headers = {"Content-Type": "text/plain; charset=utf-8", BROKEN: "exception"}
        headers["Connection"] = "close"
        self._send(500, headers, body, len(body))

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, announced: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
