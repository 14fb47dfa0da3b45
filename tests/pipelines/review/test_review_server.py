"""The review page's server: who may ask, what it gives, and what it refuses."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from catalog.reviews import all_reviews
from pipelines.review.pictures import thumbnail_path
from pipelines.review.server import make_app
from pipelines.review.state import State
from tests.pipelines.review.pages import collection

PORT = 8123
HOME = f"http://127.0.0.1:{PORT}"
OURS = {"Origin": HOME}
DROP = {"ns": [3], "said": [["drop", None]]}


@pytest.fixture
def state(tmp_path):
    return State(collection(200, folder=tmp_path), reviewer="Ann")


@pytest.fixture
def stranger(state):
    app, _ = make_app(state, port=PORT, token="secret")
    return TestClient(app, base_url=HOME)


@pytest.fixture
def client(stranger):
    answer = stranger.get("/?token=secret", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"  # the token leaves the address bar
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    return stranger


@pytest.mark.parametrize("path", ["/", "/api/about", "/api/rows", "/static/app.js", "/image/1"])
def test_without_the_token_nothing_is_given(stranger, path):
    assert stranger.get(path).status_code == 401
    assert stranger.get(path, params={"token": "wrong"}).status_code == 401
    assert "secret" not in stranger.get(path).text


def test_another_host_or_origin_gets_nothing(client):
    assert client.get("/api/about").status_code == 200
    assert client.get("/api/about", headers={"Host": f"evil.example:{PORT}"}).status_code == 421
    assert client.get("/api/about", headers={"Host": "127.0.0.1:9"}).status_code == 421
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:9",
        f"https://127.0.0.1:{PORT}",
    ):
        assert client.get("/api/about", headers={"Origin": origin}).status_code == 403
        answer = client.post("/api/verdict", json=DROP, headers={"Origin": origin})
        assert answer.status_code == 403


def test_what_changes_something_comes_from_the_page_as_json(client, state):
    assert client.post("/api/verdict", json=DROP).status_code == 403
    form = {**OURS, "Content-Type": "text/plain"}
    assert client.post("/api/verdict", content=b"{}", headers=form).status_code == 415
    large = client.post("/api/verdict", json={**DROP, "why": "x" * 3_000_000}, headers=OURS)
    assert large.status_code == 413
    assert all_reviews(state.collection.catalog).num_rows == 0
    assert client.post("/api/verdict", json=DROP, headers=OURS).status_code == 200
    assert all_reviews(state.collection.catalog).num_rows == 1


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/index.html",
        "/thumbnail/..%2f1",
        "/image/-1",
        "/image/999999999999",
        "/image/1e3",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_path_leads_to_a_file(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert b"root:" not in answer.content
    assert b"import" not in answer.content


def test_a_thumbnail_has_the_name_of_a_sha1_or_none(tmp_path):
    assert thumbnail_path(tmp_path, "a" * 40).parent == tmp_path / "aa"
    for name in ("../../x", "a" * 39, "A" * 40, "a" * 39 + "/"):
        with pytest.raises(ValueError, match="not a SHA-1"):
            thumbnail_path(tmp_path, name)


@pytest.mark.parametrize(
    "given",
    [
        {"ns": [-1], "said": [["drop", None]]},
        {"ns": [200], "said": [["drop", None]]},
        {"ns": [1], "said": [["delete", None]]},
        {"ns": [1], "said": [["frozen", None]]},
        {"ns": [1], "said": [["wrong_label", None]]},
        {"ns": [1], "said": [["right_label", "ugly"]]},
        {"ns": [1], "said": []},
        {"ns": [1], "said": [["keep", None]], "labels": ["ugly"]},
        {"ns": [1], "said": [["keep", None]], "who": "Bo"},
        {"chosen": {"what": 1}, "said": [["keep", None]]},
    ],
)
def test_what_cannot_be_a_verdict_writes_nothing(client, state, given):
    answer = client.post("/api/verdict", json=given, headers=OURS)
    assert answer.status_code in (400, 422)
    assert answer.json()
    assert all_reviews(state.collection.catalog).num_rows == 0


def test_an_undo_brings_back_what_was_said_before(client, state):
    def say(*said):
        given = {"ns": [3], "said": [list(one) for one in said]}
        return client.post("/api/verdict", json=given, headers=OURS).json()["ids"]

    def stands():
        return sorted((row["what"], row["label"]) for row in state.mine(3))

    say(("drop", None))
    second = say(("keep", None), ("wrong_label", "blur"))
    assert stands() == [("keep", None), ("wrong_label", "blur")]
    client.post("/api/undo", json={"ids": second}, headers=OURS)
    assert stands() == [("drop", None)]


def test_an_undo_does_not_reach_into_what_others_said(client, state):
    ids = client.post("/api/verdict", json=DROP, headers=OURS).json()["ids"]
    other = State(state.collection, reviewer="Bo")
    assert other.take_back(ids) == []
    assert [row["reviewer"] for row in other.mine(3)] == ["Ann"]


def test_two_pages_on_one_catalog_see_each_other(client, state):
    other = State(state.collection, reviewer="Bo")
    client.post("/api/verdict", json=DROP, headers=OURS)
    other.say([3], [("keep", None)])
    client.post("/api/refresh", json={}, headers=OURS)
    (row,) = client.get("/api/rows", params={"chosen": '{"reviewed": "disputed"}'}).json()["rows"]
    assert (row["n"], row["votes_keep"], row["votes_drop"]) == (3, 1, 1)


def test_a_page_without_a_catalog_is_read_only():
    app, _ = make_app(State(collection(20), reviewer="Ann"), port=PORT, token="secret")
    client = TestClient(app, base_url=HOME)
    client.get("/?token=secret")
    assert client.get("/api/about").json()["writable"] is False
    answer = client.post("/api/verdict", json=DROP, headers=OURS)
    assert answer.status_code == 400
    assert "read-only" in answer.json()["error"]


def test_pictures_come_as_types_that_no_browser_runs(client):
    assert client.get("/thumbnail/3").headers["content-type"] == "image/webp"
    answer = client.get("/image/3")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
