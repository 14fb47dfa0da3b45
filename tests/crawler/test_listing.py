"""Every kind of source against the loopback Commons; a cursor goes on exactly where it was."""

import json
from datetime import UTC, datetime

import pytest
from PIL import Image

from crawler.commons import Commons, ListingError, merge_page
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.loopback import LoopbackCommons
from crawler.politeness import PoliteDoor
from crawler.sources import (
    CategorySource,
    SearchSource,
    SiteConfig,
    TitleSource,
    UploadWindowSource,
    source_key,
)
from pipelines.build.doors import look
from tests.crawler.servers import answer, scripted

FILES = 130
WINDOW = UploadWindowSource(
    start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 2, tzinfo=UTC)
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("listing")
    items = []
    for i in range(FILES):
        name = f"Photo {i:03d}.png"
        Image.new("RGB", (20 + i, 30), (i, 0, 0)).save(folder / name)
        items.append(
            {
                "filename": name,
                "license": "Cc-by-4.0",
                "author": "A",
                "description": "a red field" if i % 3 == 0 else "something else",
                "categories": ["Root"] if i % 2 == 0 else ["Child" if i % 4 == 1 else "Grandchild"],
                # Upload times tie in groups of seven, across the borders of pages of 50.
                "uploaded": f"2020010100{i // 7:02d}00",
            }
        )
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items))
    tree = {"Root": ["Grandchild"], "Child": ["Root"], "Grandchild": ["Child"], "Denied": ["Root"]}
    (folder / "categories.json").write_text(json.dumps(tree))
    return folder, manifest


@pytest.fixture(scope="module")
def commons(corpus):
    with LoopbackCommons(*corpus, look=look) as server:
        door = PoliteDoor(
            contact="me@lab.org",
            limits=Limits(),
            api_hosts=["commons.wikimedia.org"],
            media_hosts=["upload.wikimedia.org"],
            host_map=server.host_map,
        )
        yield Commons(door, SiteConfig())


def titles(batches):
    return [record.title for batch in batches for record, _ in batch.files]


SOURCES = {
    "category": CategorySource(root="Category:Root", depth=2),
    "search": SearchSource(query="red"),
    "window": WINDOW,
    "titles": TitleSource(titles=tuple(f"Photo {i:03d}.png" for i in range(0, FILES, 2))),
}
EXPECTED = {
    "category": set(range(FILES)),
    "search": set(range(0, FILES, 3)),
    "window": set(range(FILES)),
    "titles": set(range(0, FILES, 2)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_lists_each_of_its_files_once(commons, name):
    batches = list(list_files(commons, SOURCES[name], key="k"))
    listed = titles(batches)
    assert sorted(listed) == [f"File:Photo {i:03d}.png" for i in sorted(EXPECTED[name])]
    assert batches[-1].cursor is None
    assert all(batch.cursor is not None for batch in batches[:-1])


@pytest.mark.parametrize("name", SOURCES)
def test_a_listing_goes_on_exactly_behind_any_of_its_batches(commons, name):
    whole = list(list_files(commons, SOURCES[name]))
    for stop, batch in enumerate(whole[:-1], start=1):
        cursor = json.loads(json.dumps(batch.cursor))
        rest = list(list_files(commons, SOURCES[name], cursor))
        assert titles(whole[:stop]) + titles(rest) == titles(whole)


def test_a_cycle_of_categories_ends_and_the_path_is_recorded(commons):
    paths = {
        row.source_path
        for batch in list_files(commons, SOURCES["category"])
        for _, row in batch.files
    }
    assert paths == {
        "Category:Root",
        "Category:Root > Category:Child",
        "Category:Root > Category:Child > Category:Grandchild",
    }


@pytest.mark.parametrize(
    ("source", "count"),
    [
        (CategorySource(root="root", depth=0), 65),
        (CategorySource(root="Root", depth=1), 98),
        (CategorySource(root="Root", depth=2, deny=("^Grand",)), 98),
        (CategorySource(root="Root", depth=2, max_categories=1), 65),
    ],
)
def test_depth_caps_and_denials_keep_categories_out(commons, source, count):
    # 65 files have an even number (Root); 33 of the others leave 1 modulo 4 (Child).
    assert len(titles(list_files(commons, source))) == count


def test_a_category_that_is_not_there_is_said_not_raised(commons):
    (batch,) = list_files(commons, CategorySource(root="Nowhere"))
    assert batch.files == ()
    assert (
        batch.problem == "Category:Nowhere does not exist on the wiki: take it out of the recipe."
    )


def test_missing_titles_come_back_as_missing(commons):
    source = TitleSource(titles=("Photo 001.png", "Gone.png"), page_ids=(999999999,))
    states = {r.title: r.state for batch in list_files(commons, source) for r, _ in batch.files}
    assert states == {
        "File:Photo 001.png": "ok",
        "File:Gone.png": "missing",
        "page id 999999999": "missing",
    }


def test_titles_are_read_from_a_file_with_comments(commons, tmp_path):
    (tmp_path / "list.txt").write_text("# wanted\nFile:Photo 001.png\n\nPhoto 002.png\n")
    found = titles(list_files(commons, TitleSource(path="list.txt"), base=tmp_path))
    assert sorted(found) == ["File:Photo 001.png", "File:Photo 002.png"]


def test_fifty_files_cost_one_request(commons):
    before = commons.requests
    list(list_files(commons, SOURCES["titles"]))
    assert commons.requests - before == 2  # 65 titles


def test_the_evidence_holds_the_answer(commons):
    record, row = next(iter(list_files(commons, WINDOW, key="abc"))).files[0]
    assert row.source == "abc"
    assert json.loads(row.raw_json)["title"] == record.title
    assert row.api_version.startswith("MediaWiki")
    assert row.fetched_at.tzinfo is not None


def test_the_cap_is_no_part_of_a_sources_key_and_the_wiki_is():
    few = SearchSource(query="x", max_files=5)
    many = SearchSource(query="x", max_files=50)
    assert source_key(few, wiki="a") == source_key(many, wiki="a")
    assert source_key(few, wiki="a") != source_key(few, wiki="b")
    assert source_key(few, wiki="a") != source_key(SearchSource(query="y"), wiki="a")


def test_parts_of_a_page_are_merged_and_nothing_twice():
    known = {"pageid": 1, "categories": [{"title": "Category:A"}]}
    merge_page(
        known,
        {
            "pageid": 1,
            "categories": [{"title": "Category:A"}, {"title": "Category:B"}],
            "imageinfo": [],
        },
    )
    assert known == {
        "pageid": 1,
        "categories": [{"title": "Category:A"}, {"title": "Category:B"}],
        "imageinfo": [],
    }


def scripted_commons(*bodies):
    general = b'"general":{"generator":"MediaWiki 1.45"},"namespaces":{}'
    init = b'{"query":{' + general + b',"userinfo":{"name":"x","groups":[],"rights":[]}}}'
    return scripted(answer(200, init), *[answer(200, body) for body in bodies])


def commons_at(server):
    limits = Limits(backoff_s=0.001, max_attempts=3, api_per_minute=200)
    door = PoliteDoor(
        contact="me@lab.org",
        limits=limits,
        api_hosts=[server.netloc],
        media_hosts=[],
        sleep=lambda s: None,
    )
    return Commons(door, SiteConfig(host=server.netloc, scheme="http"))


def test_a_busy_wiki_is_asked_again_and_then_left(tmp_path):
    busy = b'{"error":{"code":"ratelimited","info":"slow down"}}'
    with scripted_commons(busy, b'{"batchcomplete":true,"query":{}}') as server:
        assert commons_at(server).ask({"prop": "info"}) == {"batchcomplete": True, "query": {}}
    with scripted_commons(busy) as server, pytest.raises(Exception, match="ratelimited"):
        commons_at(server).ask({"prop": "info"})
    assert len(server.requests) == 1 + 3


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"code":"badvalue","info":"no such thing"}}',
        b'{"warnings":{"search":{"warnings":"deepcat: too many categories"}},"query":{}}',
        b'{"warnings":{"main":{"*":"Deepcat query returned incomplete"}},"query":{}}',
    ],
)
def test_errors_and_half_answered_searches_are_failures_that_quote_the_wiki(body):
    with scripted_commons(body) as server, pytest.raises(ListingError, match=r"Asked|Narrow"):
        commons_at(server).ask({"generator": "search"})


def test_a_continuation_that_stands_still_ends():
    body = b'{"continue":{"gaicontinue":"x","continue":"-||"},"query":{"pages":[]}}'
    with (
        scripted_commons(body) as server,
        pytest.raises(ListingError, match="continues where it was"),
    ):
        list(commons_at(server).batches({"generator": "allimages"}))


@pytest.mark.parametrize(
    "bad",
    [
        lambda: TitleSource(),
        lambda: UploadWindowSource(start=datetime(2020, 1, 1), end=datetime(2021, 1, 1)),
        lambda: UploadWindowSource(
            start=datetime(2021, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 1, tzinfo=UTC)
        ),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(bad):
    with pytest.raises(ValueError, match=r"needs|time zone|before"):
        bad()
