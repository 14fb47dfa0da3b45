"""Pages of the API, recorded and odd ones, become records."""

import json
from collections import Counter
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.records import FileRecord, from_table, to_table
from crawler.extmetadata import first_link, html_to_text, parse_page
from tests.cases import every
from tests.counts import rounds
from tests.shared import recorded_pages, shared_folder


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


@every(
    "answered, state",
    [
        ({"title": "File:Gone.jpg", "missing": "", "imagerepository": ""}, "missing"),
        ({"title": "File:Gone.jpg", "missing": True}, "missing"),
        ({"title": "File:A<b>.jpg", "invalid": True, "invalidreason": "bad"}, "invalid"),
        ({"title": "File:A.jpg", "pageid": 1}, "no_file"),
        ({"title": "File:A.jpg", "pageid": 1, "imagerepository": ""}, "no_file"),
        ({"title": "File:A.jpg", "pageid": 1, "imageinfo": [{"filemissing": True}]}, "no_file"),
        ({"title": "File:A.jpg", "pageid": 1, "imageinfo": [{"filehidden": ""}]}, "hidden"),
        ({"title": "File:A.jpg", "pageid": 1, "imageinfo": [{"suppressed": True}]}, "hidden"),
        (
            {"title": "File:A.jpg", "missing": True, "known": True, "imageinfo": [{"url": "u"}]},
            "ok",
        ),
        ({"title": "File:A.jpg", "pageid": 1, "missing": False, "imageinfo": [{"url": "u"}]}, "ok"),
    ],
)
def test_the_state_of_a_page_in_both_format_versions(answered, state):
    assert parse_page(answered).state == state


def test_empty_extmetadata_comes_as_a_list_and_gives_nothing():
    record = parse_page({"pageid": 1, "title": "File:A.jpg", "imageinfo": [{"extmetadata": []}]})
    assert (record.license_code, record.artist, record.restrictions) == (None, None, None)


def test_fields_that_were_not_asked_for_are_none_and_empty_ones_are_empty():
    record = parse_page(page(Restrictions=""))
    assert record.restrictions == ()
    assert record.categories is None
    assert parse_page({**page(), "categories": []}).categories == ()


@every(
    "name, said, expected",
    [
        ("AttributionRequired", "false", False),
        ("AttributionRequired", True, True),
        ("Copyrighted", "perhaps", None),
        ("NonFree", "true", True),
        ("NonFree", "fair use only", True),
        ("NonFree", "false", False),
        ("NonFree", "", None),
    ],
)
def test_what_is_neither_true_nor_false_is_unknown_but_never_free(name, said, expected):
    record = parse_page(page(**{name: said}))
    field = {"NonFree": "non_free", "Copyrighted": "copyrighted"}.get(name, "attribution_required")
    assert getattr(record, field) is expected


@every(
    "said, expected",
    [
        ("2015-10-31T23:00:49Z", datetime(2015, 10, 31, 23, 0, 49, tzinfo=UTC)),
        ("2015-10-31T23:00:49", datetime(2015, 10, 31, 23, 0, 49, tzinfo=UTC)),
        ("2015-11-01T01:00:49.75+02:00", datetime(2015, 10, 31, 23, 0, 49, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (1446332449.5, None),
    ],
)
def test_upload_times_are_utc_in_whole_seconds_or_none(said, expected):
    answered = {"pageid": 1, "title": "File:A.jpg", "imageinfo": [{"timestamp": said}]}
    assert parse_page(answered).uploaded_at == expected


def test_the_revision_comes_from_either_prop():
    assert parse_page({**page(), "lastrevid": "12"}).revision_id == 12
    assert parse_page({**page(), "revisions": [{"revid": 13}]}).revision_id == 13
    assert parse_page(page()).revision_id is None


def test_several_languages_give_english_or_else_the_first_that_says_something():
    assert parse_page(page(ObjectName={"_type": "lang", "de": "Berg"})).object_name == "Berg"
    both = {"_type": "lang", "en": "", "fr": "", "de": "Berg"}
    assert parse_page(page(ObjectName=both)).object_name == "Berg"
    assert parse_page(page(ObjectName={"_type": "lang"})).object_name is None


def test_numbers_as_text_are_numbers_and_other_text_is_not():
    info = {"width": "640", "height": "tall", "size": float("inf"), "url": 5, "sha1": ["a"]}
    record = parse_page({"pageid": "7", "title": "File:A.jpg", "imageinfo": [info]})
    assert (record.page_id, record.width, record.height, record.size_bytes) == (7, 640, None, None)
    assert (record.url, record.sha1) == (None, None)


def test_a_thumbnail_is_not_taken_for_the_original():
    thumb = {"thumburl": "https://upload.wikimedia.org/thumb/a/ab/A.jpg/120px-A.jpg"}
    assert parse_page({"pageid": 1, "title": "File:A.jpg", "imageinfo": [thumb]}).url is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("Artist", "License", "NonFree", "AuthorCount", "Restrictions", "ImageDescription")


@given(
    outer=st.fixed_dictionaries(
        {"title": JSON},
        optional=dict.fromkeys(("pageid", "lastrevid", "categories", "revisions", "missing"), JSON),
    ),
    info=JSON
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("url", "sha1", "width", "timestamp", "user", "extmetadata"), JSON),
    ),
    said=JSON,
)
@settings(max_examples=rounds(1500), deadline=None)
def test_no_json_stops_the_parser_and_every_record_fits_the_catalog(outer, info, said):
    if isinstance(info, dict):
        info.setdefault("extmetadata", {name: {"value": said} for name in FIELDS})
    record = parse_page({**outer, "imageinfo": [info]})
    assert from_table(to_table([record], FileRecord), FileRecord) == [record]


@every(
    "html, text",
    [
        ('<a href="x">Jeff &amp; Brian</a> from Eastbourne', "Jeff & Brian from Eastbourne"),
        ("<div class='fn'>\nJona\nLendering</div>", "Jona Lendering"),
        ("<ul><li>A: <b>x</b></li><li>B</li></ul>", "A: x; B"),
        ("<ul><li>A<ul><li>B</li><li>C</li></ul></li>\n<li>D</li></ul>", "A B; C; D"),
        ("<ul><li></li><li>A</li></ul>", "A"),
        ('1891<div style="display: none;">date QS:P,+1891-00-00</div>', "1891"),
        ('Unknown<span style="DISPLAY:none">Unknown</span> author', "Unknown author"),
        ('Jo<span style="position:absolute; left:-9999px">X</span>', "Jo"),
        ('Jo<span style="position:absolute;clip:rect(0 0 0 0)">X</span>', "Jo"),
        ('Jo<span style="text-indent:-9999px">X</span>', "Jo"),
        ('Jo <span style="margin-left:-1px;padding-left:100px">Doe</span>', "Jo Doe"),
        ("<!-- nobody -->", None),
        ("<b>a\x00\x0bb</b>", "ab"),
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


@every(
    "html, url",
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


def test_recorded_pages_come_back_from_the_catalog_unchanged():
    records = [parse_page(recorded) for _, recorded in recorded_pages()]
    assert from_table(to_table(records, FileRecord), FileRecord) == records


def test_the_licenses_of_a_recorded_batch():
    batch = "openverse/continuation/wmc_pretty_nocontinue.json"
    records = [parse_page(recorded) for file, recorded in recorded_pages() if file == batch]
    counted = Counter(record.license_code for record in records)
    assert counted == {"cc-by-sa-4.0": 15, "pd": 10, "cc-by-sa-3.0-de": 1, None: 2}
    assert sum(record.license_url is None for record in records) == 10
    assert {record.license_short_name for record in records if not record.license_code} == {
        "No restrictions"
    }


def test_two_authors_in_a_recorded_list_stay_two():
    (recorded,) = (recorded for file, recorded in recorded_pages() if file.startswith("wptools"))
    record = parse_page(recorded)
    assert record.artist == (
        "Douglas_adams_portrait.jpg: michael hughes from berlin, germany; derivative work: Beao"
    )
    # The first link is the page of the picture that this one was made from.
    assert record.artist_url == "https://www.flickr.com/people/79664273@N00"
    assert (record.license_code, record.copyrighted) == ("cc-by-sa-2.0", True)


@every(
    "name, artist, url",
    [
        ("string", "Artist Name", None),
        ("link", "link text", "https://test.com/linkspot"),
        ("div", "Jona Lendering", None),
        (
            "partial_link",
            "Jeff & Brian from Eastbourne",
            "https://www.flickr.com/people/16707908@N07",
        ),
        (
            "internal_link",
            "NotaRealUser",
            "https://commons.wikimedia.org/w/index.php?title=User:NotaRealUser&action=edit&redlink=1",
        ),
    ],
)
def test_recorded_artists(name, artist, url):
    file = shared_folder("fixtures/commons") / "openverse" / f"image_info_artist_{name}.json"
    record = parse_page({"title": "File:A.jpg", "imageinfo": [json.loads(file.read_text())]})
    assert (record.artist, record.artist_url) == (artist, url)


def test_no_recorded_date_or_name_holds_what_templates_hide():
    for file, recorded in recorded_pages():
        record = parse_page(recorded)
        assert "QS:" not in f"{record.date_original}{record.object_name}{record.artist}", file
