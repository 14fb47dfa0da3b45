"""Exact: what brute force finds, and nothing else."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import neighbors
from filters.neighbors import TooManyPairs, clusters_within, compiled, index, pairs_within
from filters.neighbors.index import index_of
from tests.counts import rounds


def brute_force(hashes, radius):
    rows = []
    for i in range(len(hashes)):
        distance = np.bitwise_count(hashes[i + 1 :] ^ hashes[i])
        rows += [(i, i + 1 + k, int(distance[k])) for k in np.flatnonzero(distance <= radius)]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def components(count, pairs):
    label = list(range(count))
    for i, j, _ in pairs.tolist():
        a, b = label[i], label[j]
        if a != b:
            label = [min(a, b) if x in (a, b) else x for x in label]
    return np.array(label, dtype=np.int64)


@st.composite
def hash_sets(draw):
    """Random hashes, copies with a few bits flipped, and a heavy block of nearly equal ones."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 900))
    hashes = chance.integers(0, 2**64, count, dtype=np.uint64)
    for share, most in ((0.2, 14), (draw(st.sampled_from([0.0, 0.1, 0.4])), 3)):
        block = chance.permutation(count)[: int(share * count)]
        if len(block):
            hashes[block] = hashes[block[0]]
            for _ in range(most):
                flips = np.uint64(1) << chance.integers(0, 64, len(block)).astype(np.uint64)
                hashes[block] ^= np.where(chance.random(len(block)) < 0.5, flips, np.uint64(0))
    return hashes


@settings(max_examples=rounds(400), deadline=None)
@given(hash_sets(), st.integers(0, 12))
def test_pairs_and_clusters_equal_brute_force(hashes, radius):
    expected = brute_force(hashes, radius)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors, "FEW", 0)  # compiled, though they are few
        assert np.array_equal(pairs_within(hashes, radius), expected)
        assert np.array_equal(clusters_within(hashes, radius), components(len(hashes), expected))


@settings(max_examples=rounds(200), deadline=None)
@given(hash_sets(), st.integers(0, 12))
def test_without_numba_the_answers_are_the_same(hashes, radius):
    expected = brute_force(hashes, radius)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "kernels", lambda: None)
        assert np.array_equal(pairs_within(hashes, radius), expected)
        assert np.array_equal(clusters_within(hashes, radius), components(len(hashes), expected))
        if len(expected):
            with pytest.raises(TooManyPairs):
                pairs_within(hashes, radius, limit=len(expected) - 1)


@settings(max_examples=rounds(250), deadline=None)
@given(hash_sets(), st.integers(0, 64), st.floats(0, 1), st.booleans())
def test_an_index_finds_what_brute_force_finds_also_after_it_grew(hashes, radius, share, by_numba):
    new = hashes[: int(share * len(hashes) / 2)]
    old = hashes[len(new) :]
    half = len(old) // 2
    grown = index_of(old[:half]).extended(old[half:])
    distance = np.bitwise_count(new[:, None] ^ old[None, :])
    i, j = np.nonzero(distance <= radius)
    expected = np.column_stack([i, j, distance[i, j]]).astype(np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "MANY", 0 if by_numba else 10**12)
        patch.setattr(compiled, "loaded", lambda: False)
        assert np.array_equal(grown.near(new, radius), expected)
        assert np.array_equal(index_of(old).near(new, radius), expected)


@settings(max_examples=rounds(150), deadline=None)
@given(hash_sets(), st.integers(0, 12), st.sampled_from([4, 5]))
def test_every_cut_into_bands_equals_brute_force(hashes, radius, m):
    # Few hashes are compared all with all, so that here the cuts for many are forced on them.
    with pytest.MonkeyPatch.context() as patch:
        cut = np.array(neighbors._cut(m, radius), dtype=np.int64)
        patch.setattr(neighbors, "_bands", lambda count, radius: cut)
        patch.setattr(neighbors, "FEW", 0)
        pairs, clusters = pairs_within(hashes, radius), clusters_within(hashes, radius)
    expected = brute_force(hashes, radius)
    assert np.array_equal(pairs, expected)
    assert np.array_equal(clusters, components(len(hashes), expected))


@pytest.mark.parametrize(
    ("count", "radius", "bands"),
    [(500, 8, 1), (50_000, 8, 5), (1_000_000, 8, 4), (1_000_000, 16, 4), (1_000_000, 40, 1)],
)
def test_the_cut_fits_the_number_of_hashes_and_the_radius(count, radius, bands):
    assert len(neighbors._bands(count, radius)) == bands


@pytest.mark.parametrize("radius", [20, 33, 64])
def test_large_radii_are_exact_too(radius):
    hashes = np.random.default_rng(1).integers(0, 2**64, 700, dtype=np.uint64)
    assert np.array_equal(pairs_within(hashes, radius), brute_force(hashes, radius))


def test_distances_and_order_are_as_promised():
    hashes = np.array([0b1011, 0b1000, 2**63, 0b1000], dtype=np.uint64)
    # 1011 and 1000 differ in two bits; 2**63 and 1000 in two; 2**63 and 1011 in four.
    expected = [[0, 1, 2], [0, 3, 2], [1, 2, 2], [1, 3, 0], [2, 3, 2]]
    assert pairs_within(hashes, 2).tolist() == expected
    assert clusters_within(hashes, 1).tolist() == [0, 1, 2, 1]


def test_too_many_pairs_are_refused_and_the_message_names_the_way_out():
    hashes = np.zeros(1000, dtype=np.uint64)
    with pytest.raises(TooManyPairs, match="clusters_within"):
        pairs_within(hashes, 0, limit=1000)
    near = np.arange(1000, dtype=np.uint64)
    with pytest.raises(TooManyPairs):
        pairs_within(near, 8, limit=1000)
    assert set(clusters_within(hashes, 0).tolist()) == {0}


@pytest.mark.parametrize(
    ("hashes", "radius"),
    [
        (np.zeros(3, dtype=np.int64), 4),
        (np.zeros((3, 2), dtype=np.uint64), 4),
        (np.zeros(3, dtype=np.uint64), 65),
    ],
)
def test_other_types_and_radii_are_refused(hashes, radius):
    with pytest.raises(ValueError, match=r"uint64|radius"):
        pairs_within(hashes, radius)


@pytest.mark.slow
def test_planted_neighbours_in_two_hundred_thousand_are_all_found():
    chance = np.random.default_rng(3)
    hashes = chance.integers(0, 2**64, 200_000, dtype=np.uint64)
    for k in range(1000):
        flips = chance.choice(64, size=k % 9, replace=False)
        hashes[199_999 - k] = hashes[k] ^ np.bitwise_or.reduce(
            np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0)
        )
    pairs = {(i, j): d for i, j, d in pairs_within(hashes, 8).tolist()}
    for k in range(1000):
        assert pairs[k, 199_999 - k] == k % 9
    rows = chance.integers(0, 200_000, 50)
    for row in rows:
        distance = np.bitwise_count(hashes ^ hashes[row])
        near = {
            tuple(sorted((int(row), int(j)))) for j in np.flatnonzero(distance <= 8) if j != row
        }
        assert near <= pairs.keys()


@pytest.mark.slow
def test_a_heavy_block_costs_little_more_than_none():
    chance = np.random.default_rng(5)
    plain = chance.integers(0, 2**64, 300_000, dtype=np.uint64)
    heavy = plain.copy()
    # 15,000 hashes, 0 to 3 bits away from 0: 112 million pairs within 8 bits, nearly all of them equal or in one ball.
    block = chance.permutation(len(heavy))[:15_000]
    heavy[block] = 0
    for _ in range(3):
        flips = np.uint64(1) << chance.integers(0, 64, len(block)).astype(np.uint64)
        heavy[block] ^= np.where(chance.random(len(block)) < 0.5, flips, np.uint64(0))
    clusters_within(plain[:100], 8)
    seconds = {}
    for name, hashes in (("plain", plain), ("heavy", heavy)):
        began = time.process_time()
        label = clusters_within(hashes, 8)
        seconds[name] = time.process_time() - began
    assert len(set(label[block].tolist())) == 1
    assert seconds["heavy"] <= 3 * seconds["plain"]
    with pytest.raises(TooManyPairs):
        pairs_within(heavy, 8)


def test_few_hashes_do_not_load_the_compiler():
    code = (
        "import sys, numpy as np\n"
        "from filters.neighbors import pairs_within\n"
        "print(len(pairs_within(np.arange(40, dtype=np.uint64), 12)), 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(40 * 39 // 2), "False"]
