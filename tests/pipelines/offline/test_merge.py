"""Two crawls of shared-out sources, merged, are one crawl: the same dataset, twins across them found."""

import json
import shutil

import pytest

from catalog.errors import Expected
from crawler.sources import CategorySource
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.offline.merge import SharedSource, merge
from tests.pipelines.build.test_relist import Wiki

SOURCES = (CategorySource(root="All", depth=0), CategorySource(root="Below", depth=0))


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
