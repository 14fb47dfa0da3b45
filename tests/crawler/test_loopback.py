"""What the embedded Commons promises beyond the contract: faults, fixed addresses, steady ids, search keywords."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import partial

import pytest
import requests
from PIL import Image

from crawler import loopback
from crawler.commons import Commons
from crawler.limits import EmbeddedBroken, Limits
from crawler.listing import list_files
from crawler.loopback import LoopbackCommons, ManifestError
from crawler.loopback.lists import LISTS
from crawler.politeness import PoliteDoor
from crawler.sources import SearchSource, SiteConfig
from pipelines.build.doors import look
from tests.crawler.servers import answer, scripted

serve = partial(loopback.serve, look=look)

EVERYTHING = {
    "action": "query", "format": "json", "generator": "allimages", "gailimit": "max",
    "prop": "imageinfo|categories|info|revisions", "cllimit": "max", "rvprop": "ids|timestamp",
    "iiprop": "url|size|mime|mediatype|sha1|timestamp|user|extmetadata",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Five pictures, one of them broken, and a drawing."""
    for i in range(5):
        Image.new("RGB", (40 + 10 * i, 30), (40 * i, 90, 10)).save(tmp_path / f"Photo {i}.jpg")
    (tmp_path / "Broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more than this")
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="60"/>'
    (tmp_path / "Plan.svg").write_text(drawing)
    return tmp_path


def item(name, **more):
    return {"filename": name, "license": "Cc-by-4.0", "author": "Ann", "categories": ["Hill"], **more}  # fmt: skip


@pytest.fixture
def items():
    return [item(f"Photo {i}.jpg") for i in range(5)] + [item("Broken.jpg"), item("Plan.svg")]


def ask(commons, **params):
    given = {**EVERYTHING, **params}
    return requests.get(f"{commons.base_url}/w/api.php", params=given, timeout=10).json()


def original(commons, name):
    pages = ask(commons)["query"]["pages"].values()
    url = next(p for p in pages if p["title"] == f"File:{name}")["imageinfo"][0]["url"]
    host = url.split("/")[2]
    return requests.get(url.replace(f"https://{host}", commons.host_map[host]), timeout=10)


def search(commons, query):
    answer = ask(commons, generator="search", gsrsearch=query, gsrnamespace=6, gailimit="1")
    return {page["title"] for page in answer.get("query", {}).get("pages", {}).values()}


def test_two_starts_on_two_ports_say_the_same_bytes(folder, items):
    bodies = []
    for _ in range(2):
        with serve(folder, items) as commons:
            url = f"{commons.base_url}/w/api.php"
            bodies.append(requests.get(url, params=EVERYTHING, timeout=10).content)
            port = commons.base_url.rpartition(":")[2]
    assert bodies[0] == bodies[1]
    assert b"127.0.0.1" not in bodies[0] and f":{port}".encode() not in bodies[0]


def test_addresses_are_those_of_commons_with_the_hashed_path(folder, items):
    with serve(folder, items) as commons:
        page = next(iter(ask(commons)["query"]["pages"].values()))
    digest = hashlib.md5(b"Broken.jpg").hexdigest()
    info = page["imageinfo"][0]
    assert info["url"] == (
        f"https://upload.wikimedia.org/wikipedia/commons/{digest[0]}/{digest[:2]}/Broken.jpg"
    )
    assert info["descriptionurl"] == "https://commons.wikimedia.org/wiki/File:Broken.jpg"


def test_ids_stay_when_other_files_come_or_go_and_revisions_follow_the_description(folder, items):
    def ids(manifest):
        with serve(folder, manifest) as commons:
            pages = ask(commons)["query"]["pages"].values()
            return {page["title"]: (page["pageid"], page["lastrevid"]) for page in pages}

    whole, fewer = ids(items), ids(items[2:][::-1])
    assert fewer == {title: whole[title] for title in fewer}
    relicensed = ids([{**items[0], "license": "Cc-zero"}, *items[1:]])
    changed = {title for title in whole if whole[title] != relicensed[title]}
    assert changed == {"File:Photo 0.jpg"}
    assert whole["File:Photo 0.jpg"][0] == relicensed["File:Photo 0.jpg"][0]
    assert len({page for page, _ in whole.values()}) == len(items)


def test_each_fault_shows_as_it_is_announced(folder, items):
    for i, fault in enumerate(("gone", "html", "truncated", "sha1")):
        items[i]["fault"] = fault
    with serve(folder, items) as commons:
        assert len(ask(commons)["query"]["pages"]) == len(items)
        assert original(commons, "Photo 0.jpg").status_code == 404
        page = original(commons, "Photo 1.jpg")
        assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            original(commons, "Photo 2.jpg")
        other, told = original(commons, "Photo 3.jpg").content, (folder / "Photo 3.jpg").read_bytes()  # fmt: skip
        assert len(other) == len(told) and other != told
        assert original(commons, "Photo 4.jpg").content == (folder / "Photo 4.jpg").read_bytes()


def test_a_broken_file_and_a_drawing_are_listed_and_served(folder, items):
    with serve(folder, items) as commons:
        pages = {p["title"]: p["imageinfo"][0] for p in ask(commons)["query"]["pages"].values()}
        broken, drawing = pages["File:Broken.jpg"], pages["File:Plan.svg"]
        assert (broken["width"], broken["height"], broken["mime"]) == (0, 0, "image/jpeg")
        assert (drawing["width"], drawing["height"]) == (80, 60)
        assert (drawing["mime"], drawing["mediatype"]) == ("image/svg+xml", "DRAWING")
        assert original(commons, "Broken.jpg").content == (folder / "Broken.jpg").read_bytes()


def test_a_manifest_may_say_more_than_a_wiki_derives(folder, items):
    items[0] |= {
        "deletion_reason": "per a request",
        "mime": "image/x-own",
        "page_id": 77,
        "extmetadata": {"NonFree": "1", "Artist": None, "AuthorCount": {"value": "2", "source": "x"}},
    }  # fmt: skip
    with serve(folder, items) as commons:
        page = ask(commons)["query"]["pages"]["77"]
    fields = page["imageinfo"][0]["extmetadata"]
    assert page["imageinfo"][0]["mime"] == "image/x-own"
    assert fields["DeletionReason"]["value"] == "per a request"
    assert fields["NonFree"] == {"value": "1", "source": "commons-desc-page", "hidden": ""}
    assert fields["AuthorCount"] == {"value": "2", "source": "x"}
    assert "Artist" not in fields


def test_categories_and_redirects_beside_the_manifest_are_served(folder, items):
    (folder / "manifest.json").write_text(json.dumps(items))
    (folder / "categories.json").write_text(json.dumps({"Land": [], "Hill": ["Land"]}))
    (folder / "redirects.json").write_text(json.dumps({"File:Old.jpg": "File:Photo 1.jpg"}))
    with serve(folder, folder / "manifest.json") as commons:
        members = ask(commons, list="categorymembers", cmtitle="Category:Land")["query"]
        assert [row["title"] for row in members["categorymembers"]] == ["Category:Hill"]
        plain = {"action": "query", "format": "json", "redirects": 1, "titles": "File:Old.jpg"}
        answer = requests.get(f"{commons.base_url}/w/api.php", params=plain, timeout=10).json()
        assert answer["query"]["redirects"] == [{"from": "File:Old.jpg", "to": "File:Photo 1.jpg"}]


def test_a_page_of_a_listing_never_has_more_rows_than_page_size(folder, items):
    with serve(folder, items, page_size=3) as commons:
        answer = ask(commons)
        assert len(answer["query"]["pages"]) == 3
        assert answer["continue"] == {"gaicontinue": "Photo_2.jpg", "continue": "gaicontinue||"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("photo", {0, 1, 2, 3, 4}),
        ("PHOTO 3", {3}),
        ("pho", set()),
        ('photo incategory:"Hill|Dale" filew:>60', {2, 3, 4}),
        ("photo filew:50", {1}),
        ("photo filew:50,70", {1, 2, 3}),
        ("photo fileh:<29", set()),
        ("photo -filew:50", {0, 2, 3, 4}),
        ("photo filesize:<100 filemime:image/jpeg", {0, 1, 2, 3, 4}),
        ("photo filesize:100", set()),
        ("filetype:bitmap photo -3", {0, 1, 2, 4}),
    ],
)
def test_search_keywords_work_as_on_commons(folder, items, query, expected):
    with serve(folder, items) as commons:
        assert search(commons, query) == {f"File:Photo {i}.jpg" for i in expected}


def test_a_search_keyword_that_is_not_known_finds_nothing_and_says_so(folder, items):
    with serve(folder, items) as commons:
        answer = ask(commons, generator="search", gsrsearch="photo deepcat:Hill", gsrnamespace=6)
    assert "pages" not in answer.get("query", {})
    assert "deepcat:Hill" in answer["warnings"]["search"]["*"]


def test_requests_are_logged_and_the_manifest_can_be_read_again(folder, items):
    (folder / "manifest.json").write_text(json.dumps(items))
    with serve(folder, folder / "manifest.json") as commons:
        ask(commons, maxlag=5)
        assert commons.requests[0].path == "/w/api.php"
        assert commons.requests[0].params["maxlag"] == "5"
        assert "requests" in commons.requests[0].user_agent
        (folder / "manifest.json").write_text(json.dumps(items[1:]))
        commons.reload()
        assert "File:Photo 0.jpg" not in {p["title"] for p in ask(commons)["query"]["pages"].values()}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([{"filename": "None.jpg", "license": ""}], "does not exist"),
        ([{"filename": "photo 1.jpg", "path": "Photo 1.jpg", "license": ""}], "same name"),
        ([{"filename": "A[.jpg", "path": "Photo 1.jpg", "license": ""}], "invalid characters"),
        ([{"filename": "B.jpg", "path": "Photo 1.jpg", "fault": "odd"}], "none of gone, html"),
    ],
)
def test_a_manifest_that_cannot_be_served_says_which_item(folder, items, more, message):
    with pytest.raises(ManifestError, match=message):
        LoopbackCommons(folder, items + more)


@pytest.mark.parametrize(
    "said", [{}, {"filename": "a.jpg"}, ["a.jpg"], [{"title": "a"}], [{"filename": 1}]]
)
def test_a_manifest_of_another_shape_is_told(folder, said):
    file = folder / "other.json"
    file.write_text(json.dumps(said))
    with pytest.raises(ManifestError, match="no list of files"):
        LoopbackCommons(folder, file)


def test_the_address_is_not_known_before_the_start(folder, items):
    with pytest.raises(RuntimeError, match="context manager"):
        _ = LoopbackCommons(folder, items).base_url


def test_a_mistake_inside_is_a_500_with_its_text_and_the_crawler_says_so_at_once(
    folder, items, monkeypatch, caplog
):
    def broken(wiki, params, code):
        raise KeyError("no such column")

    module = LISTS["search"]
    monkeypatch.setitem(LISTS, "search", dataclasses.replace(module, listing=broken))
    waits = []
    with serve(folder, items) as server:
        asked = {"action": "query", "format": "json", "list": "search", "srsearch": "x"}
        reply = requests.get(f"{server.base_url}/w/api.php", params=asked, timeout=10)
        assert reply.status_code == 500
        assert "KeyError: 'no such column'" in reply.text and "Traceback" in reply.text
        door = PoliteDoor(
            contact="me@lab.org",
            limits=Limits(),
            api_hosts=["commons.wikimedia.org"],
            media_hosts=["upload.wikimedia.org"],
            host_map=server.host_map,
            sleep=waits.append,
        )
        commons = Commons(door, SiteConfig())
        with pytest.raises(EmbeddedBroken, match="KeyError: 'no such column'"):
            list(list_files(commons, SearchSource(query="x")))
        before = len(server.requests)
        # Asked again, it answers what works: the server is still there.
        assert commons.ask({"meta": "siteinfo"})["query"]
        assert len(server.requests) == before + 1
    assert not any(waits), "nothing was waited for"
    assert "no such column" in caplog.text


def test_a_real_wikis_500_is_waited_for_although_it_wears_the_same_header():
    with scripted(answer(500, X_LucidLR_Broken="exception"), answer(200)) as server:
        door = PoliteDoor(
            contact="me@lab.org",
            limits=Limits(),
            api_hosts=[server.netloc],
            media_hosts=[],
            sleep=lambda seconds: None,
        )
        assert door.ask_api("GET", f"{server.base}/w/api.php").status_code == 200
