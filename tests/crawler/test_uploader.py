"""Files of one uploader, against both Commons: all of theirs, each once, however the pages fall."""

import itertools
import json

import pytest

from crawler.commons import Commons, ListingError
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.politeness import PoliteDoor
from crawler.sources import SiteConfig
from crawler.survey import survey
from crawler.walkers import load_walker
from crawler.walkers.uploader import UploaderSource
from tests.crawler.test_contract_crawler import title_of


@pytest.fixture
def commons(commons_server):
    host = commons_server.base_url.removeprefix("http://")
    door = PoliteDoor(
        contact="test@example.org",
        limits=Limits(),
        api_hosts=[host],
        media_hosts=["upload.wikimedia.org"],
        host_map={host: commons_server.base_url},
    )
    return Commons(door, SiteConfig(host=host, scheme="http"))


@pytest.fixture(scope="module")
def uploads(contract_folder):
    """User -> titles, in the order of the manifest."""
    items = json.loads(contract_folder[1].read_text(encoding="utf-8"))
    return {
        user: {title_of(item) for item in items if item["uploader"] == user}
        for user in ("Harbourlight", "Tbrandl")
    }


@pytest.mark.parametrize("batch", [2, 7, 50])
def test_each_of_a_users_files_comes_once_oldest_first(commons, uploads, monkeypatch, batch):
    # Six files of each user share one second: more than a page of 2 holds.
    monkeypatch.setattr("crawler.walkers._by_time.BATCH", batch)
    batches = list(list_files(commons, UploaderSource(user="Harbourlight"), key="k"))
    seen = [pair for part in batches for pair in part.files]
    assert sorted(record.title for record, _ in seen) == sorted(uploads["Harbourlight"])
    assert {record.uploader for record, _ in seen} == {"Harbourlight"}
    times = [record.uploaded_at for record, _ in seen]
    assert times == sorted(times)
    assert {row.source_path for _, row in seen} == {"uploads of Harbourlight"}
    assert [part.cursor is None for part in batches] == [False] * (len(batches) - 1) + [True]


def test_a_cut_walk_resumes_behind_any_of_its_batches(commons, monkeypatch):
    monkeypatch.setattr("crawler.walkers._by_time.BATCH", 7)
    source = UploaderSource(user="Tbrandl")
    whole = list(list_files(commons, source))
    for stop in range(1, len(whole)):
        cursor = json.loads(json.dumps(whole[stop - 1].cursor))
        rest = list(list_files(commons, source, cursor))
        joined = itertools.chain(whole[:stop], rest)
        assert [r.page_id for part in joined for r, _ in part.files] == [
            r.page_id for part in whole for r, _ in part.files
        ]


@pytest.mark.parametrize("spelled", ["User:Harbourlight", "harbourlight", "user: Harbourlight "])
def test_a_name_is_found_in_every_spelling_that_the_wiki_takes(commons, uploads, spelled):
    source = UploaderSource(user=spelled)
    listed = [record for part in list_files(commons, source) for record, _ in part.files]
    assert {record.title for record in listed} == uploads["Harbourlight"]
    assert load_walker("uploader").label(source) == "uploads of Harbourlight"


def test_a_user_without_files_is_told_not_raised(commons):
    (batch,) = list_files(commons, UploaderSource(user="HARBOURLIGHT"))
    assert batch.files == () and batch.cursor is None
    assert "No file's current version was uploaded by User:HARBOURLIGHT" in batch.problem


def test_a_plan_counts_the_files_and_says_where_it_stopped(commons, uploads, monkeypatch):
    source = UploaderSource(user="Harbourlight")
    counted = survey(commons, source)
    assert (counted.files, counted.how) == (len(uploads["Harbourlight"]), "counted")
    assert {record.title for record in counted.sample} <= uploads["Harbourlight"]
    monkeypatch.setattr("crawler.walkers.uploader.MOST_COUNTING_REQUESTS", 0)
    assert survey(commons, source).how == "at least"


def test_a_user_goes_with_an_order_by_time_alone(commons):
    with pytest.raises(ListingError, match="invalidparammix"):
        commons.ask({"list": "allimages", "aiuser": "Harbourlight"})


@pytest.mark.parametrize("user", ["", "User: ", "a|b", "a#b", "[[Ilse]]"])
def test_what_cannot_be_an_account_is_refused_in_the_recipe(user):
    with pytest.raises(ValueError, match="cannot be the name of an account"):
        UploaderSource(user=user)
