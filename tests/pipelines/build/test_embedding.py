"""An encoder in a build: its vectors are facts, found twins follow from them, and no decision needs it again."""

import json

import duckdb
import numpy as np
import pytest
from skimage import data

from catalog.store import Catalog
from filters.duplicates.dedupe import DedupePolicy
from filters.duplicates.embedding import (
    EmbeddingPolicy,
    aligned_edges,
    look,
    thumbnails_of,
    vectors_of,
)
from filters.duplicates.quality import dedup_quality
from pipelines.build.driver import build
from pipelines.build.encoder import load_embedder
from pipelines.build.history import load_built_recipe
from pipelines.build.runners import pool_runner
from pipelines.offline.refilter import refilter
from pipelines.offline.what_if import what_if
from tests.pipelines.builds import dataset_hash
from tests.pipelines.offline.test_refilter import built, offline

__all__ = ["built"]
ENCODER = "efficientnet_lite0"


def test_the_packaged_encoder_finds_crops_and_borders_among_photographs():
    photos = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    crops = [np.ascontiguousarray(p[40:, 30 : p.shape[1] - 50]) for p in photos]
    framed = [np.pad(p, ((25, 25), (25, 25), (0, 0)), constant_values=255) for p in photos]
    embedder = load_embedder(ENCODER)
    seen = [look(photo, embedder.embed) for photo in (*photos, *crops, *framed)]
    vectors = vectors_of([s.vector for s in seen])
    thumbnails = thumbnails_of([s.thumbnail for s in seen])
    edges = {tuple(edge) for edge in aligned_edges(vectors, thumbnails, EmbeddingPolicy()).tolist()}
    assert {(i, i + 4, 0) for i in range(4)} | {(i, i + 8, 0) for i in range(4)} <= edges
    # A crop and the framed one are one photograph, too; no edge joins two.
    assert all(i % 4 == j % 4 for i, j, _ in edges)


def test_a_vector_does_not_depend_on_what_was_seen_before():
    embedder = load_embedder(ENCODER)
    first = look(data.coffee(), embedder.embed)
    look(data.rocket(), embedder.embed)
    assert look(data.coffee(), embedder.embed) == first
    assert embedder.version.startswith("1-") and len(embedder.weights_sha256) == 64
    assert embedder.license == "Apache-2.0"


@pytest.mark.slow
def test_the_report_on_twins_finds_more_with_the_encoder():
    photos = [
        (name, np.ascontiguousarray(photo[:300, :400]))
        for name, photo in (("astronaut", data.astronaut()), ("coffee", data.coffee()))
    ]
    policy = DedupePolicy(embedding=EmbeddingPolicy())
    without = {r.transform: r.found for r in dedup_quality(photos, DedupePolicy()).recalls}
    found = dedup_quality(photos, policy, embed=load_embedder(ENCODER).embed)
    with_it = {r.transform: r.found for r in found.recalls}
    assert with_it["white border of 5 %"] == with_it["crop 20 %"] == 2
    assert without["crop 20 %"] == 0
    assert all(with_it[name] >= count for name, count in without.items())
    assert found.false == 0


@pytest.mark.slow
def test_a_build_keeps_what_the_encoder_saw_and_decides_without_it(built, tmp_path):
    recipe, _ = load_built_recipe(Catalog(built / "catalog"))
    before = dataset_hash(built)
    # Strict enough to find nothing new among tiles of 14 photographs; what counts is the way of the facts.
    policy = DedupePolicy(embedding=EmbeddingPolicy(least_correlation=1.0))
    wanted = recipe.model_copy(update={"dedupe": policy})
    lacking = refilter(wanted, out=built)
    assert list(lacking.to_measure) == [f"embedding.{ENCODER}"]
    with pool_runner("threads", 1) as runner:
        build(wanted, out=built, runner=runner)
    card = (built / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "| scene, as an encoder sees it | " in card and "| scenes | not measured" not in card
    assert "scene-sizes" in (built / "report" / "index.html").read_text(encoding="utf-8")
    done = refilter(wanted, out=built)
    assert done.to_measure == {}
    with duckdb.connect(str(built / "lucidlr.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT count(DISTINCT sha1), any_value(octet_length(vector)), any_value(octet_length(thumbnail)), "
            "any_value(license) FROM embeddings"
        ).fetchone()
        hashed = connection.execute("SELECT count(DISTINCT sha1) FROM hashes").fetchone()
    assert rows is not None and hashed is not None
    assert rows[0] == hashed[0] > 50
    assert rows[1] == 1280 * 2
    assert rows[2] == 64 * 64
    assert rows[3] == "Apache-2.0"
    # With another threshold, without it, and back: no socket, no torch.
    told = what_if(["dedupe.embedding.least_correlation=0.9"], out=built)
    assert told.kept_after <= told.kept_before
    file = tmp_path / "without.yaml"
    file.write_text(json.dumps(recipe.model_dump(mode="json")))
    offline(built, file)
    assert dataset_hash(built) == before
