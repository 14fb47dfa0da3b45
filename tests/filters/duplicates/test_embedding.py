"""What an encoder saw proposes pairs, aligned thumbnails decide, and hashes that miss a crop are helped out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from filters.duplicates.dedupe import DedupePolicy, dedupe
from filters.duplicates.embedding import (
    EmbeddingPolicy,
    aligned_edges,
    candidate_pairs,
    fit,
    look,
    thumbnails_of,
    vectors_of,
)
from tests.counts import rounds

PHOTOS = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]


def colours(photo):
    """An embedding for these tests that any crop nearly keeps: how often each of 4 x 4 x 4 colours stands in it."""
    steps = (photo.reshape(-1, 3) // 64) @ np.array([16, 4, 1])
    return np.sqrt(np.bincount(steps, minlength=64)).astype(np.float32)


def cropped(photo, share):
    high, wide = (round(side * share) for side in photo.shape[:2])
    return np.ascontiguousarray(photo[high : photo.shape[0] - high, wide : photo.shape[1] - wide])


def seen_of(photos):
    seen = [look(photo, colours) for photo in photos]
    return [s.vector for s in seen], [s.thumbnail for s in seen]


@settings(max_examples=rounds(600), deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.floats(0.05, 0.95))
def test_candidates_are_those_of_brute_force(seed, count, least):
    chance = np.random.default_rng(seed)
    vectors = chance.normal(size=(count, 3)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    policy = EmbeddingPolicy(least_cosine=least, most_neighbors=count or 1)
    cosines = (vectors @ vectors.T).round(4)
    expected = [
        [i, j]
        for i in range(count)
        for j in range(i + 1, count)
        if cosines[i, j] >= np.float32(least)
    ]
    assert candidate_pairs(vectors, policy).tolist() == expected


def test_where_many_are_alike_each_proposes_its_nearest_only():
    angles = np.arange(50) / 1000
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = candidate_pairs(vectors, EmbeddingPolicy(least_cosine=0.5, most_neighbors=2))
    assert len(found) <= 100
    assert found.tolist() == sorted(found.tolist())
    assert np.abs(found[:, 0] - found[:, 1]).max() < 50


@pytest.mark.parametrize("share", [0.025, 0.05, 0.10, 0.15])
def test_a_crop_fits_into_its_original_and_into_no_other_photograph(share):
    thumbnails = thumbnails_of(seen_of(PHOTOS)[1])
    for n, photo in enumerate(PHOTOS):
        small = thumbnails_of([look(cropped(photo, share), colours).thumbnail])[0]
        fits = [fit(small, thumbnail) for thumbnail in thumbnails]
        assert fits == [fit(thumbnail, small) for thumbnail in thumbnails]
        assert [i for i, value in enumerate(fits) if value >= 0.9] == [n]


def test_mirrored_crops_and_borders_are_edges_and_strangers_are_not():
    mirrored = np.ascontiguousarray(cropped(PHOTOS[0], 0.1)[:, ::-1])
    bordered = np.pad(PHOTOS[1], ((30, 30), (30, 30), (0, 0)), constant_values=255)
    vectors, thumbnails = seen_of([*PHOTOS, mirrored, bordered])
    policy = EmbeddingPolicy(least_cosine=0.5)
    edges = aligned_edges(vectors_of(vectors), thumbnails_of(thumbnails), policy)
    assert edges.tolist() == [[0, 4, 1], [1, 5, 0]]


def test_a_flat_image_fits_into_nothing():
    flat = np.full((64, 64), 128, dtype=np.uint8)
    assert fit(flat, flat) == -1.0


def decided(photos, policy, seen):
    """Page ids 1, 2, ... whose hashes are all far apart."""
    count = len(photos)
    chance = np.random.default_rng(0)
    hashes = {
        name: chance.integers(0, 2**64, count, dtype=np.uint64)
        for name in ("phash", "dhash", "phash_mirror", "dhash_mirror")
    }
    return dedupe(
        page_ids=np.arange(1, count + 1),
        spread=np.full(count, 50.0),
        pixels=np.array([photo.shape[0] * photo.shape[1] for photo in photos]),
        size_bytes=np.zeros(count, dtype=np.int64),
        uploaded_at=np.zeros(count, dtype=np.int64),
        policy=policy,
        seen=seen,
        **hashes,
    )


def test_a_crop_that_hashes_miss_is_dropped_for_its_original():
    photos = [cropped(PHOTOS[0], 0.12), *PHOTOS]
    seen = seen_of(photos)
    policy = DedupePolicy(embedding=EmbeddingPolicy(least_cosine=0.5))
    result = decided(photos, policy, seen)
    # The original has more pixels: page 1 goes for page 2, the others stay.
    assert result.duplicate_of.tolist() == [2, -1, -1, -1, -1]
    assert result.cluster_id.tolist() == [1, 1, 3, 4, 5]
    assert (decided(photos, DedupePolicy(), seen).duplicate_of == -1).all()


def test_what_the_encoder_has_not_seen_is_nobodys_twin():
    photos = [cropped(PHOTOS[0], 0.12), *PHOTOS]
    vectors, thumbnails = seen_of(photos)
    vectors[0] = thumbnails[0] = None
    policy = DedupePolicy(embedding=EmbeddingPolicy(least_cosine=0.5))
    assert (decided(photos, policy, (vectors, thumbnails)).duplicate_of == -1).all()


def test_vectors_have_unit_length_and_come_from_one_encoder():
    (one,) = vectors_of([look(PHOTOS[0], colours).vector])
    assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-3)
    assert vectors_of([]).shape == (0, 0)
    with pytest.raises(ValueError, match="not of one encoder"):
        vectors_of([b"0000", b"00"])
    with pytest.raises(ValueError, match="not zero"):
        look(PHOTOS[0], lambda photo: np.zeros(4, dtype=np.float32))


@pytest.mark.parametrize(
    "wrong", [{"least_cosine": 0.0}, {"least_correlation": 1.1}, {"most_neighbors": 0}]
)
def test_a_policy_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=r"least_cosine|most_neighbors"):
        EmbeddingPolicy(**wrong)
