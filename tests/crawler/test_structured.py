"""Structured data: recorded shapes, and the embedded Commons' own."""

import json

import pytest

from catalog.records import FileRecord
from crawler.commons import Commons, ListingError
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.loopback import LoopbackCommons
from crawler.politeness import PoliteDoor
from crawler.sources import CategorySource, SiteConfig
from crawler.structured import entities, with_statements
from filters.degradation.synthesis import encode_jpeg
from filters.license import judge
from pipelines.build.doors import look
from tests.crawler.servers import answer, scripted
from tests.shared import shared_folder

SITE = SiteConfig(host="commons.wikimedia.org")


def commons_at(base):
    hosts = ("commons.wikimedia.org", "upload.wikimedia.org")
    door = PoliteDoor(
        contact="test@example.org",
        limits=Limits(),
        api_hosts=hosts[:1],
        media_hosts=hosts[1:],
        host_map=dict.fromkeys(hosts, base),
    )
    return Commons(door, SITE)


def recorded(name):
    return json.loads((shared_folder("fixtures/commons/flickypedia") / name).read_text())["json"]


def body(value):
    return answer(200, json.dumps(value).encode(), Content_Type="application/json")


SITEINFO = {
    "query": {
        "general": {"generator": "MediaWiki 1.45.0", "sitename": "C", "case": "first-letter"},
        "namespaces": {"6": {"id": 6, "case": "first-letter", "*": "File", "canonical": "File"}},
        "userinfo": {"id": 0, "name": "127.0.0.1", "groups": [], "rights": []},
    }
}


def test_recorded_answers_are_read_missing_files_and_files_without_statements_are_empty():
    full = recorded("TestBackfillr.test_does_nothing_for_already_backfilled_file.0.json")
    (name,) = full["entities"]
    empty = recorded("test_get_file_without_structured_data_is_empty.0.json")
    both = {"entities": {**full["entities"], **empty["entities"]}, "success": 1}
    with scripted(body(SITEINFO), body(both)) as server:
        found = entities(commons_at(server.base), [int(name[1:]), 1004, 5])
    assert found[1004] == {}
    assert found[5] == {}
    assert "P275" in found[int(name[1:])]["statements"]
    assert "wbgetentities" in server.requests[-1][1]


@pytest.fixture
def wiki(tmp_path):
    import numpy as np

    chance = np.random.default_rng(0)
    items = []
    for name, code, sdc in (
        ("Agrees.jpg", "Cc-by-4.0", {"P275": ["Q20007257"], "P6216": ["Q50423863"]}),
        ("Differs.jpg", "Cc-by-4.0", {"P275": ["Q18199165"]}),
        ("Nothing.jpg", "Cc-by-4.0", None),
        ("Unfree.jpg", "GFDL", {"P275": ["Q20007257"]}),
    ):
        pixels = chance.integers(0, 255, (64, 64, 3)).astype(np.uint8)
        (tmp_path / name).write_bytes(encode_jpeg(pixels, 90))
        items.append(
            {
                "filename": name,
                "license": code,
                "author": "A",
                "categories": ["All"],
                "description": "x",
                "sdc": sdc,
            }
        )
    manifest = tmp_path / "manifest.json"

    def start(keep_sdc=True):
        kept = [{k: v for k, v in item.items() if keep_sdc or k != "sdc"} for item in items]
        manifest.write_text(json.dumps(kept))
        return LoopbackCommons(tmp_path, manifest, look=look)

    return start


def listed(commons):
    return [
        seen
        for batch in list_files(commons, CategorySource(root="All", depth=0))
        for seen in batch.files
    ]


def test_only_what_was_wanted_is_asked_for_and_the_gate_heeds_it(wiki):
    with wiki() as server:
        commons = commons_at(server.base_url)
        files = listed(commons)
        before = commons.requests
        wanted = [judge(record).keep for record, _ in files]
        told = with_statements(commons, files, wanted)
        assert commons.requests == before + 1
    verdicts = {
        record.title: (row.sdc_json, judge(record, json.loads(row.sdc_json or "null")).reason)
        for record, row in told
    }
    assert verdicts["File:Unfree.jpg"][0] is None
    assert verdicts["File:Nothing.jpg"] == ("{}", "ok")
    assert verdicts["File:Agrees.jpg"][1] == "ok"
    assert verdicts["File:Differs.jpg"][1] == "sdc_disagrees"


def test_a_wiki_without_structured_data_says_what_to_change(wiki):
    with wiki(keep_sdc=False) as server:
        commons = commons_at(server.base_url)
        with pytest.raises(ListingError, match="structured_data: false"):
            entities(commons, [1])


def test_a_file_without_a_page_is_left_alone(wiki):
    with wiki() as server:
        commons = commons_at(server.base_url)
        (_, row), *_ = listed(commons)
        lost = FileRecord(title="File:Lost.jpg", state="missing")
        assert with_statements(commons, [(lost, row)], [True]) == [(lost, row)]
