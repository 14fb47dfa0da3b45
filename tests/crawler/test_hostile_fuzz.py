"""A thousand hostile answers through a real socket: each is a row, a repeated question, or a sentence; never a bug.

What is caught here are the crawler's own expected errors by name; any other exception is a traceback in a person's
terminal, and fails the test with the seed that makes it again. The server notes every request by a clock that sleeps
move on, and no crawl may have asked more than the limits allow.
"""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from catalog.records import FileRecord, ListingRow, to_table
from crawler.commons import Commons, ListingError
from crawler.download import DownloadFailure, ObjectStore, fetch_original
from crawler.limits import DoorError, Limits
from crawler.listing import list_files
from crawler.loopback import LoopbackCommons
from crawler.plausible import DAMAGED
from crawler.politeness import PoliteDoor
from crawler.recheck import recheck
from crawler.sources import (
    CategorySource,
    SearchShardSource,
    SearchSource,
    SiteConfig,
    TitleSource,
    UploadWindowSource,
)
from crawler.structured import with_statements
from crawler.survey import survey
from crawler.walkers.uploader import UploaderSource
from filters.license import judge
from filters.picture import refusal
from pipelines.build.doors import look
from tests.counts import rounds
from tests.crawler.hostile import hostile_commons

SOURCES = (
    CategorySource(root="Hostile", depth=2),
    SearchSource(query="photo"),
    SearchShardSource(query="photo", width=(1, 4096), size_kib=(0, 4096)),
    UploadWindowSource(
        start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 2, tzinfo=UTC)
    ),
    UploaderSource(user="Ilse"),
    TitleSource(titles=tuple(f"Photo {i}.jpg" for i in range(6)), page_ids=(999,)),
)
MOST_FETCHED = 3
"""Originals of a crawl; what a page says of the others is not asked of the disk."""
CONTACT = "me@lab.org"
LIMITS = Limits(
    backoff_s=0.001,
    backoff_429_s=0.001,
    backoff_max_s=0.01,
    # Few a minute, so that the rate decides how long a crawl takes by the server's clock.
    api_per_minute=10,
    patience_s=100.0,
    connect_timeout_s=5,
    read_timeout_s=5,
    api_total_s=20,
    media_total_s=20,
)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    chance = np.random.default_rng(1)
    items = []
    for i in range(12):
        pixels = chance.integers(0, 255, (24, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"Photo {i}.jpg")
        items.append(
            {
                "filename": f"Photo {i}.jpg",
                "license": "Cc-by-4.0",
                "author": "A",
                "uploader": "Ilse",
                "categories": ["Hostile" if i % 2 else "Hostile below"],
                "description": "a photo",
                "sdc": {"P275": ["Q20007257"]},
                "uploaded": f"202001010000{i:02d}",
            }
        )
    (folder / "manifest.json").write_text(json.dumps(items))
    tree = {"Hostile": [], "Hostile below": ["Hostile"]}
    return LoopbackCommons(
        folder, folder / "manifest.json", page_size=5, categories=tree, look=look
    )


def crawl(server, source, folder):
    """Lists a source, stores what it lists, judges it, fetches it and asks again; the open troubles."""
    door = PoliteDoor(
        contact=CONTACT,
        limits=LIMITS,
        api_hosts=[server.netloc],
        media_hosts=[server.netloc],
        clock=server.clock,
        sleep=server.clock.sleep,
    )
    commons = Commons(door, SiteConfig(host=server.netloc, scheme="http"))
    survey(commons, source)
    store, kinds, held, fetched = ObjectStore(folder), [], [], set()
    for batch in list_files(commons, source, key="k"):
        json.dumps(batch.cursor).encode()
        files = with_statements(commons, batch.files, [True] * len(batch.files))
        to_table([record for record, _ in files], FileRecord)
        to_table([row for _, row in files], ListingRow)
        held += [record for record, _ in files]
        for record, row in files:
            judge(record, json.loads(row.sdc_json) if row.sdc_json else None)
            kinds += [record.state] if record.state == DAMAGED else []
            if record.state != "ok" or len(fetched) == MOST_FETCHED:
                continue
            fetched.add(record.page_id)
            try:
                fetch_original(
                    door,
                    store,
                    url=record.url,
                    sha1=record.sha1,
                    size_bytes=record.size_bytes,
                    mime=record.mime,
                    check=refusal,
                )
            except DownloadFailure as failure:
                kinds.append(failure.kind)
    for found in recheck(commons, held[:10]):
        to_table([item.now for item in found], FileRecord)
    return {record.page_id for record in held}, kinds


@pytest.mark.slow
def test_hostile_answers_are_rows_or_sentences(embedded, tmp_path):
    ended, troubled, whole, asked = 0, 0, 0, 0
    for seed in range(rounds(1000)):
        source = SOURCES[seed % len(SOURCES)]
        # Every other crawl meets one damaged answer, the rest meet many.
        once = seed % 2 == 0
        with hostile_commons(
            seed, embedded, rate=0.3 if once else 0.15, most=1 if once else 10**9
        ) as server:
            try:
                _, kinds = crawl(server, source, tmp_path / str(seed))
            except (DoorError, ListingError) as error:
                assert str(error)
                ended += 1
                continue
            except Exception as error:
                raise AssertionError(f"seed {seed}, {server.did}: {error!r}") from error
            finally:
                assert server.mistakes == []
                server.book.check(LIMITS, CONTACT)
                asked += len(server.book.asked)
        troubled += bool(kinds)
        whole += not kinds
    # All three happen, or this looks at something else than it says.
    assert min(ended, troubled, whole) > 0
    assert asked > 10 * rounds(1000), "the manners were those of a crawl"


def test_without_damage_all_is_listed_and_nothing_is_wrong(embedded, tmp_path):
    for number, source in enumerate(SOURCES):
        with hostile_commons(0, embedded, rate=0.0) as server:
            pages, kinds = crawl(server, source, tmp_path / str(number))
        expected = 7 if isinstance(source, TitleSource) else 12
        assert (len(pages), kinds) == (expected, [])
