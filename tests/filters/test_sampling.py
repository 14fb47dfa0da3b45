"""The draw depends on keys and seed only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.sampling import SamplingPolicy, draw, split_of


@given(st.sets(st.integers(min_value=1, max_value=10**9), max_size=60), st.integers(0, 5))
def test_the_draw_does_not_depend_on_the_order_of_the_candidates(page_ids, seed):
    policy = SamplingPolicy(max_samples=10)
    listed = sorted(page_ids)
    drawn = draw(listed, seed=seed, policy=policy)
    assert drawn == draw(listed[::-1], seed=seed, policy=policy)
    assert len(drawn) == min(10, len(listed))
    assert drawn <= page_ids


def test_one_more_candidate_changes_at_most_one_of_those_drawn():
    policy = SamplingPolicy(max_samples=100)
    before = draw(range(1, 1001), seed=3, policy=policy)
    after = draw(range(1, 1002), seed=3, policy=policy)
    assert len(before - after) <= 1


def test_another_seed_draws_others():
    policy = SamplingPolicy(max_samples=100)
    assert draw(range(1, 1001), seed=1, policy=policy) != draw(
        range(1, 1001), seed=2, policy=policy
    )


def test_a_fifth_of_the_clusters_is_held_out_when_a_fifth_is_asked_for():
    policy = SamplingPolicy(validation_share=0.2)
    held = sum(split_of(i, seed=0, policy=policy) == "validation" for i in range(10_000))
    # Binomial with n = 10,000 and p = 0.2: standard deviation 40; five of them are 200.
    assert 1800 <= held <= 2200


@pytest.mark.parametrize("bad", [{"validation_share": 1.0}, {"max_samples": 0}])
def test_a_policy_that_makes_no_sense_is_refused(bad):
    with pytest.raises(ValueError, match=r"share|at least 1"):
        SamplingPolicy(**bad)
