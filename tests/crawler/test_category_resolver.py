"""What the name of a category leads to: redirects of both kinds, emptied and missing categories."""

import pytest

from crawler.commons import Commons
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.politeness import PoliteDoor
from crawler.sources import CategorySource, SiteConfig
from crawler.walkers.category import category_title, resolve_categories
from tests.crawler.servers import answer, scripted
from tests.mediawiki_server import running_mediawiki


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("blurred images", "Category:Blurred images"),
        ("Category:blurred_images ", "Category:Blurred images"),
        ("category: x  y", "Category:X y"),
    ],
)
def test_a_category_may_be_spelled_in_any_way(name, title):
    assert category_title(name) == title


@pytest.fixture(scope="module")
def wiki(tmp_path_factory):
    import json

    import numpy as np

    from filters.synthesis import encode_jpeg

    folder = tmp_path_factory.mktemp("resolver")
    photos = folder / "photos"
    photos.mkdir()
    chance = np.random.default_rng(1)
    items = []
    for i, category in enumerate(["Target", "Target", "Target child", "Plain"]):
        pixels = chance.integers(0, 255, (48, 48, 3)).astype(np.uint8)
        (photos / f"Photo {i}.jpg").write_bytes(encode_jpeg(pixels, 90))
        items.append(
            {
                "filename": f"Photo {i}.jpg",
                "license": "Cc-by-4.0",
                "author": "A",
                "categories": [category],
                "description": "x",
            }
        )
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items))
    with running_mediawiki(photos, manifest) as running:
        site = running.site()
        for title, text in {
            "Target": "A category",
            "Target child": "[[Category:Target]]",
            "Plain": "A category",
            "Root": "A category",
            "Old name": "{{Category redirect|Target}}",
            "Older name": "{{cat redirect|1=:Category:Old name}} kept for links",
            "Moved": "#REDIRECT [[Category:Target]]",
            "Loop a": "{{Category redirect|Loop b}}",
            "Loop b": "{{Category redirect|Loop a}}",
            "Soft child": "{{Category redirect|Plain}}\n[[Category:Root]]",
            "Emptied": "Nothing here any more",
        }.items():
            site.pages[f"Category:{title}"].save(text)
        yield running


@pytest.fixture
def commons(wiki):
    host = f"127.0.0.1:{wiki.port}"
    media = f"127.0.0.1:{wiki.port + 1}"
    door = PoliteDoor(
        contact="test@example.org",
        limits=Limits(),
        api_hosts=[host],
        media_hosts=[media],
        host_map={host: wiki.base_url, media: f"http://{media}"},
    )
    return Commons(door, SiteConfig(host=host, scheme="http"))


@pytest.mark.mediawiki
@pytest.mark.slow
def test_names_are_followed_over_redirects_of_both_kinds_and_loops_end(commons):
    names = ["target", "Old name", "Older name", "Moved", "Loop a", "Emptied", "Tar get", "Plain"]
    before = commons.requests
    found = {resolved.name: resolved for resolved in resolve_categories(commons, names)}
    assert {name: found[name].title for name in ("target", "Old name", "Older name", "Moved")} == (
        dict.fromkeys(("target", "Old name", "Older name", "Moved"), "Category:Target")
    )
    assert (found["target"].files, found["target"].subcats) == (2, 1)
    assert found["Plain"].problem is None
    assert "is empty" in found["Emptied"].problem
    assert found["Loop a"].problem
    assert found["Tar get"].title is None
    assert "does not exist" in found["Tar get"].problem
    # A look-up and a reading per step, and one search for similar names per problem: not one request per name.
    assert commons.requests - before <= 12


@pytest.mark.mediawiki
@pytest.mark.slow
def test_a_missing_category_is_told_with_names_that_begin_alike(commons):
    (lost,) = resolve_categories(commons, ["Target children"])
    assert "Target child" in lost.problem


@pytest.mark.mediawiki
@pytest.mark.slow
def test_a_tree_is_walked_over_redirects_at_the_root_and_below(commons):
    def walked(root):
        batches = list(list_files(commons, CategorySource(root=root, depth=1)))
        return {record.title: row.source_path for b in batches for record, row in b.files}

    assert walked("Older name") == {
        "File:Photo 0.jpg": "Category:Older name > Category:Target",
        "File:Photo 1.jpg": "Category:Older name > Category:Target",
        "File:Photo 2.jpg": "Category:Older name > Category:Target > Category:Target child",
    }
    assert walked("Root") == {"File:Photo 3.jpg": "Category:Root > Category:Plain"}


def test_what_is_missing_is_reported_and_nothing_is_listed(tmp_path):
    import json

    siteinfo = {
        "query": {
            "general": {"generator": "MediaWiki 1.45.0", "sitename": "C", "case": "first-letter"},
            "namespaces": {"6": {"id": 6, "case": "first-letter", "*": "File", "canonical": "F"}},
            "userinfo": {"id": 0, "name": "127.0.0.1", "groups": [], "rights": []},
        }
    }
    gone = {"query": {"pages": [{"ns": 14, "title": "Category:Gone", "missing": True}]}}

    def body(value):
        return answer(200, json.dumps(value).encode(), Content_Type="application/json")

    with scripted(body(siteinfo), body(gone)) as server:
        hosts = ("commons.wikimedia.org", "upload.wikimedia.org")
        door = PoliteDoor(
            contact="me@lab.org",
            limits=Limits(),
            api_hosts=hosts[:1],
            media_hosts=hosts[1:],
            host_map=dict.fromkeys(hosts, server.base),
        )
        (batch,) = list_files(Commons(door, SiteConfig()), CategorySource(root="gone"))
    assert batch.files == ()
    assert batch.cursor is None
    assert "Category:Gone does not exist" in batch.problem
