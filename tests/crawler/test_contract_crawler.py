"""The crawler itself against both Commons: small pages, tied upload times, redirects, long titles, lag."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from crawler.commons import Commons
from crawler.download import ObjectStore, fetch_original
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.politeness import PoliteDoor
from crawler.sources import CategorySource, SiteConfig, TitleSource, UploadWindowSource
from filters.picture import refusal
from tests.crawler import contract_corpus

EVER = UploadWindowSource(
    start=datetime(2001, 1, 1, tzinfo=UTC), end=datetime(2030, 1, 1, tzinfo=UTC)
)


@pytest.fixture
def door(commons_server):
    api = commons_server.base_url.removeprefix("http://")
    media = commons_server.upload_url.removeprefix("http://")
    hosts = [api, media]
    # Both are ours, on this machine: mapping a host to itself keeps the slots and drops the rates.
    local = {api: commons_server.base_url, media: commons_server.upload_url}
    local |= {"upload.wikimedia.org": commons_server.upload_url}
    return PoliteDoor(
        contact="test@example.org",
        limits=Limits(),
        api_hosts=hosts[:1],
        media_hosts=[media, "upload.wikimedia.org"],
        host_map=local,
    )


@pytest.fixture
def commons(commons_server, door):
    host = commons_server.base_url.removeprefix("http://")
    return Commons(door, SiteConfig(host=host, scheme="http"))


def items(contract_folder):
    return json.loads(contract_folder[1].read_text(encoding="utf-8"))


def title_of(item):
    name = item["filename"].replace("_", " ")
    return f"File:{name[:1].upper()}{name[1:]}"


def listed(commons, source):
    return [record for batch in list_files(commons, source) for record, _ in batch.files]


@pytest.mark.parametrize("batch", [3, 5, 7, 50])
def test_an_upload_window_loses_no_file_and_repeats_none_although_times_tie(
    commons, contract_folder, monkeypatch, batch
):
    # Twelve files share one second: more than a page of 3, 5 or 7 holds.
    for walker in ("category", "_by_time"):
        monkeypatch.setattr(f"crawler.walkers.{walker}.BATCH", batch)
    found = listed(commons, EVER)
    ids = [record.page_id for record in found]
    assert len(ids) == len(set(ids))
    assert {record.title for record in found} == {title_of(item) for item in items(contract_folder)}
    times = [record.uploaded_at for record in found]
    assert times == sorted(times)


@pytest.mark.parametrize("batch", [1, 50])
def test_a_category_tree_is_the_same_whatever_the_page_size(commons, monkeypatch, batch):
    source = CategorySource(root=contract_corpus.ROOT, depth=3)
    whole = {record.title for record in listed(commons, source)}
    for walker in ("category", "_by_time"):
        monkeypatch.setattr(f"crawler.walkers.{walker}.BATCH", batch)
    found = [record.title for record in listed(commons, source)]
    assert set(found) == whole
    assert len(found) == len(whole) == 3


def test_titles_of_240_bytes_redirects_and_missing_ones(commons, contract_folder):
    names = [title_of(item) for item in items(contract_folder)]
    long = [name for name in names if len(name.encode()) > 200]
    assert long
    (source, target), *_ = contract_corpus.REDIRECTS.items()
    wanted = (*long, source, "File:Not there at all.jpg")
    found = {record.title: record for record in listed(commons, TitleSource(titles=wanted))}
    assert set(long) | {target} <= set(found)
    assert found["File:Not there at all.jpg"].state == "missing"
    assert all(found[name].state == "ok" for name in long)


def test_originals_arrive_with_the_announced_sha1(commons, door, contract_folder, tmp_path):
    store = ObjectStore(tmp_path)
    files = {
        title_of(item): contract_folder[0] / item["filename"] for item in items(contract_folder)
    }
    for record in listed(commons, EVER)[:12]:
        content = files[record.title].read_bytes()
        assert record.sha1 == hashlib.sha1(content).hexdigest()
        assert "/thumb/" not in record.url
        fetch_original(
            door,
            store,
            url=record.url,
            sha1=record.sha1,
            size_bytes=record.size_bytes,
            mime=record.mime,
            check=refusal,
        )
        assert store.read(record.sha1) == content


def test_a_lagging_wiki_is_waited_for(commons, commons_server, monkeypatch):
    waits = []

    def sleep(seconds):
        if seconds > 0:
            waits.append(seconds)
            commons_server.set_lag(0.0)

    monkeypatch.setattr(commons.door, "sleep", sleep)
    commons_server.set_lag(12.0)
    try:
        assert commons.ask({"meta": "siteinfo"})["query"]["general"]
    finally:
        commons_server.set_lag(0.0)
    # Both say Retry-After: 5.
    assert max(waits) >= 4.9
