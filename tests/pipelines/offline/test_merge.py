"""Two crawls of shared-out sources, merged, are one crawl: the same dataset, twins across them found."""

import json
import shutil

import pyarrow as pa
import pytest

from catalog.compact import compact
from catalog.errors import Expected
from catalog.repair import faults
from catalog.store import Catalog
from crawler.sources import CategorySource
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.offline.merge import SharedSource, merge
from tests.catalog.test_compact import parts, told, weekly
from tests.pipelines.build.test_relist import Wiki

SOURCES = (CategorySource(root="All", depth=0), CategorySource(root="Below", depth=0))


@pytest.mark.slow
def test_two_crawls_merged_are_one_crawl_and_their_twins_are_found(tmp_path):
    wiki = Wiki(tmp_path, SOURCES)
    wiki.add(5, 0)
    here = wiki.add(4, 0, "Below")
    # The same photograph in both halves, under two names.
    shutil.copy(wiki.photos / "File 001.jpg", wiki.photos / here[0]["path"])

    def crawl(name, sources):
        out = tmp_path / name
        with wiki.serve() as server, pool_runner("threads", 2) as runner:
            result = build(
                wiki.recipe.model_copy(update={"sources": sources}),
                out=out,
                runner=runner,
                contact="test@example.org",
                host_map=server.host_map,
            )
            return result, [r for r in server.requests if r.path.endswith(".jpg")]

    whole, _ = crawl("whole", SOURCES)
    crawl("first", SOURCES[:1])
    crawl("second", SOURCES[1:])
    both = [tmp_path / "first", tmp_path / "second"]
    done = merge(both, tmp_path / "merged")
    assert (done.sources, done.originals) == (2, 8)
    merged, fetched = crawl("merged", SOURCES)
    assert fetched == []
    assert merged.dataset_hash == whole.dataset_hash
    assert merged.funnel == whole.funnel
    assert dict(merged.funnel)["near_duplicate"] < dict(merged.funnel)["object"]
    # Again: nothing is left to copy.
    again = merge(both, tmp_path / "merged")
    assert (again.batches, again.originals) == (0, 0)
    manifest = json.loads((tmp_path / "merged/dataset/manifest.json").read_text())
    assert manifest["dataset_hash"] == whole.dataset_hash
    with pytest.raises(SharedSource, match="Share out whole sources"):
        wiki.add(3, 0)
        crawl("other", SOURCES[:1])
        merge([tmp_path / "other"], tmp_path / "merged")
    with pytest.raises(Expected, match="into itself"):
        merge(both, both[0])


def facts_of(catalog):
    """What is copied: verdicts and twins are found again by the build that follows."""
    answered = told(catalog)
    listing = catalog.listing_state("s"), catalog.walk_of("s")
    return [answered[place] for place in (0, 2, 3, 5)], listing


@pytest.mark.slow
def test_what_became_one_part_here_or_there_is_merged_once(tmp_path):
    crawl, merged = tmp_path / "crawl", tmp_path / "merged"
    weekly(crawl / "catalog", range(7))
    merge([crawl], merged)
    target = Catalog(merged / "catalog")
    for step in ("crawl", "merged", "both"):
        weeks = {"crawl": range(7, 9), "merged": range(9, 10), "both": range(10, 12)}[step]
        made = weekly(crawl / "catalog", weeks)
        for catalog in {"crawl": [made], "merged": [target], "both": [made, target]}[step]:
            assert compact(catalog) or step == "both"
        merge([crawl], merged)
        assert facts_of(target) == facts_of(made), step
        assert target.pending("download", None) == target.pending("hash", None) == []
        assert target.planned_twice("download") == target.planned_twice("hash") == []
        assert faults(target, again=True) == []
        before = parts(target)
        again = merge([crawl], merged)
        assert (again.batches, again.originals, parts(target)) == (0, 0, before)


@pytest.mark.slow
def test_a_merge_that_was_cut_off_in_a_batch_copies_the_rest_of_it(tmp_path):
    crawl, merged = tmp_path / "crawl", tmp_path / "merged"
    made = weekly(crawl / "catalog", range(4))
    merge([crawl], merged)
    target = Catalog(merged / "catalog")
    lost = sorted((merged / "catalog/parts/download").glob("*/*-00000.parquet"))[:2]
    for part in lost:
        part.unlink()
    assert len(target.pending("download", ["v@1"])) == 2
    assert merge([crawl], merged).batches == 2
    assert target.pending("download", ["v@1"]) == []
    assert facts_of(target) == facts_of(made)


@pytest.mark.slow
def test_pages_asked_again_count_by_when_they_were_fetched_not_by_which_catalog_came_last(tmp_path):
    from catalog.facts import listed_by
    from catalog.records import AGAIN
    from tests.catalog.test_compact import WHEN, listed

    crawl, merged = tmp_path / "crawl", tmp_path / "merged"
    made = weekly(crawl / "catalog", range(3))
    merge([crawl], merged)
    target = Catalog(merged / "catalog")

    def said(catalog, title, day):
        row = listed(1)
        for name, value in (("title", title), ("fetched_at", WHEN.replace(day=day))):
            at = row.schema.get_field_index(name)
            row = row.set_column(at, row.field(at), pa.array([value], row.field(at).type))
        catalog.append_listing(AGAIN, row, None)

    said(made, "File:Then.jpg", 3)
    said(target, "File:Now.jpg", 9)
    for _ in range(2):
        merge([crawl], merged)
        titles = listed_by(target, "s", fields=("title",)).column(0).to_pylist()
        assert "File:Now.jpg" in titles
        assert "File:Then.jpg" not in titles
    assert target.listing_state(AGAIN)[0] == 2
