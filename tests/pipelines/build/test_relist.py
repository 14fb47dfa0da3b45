"""Sources that are looked at again: a category, a sliding window, searches and an uploader, over five weekly builds."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from skimage import data

from catalog.store import Catalog
from crawler.loopback import LoopbackCommons
from crawler.relist import Relist
from crawler.sources import (
    CategorySource,
    SearchShardSource,
    SearchSource,
    TitleSource,
    UploadWindowSource,
    source_key,
)
from crawler.walkers.uploader import UploaderSource
from filters.degradation.synthesis import encode_jpeg, gaussian_blur
from pipelines.build.doors import look
from pipelines.build.driver import build
from pipelines.build.relist import turns
from pipelines.build.run import start_run
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe
from tests.pipelines.test_recipe import DEMO

NOW = datetime.now(UTC).replace(microsecond=0)
FIRST = NOW - timedelta(weeks=5)
WEEKLY = Relist(every_days=6, whole_every_days=20)
SOURCES = (
    CategorySource(root="All", depth=1, relist=WEEKLY),
    UploadWindowSource(last="60d"),
    SearchSource(query="holiday", relist=WEEKLY),
    SearchShardSource(query="holiday", width=(1, 900), size_kib=(0, 500), relist=WEEKLY),
    UploaderSource(user="Rosa", relist=WEEKLY),
)


class Wiki:
    """An embedded Commons that grows, and the builds of one catalog on it."""

    def __init__(self, folder, sources=SOURCES):
        self.photos, self.out, self.items = folder / "photos", folder / "out", []
        self.photos.mkdir()
        self.count = 0
        self.recipe = load_recipe(DEMO).model_copy(
            update={"corpus": None, "sources": sources, "rules": load_recipe(DEMO).rules[:2]}
        )
        self.said = []

    def add(self, files, week, category="All"):
        """Files uploaded in a week, as items."""
        chance = np.random.default_rng(self.count)
        fresh = []
        for _ in range(files):
            self.count += 1
            name = f"File {self.count:03d}.jpg"
            top, left = (int(n) for n in chance.integers(0, 340, 2))
            crop = np.ascontiguousarray(data.astronaut()[top : top + 140, left : left + 150])
            (self.photos / name).write_bytes(encode_jpeg(gaussian_blur(crop, 2.0), 90))
            moment = FIRST + timedelta(weeks=week) - timedelta(hours=20, seconds=self.count)
            fresh.append(
                {
                    "filename": name,
                    "path": name,
                    "page_id": 1000 + self.count,
                    "license": "Cc-by-4.0",
                    "author": "A",
                    "categories": [category],
                    "description": "holiday",
                    "uploader": "Rosa",
                    "uploaded": f"{moment:%Y%m%d%H%M%S}",
                }
            )
        self.items += fresh
        return fresh

    def serve(self):
        file = self.photos.parent / "manifest.json"
        file.write_text(json.dumps(self.items))
        return LoopbackCommons(
            self.photos, file, look=look, categories={"All": [], "Below": ["All"]}
        )

    def build(self, week, **changes):
        """The build of a week: result and the API requests that listed."""
        with self.serve() as server, pool_runner("threads", 2) as runner:
            result = build(
                self.recipe.model_copy(update=changes),
                out=self.out,
                runner=runner,
                contact="test@example.org",
                host_map=server.host_map,
                now=FIRST + timedelta(weeks=week),
            )
            asked = [r for r in server.requests if r.params.get("generator")]
        return result, asked

    def rows(self, number=0):
        """(rows, distinct pages) of a source's listing."""
        import pyarrow.parquet as pq

        key = self.recipe.source_key(self.recipe.sources[number])
        parts = sorted((self.out / "catalog/parts/listing" / key).glob("*.parquet"))
        pages = [p for part in parts for p in pq.read_table(part).column("page_id").to_pylist()]
        return len(pages), len(set(pages))


@pytest.mark.slow
def test_five_weekly_builds_see_what_was_uploaded_moved_and_deleted_since(tmp_path):
    wiki = Wiki(tmp_path)
    wiki.add(60, 0)
    first, _ = wiki.build(0)
    assert first.funnel[0] == ("listed", 60)
    # Week 1: 30 more, some in a new subcategory.
    wiki.add(25, 1)
    wiki.add(5, 1, "Below")
    second, asked = wiki.build(1)
    assert second.funnel[0] == ("listed", 90)
    for number, source in enumerate(SOURCES):
        assert wiki.rows(number) == (90, 90), source
    assert any(r.params.get("gcmdir") == "older" for r in asked)
    # Two days later nothing is asked.
    assert wiki.build(1.3)[1] == []
    # Week 2: one goes, one is moved, four come. The look at what is new does not see the move; a whole walk does.
    gone = wiki.items.pop(3)
    moved = wiki.items[10]
    moved["filename"] = "Moved away.jpg"
    wiki.add(4, 2)
    third, _ = wiki.build(2)
    assert third.funnel[0] == ("listed", 94)
    wiki.add(1, 3)
    fourth, _ = wiki.build(3)
    assert fourth.funnel[0] == ("listed", 95)
    wiki.add(2, 4)
    fifth, asked = wiki.build(4)
    assert fifth.funnel[0] == ("listed", 97)
    from catalog.views import opened

    with opened(Catalog(wiki.out / "catalog"), "listing") as connection:
        found = connection.sql(
            f"SELECT DISTINCT title FROM listing WHERE page_id = {moved['page_id']}"
        ).fetchall()
    assert ("File:Moved away.jpg",) in found
    assert gone["page_id"] not in [item["page_id"] for item in wiki.items]
    # 97 files of all weeks stand once each; the deleted one is the business of `lucidlr refresh`.
    assert wiki.rows(0) == (97, 97)


@pytest.mark.slow
def test_a_look_at_what_is_new_asks_far_less_than_a_walk(tmp_path):
    wiki = Wiki(tmp_path, (CategorySource(root="All", depth=0, relist=WEEKLY),))
    wiki.add(210, 0)
    _, whole = wiki.build(0)
    wiki.add(3, 1)
    result, look_again = wiki.build(1)
    assert result.funnel[0] == ("listed", 213)
    files = [r for r in look_again if r.params.get("gcmtype") == "file"]
    # 50 of 53 at the top are known only in the second answer.
    assert len(files) == 2 < len([r for r in whole if r.params.get("gcmtype") == "file"])
    parts = len(list((wiki.out / "catalog/parts/listing").rglob("0*.parquet")))
    for week in (2, 3.5, 5):
        wiki.build(week)
    after = len(list((wiki.out / "catalog/parts/listing").rglob("0*.parquet")))
    assert after == parts + 1, "looks that find nothing share one part"


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_look_loses_nothing(tmp_path, monkeypatch):
    wiki = Wiki(tmp_path, (CategorySource(root="All", depth=0, relist=WEEKLY),))
    wiki.add(20, 0)
    wiki.build(0)
    wiki.add(130, 1)
    from pipelines.build import crawl

    monkeypatch.setattr(crawl, "LISTING_ROWS", 50)
    committed = crawl._commit_listing

    def dies(run, turn, rows, batch):
        committed(run, turn, rows, batch)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(crawl, "_commit_listing", dies)
        with pytest.raises(RuntimeError, match="killed"):
            wiki.build(1)
    assert wiki.rows() == (70, 70)
    result, _ = wiki.build(1.1)
    assert result.funnel[0] == ("listed", 150)
    assert wiki.rows() == (150, 150)


def test_a_source_says_why_it_lists_nothing_and_what_reopens_it(tmp_path):
    past = UploadWindowSource(
        start=FIRST - timedelta(days=9), end=FIRST - timedelta(days=2), relist=WEEKLY
    )
    sources = (
        CategorySource(root="All", depth=0),
        SearchSource(query="holiday", max_files=5),
        replace(past, relist=Relist(every_days=6, whole_every_days=300)),
        TitleSource(titles=("File:File 001.jpg",), relist=WEEKLY),
    )
    wiki = Wiki(tmp_path, sources)
    wiki.add(8, 0)
    wiki.build(0)
    with pool_runner("threads", 1) as runner:
        run = start_run(
            wiki.recipe,
            out=wiki.out,
            runner=runner,
            limit=None,
            progress=None,
            now=FIRST + timedelta(days=3),
        )
        found, told = turns(run)
        assert found == []
        assert "relist: {every_days: 6}" in told[0]
        assert "full at 8 files" in told[1]
        assert "max_files" in told[1]
        assert "looked at again from" in told[2]
        later = replace_now(run, FIRST + timedelta(days=9))
        found, told = turns(later)
        assert [turn.source.kind for turn in found] == ["titles"]
        assert "its window ended at" in told[2]
        assert "last: 30d" in told[2]


def replace_now(run, moment):
    run.started_at = moment
    return run


def test_rhythm_and_later_keys_name_no_other_source_and_no_other_recipe():
    plain = CategorySource(root="All")
    assert source_key(plain, wiki="w") == source_key(replace(plain, relist=WEEKLY), wiki="w")
    recipe = load_recipe(DEMO)
    timed = recipe.model_copy(
        update={"sources": (replace(recipe.sources[0], relist=WEEKLY), *recipe.sources[1:])}
    )
    assert timed.hash([]) == recipe.hash([])
    sliding = UploadWindowSource(last="30d")
    assert source_key(sliding, wiki="w") != source_key(UploadWindowSource(last="31d"), wiki="w")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"last": "30d", "start": NOW}, "not both"),
        ({"last": "a month"}, "write 30d"),
        ({}, "start and end, or last"),
        ({"start": NOW, "end": NOW}, "start is before end"),
    ],
)
def test_a_window_that_cannot_be_says_what_to_write(changes, said):
    with pytest.raises(ValueError, match=said):
        UploadWindowSource(**changes)
