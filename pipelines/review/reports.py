"""Serves the reports of builds to the browser that shows Prefect's pages, which follows no link to a disk.

    export LUCIDLR_REPORTS_URL=http://127.0.0.1:4201 LUCIDLR_REPORTS_ROOT=/srv/builds     for the worker
    python -m pipelines.review.reports /srv/builds --port 4201                           beside it

Only files named report/index.html below the root are given. A web server of one's own does as well: then its address
is LUCIDLR_REPORTS_URL.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

import typer
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from pipelines.terminal import echo

NAME = ("report", "index.html")
_FORBIDDEN = re.compile(r"(^|/)\.|\\|\x00|//")


def report_address(report: Path) -> str | None:
    """Where a browser finds a report; None where nobody said, or it lies elsewhere."""
    base, root = os.environ.get("LUCIDLR_REPORTS_URL"), os.environ.get("LUCIDLR_REPORTS_ROOT")
    if not base or not root or not report.resolve().is_relative_to(Path(root).resolve()):
        return None
    inner = report.resolve().relative_to(Path(root).resolve()).as_posix()
    return f"{base.rstrip('/')}/{quote(inner)}"


def report_at(root: Path, inner: str) -> Path | None:
    """The report that an address means; None for whatever else."""
    if _FORBIDDEN.search(inner) or Path(inner).parts[-2:] != NAME:
        return None
    path = (root / inner).resolve()
    return path if path.is_relative_to(root.resolve()) and path.is_file() else None


def make_app(root: Path, hosts: set[str]) -> FastAPI:
    """The application; it answers to these Host headers only."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/{inner:path}")
    def report(request: Request, inner: str) -> Response:
        if request.headers.get("host", "") not in hosts:
            return PlainTextResponse("Not this host.", status_code=421)
        found = report_at(root, inner)
        if found is None:
            return PlainTextResponse("There is no such report.", status_code=404)
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        return Response(found.read_bytes(), media_type="text/html", headers=headers)

    return app


def main(root: Path, port: int = 4201) -> None:
    """Serves until it is interrupted."""
    import uvicorn

    app = make_app(root, {f"127.0.0.1:{port}", f"localhost:{port}"})
    echo(f"Reports below {root} at http://127.0.0.1:{port}")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    typer.run(main)
