"""The page's server: FastAPI on 127.0.0.1, for one person and one browser.

Other pages in that browser, and other hosts that resolve to this machine, must get nothing: the address that is printed
carries a token, which becomes a cookie that the browser sends from this page alone; the Host header has to be ours; and
what changes anything has to come from our own origin as JSON. Files are named by numbers and by a fixed list, never by
paths. The page may load from its own origin only.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from catalog.errors import Expected
from pipelines.review.state import State

STATIC = Path(__file__).parent / "static"
SERVED = {
    "app.js": "text/javascript",
    "grid.js": "text/javascript",
    "pictures.js": "text/javascript",
    "filters.js": "text/javascript",
    "viewer.js": "text/javascript",
    "thresholds.js": "text/javascript",
    "tools.js": "text/javascript",
    "style.css": "text/css",
}
"""All that is served by name, with its type."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
MOST_ROWS = 500
"""In one answer."""
MOST_BODY = 2_000_000
"""Bytes of a request."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Verdict(_Strict):
    """A verdict on rows, named one by one or by the filter that shows them."""

    ns: list[int] = Field(default=[], max_length=20_000)
    chosen: dict[str, Any] | None = None
    said: list[tuple[str, str | None]] = Field(min_length=1, max_length=40)
    labels: list[str] | None = None
    """Of a sample, whose every label is asked for: those that are there. The others are not."""
    why: str = Field(default="", max_length=500)


class TakenBack(_Strict):
    """Ids of verdicts to take back."""

    ids: list[str] = Field(max_length=400_000)


class Moved(_Strict):
    """Changes of thresholds, as `lucidlr whatif` takes them; with a name they are saved as a recipe."""

    changes: list[str] = Field(max_length=100)
    name: str | None = Field(default=None, max_length=60)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_app(state: State, *, port: int, token: str | None = None) -> tuple[FastAPI, str]:
    """The application, and the address to open it by."""
    token = token or secrets.token_urlsafe(24)
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    # Cookies do not know ports: two pages at once must not take each other's.
    cookie = f"lucidlr-{port}"
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = _refused(request, hosts, cookie, token)
        response = refused if refused is not None else await go_on(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.exception_handler(Expected)
    async def told(request: Request, error: Exception) -> Response:
        del request
        return JSONResponse({"error": str(error)}, status_code=400)

    _pages(app, cookie, token)
    _questions(app, state)
    _deeds(app, state)
    _pictures(app, state)
    return app, f"http://127.0.0.1:{port}/?token={token}"


def _refused(request: Request, hosts: set[str], cookie: str, token: str) -> Response | None:
    host = request.headers.get("host", "")
    if host not in hosts:
        return JSONResponse({"error": "Not this host."}, status_code=421)
    origin = request.headers.get("origin")
    if origin is not None and origin.removeprefix("http://") not in hosts:
        return JSONResponse({"error": "Not from this page."}, status_code=403)
    if request.method not in ("GET", "HEAD"):
        if origin is None:
            return JSONResponse({"error": "Not from this page."}, status_code=403)
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return JSONResponse({"error": "JSON is expected."}, status_code=415)
        # A body without a length is not read, either.
        size = request.headers.get("content-length", "")
        if not size.isdecimal() or int(size) > MOST_BODY:
            return JSONResponse({"error": "Too large."}, status_code=413)
    given = request.cookies.get(cookie, "")
    if request.url.path == "/" and "token" in request.query_params:
        given = request.query_params["token"]
    if not hmac.compare_digest(given.encode(), token.encode()):
        return JSONResponse(
            {"error": "Open the address that `lucidlr review` printed; it has a token."},
            status_code=401,
        )
    return None


def _pages(app: FastAPI, cookie: str, token: str) -> None:
    @app.get("/")
    def page(request: Request) -> Response:
        if "token" in request.query_params:
            # Out of the address bar, so that it is in no history and no screenshot.
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(cookie, token, httponly=True, samesite="strict", path="/")
            return answer
        return Response((STATIC / "index.html").read_bytes(), media_type="text/html")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in SERVED:
            return JSONResponse({"error": "There is no such file."}, status_code=404)
        return Response((STATIC / name).read_bytes(), media_type=SERVED[name])


def _questions(app: FastAPI, state: State) -> None:
    browser = state.browser
    facets = browser.facets()

    @app.get("/api/about")
    def about() -> dict[str, Any]:
        collection = state.collection
        return {
            "title": collection.title,
            "rows": browser.count,
            "columns": browser.numbers,
            "all_columns": [*browser.columns, "verdict", "reviewers"],
            "facets": facets,
            "labels": list(collection.labels),
            "writable": collection.catalog is not None,
            "reviews": collection.catalog is not None,
            "sql": True,
            "reviewer": state.reviewer,
            "sample": state.sample,
            "sample_rows": state.sample_rows,
            "blind": state.blind,
            "bounds": state.bounds(),
        }

    @app.get("/api/rows")
    def rows(
        chosen: str = "{}", sort: str = "n", desc: bool = False, offset: int = 0, limit: int = 100
    ) -> dict[str, Any]:
        found = browser.ask(
            _filter(chosen),
            sort=sort,
            descending=desc,
            offset=max(0, offset),
            limit=max(0, min(limit, MOST_ROWS)),
        )
        return {"total": found.total, "rows": found.rows}

    @app.get("/api/order")
    def order(chosen: str = "{}", sort: str = "n", desc: bool = False) -> dict[str, Any]:
        return {"ns": browser.numbers_of(_filter(chosen), sort=sort, descending=desc)}

    @app.get("/api/item/{n}")
    def item(n: int) -> Response:
        found = state.item(n)
        if found is None:
            return JSONResponse({"error": "There is no such row."}, status_code=404)
        return JSONResponse(found)

    @app.get("/api/histogram")
    def histogram(column: str) -> dict[str, Any]:
        return browser.histogram(column)


def _filter(chosen: str) -> dict[str, Any]:
    try:
        found = json.loads(chosen)
    except json.JSONDecodeError as error:
        raise Expected(f"Not a filter: {error}") from error
    if not isinstance(found, dict):
        raise Expected("Not a filter: a mapping is expected.")
    return found


def _deeds(app: FastAPI, state: State) -> None:
    @app.post("/api/verdict")
    def verdict(given: Verdict) -> dict[str, Any]:
        ns = given.ns if given.chosen is None else state.browser.numbers_of(given.chosen)
        if any(not 0 <= n < len(state.keys) for n in ns):
            raise Expected("There is no such row.")
        # In bulk those without bytes are left out: there was nothing to look at.
        ns = [n for n in ns if state.keys[n][1]] if given.chosen is not None else ns
        said = list(given.said)
        if given.labels is not None:
            said += state.every_label(given.labels)
        return {"ids": state.say(ns, said, why=given.why), "rows": len(ns)}

    @app.post("/api/undo")
    def undo(given: TakenBack) -> dict[str, Any]:
        return {"ns": state.take_back(given.ids)}

    @app.post("/api/refresh")
    def refresh() -> dict[str, Any]:
        state.refresh()
        return {}

    @app.post("/api/moved")
    def moved(given: Moved) -> dict[str, Any]:
        if given.name is None:
            return state.moved(given.changes)
        path = state.save_recipe(given.changes, given.name)
        return {"path": str(path), "next": f"lucidlr refilter {path} --out {state.collection.out}"}


def _pictures(app: FastAPI, state: State) -> None:
    def sha1_of(n: int) -> str | None:
        return state.keys[n][1] if 0 <= n < len(state.keys) else None

    nothing = {"error": "There is no picture of this row."}

    @app.get("/thumbnail/{n}")
    def thumbnail(n: int) -> Response:
        sha1 = sha1_of(n)
        made = None if sha1 is None else state.pictures.thumbnail(sha1)
        if made is None:
            return JSONResponse(nothing, status_code=404)
        held = {"Cache-Control": "private, max-age=3600"}
        return Response(made, media_type="image/webp", headers=held)

    @app.get("/image/{n}")
    def image(n: int) -> Response:
        sha1 = sha1_of(n)
        found = None if sha1 is None else state.pictures.original(sha1)
        if found is None:
            return JSONResponse(nothing, status_code=404)
        return Response(
            found[0], media_type=found[1], headers={"Cache-Control": "private, max-age=3600"}
        )


def serve(state: State, *, port: int, say: Callable[[str], None]) -> None:
    """Serves the page until it is interrupted.

    Raises:
        Expected: somebody else has the port.
    """
    import uvicorn

    app, address = make_app(state, port=port)

    class Telling(uvicorn.Server):
        """Says where it is when somebody can come in, and not before."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            say(f"Open {address}")
            say("Ctrl-C ends it; a verdict is on the disk when the page shows it.")

    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise Expected(f"Port {port} is taken: use another --port.") from error
        config = uvicorn.Config(app, log_level="warning", lifespan="off")
        Telling(config).run(sockets=[listening])
