"""Which pictures may share a part: pairs of which several points vote for one place, size and turn.

Near points are found by hashing: those that agree in all of 40 chosen bits of 128, in one of 8 choices. Sorting does
it, so that the time grows with the number of points, not of pairs. Each near pair of points says where one picture
would lie in the other; a pair of pictures is a candidate where three of them say roughly the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from filters.duplicates.points import Floats, Ints, Points

TABLES, KEY_BITS = 8, 40
"""Points are compared that agree in all of 40 chosen bits, in one of 8 choices."""
MOST_ALIKE = 32
"""A key that more points have (corners of letters, halftone) says nothing and proposes nobody."""
CLOSE_BITS = 22
"""Of 128, between two points that vote."""
LEAST_VOTES = 3
"""For one place, size and turn."""


def candidates_of(plain: Sequence[Points], most: int, *, first: int | None = None) -> Ints:
    """[C, 3] i < j, and 1 where the mirror image of j is meant: pairs of which some points vote for one place.

    Of each picture the `most` pairs with the most votes.

    Args:
        first: only pairs of one of so many first pictures with one of the others; None: all.
    """
    counts = [len(one.bits) for one in plain]
    owner = np.repeat(np.arange(len(plain)), counts)
    if not len(owner):
        return np.empty((0, 3), dtype=np.int64)
    flat = [_flat(plain), _flat([one.mirrored() for one in plain])]
    found = []
    for flipped in (0, 1):
        one, other = _voters(flat[0][0], flat[flipped][0] if flipped else None, owner, first)
        pairs, votes = _votes(flat[0], flat[flipped], owner, one, other, plain)
        good = votes >= LEAST_VOTES
        found.append(np.column_stack([pairs[good], np.full(good.sum(), flipped), votes[good]]))
    every = np.concatenate(found)
    # Of each picture the best; a pair stays that is among the best of either.
    keep = np.zeros(len(every), dtype=bool)
    for side in (0, 1):
        order = np.lexsort((every[:, 1 - side], every[:, 2], -every[:, 3], every[:, side]))
        ends = every[order, side]
        rank = np.arange(len(order)) - np.searchsorted(ends, ends, side="left")
        keep[order[rank < most]] = True
    every = every[keep]
    return every[np.lexsort((every[:, 2], every[:, 1], every[:, 0])), :3]


Flat = tuple[NDArray[np.uint64], Floats, Floats, Floats]


def _flat(plain: Sequence[Points]) -> Flat:
    """Bits, places, scales and turns of all points, one picture after the other."""
    return (
        np.concatenate([one.bits for one in plain]),
        np.concatenate([one.places for one in plain]),
        np.concatenate([one.scales for one in plain]),
        np.concatenate([one.turns for one in plain]),
    )


def _voters(
    bits: NDArray[np.uint64],
    other: NDArray[np.uint64] | None,
    owner: Ints,
    first: int | None,
) -> tuple[Ints, Ints]:
    """Places of near points of two pictures, that of the lower row first; `other`: in their mirror images."""
    n = len(bits)
    entries = bits if other is None else np.concatenate([bits, other])
    of = owner if other is None else np.concatenate([owner, owner])
    near = []
    for columns in _key_columns():
        key = np.zeros(len(entries), dtype=np.uint64)
        for place, column in enumerate(columns.tolist()):
            word, bit = divmod(column, 64)
            key |= ((entries[:, word] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(place)
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        sizes = np.diff(np.r_[starts, len(ordered)])
        run = np.repeat(np.arange(len(starts)), sizes)
        telling = sizes[run] <= MOST_ALIKE
        for step in range(1, MOST_ALIKE):
            at = np.flatnonzero(telling[:-step] & (run[:-step] == run[step:]))
            if not len(at):
                break
            a, b = order[at], order[at + step]
            if other is not None:
                # One as it is, one mirrored.
                mixed = (a < n) != (b < n)
                a, b = a[mixed], b[mixed]
            apart = of[a] != of[b]
            if first is not None:
                apart &= (of[a] < first) != (of[b] < first)
            a, b = a[apart], b[apart]
            bits_off = np.bitwise_count(entries[a] ^ entries[b]).sum(axis=1)
            a, b = a[bits_off <= CLOSE_BITS], b[bits_off <= CLOSE_BITS]
            if other is None:
                low, high = np.minimum(a, b), np.maximum(a, b)
            else:
                # The plain one of the lower picture; the same pair the other way round is the same hypothesis.
                low, high = np.minimum(a, b), np.maximum(a, b) - n
                ours = owner[low] < owner[high]
                low, high = low[ours], high[ours]
            near.append(low * n + high)
    once = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *near]))
    return once // n, once % n


def _key_columns() -> list[Ints]:
    chance = np.random.default_rng(20261128)
    return [np.sort(chance.choice(128, KEY_BITS, replace=False)) for _ in range(TABLES)]


def _votes(
    ours: Flat, theirs: Flat, owner: Ints, first: Ints, second: Ints, plain: Sequence[Points]
) -> tuple[Ints, Ints]:
    """[C, 2] pictures, and [C] how many of their near points agree roughly on place, size and turn."""
    sizes = np.array([(one.width, one.height) for one in plain], dtype=np.float64)
    a, b = owner[first], owner[second]
    grown = theirs[2][second] - ours[2][first]
    turned = theirs[3][second] - ours[3][first]
    scale = np.exp2(grown)
    cos, sin = scale * np.cos(turned), scale * np.sin(turned)
    # Where the middle of the first picture comes to lie in the second.
    away = sizes[a] / 2 - ours[1][first]
    x = theirs[1][second, 0] + cos * away[:, 0] - sin * away[:, 1]
    y = theirs[1][second, 1] + sin * away[:, 0] + cos * away[:, 1]
    step = 256.0 * np.maximum(1.0, scale)
    keys, member = np.unique(a * len(plain) + b, return_inverse=True)
    most = np.zeros(len(keys), dtype=np.int64)
    # Twice, the second time by half a step: what a border of the first parts is together in the second.
    for half in (0.0, 0.5):
        bins = [turned / (2 * np.pi) * 12 + half, grown + half, x / step + half, y / step + half]
        whole = [np.floor(one).astype(np.int64) for one in bins]
        whole[0] %= 12
        cells, counts = np.unique(np.column_stack([member, *whole]), axis=0, return_counts=True)
        np.maximum.at(most, cells[:, 0], counts)
    return np.column_stack([keys // len(plain), keys % len(plain)]), most
