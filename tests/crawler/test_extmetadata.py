"""Pages of the API, recorded and odd ones, become records."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crawler.extmetadata import first_link, html_to_text, parse_page
from tests.shared import recorded_pages


def page(**extmetadata):
    fields = {name: {"value": value, "source": "x"} for name, value in extmetadata.items()}
    return {"pageid": 7, "title": "File:A.jpg", "imageinfo": [{"extmetadata": fields}]}


def test_every_recorded_page_parses_and_keeps_its_identity():
    count = 0
    for source, recorded in recorded_pages():
        record = parse_page(recorded)
        count += 1
        assert record.page_id == recorded.get("pageid"), source
        assert record.title == recorded.get("title", "").replace("_", " "), source
        info = (recorded.get("imageinfo") or [{}])[0]
        if info.get("url"):
            assert record.url == info["url"]
            assert (record.width, record.height, record.size_bytes) == (
                info["width"],
                info["height"],
                info["size"],
            )
    assert count > 100


def test_a_recorded_page_in_all_its_fields():
    recorded = {
        "pageid": 18263872,
        "title": "File:Minchinmavida_Volcano.jpg",
        "lastrevid": 99,
        "categories": [
            {"title": "Category:Volcanoes"},
            {"title": "Category:CC-BY-SA-4.0", "hidden": True},
        ],
        "imageinfo": [
            {
                "url": "https://upload.wikimedia.org/wikipedia/commons/f/fb/Minchinmavida_Volcano.jpg",
                "descriptionurl": "https://commons.wikimedia.org/wiki/File:Minchinmavida_Volcano.jpg",
                "sha1": "ABCDEF0123456789ABCDEF0123456789ABCDEF01",
                "width": 1440,
                "height": 1080,
                "size": 1117410,
                "mime": "image/jpeg",
                "mediatype": "BITMAP",
                "timestamp": "2015-10-31T23:00:49Z",
                "user": "Someone",
                "extmetadata": {
                    "License": {"value": "CC-BY-SA-4.0"},
                    "LicenseShortName": {"value": "CC BY-SA 4.0"},
                    "LicenseUrl": {"value": "https://creativecommons.org/licenses/by-sa/4.0"},
                    "AttributionRequired": {"value": "true", "hidden": ""},
                    "Copyrighted": {"value": "True"},
                    "Restrictions": {"value": "personality|trademarked"},
                    "Artist": {
                        "value": '<a href="//commons.wikimedia.org/wiki/User:E">Elvezio</a> of <b>Rome</b>'
                    },
                    "AuthorCount": {"value": "2"},
                    "ImageDescription": {
                        "value": {"_type": "lang", "de": "Berg", "en": "A <i>mountain</i>"}
                    },
                },
            }
        ],
    }
    record = parse_page(recorded)
    assert record.state == "ok"
    assert record.title == "File:Minchinmavida Volcano.jpg"
    assert record.sha1 == "abcdef0123456789abcdef0123456789abcdef01"
    assert record.uploaded_at == datetime(2015, 10, 31, 23, 0, 49, tzinfo=UTC)
    assert record.categories == ("CC-BY-SA-4.0", "Volcanoes")
    assert record.revision_id == 99
    assert record.license_code == "cc-by-sa-4.0"
    assert (record.copyrighted, record.attribution_required, record.non_free) == (True, True, None)
    assert record.restrictions == ("personality", "trademarked")
    assert record.artist == "Elvezio of Rome"
    assert record.artist_url == "https://commons.wikimedia.org/wiki/User:E"
    assert record.author_count == 2
    assert record.description == "A mountain"


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"title": "File:Gone.jpg", "missing": "", "imagerepository": ""}, "missing"),
        ({"title": "File:Gone.jpg", "missing": True}, "missing"),
        ({"title": "File:A<b>.jpg", "invalid": True, "invalidreason": "bad"}, "invalid"),
        ({"title": "File:A.jpg", "pageid": 1}, "no_file"),
        ({"title": "File:A.jpg", "pageid": 1, "imageinfo": [{"filehidden": ""}]}, "hidden"),
        (
            {"title": "File:A.jpg", "missing": True, "known": True, "imageinfo": [{"url": "u"}]},
            "ok",
        ),
        ({"title": "File:A.jpg", "pageid": 1, "missing": False, "imageinfo": [{"url": "u"}]}, "ok"),
    ],
)
def test_the_state_of_a_page_in_both_format_versions(given, state):
    assert parse_page(given).state == state


def test_empty_extmetadata_comes_as_a_list_and_gives_nothing():
    record = parse_page({"pageid": 1, "title": "File:A.jpg", "imageinfo": [{"extmetadata": []}]})
    assert (record.license_code, record.artist, record.restrictions) == (None, None, None)


def test_fields_that_were_not_asked_for_are_none_and_empty_ones_are_empty():
    record = parse_page(page(Restrictions=""))
    assert record.restrictions == ()
    assert record.categories is None
    assert parse_page({**page(), "categories": []}).categories == ()


def test_broken_values_do_not_stop_the_parser():
    broken = {
        "pageid": "x",
        "title": "File:A.jpg",
        "imageinfo": [{"timestamp": "yesterday", "width": "wide"}],
    }
    record = parse_page(broken)
    assert (record.page_id, record.uploaded_at, record.width) == (None, None, None)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="x">Jeff &amp; Brian</a> from Eastbourne', "Jeff & Brian from Eastbourne"),
        ("<div class='fn'>\nJona\nLendering</div>", "Jona Lendering"),
        ("<ul><li>A: <b>x</b></li><li>B</li></ul>", "A: x B"),
        ("one<br>two", "one two"),
        ("<style>.a{color:red}</style>text", "text"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>"),
        ("a <b>b <i>c</i> d</b> e", "a b c d e"),
        ("  ", None),
        ("<p></p>", None),
        (None, None),
    ],
)
def test_html_becomes_text(html, text):
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    ("html", "url"),
    [
        (
            '<a href="//commons.wikimedia.org/wiki/User:A">A</a>',
            "https://commons.wikimedia.org/wiki/User:A",
        ),
        ('<a href="/wiki/User:A">A</a>', "https://commons.wikimedia.org/wiki/User:A"),
        ('<a href="#top">x</a> <a href="https://a.org/b">A</a>', "https://a.org/b"),
        ('<a href="javascript:alert(1)">A</a>', None),
        ("A", None),
    ],
)
def test_the_first_real_link_is_found(html, url):
    assert first_link(html) == url


def test_no_recorded_page_gives_a_thumbnail_for_the_original():
    for _, recorded in recorded_pages():
        assert "/thumb/" not in (parse_page(recorded).url or "")


def test_the_record_is_plain_data(tmp_path: Path):
    assert json.dumps(parse_page(page(License="cc0")).license_code) == '"cc0"'
