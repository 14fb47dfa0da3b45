"""A search with more hits than are shown is cut into windows: nothing is lost, nothing is asked for twice."""

import json
from datetime import date

import numpy as np
import pytest
from PIL import Image

from crawler.commons import Commons, ListingError
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.loopback import LoopbackCommons
from crawler.politeness import PoliteDoor
from crawler.sources import SearchShardSource, SearchSource, SiteConfig
from crawler.walkers.search import Shard

FILES, SHOWN = 300, 40
SOURCE = SearchShardSource(
    query="filemime:image/png",
    width=(10, 400),
    size_kib=(0, 64),
    created_from=date(2010, 1, 1),
    created_to=date(2012, 12, 31),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Many narrow files, of which most share one width and a size below 1 KiB, as thumbnails of an archive would."""
    folder = tmp_path_factory.mktemp("shards")
    chance = np.random.default_rng(3)
    items = []
    for i in range(FILES):
        name = f"Photo {i:03d}.png"
        width = 64 if i % 2 else int(chance.integers(10, 400))
        height = int(chance.integers(4, 40))
        pixels = chance.integers(0, 256, (height, width)).astype(np.uint8)
        Image.fromarray(pixels if i % 3 else pixels * 0).save(folder / name)
        items.append(
            {
                "filename": name,
                "license": "Cc-by-4.0",
                "author": "A",
                "description": "x",
                "categories": ["All"],
                "uploaded": f"{2010 + i % 3}{1 + i % 12:02d}{1 + i % 28:02d}000000",
            }
        )
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items))
    return folder, manifest


@pytest.fixture(scope="module")
def server(corpus):
    with LoopbackCommons(*corpus, most_hits=SHOWN + 50) as running:
        yield running


@pytest.fixture
def commons(server, monkeypatch):
    # A window fits with 40 hits; the wiki refuses what a page of 50 behind them would reach.
    monkeypatch.setattr("crawler.walkers.search.MOST_HITS", SHOWN)
    door = PoliteDoor(
        contact="me@lab.org",
        limits=Limits(),
        api_hosts=["commons.wikimedia.org"],
        media_hosts=["upload.wikimedia.org"],
        host_map=server.host_map,
    )
    return Commons(door, SiteConfig())


def pages(batches):
    return [record.page_id for batch in batches for record, _ in batch.files]


def test_the_windows_together_are_the_search(commons, corpus):
    batches = list(list_files(commons, SOURCE))
    found = pages(batches)
    assert len(set(found)) == FILES
    # Only a file of exactly n KiB may be listed by two windows.
    assert len(found) == FILES
    assert [batch.problem for batch in batches if batch.problem] == []
    queries = {row.source_path for batch in batches for _, row in batch.files}
    assert len(queries) >= FILES / SHOWN
    assert batches[-1].cursor is None


def test_no_window_shows_more_than_the_wiki_would(commons):
    by_query = {}
    for batch in list_files(commons, SOURCE):
        for record, row in batch.files:
            by_query.setdefault(row.source_path, set()).add(record.page_id)
    assert max(map(len, by_query.values())) <= SHOWN


def test_every_cursor_goes_on_exactly_behind_its_batch(commons):
    whole = list(list_files(commons, SOURCE))
    order = pages(whole)
    for number in range(0, len(whole), 3):
        cursor = whole[number].cursor
        if cursor is None:
            continue
        rest = pages(list_files(commons, SOURCE, json.loads(json.dumps(cursor))))
        assert pages(whole[: number + 1]) + rest == order


def test_what_cannot_be_cut_further_is_listed_in_part_and_told(commons):
    narrow = SearchShardSource(query="filemime:image/png", width=(64, 64), size_kib=(0, 64))
    batches = list(list_files(commons, narrow))
    problems = [batch.problem for batch in batches if batch.problem]
    assert problems
    assert all("only the first 40 are listed" in problem for problem in problems)
    assert pages(batches)


def test_a_plain_search_ends_where_the_wiki_ends(server, monkeypatch):
    monkeypatch.setattr("crawler.walkers.search.MOST_HITS", 90)
    door = PoliteDoor(
        contact="me@lab.org",
        limits=Limits(),
        api_hosts=["commons.wikimedia.org"],
        media_hosts=["upload.wikimedia.org"],
        host_map=server.host_map,
    )
    commons = Commons(door, SiteConfig())
    found = pages(list_files(commons, SearchSource(query="filemime:image/png")))
    assert len(found) == 50, "the second page would reach past what is shown"


def test_a_search_that_the_wiki_does_not_understand_is_an_error(commons):
    with pytest.raises(ListingError, match="in part only"):
        list(list_files(commons, SearchShardSource(query="hastemplate:Blurry")))


def test_windows_of_sizes_share_a_bound_and_others_adjoin():
    shard = Shard(width=(5, 5), size_kib=(10, 40), days=(1, 9))
    below, above = shard.halves()
    assert below.size_kib == (10, 20)
    assert above.size_kib == (20, 40)
    shard = Shard(width=(5, 5), size_kib=(10, 11), days=(1, 9))
    below, above = shard.halves()
    assert (below.days, above.days) == ((1, 5), (6, 9))
    below, above = Shard(width=(100, 400), size_kib=(0, 1), days=None).halves()
    assert (below.width, above.width) == ((100, 200), (201, 400))
    assert Shard(width=(5, 5), size_kib=(10, 11), days=(3, 3)).halves() is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": (5, 4)}, "the smaller first"),
        ({"created_from": date(2010, 1, 1)}, "both"),
        ({"created_from": date(2011, 1, 1), "created_to": date(2010, 1, 1)}, "not after"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        SearchShardSource(query="x", **fields)
