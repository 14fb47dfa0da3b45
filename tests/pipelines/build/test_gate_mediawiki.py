"""The license gate on a real MediaWiki: redirects, two licenses, upkeep tags, twins, a move during a build."""

import json

import pytest

from catalog.explain import explain_lines
from pipelines.build import driver
from tests.mediawiki_server import running_mediawiki
from tests.pipelines.build.test_refresh_mediawiki import House, picture

pytestmark = [pytest.mark.mediawiki, pytest.mark.slow]

ROOT = "Refreshed"
FREE = {"license": "Cc-by-4.0", "author": "[[User:Mara Quill|Mara Quill]]"}
# Name -> what differs from a free file, and the reason that the gate gives.
FILES = {
    "Free": ({}, "ok"),
    "Target": ({"categories": ["Copyright violations"]}, "deletion_tagged"),
    "Old and GFDL": ({"license": ["PD-old", "GFDL"]}, "pd_beside_gfdl"),
    "Old and FAL": ({"license": ["PD-old", "FAL"]}, "pd_beside_fal"),
    "Old": ({"license": "PD-old"}, "ok"),
    "Pending": ({"also": "Permission pending as of 12 November 2026"}, "doubtful_permission"),
    "Unlicensed": ({"also": "Media without a license as of 20 November 2026"}, "lacking_license"),
    "Speedy": ({"also": "Other speedy deletions"}, "deletion_tagged"),
    "Twin tagged": ({"also": "Copyright violations"}, "deletion_tagged"),
    "Twin": ({}, "same_bytes:deletion_tagged"),
    "Icon": ({"author": "[[File:Free.jpg|20px]] [[User:Mara Quill|Mara Quill]]"}, "ok"),
    "Moved": ({}, "ok"),
    "Moved with a redirect": ({}, "ok"),
    "Tagged later": ({}, "ok"),
}
CHANGED = {"Moved": "Moved away", "Moved with a redirect": "Moved on"}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """The whole story once; the tests look at its chapters."""
    folder = tmp_path_factory.mktemp("gate")
    photos = folder / "photos"
    photos.mkdir()
    items = []
    for number, (name, (differs, _)) in enumerate(FILES.items()):
        if name == "Twin":
            continue
        (photos / f"{name}.jpg").write_bytes(picture(number))
        item = {**FREE, "filename": f"{name}.jpg", "description": "A crop", "date": "2019-05-06"}
        item |= {"categories": [ROOT], **differs}
        also = item.pop("also", None)
        item["categories"] = [*item["categories"], *([also] if also else [])]
        items.append(item)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items), encoding="utf-8")
    chapters = {}
    with running_mediawiki(photos, manifest) as wiki:
        house = House(wiki, folder / "out", photos)
        site = wiki.site()
        with (photos / "Twin tagged.jpg").open("rb") as content:
            site.upload(content, "Twin.jpg", comment="the same", ignore=True)
        site.pages["File:Twin.jpg"].save(site.pages["File:Free.jpg"].text(), "as the free one")
        redirect = f"#REDIRECT [[File:Target.jpg]]\n[[Category:{ROOT}]]"
        site.pages["File:Alias.jpg"].save(redirect, "another name")
        real = driver.download_originals

        def moved_first(run, door):
            for name, new in CHANGED.items():
                bare = name == "Moved"
                site.pages[f"File:{name}.jpg"].move(f"File:{new}.jpg", "clearer", no_redirect=bare)
            real(run, door)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "download_originals", moved_first)
            house.build()
        chapters["first"] = house.released()
        query = "SELECT title, license_reason, reason FROM decisions"
        chapters["reasons"] = {title: (said, why) for title, said, why in house.query(query)}
        chapters["failures"] = house.query("SELECT kind, key FROM failures")
        chapters["credits"] = dict(house.query("SELECT title, attribution_line FROM samples"))
        chapters["explained"] = {
            title: "\n".join(explain_lines(house.out, title))
            for title in ("File:Alias.jpg", "File:Twin.jpg", "File:Moved.jpg", "File:Pending.jpg")
        }
        page = site.pages["File:Tagged later.jpg"]
        page.save(page.text() + "\n[[Category:Copyright violations]]", "not theirs")
        chapters["refreshed"] = house.refresh()
        house.build()
        chapters["tombstones"] = house.query("SELECT reason, detail FROM tombstones")
        chapters["second"] = house.released()
    return chapters


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("Target", *CHANGED)])
def test_each_file_has_the_verdict_that_its_page_calls_for(story, name):
    assert story["reasons"][f"File:{name}.jpg"][0] == FILES[name][1]


def test_a_redirect_to_a_tagged_file_brings_nothing_in(story):
    assert story["reasons"]["File:Alias.jpg"][0] == "not_a_file:redirect"
    assert not {"File:Alias.jpg", "File:Target.jpg"} & set(story["first"])
    assert "not_a_file:redirect" in story["explained"]["File:Alias.jpg"]


def test_the_dataset_holds_what_is_free_under_its_present_name_and_nothing_else(story):
    free = {f"File:{CHANGED.get(n, n)}.jpg" for n, (_, reason) in FILES.items() if reason == "ok"}
    assert set(story["first"]) == free


def test_a_file_that_was_moved_between_listing_and_download_is_fetched_where_it_is(story):
    assert {"File:Moved away.jpg", "File:Moved on.jpg"} <= set(story["first"])
    assert story["failures"] == []
    assert "File:Moved away.jpg" in story["explained"]["File:Moved.jpg"]


def test_the_link_of_a_credit_leads_to_the_author(story):
    by = story["credits"]["File:Icon.jpg"].partition(", via Wikimedia Commons")[0]
    assert "Mara Quill (http" in by
    assert "User:Mara" in by
    assert "Free.jpg" not in by


def test_explain_says_what_stands_in_the_way(story):
    assert "same_bytes:deletion_tagged" in story["explained"]["File:Twin.jpg"]
    assert "doubtful_permission" in story["explained"]["File:Pending.jpg"]


def test_a_refresh_after_a_tag_makes_the_tombstone_that_the_gate_would_have_made(story):
    assert story["refreshed"].removed == {"tagged": 1}
    ((reason, detail),) = story["tombstones"]
    assert reason == "tagged"
    assert "deletion_tagged" in detail
    assert "File:Tagged later.jpg" in story["first"]
    assert "File:Tagged later.jpg" not in story["second"]
