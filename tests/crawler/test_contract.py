"""One contract, two servers: the embedded Commons and a real MediaWiki answer alike.

pytest tests/crawler/test_contract.py -m "not mediawiki"     # the embedded one
pytest tests/crawler/test_contract.py -m mediawiki           # the real one, and both side by side
"""

from __future__ import annotations

import hashlib
import json
import re

import mwclient
import pytest
import requests

from tests.crawler import contract_corpus as corpus
from tests.mediawiki_server import RESULT_LIMIT_BYTES

CROWDED = f"Category:{corpus.CROWDED}"
FIRST = "File:Contract photo 00.jpg"


@pytest.fixture(scope="module")
def items(contract_folder):
    """Manifest items by page title."""
    listed = json.loads(contract_folder[1].read_text("utf-8"))
    return {f"File:{i['filename'][0].upper()}{i['filename'][1:]}": i for i in listed}


# -- listings and their continuation --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("limit", [1, 7, 30, 500])
def test_a_category_is_listed_to_its_end_once_each(commons_server, items, version, limit):
    expected = {title for title, item in items.items() if corpus.CROWDED in item["categories"]}
    seen = []
    for answer in commons_server.answers(
        generator="categorymembers", gcmtitle=CROWDED, gcmtype="file", gcmlimit=limit,
        prop="imageinfo", iiprop="sha1", formatversion=version,
    ):  # fmt: skip
        pages = answer["query"]["pages"]
        listed = list(pages.values()) if version == 1 else pages
        assert len(listed) <= limit
        assert answer["batchcomplete"] == ("" if version == 1 else True)
        if "continue" in answer:
            assert answer["continue"]["continue"] == "gcmcontinue||"
            assert re.fullmatch(r"file\|[0-9a-f]+\|\d+", answer["continue"]["gcmcontinue"])
        seen += [page["title"] for page in listed]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


@pytest.mark.parametrize(
    ("sort", "direction"),
    [("sortkey", "asc"), ("sortkey", "desc"), ("timestamp", "asc"), ("timestamp", "desc")],
)
def test_every_order_of_a_category_is_complete(commons_server, items, sort, direction):
    answers = commons_server.answers(
        list="categorymembers", cmtitle=CROWDED, cmlimit=4, cmsort=sort, cmdir=direction
    )
    seen = [row["title"] for answer in answers for row in answer["query"]["categorymembers"]]
    assert sorted(seen) == sorted(t for t, i in items.items() if corpus.CROWDED in i["categories"])
    assert answers[0]["continue"]["continue"] == "-||"
    if sort == "sortkey":
        keys = [title.removeprefix("File:").upper().encode() for title in seen]
        assert keys == sorted(keys, reverse=direction == "desc")


def test_a_listing_beside_a_finished_property_says_so_in_continue(commons_server):
    answer = commons_server.ask(
        titles=FIRST, prop="imageinfo", list="allimages", ailimit=3, meta="userinfo"
    )
    assert answer["continue"]["continue"] == "-||imageinfo|userinfo"
    last = commons_server.ask(
        titles=FIRST, prop="imageinfo", list="allimages", ailimit=500, meta="userinfo", **answer["continue"]
    )  # fmt: skip
    assert "pages" not in last["query"] and "userinfo" not in last["query"]
    assert "continue" not in last


def test_subcategories_are_told_from_files(commons_server):
    def members(**more):
        rows = commons_server.ask(
            list="categorymembers", cmtitle=f"Category:{corpus.ROOT}", cmlimit=10, **more
        )["query"]["categorymembers"]
        return [(row["ns"], row["title"]) for row in rows]

    subcats = [(14, "Category:Contract tree a"), (14, "Category:Contract tree b")]
    files = [(6, "File:Contract photo 12.jpg")]
    assert members(cmtype="subcat") == subcats
    assert members(cmtype="file") == files
    assert members() == subcats + files
    assert members(cmtype="page") == []


@pytest.mark.parametrize("title", ["Category:Contract empty", "Category:No such category"])
def test_an_empty_and_a_missing_category_both_list_nothing(commons_server, title):
    answer = commons_server.ask(list="categorymembers", cmtitle=title)
    assert answer == {"batchcomplete": "", "query": {"categorymembers": []}}
    assert commons_server.ask(generator="categorymembers", gcmtitle=title, prop="info") == {
        "batchcomplete": ""
    }


def test_category_sizes(commons_server, items):
    pages = commons_server.pages(
        titles=f"Category:{corpus.ROOT}|{CROWDED}|Category:Contract empty|Category:Nope",
        prop="categoryinfo",
        formatversion=2,
    )
    crowd = sum(corpus.CROWDED in item["categories"] for item in items.values())
    assert pages[f"Category:{corpus.ROOT}"]["categoryinfo"] == {
        "size": 3, "pages": 0, "files": 1, "subcats": 2, "hidden": False
    }  # fmt: skip
    assert pages[CROWDED]["categoryinfo"]["files"] == crowd
    assert pages[CROWDED]["missing"] is True  # It has members but no page.
    assert pages["Category:Contract empty"]["categoryinfo"]["size"] == 0
    assert "categoryinfo" not in pages["Category:Nope"]


@pytest.mark.parametrize("limit", [1, 9, 50])
def test_all_files_by_name(commons_server, items, limit):
    answers = commons_server.answers(list="allimages", ailimit=limit)
    names = [row["name"] for answer in answers for row in answer["query"]["allimages"]]
    expected = [title.removeprefix("File:").replace(" ", "_") for title in items]
    assert names == sorted(expected, key=str.encode)
    assert answers[0]["continue"] == {"aicontinue": names[limit], "continue": "-||"}


@pytest.mark.parametrize("direction", ["newer", "older"])
def test_an_upload_window_holds_both_of_its_ends(commons_server, items, direction):
    times = sorted({i["uploaded"] for i in items.values() if i["uploaded"] != corpus.TIED_AT})
    low, high = times[5], times[40]
    start, end = (low, high) if direction == "newer" else (high, low)
    answers = commons_server.answers(
        generator="allimages", gaisort="timestamp", gaidir=direction, gaistart=start, gaiend=end,
        gailimit=6, prop="imageinfo", iiprop="timestamp",
    )  # fmt: skip
    seen = [sorted(page["title"] for page in a["query"]["pages"].values()) for a in answers]
    expected = [t for t, i in items.items() if low <= i["uploaded"] <= high]
    expected.sort(key=lambda t: items[t]["uploaded"], reverse=direction == "older")
    # The batches follow each other in time; inside of a batch the pages stand by title, not by time.
    assert seen == [sorted(expected[i : i + 6]) for i in range(0, len(expected), 6)]
    for answer in answers:
        titles = [page["title"].replace(" ", "_") for page in answer["query"]["pages"].values()]
        assert titles == sorted(titles, key=str.encode)
    assert re.fullmatch(r"\d{14}\|.+", answers[0]["continue"]["gaicontinue"])


@pytest.mark.parametrize("direction", ["newer", "older"])
@pytest.mark.parametrize("limit", [5, 12, 50])
def test_tied_upload_times_cost_no_file_with_a_time_of_its_own(commons_server, items, limit, direction):  # fmt: skip
    """Twelve files share one second; pages of five end among them.

    MediaWiki orders by time alone and continues by (time, name). Where the database leaves ties unordered (SQLite does)
    it loses or repeats tied files, and with `older` gives one page for ever. A page that holds them all is complete.
    """
    window = {"aistart": "2015-01-01T00:00:00Z", "aiend": "2016-01-01T00:00:00Z"}
    if direction == "older":
        window = {"aistart": window["aiend"], "aiend": window["aistart"]}
    tied = {t for t, i in items.items() if i["uploaded"] == corpus.TIED_AT}
    params = {"list": "allimages", "aisort": "timestamp", "aidir": direction, "ailimit": limit, **window}  # fmt: skip
    seen, more = [], {}
    for _ in range(10):
        answer = commons_server.ask(**params, **more)
        seen += [row["title"] for row in answer["query"]["allimages"]]
        more = answer.get("continue", {})
        if not more:
            break
        assert more["aicontinue"].startswith(f"{corpus.TIED_AT}|")
    assert set(seen) <= tied
    if limit >= len(tied) or commons_server.name == "loopback":
        assert sorted(seen) == sorted(tied) and not more


def test_a_search_finds_words_of_the_description(commons_server, items):
    expected = {title for title, item in items.items() if corpus.WORD in item["description"]}
    assert len(expected) == 8
    answers = commons_server.answers(
        generator="search", gsrsearch=corpus.WORD, gsrnamespace=6, gsrwhat="text", gsrlimit=3,
        prop="imageinfo", iiprop="sha1",
    )  # fmt: skip
    assert answers[0]["continue"] == {"gsroffset": 3, "continue": "gsroffset||"}
    pages = [page for answer in answers for page in answer["query"]["pages"].values()]
    assert {page["title"] for page in pages} == expected
    assert sorted(page["index"] for page in pages) == [1, 2, 3, 4, 5, 6, 7, 8]
    listed = commons_server.ask(
        list="search", srsearch=corpus.WORD, srnamespace=6, srwhat="text", srlimit=50
    )["query"]
    assert listed["searchinfo"] == {"totalhits": 8}
    assert {row["title"] for row in listed["search"]} == expected
    assert set(listed["search"][0]) == {
        "ns",
        "title",
        "pageid",
        "size",
        "wordcount",
        "snippet",
        "timestamp",
    }


# -- continuation inside of a batch -----------------------------------------------------------------------------------


def test_categories_continue_inside_of_a_batch_and_the_generator_waits(commons_server, items):
    params = {
        "generator": "categorymembers", "gcmtitle": "Category:Contract group 1", "gcmtype": "file", "gcmlimit": 4,
        "prop": "imageinfo|categories", "iiprop": "sha1", "cllimit": 5,
    }  # fmt: skip
    answers = commons_server.answers(**params)
    first = answers[0]
    assert "batchcomplete" not in first
    assert first["continue"]["continue"] == "||imageinfo"
    assert re.fullmatch(r"\d+\|\S+", first["continue"]["clcontinue"])
    assert "gcmcontinue" not in first["continue"]
    second_batch = next(
        a for a in answers if "clcontinue" in a.get("continue", {}) and "gcmcontinue" in a["continue"]
    )  # fmt: skip
    assert second_batch["continue"]["continue"] == "gcmcontinue||imageinfo"
    assert sum("batchcomplete" in answer for answer in answers) == 3  # 12 files, four a batch
    pages = commons_server.pages(**params)
    for title in pages:
        named = {row["title"].removeprefix("Category:") for row in pages[title]["categories"]}
        assert set(items[title]["categories"]) <= named
        assert len(named) == len(pages[title]["categories"])
        assert len(pages[title]["imageinfo"]) == 1


def test_an_answer_that_would_be_too_large_continues_with_iicontinue(commons_server, items):
    params = {
        "generator": "allimages", "gailimit": 50, "prop": "imageinfo", "iiprop": "sha1|extmetadata",
    }  # fmt: skip
    whole = commons_server.pages(**params)
    commons_server.limit_result(15_000)
    try:
        answers = commons_server.answers(**params)
        cut = commons_server.pages(**params)
    finally:
        commons_server.limit_result(RESULT_LIMIT_BYTES)
    assert len(answers) > 3
    assert "batchcomplete" not in answers[0]
    assert re.fullmatch(r"[^|]+\|\d{14}", answers[0]["continue"]["iicontinue"])
    assert answers[0]["continue"]["continue"] == "||"
    assert "result" in answers[0]["warnings"]
    assert cut == whole and len(cut) == len(items)


# -- pages asked for by title or id --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_missing_and_invalid_titles_have_their_own_shapes(commons_server, version):
    yes = "" if version == 1 else True
    asked = "File:Nope.jpg|File:A[b].jpg|File:|Category:Nope|Special:Version"
    query = commons_server.ask(titles=asked, prop="imageinfo", iiprop="sha1", formatversion=version)
    pages = query["query"]["pages"]
    if version == 1:
        assert sorted(map(int, pages)) == [-5, -4, -3, -2, -1]
        pages = list(pages.values())
    by_title = {page["title"]: page for page in pages}
    assert by_title["File:Nope.jpg"] == {
        "ns": 6, "title": "File:Nope.jpg", "missing": yes, "imagerepository": ""
    }  # fmt: skip
    assert by_title["Category:Nope"] == {"ns": 14, "title": "Category:Nope", "missing": yes}
    assert by_title["Special:Version"] == {"ns": -1, "title": "Special:Version", "special": yes}
    for title in ("File:A[b].jpg", "File:"):
        assert set(by_title[title]) == {"title", "invalid", "invalidreason"}
        assert by_title[title]["invalid"] == yes
        assert isinstance(by_title[title]["invalidreason"], str)


@pytest.mark.parametrize("version", [1, 2])
def test_page_ids_lead_to_pages_and_unknown_ones_are_missing(commons_server, version):
    known = next(iter(commons_server.pages(titles=FIRST).values()))["pageid"]
    unknown = 999_999_999
    pages = commons_server.ask(
        pageids=f"{known}|{unknown}|0", prop="imageinfo", iiprop="sha1", formatversion=version
    )["query"]["pages"]
    if version == 2:
        pages = {str(page["pageid"]): page for page in pages}
    assert pages[str(known)]["title"] == FIRST
    yes = "" if version == 1 else True
    assert pages[str(unknown)] == {"pageid": unknown, "missing": yes}
    assert pages["0"] == {"pageid": 0, "missing": yes}


@pytest.mark.parametrize("key", ["titles", "pageids"])
def test_fifty_are_answered_and_fifty_one_are_too_many(commons_server, key):
    values = [f"File:Nope {i}.jpg" if key == "titles" else str(900_000_000 + i) for i in range(51)]
    assert len(commons_server.ask(**{key: "|".join(values[:50])})["query"]["pages"]) == 50
    answer = commons_server.raw(**{key: "|".join(values)})
    assert answer.status_code == 200
    assert answer.headers["MediaWiki-API-Error"] == "toomanyvalues"
    error = answer.json()["error"]
    assert (error["code"], error["limit"], error["lowlimit"], error["highlimit"]) == (
        "toomanyvalues",
        50,
        50,
        500,
    )
    assert f'"{key}"' in error["info"] and "query" not in answer.json()


NORMALIZED = {
    "file:contract_photo_01.jpg": "File:Contract photo 01.jpg",
    ":File:Contract photo 03.jpg": "File:Contract photo 03.jpg",
    "Image:Contract photo 00.jpg": "File:Contract photo 00.jpg",
    " File : Contract  photo   04.jpg": "File:Contract photo 04.jpg",
    "File:contract photo 05.jpg#frag": "File:Contract photo 05.jpg",
    "File:é.jpg": "File:É.jpg",
    "File:ßa.jpg": "File:SSa.jpg",
    "File:ǆ.jpg": "File:Ǆ.jpg",
    "File:a//b.jpg": "File:A//b.jpg",
    "File:&eacute;x.jpg": "File:Éx.jpg",
    "CATEGORY:contract tree": "Category:Contract tree",
    "en:Foo": "En:Foo",
}


@pytest.mark.parametrize("version", [1, 2])
def test_titles_are_normalized_and_the_answer_tells(commons_server, version):
    query = commons_server.ask(titles="|".join(NORMALIZED), formatversion=version)["query"]
    told = {row["from"]: row["to"] for row in query["normalized"]}
    assert told == NORMALIZED
    assert all(row.get("fromencoded") is (None if version == 1 else False) for row in query["normalized"])  # fmt: skip
    pages = query["pages"].values() if version == 1 else query["pages"]
    assert {page["title"] for page in pages} == set(NORMALIZED.values())


INVALID = [
    "File:A[b].jpg", "File:A{b}.jpg", "File:<b>.jpg", "File:%20a.jpg", "File:~~~.jpg", "File:A.jpg/../b", "File:",
    "_", "File:" + "x" * 256 + ".jpg", "File:#frag", "File:a\tb.jpg\x07", "../a", "File:&#x1F;.jpg",
]  # fmt: skip


def test_titles_that_cannot_be_are_invalid(commons_server):
    asked = "\x1f" + "\x1f".join(INVALID)
    pages = commons_server.ask(titles=asked, formatversion=2)["query"]["pages"]
    assert {p["title"] for p in pages if p.get("invalid")} == {p["title"] for p in pages}
    assert len(pages) == len(INVALID)


def test_redirects_are_followed_when_asked(commons_server, items):
    title, target = next(iter(corpus.REDIRECTS.items()))
    query = commons_server.ask(
        titles=f"{title}|{target}", redirects=1, prop="imageinfo|info", iiprop="sha1", formatversion=2
    )["query"]  # fmt: skip
    assert query["redirects"] == [{"from": title, "to": target}]
    assert [page["title"] for page in query["pages"]] == [target]
    pages = commons_server.pages(
        titles=title, prop="imageinfo|info", iiprop="sha1|url", formatversion=2
    )
    assert pages[title]["redirect"] is True
    # A redirect's own page shows the file that it leads to.
    assert pages[title]["imageinfo"][0]["url"].endswith("/Contract_photo_00.jpg")


def test_the_longest_titles_work_in_every_script(commons_server):
    titles = [f"File:{corpus.long_title(i)}" for i in range(4)]
    assert all(len(title.encode()) == len(b"File:") + 240 for title in titles)
    pages = commons_server.pages(titles="|".join(titles), prop="imageinfo", iiprop="url|sha1")
    assert set(pages) == set(titles)
    for page in pages.values():
        original = commons_server.original(page["imageinfo"][0]["url"])
        assert hashlib.sha1(original.content).hexdigest() == page["imageinfo"][0]["sha1"]


# -- what is said about a file ----------------------------------------------------------------------------------------


def test_original_bytes_are_what_was_announced(commons_server, contract_folder, items):
    pages = commons_server.pages(
        generator="allimages", gailimit=50, prop="imageinfo",
        iiprop="url|size|mime|mediatype|sha1|timestamp|user",
    )  # fmt: skip
    assert set(pages) == set(items)
    for title, page in pages.items():
        info = page["imageinfo"][0]
        original = commons_server.original(info["url"])
        content = (contract_folder[0] / items[title]["filename"]).read_bytes()
        assert original.status_code == 200 and original.content == content
        assert hashlib.sha1(content).hexdigest() == info["sha1"]
        assert int(original.headers["Content-Length"]) == info["size"] == len(content)
        assert original.headers["Content-Type"] == info["mime"]
        assert "Last-Modified" in original.headers
        assert info["mediatype"] == "BITMAP" and "/thumb/" not in info["url"]
        assert re.sub(r"\D", "", info["timestamp"]) == items[title]["uploaded"]
        assert info["user"] == items[title]["uploader"]
    missing = next(iter(pages.values()))["imageinfo"][0]["url"] + ".no"
    assert commons_server.original(missing).status_code == 404


def test_extmetadata_without_a_field_is_a_list(commons_server):
    for version in (1, 2):
        page = commons_server.pages(
            titles=FIRST, prop="imageinfo", iiprop="extmetadata", formatversion=version,
            iiextmetadatafilter="NoSuchField", iiextmetadatalanguage="en",
        )[FIRST]  # fmt: skip
        assert page["imageinfo"] == [{"extmetadata": []}]


def test_the_filter_leaves_only_what_was_asked(commons_server):
    page = commons_server.pages(
        titles=FIRST, prop="imageinfo", iiprop="extmetadata", iiextmetadatafilter="License|Artist"
    )[FIRST]  # fmt: skip
    assert set(page["imageinfo"][0]["extmetadata"]) == {"License", "Artist"}
    assert page["imageinfo"][0]["extmetadata"]["License"] == {
        "value": "cc-by-sa-4.0", "source": "commons-templates", "hidden": ""
    }  # fmt: skip


def test_a_file_without_license_has_no_license_fields(commons_server, items):
    title = next(title for title, item in items.items() if item["license"] == "")
    page = commons_server.pages(titles=title, prop="imageinfo", iiprop="extmetadata")[title]
    assert not {"License", "LicenseShortName", "LicenseUrl", "UsageTerms", "Copyrighted"} & set(
        page["imageinfo"][0]["extmetadata"]
    )


@pytest.mark.parametrize(
    ("license", "code"),
    [
        (["Cc-by-sa-4.0", "PD-old"], "pd"),
        (["Cc-zero", "PD-old"], "pd"),
        (["GFDL", "Cc-by-sa-3.0"], "cc-by-sa-3.0"),
    ],
)
def test_public_domain_goes_before_creative_commons_before_the_rest(commons_server, items, license, code):  # fmt: skip
    title = next(title for title, item in items.items() if item["license"] == license)
    page = commons_server.pages(titles=title, prop="imageinfo", iiprop="extmetadata")[title]
    assert page["imageinfo"][0]["extmetadata"]["License"]["value"] == code


def test_info_and_revisions_name_the_same_latest_revision(commons_server):
    page = commons_server.pages(
        titles=FIRST, prop="info|revisions", rvprop="ids|timestamp", formatversion=2
    )[FIRST]
    assert page["lastrevid"] == page["revisions"][0]["revid"] > 0
    assert set(page["revisions"][0]) == {"revid", "parentid", "timestamp"}


# -- manners and errors -----------------------------------------------------------------------------------------------


def test_maxlag_is_an_error_with_status_200_and_the_time_to_wait(commons_server):
    commons_server.set_lag(12.5)
    try:
        answer = commons_server.raw(maxlag=5, meta="userinfo")
        tolerant = commons_server.ask(maxlag=20, meta="userinfo")
    finally:
        commons_server.set_lag(0)
    assert answer.status_code == 200
    assert (answer.headers["Retry-After"], answer.headers["X-Database-Lag"]) == ("5", "12")
    error = answer.json()["error"]
    assert (error["code"], error["lag"], error["type"]) == ("maxlag", 12.5, "db")
    assert error["host"] in error["info"] and "query" not in answer.json()
    assert "error" not in tolerant
    assert "error" not in commons_server.ask(maxlag=5, meta="userinfo")


def test_a_maxlag_of_minus_two_is_never_met(commons_server):
    answer = commons_server.raw(maxlag=-2, meta="userinfo")
    assert answer.json()["error"]["code"] == "maxlag"
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["X-Database-Lag"] == "-1"


def test_mwclient_starts_up_and_asks(commons_server):
    host = commons_server.base_url.removeprefix("http://")
    site = mwclient.Site(host, path="/w/", scheme="http", clients_useragent="contract-test/1")
    assert site.version[:2] == (1, 39)
    assert site.namespaces[6] == "File" and site.namespaces[14] == "Category"
    answer = site.get(
        "query", generator="categorymembers", gcmtitle=CROWDED, gcmlimit=2, gcmtype="file", prop="info"
    )  # fmt: skip
    assert answer["continue"]["continue"] == "gcmcontinue||userinfo"
    assert len(answer["query"]["pages"]) == 2
    with pytest.raises(mwclient.errors.APIError) as failure:
        site.get("query", maxlag="x")
    assert failure.value.code == "badinteger"


def test_posting_is_as_good_as_getting(commons_server):
    params = {"action": "query", "format": "json", "titles": FIRST, "prop": "imageinfo", "iiprop": "sha1"}  # fmt: skip
    posted = requests.post(commons_server.api_url, data=params, timeout=60).json()
    assert posted == commons_server.ask(**params)


ERRORS = {
    "unknown action": ({"action": "nope"}, "badvalue"),
    "unknown generator": ({"generator": "nope"}, "badgenerator"),
    "two page sources": ({"titles": "A", "pageids": "1"}, "multisource"),
    "no number": ({"pageids": "x"}, "badinteger"),
    "no limit": ({"list": "allimages", "ailimit": "x"}, "badinteger"),
    "no such order": ({"list": "allimages", "aisort": "x"}, "badvalue"),
    "window without order": (
        {"list": "allimages", "aistart": "2012-06-01T00:00:00Z"},
        "invalidparammix",
    ),
    "names in a window": (
        {"list": "allimages", "aisort": "timestamp", "aifrom": "A"},
        "invalidparammix",
    ),
    "no time": (
        {"list": "allimages", "aisort": "timestamp", "aistart": "some day"},
        "badtimestamp",
    ),
    "no category": ({"list": "categorymembers"}, "missingparam"),
    "not a category": ({"list": "categorymembers", "cmtitle": "Foo"}, "invalidcategory"),
    "bad category": ({"list": "categorymembers", "cmtitle": "Category:A["}, "invalidtitle"),
    "nothing to search": ({"list": "search", "srsearch": ""}, "missingparam"),
    "bad continue": ({"list": "allimages", "continue": "x"}, "badcontinue"),
    "bad aicontinue": (
        {"list": "allimages", "aisort": "timestamp", "aicontinue": "x"},
        "badcontinue",
    ),
    "bad gcmcontinue": (
        {"generator": "categorymembers", "gcmtitle": CROWDED, "gcmcontinue": "x"},
        "badcontinue",
    ),
    "bad clcontinue": ({"titles": FIRST, "prop": "categories", "clcontinue": "x"}, "badcontinue"),
    "both shows": ({"titles": FIRST, "prop": "categories", "clshow": "hidden|!hidden"}, "show"),
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("version", [1, 2])
def test_errors_have_their_codes_and_status_200(commons_server, case, version):
    params, code = ERRORS[case]
    answer = commons_server.raw(**{"formatversion": version, **params})
    assert answer.status_code == 200
    assert answer.headers["MediaWiki-API-Error"] == code
    error = answer.json()["error"]
    assert error["code"] == code and error["info"]
    assert ("*" if version == 1 else "docref") in error
    assert "servedby" in answer.json() and "query" not in answer.json()


WARNINGS = {
    "unknown property": (
        {"prop": "nope|info"},
        "query",
        'Unrecognized value for parameter "prop": nope',
    ),
    "unknown list": ({"list": "nope"}, "query", 'Unrecognized value for parameter "list": nope'),
    "unknown lists": (
        {"list": "nope|no"},
        "query",
        'Unrecognized values for parameter "list": nope, no',
    ),
    "unknown iiprop": (
        {"prop": "imageinfo", "iiprop": "sha1|x"},
        "imageinfo",
        'Unrecognized value for parameter "iiprop": x',
    ),
    "unknown parameter": ({"nope": "1"}, "main", "Unrecognized parameter: nope."),
    "unknown parameters": ({"nope": "1", "no": "2"}, "main", "Unrecognized parameters: nope, no."),
    "parameter of a module not run": ({"cllimit": "5"}, "main", "Unrecognized parameter: cllimit."),
    "limit too high": (
        {"list": "allimages", "ailimit": 501},
        "allimages",
        'The value "501" for parameter "ailimit" must be between 1 and 500.',
    ),
    "limit too low": (
        {"list": "allimages", "ailimit": 0},
        "allimages",
        'The value "0" for parameter "ailimit" must be between 1 and 500.',
    ),
}


@pytest.mark.parametrize("case", WARNINGS)
@pytest.mark.parametrize("version", [1, 2])
def test_what_is_not_understood_is_a_warning_beside_the_answer(commons_server, case, version):
    params, module, text = WARNINGS[case]
    answer = commons_server.ask(titles=FIRST, formatversion=version, **params)
    assert answer["warnings"] == {module: {"*" if version == 1 else "warnings": text}}
    assert "error" not in answer and "query" in answer


# -- side by side -----------------------------------------------------------------------------------------------------

ALL_FIELDS = "url|size|mime|mediatype|sha1|timestamp|user|extmetadata|canonicaltitle"
SIDE_BY_SIDE = {
    "everything about all files": {
        "generator": "allimages",
        "gailimit": 20,
        "prop": "imageinfo|categories|info",
        "iiprop": ALL_FIELDS,
        "iiextmetadatalanguage": "en",
        "cllimit": 30,
        "clprop": "hidden",
    },
    "a category": {
        "generator": "categorymembers",
        "gcmtitle": CROWDED,
        "gcmlimit": 11,
        "prop": "imageinfo",
        "iiprop": "sha1|size",
    },
    "some fields": {
        "generator": "categorymembers",
        "gcmtitle": CROWDED,
        "gcmtype": "file",
        "gcmlimit": 50,
        "prop": "imageinfo",
        "iiprop": "extmetadata",
        "iiextmetadatafilter": "License|LicenseShortName|LicenseUrl|Artist|Credit|Restrictions",
    },
    "categories of categories": {
        "titles": "|".join(f"Category:{c}" for c in corpus.CATEGORY_PAGES),
        "prop": "categories|categoryinfo|info",
    },
    "default fields": {"titles": FIRST, "prop": "imageinfo"},
    "sort keys": {
        "titles": f"{FIRST}|File:Čáp; 50% = ½, ok!.jpg",
        "prop": "categories",
        "clprop": "sortkey",
    },
    "missing and invalid": {
        "titles": "File:Nope.jpg|File:A[|Category:Nope|User:Nope|Media:X.jpg",
        "prop": "imageinfo|categories|info|categoryinfo",
    },
    "redirects": {
        "titles": "|".join(corpus.REDIRECTS),
        "prop": "imageinfo|categories|info",
        "iiprop": ALL_FIELDS,
        "redirects": 1,
    },
    "redirects not followed": {
        "titles": "|".join(corpus.REDIRECTS),
        "prop": "imageinfo|categories",
        "iiprop": ALL_FIELDS,
    },
}
OF_THE_PLACE = ("pageid", "touched", "lastrevid", "length", "invalidreason")
"""Values that each wiki chooses by itself; that they are there is compared, what they are is not."""


def comparable(value):
    """An answer without hosts and without what each wiki chooses by itself."""
    if isinstance(value, dict):
        return {k: "…" if k in OF_THE_PLACE else comparable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [comparable(v) for v in value]
    if isinstance(value, str):
        hosts = r"(https?:)?//(127\.0\.0\.1:\d+|(commons|upload)\.wikimedia\.org)(?=/)"
        return re.sub(hosts, "", value)
    return value


@pytest.mark.mediawiki
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("case", SIDE_BY_SIDE)
def test_both_say_the_very_same(embedded_commons, real_mediawiki, case, version):
    params = {**SIDE_BY_SIDE[case], "formatversion": version}
    ours, theirs = (comparable(c.pages(**params)) for c in (embedded_commons, real_mediawiki))
    assert sorted(ours) == sorted(theirs)
    for title in theirs:
        assert ours[title] == theirs[title]


@pytest.mark.mediawiki
@pytest.mark.parametrize(
    "params",
    [
        {
            "list": "categorymembers",
            "cmtitle": CROWDED,
            "cmlimit": 7,
            "cmprop": "title|sortkey|sortkeyprefix|type",
        },
        {
            "list": "categorymembers",
            "cmtitle": CROWDED,
            "cmlimit": 7,
            "cmprop": "title",
            "cmdir": "desc",
        },
        {
            "list": "allimages",
            "ailimit": 7,
            "aiprop": "timestamp|sha1|url|size|mime|mediatype|user",
        },
        {"list": "allimages", "ailimit": 7, "aidir": "descending"},
        {"list": "allimages", "aiprefix": "contract tied", "ailimit": 7},
        {
            "list": "allimages",
            "aifrom": "Contract photo 10.jpg",
            "aito": "Contract photo 20.jpg",
            "ailimit": 7,
        },
        {"list": "allimages", "aisort": "timestamp", "aiend": "2014-01-01T00:00:00Z", "ailimit": 7},
        {"list": "allimages", "aimime": "image/png", "ailimit": 7},
        {"list": "allimages|categorymembers", "cmtitle": CROWDED, "cmlimit": 25, "ailimit": 25},
    ],
    ids=lambda params: ",".join(f"{k}={v}" for k, v in params.items())[:60],
)
def test_both_list_the_same_rows_in_the_same_answers(embedded_commons, real_mediawiki, params):
    ours, theirs = (comparable(c.answers(**params)) for c in (embedded_commons, real_mediawiki))
    for answer in (*ours, *theirs):
        for key, value in answer.get("continue", {}).items():
            answer["continue"][key] = re.sub(r"(?<=\|)\d+$", "…", value)  # the page id
    assert ours == theirs
