"""Reports over HTTP, for links from Prefect's pages: they, and no other file."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from pipelines.review.reports import make_app, report_address


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "builds"
    for name in ("a/report", "b c/report", ".hidden/report"):
        (root / name).mkdir(parents=True)
        (root / name / "index.html").write_text("<h1>report</h1>")
    (root / "a" / "lucidlr.duckdb").write_text("secret")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("secret")
    (root / "link").symlink_to(tmp_path)
    return root


def test_a_report_opens_by_the_address_that_the_artifact_has(root, monkeypatch):
    monkeypatch.setenv("LUCIDLR_REPORTS_URL", "http://127.0.0.1:4201/")
    monkeypatch.setenv("LUCIDLR_REPORTS_ROOT", str(root))
    address = report_address(root / "b c" / "report" / "index.html")
    assert address == "http://127.0.0.1:4201/b%20c/report/index.html"
    client = TestClient(make_app(root, {"127.0.0.1:4201"}), base_url="http://127.0.0.1:4201")
    assert client.get(address).text == "<h1>report</h1>"
    # What lies elsewhere has no address there.
    assert report_address(root.parent / "report" / "index.html") is None
    monkeypatch.delenv("LUCIDLR_REPORTS_URL")
    assert report_address(root / "a" / "report" / "index.html") is None


@pytest.mark.parametrize(
    "path",
    [
        "/a/lucidlr.duckdb",
        "/a/report",
        "/../report/index.html",
        "/a/%2e%2e/%2e%2e/report/index.html",
        "/..%2freport/index.html",
        "/link/report/index.html",
        "/.hidden/report/index.html",
        "//report/index.html",
        "/a/..%5c..%5creport/index.html",
    ],
)
def test_nothing_else_is_given(root, path):
    client = TestClient(make_app(root, {"127.0.0.1:4201"}), base_url="http://127.0.0.1:4201")
    answer = client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_another_host_gets_nothing(root):
    client = TestClient(make_app(root, {"127.0.0.1:4201"}), base_url="http://evil.example")
    assert client.get("/a/report/index.html").status_code == 421
