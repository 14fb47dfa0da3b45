"""A search with more hits than are shown is cut into windows: nothing is lost, nothing is asked for twice."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crawler.commons import Commons, ListingError
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.loopback import LoopbackCommons
from crawler.politeness import PoliteDoor
from crawler.sources import SearchShardSource, SearchSource, SiteConfig, UploadWindowSource
from crawler.walkers._hits import count_hits
from crawler.walkers.search_shards import Shard
from pipelines.build.doors import look

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
    """Half of the files share one width and a quarter are small, as thumbnails of an archive would."""
    folder = tmp_path_factory.mktemp("shards")
    chance = np.random.default_rng(3)
    items = []
    for i in range(FILES):
        name = f"Photo {i:03d}.png"
        width = 64 if i % 2 else int(chance.integers(10, 400))
        height = int(chance.integers(4, 40))
        pixels = chance.integers(0, 256, (height, width)).astype(np.uint8)
        Image.fromarray(pixels if i % 3 else pixels * 0).save(folder / name)
        # Up to 56 KiB; what follows the end of a PNG is ignored.
        size = (folder / name).stat().st_size + int(chance.integers(0, 40_000)) * (i % 4 > 0)
        if i % 5 == 0:
            # On the bound of two windows, or a byte above it.
            size = -(-size // 1024) * 1024 + (i % 10 == 5)
        (folder / name).write_bytes((folder / name).read_bytes().ljust(size, b"\0"))
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
    with LoopbackCommons(*corpus, look=look, most_hits=SHOWN) as running:
        yield running


def commons_at(server):
    door = PoliteDoor(
        contact="me@lab.org",
        limits=Limits(),
        api_hosts=["commons.wikimedia.org"],
        media_hosts=["upload.wikimedia.org"],
        host_map=server.host_map,
    )
    return Commons(door, SiteConfig())


@pytest.fixture
def commons(server, monkeypatch):
    # The wiki shows 40 hits, and refuses what starts behind them.
    monkeypatch.setattr("crawler.walkers._hits.MOST_HITS", SHOWN)
    server.requests.clear()
    return commons_at(server)


def pages(batches):
    return [record.page_id for batch in batches for record, _ in batch.files]


@pytest.mark.parametrize(
    "bounds",
    [{}, {"size_kib": (0, 4096)}, {"width": (0, 9999)}, {"created_from": None, "created_to": None}],
    ids=["days first", "sizes first", "widths first", "no days"],
)
def test_the_windows_together_are_a_full_scan_and_list_each_file_once(commons, bounds):
    batches = list(list_files(commons, replace(SOURCE, **bounds)))
    found = pages(batches)
    ever = UploadWindowSource(
        start=datetime(2000, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 1, tzinfo=UTC)
    )
    assert sorted(found) == sorted(pages(list_files(commons, ever)))
    assert len(found) == FILES
    assert [batch.problem for batch in batches if batch.problem] == []
    queries = {row.source_path for batch in batches for _, row in batch.files}
    assert len(queries) >= FILES / SHOWN
    assert batches[-1].cursor is None


def test_no_listed_window_has_more_hits_than_the_wiki_shows(commons, server):
    list(list_files(commons, SOURCE))
    asked = [request.params for request in server.requests]
    windows = {params["gsrsearch"] for params in asked if "gsrsearch" in params}
    counted = [params["srsearch"] for params in asked if "srsearch" in params]
    assert max(count_hits(commons, window) for window in windows) <= SHOWN
    assert len(counted) == len(set(counted)), "a window is counted once"


def test_the_same_windows_are_asked_for_in_the_same_order_every_time(commons):
    orders = [
        [row.source_path for batch in list_files(commons, SOURCE) for _, row in batch.files]
        for _ in range(2)
    ]
    assert orders[0] == orders[1]


def test_files_on_the_bound_of_two_sizes_and_between_two_kib_are_listed_once(commons, corpus):
    sizes = [path.stat().st_size for path in corpus[0].glob("*.png")]
    assert sum(size % 1024 == 0 for size in sizes) >= FILES / 10
    # Cut into single KiB, every bound but two is shared by two windows.
    days = [SOURCE.created_from.toordinal(), SOURCE.created_to.toordinal()]
    windows = [{"width": [10, 400], "size_kib": [n, n + 1], "days": days} for n in range(64)]
    batches = list_files(commons, SOURCE, {"shards": windows, "fits": False, "carry": None})
    found = pages(batches)
    assert len(found) == len(set(found)) == FILES


@pytest.mark.slow
def test_every_cursor_goes_on_exactly_behind_its_batch(commons):
    whole = list(list_files(commons, SOURCE))
    order = pages(whole)
    assert whole[-1].cursor is None
    for number in range(len(whole) - 1):
        cursor = json.loads(json.dumps(whole[number].cursor))
        rest = pages(list_files(commons, SOURCE, cursor))
        assert pages(whole[: number + 1]) + rest == order


def test_what_cannot_be_cut_further_is_listed_in_part_and_told(corpus, monkeypatch):
    monkeypatch.setattr("crawler.walkers._hits.MOST_HITS", 2)
    narrow = SearchShardSource(query="filemime:image/png", width=(64, 64), size_kib=(0, 64))
    with LoopbackCommons(*corpus, look=look, most_hits=2) as server:
        batches = list(list_files(commons_at(server), narrow))
    told = [batch for batch in batches if batch.problem]
    assert told
    assert all("only the first 2 are listed" in batch.problem for batch in told)
    assert max(len(batch.files) for batch in told) == 2
    assert any(batch.files and not batch.problem for batch in batches), "the rest went on"
    assert batches[-1].cursor is None


def test_a_search_without_hits_is_told_once(commons):
    nothing = SearchShardSource(query="filemime:image/webp")
    (batch,) = list_files(commons, nothing)
    assert batch.files == ()
    assert "Nothing matches 'filemime:image/webp" in batch.problem


@pytest.mark.parametrize("most", [SHOWN, 90, 100])
def test_a_plain_search_ends_where_the_wiki_ends_and_says_so(corpus, monkeypatch, most):
    monkeypatch.setattr("crawler.walkers._hits.MOST_HITS", most)
    with LoopbackCommons(*corpus, look=look, most_hits=most) as server:
        commons = commons_at(server)
        batches = list(list_files(commons, SearchSource(query="filemime:image/png")))
        with pytest.raises(ListingError, match="cirrussearch-offset-too-large"):
            commons.ask({"list": "search", "srsearch": "x", "srnamespace": 6, "sroffset": most})
    assert len(set(pages(batches))) == len(pages(batches)) == most
    assert f"Only the first {most} hits" in batches[-1].problem
    assert batches[-1].cursor is None


def test_a_plain_search_that_is_shown_to_its_end_has_no_problem(commons):
    few = SearchSource(query="filemime:image/png creationdate:2010-01")
    batches = list(list_files(commons, few))
    assert 0 < len(pages(batches)) <= SHOWN
    assert [batch.problem for batch in batches] == [None]


def test_a_search_that_the_wiki_does_not_understand_is_an_error(commons):
    with pytest.raises(ListingError, match="in part only"):
        list(list_files(commons, SearchShardSource(query="hastemplate:Blurry")))


def test_the_widest_range_is_cut_windows_of_sizes_share_a_bound_and_others_adjoin():
    shard = Shard(width=(5, 5), size_kib=(10, 40), days=(1, 9))
    below, above = shard.halves()
    assert below.size_kib == (10, 20)
    assert above.size_kib == (20, 40)
    shard = Shard(width=(1, 8), size_kib=(10, 11), days=(1, 9))
    below, above = shard.halves()
    assert (below.days, above.days) == ((1, 5), (6, 9))
    assert below.width == above.width == (1, 8)
    below, above = Shard(width=(100, 400), size_kib=(0, 1), days=None).halves()
    assert (below.width, above.width) == ((100, 200), (201, 400))
    assert Shard(width=(5, 5), size_kib=(10, 11), days=(3, 3)).halves() is None


spans = st.tuples(st.integers(0, 5000), st.integers(0, 5000)).map(lambda pair: tuple(sorted(pair)))


@given(
    width=spans, size_kib=spans, days=st.none() | spans, file=st.tuples(*[st.integers(0, 5000)] * 3)
)
def test_every_file_lies_in_exactly_one_half(width, size_kib, days, file):
    def holds(shard):
        # Sizes as the walker keeps them: above the lower bound unless it is the source's own, up to the upper one.
        low, high = shard.size_kib
        return (
            shard.width[0] <= file[0] <= shard.width[1]
            and (low == size_kib[0] or low * 1024 < file[1] * 1000)
            and low * 1024 <= file[1] * 1000 <= high * 1024
            and (shard.days is None or shard.days[0] <= file[2] <= shard.days[1])
        )

    whole = Shard(width=width, size_kib=size_kib, days=days)
    halves = whole.halves()
    if halves is None:
        assert width[0] == width[1]
        assert size_kib[1] - size_kib[0] <= 1
        assert days is None or days[0] == days[1]
    else:
        assert sum(map(holds, halves)) == holds(whole)
        assert whole not in halves


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
