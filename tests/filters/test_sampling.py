"""The draw depends on keys and seed only; quotas and caps hold, and what is lacking is told."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.sampling import Accepted, SamplingPolicy, draw, split_groups, split_of


def plain(page_ids):
    return [Accepted(page_id=page_id) for page_id in page_ids]


def drawn(page_ids, **options):
    return draw(plain(page_ids), **options).page_ids


@given(st.sets(st.integers(min_value=1, max_value=10**9), max_size=60), st.integers(0, 5))
def test_the_draw_does_not_depend_on_the_order_of_the_candidates(page_ids, seed):
    policy = SamplingPolicy(max_samples=10)
    listed = sorted(page_ids)
    found = drawn(listed, seed=seed, policy=policy)
    assert found == drawn(listed[::-1], seed=seed, policy=policy)
    assert len(found) == min(10, len(listed))
    assert found <= page_ids


def test_one_more_candidate_changes_at_most_one_of_those_drawn():
    policy = SamplingPolicy(max_samples=100)
    before = drawn(range(1, 1001), seed=3, policy=policy)
    after = drawn(range(1, 1002), seed=3, policy=policy)
    assert len(before - after) <= 1


def test_another_seed_draws_others():
    policy = SamplingPolicy(max_samples=100)
    assert drawn(range(1, 1001), seed=1, policy=policy) != drawn(
        range(1, 1001), seed=2, policy=policy
    )


def test_without_quotas_and_bounds_everything_is_drawn_and_nothing_lacks():
    found = draw(plain(range(1, 50)), seed=0, policy=SamplingPolicy())
    assert len(found.page_ids) == 49
    assert found.reasons == {}
    assert found.shortfalls == ()


def labelled(**counts):
    """So many candidates of each label, severities spread over the bands, four uploaders."""
    names = [label for label, count in counts.items() for _ in range(count)]
    return [
        Accepted(
            page_id=i,
            label=label,
            severity=(0.55, 0.8)[i % 2],
            uploader=f"u{i % 4}",
            upload_year=2000 + i % 10,
            categories=("Churches" if i % 3 == 0 else "Trains", f"Taken with Nokia {i % 5}"),
        )
        for i, label in enumerate(names, start=1)
    ]


MIX = {"blur": 0.5, "noise": 0.3, "jpeg": 0.2}


def mix_of(found, candidates):
    labels = {a.page_id: a.label for a in candidates}
    return Counter(labels[page_id] for page_id in found.page_ids)


def test_the_mix_is_the_target_where_there_are_enough_of_all():
    candidates = labelled(blur=500, noise=400, jpeg=300, low_light=200)
    found = draw(candidates, seed=1, policy=SamplingPolicy(max_samples=333, mix=MIX))
    counts = mix_of(found, candidates)
    assert sum(counts.values()) == 333
    for label, share in MIX.items():
        assert abs(counts[label] / 333 - share) < 0.01
    assert found.shortfalls == ()
    reasons = Counter(found.reasons.values())
    # Who comes when all are drawn is `not_drawn`; who came before found the quota of the label full.
    assert reasons["quota:mix"] > 0
    assert sum(reasons.values()) == len(candidates) - 333


def test_what_lacks_is_a_row_and_the_others_do_not_take_its_place():
    candidates = labelled(blur=500, noise=10, jpeg=300)
    found = draw(candidates, seed=1, policy=SamplingPolicy(max_samples=100, mix=MIX))
    assert mix_of(found, candidates) == {"blur": 50, "noise": 10, "jpeg": 20}
    assert [tuple(row) for row in found.shortfalls] == [
        ("mix", "noise", 30, 10),
        ("all", "samples", 100, 80),
    ]


def test_without_a_bound_as_many_are_drawn_as_the_scarcest_allows():
    candidates = labelled(blur=500, noise=60, jpeg=300)
    found = draw(candidates, seed=1, policy=SamplingPolicy(mix=MIX))
    assert mix_of(found, candidates) == {"blur": 100, "noise": 60, "jpeg": 40}
    assert found.shortfalls == ()


def test_several_targets_hold_together():
    candidates = labelled(blur=900, noise=900, jpeg=900)
    policy = SamplingPolicy(
        max_samples=200,
        mix=MIX,
        severities={"moderate": 0.4, "severe": 0.6},
        subjects={"buildings": 0.25, "other": 0.75},
        subject_patterns={"buildings": "church"},
    )
    found = draw(candidates, seed=5, policy=policy)
    by_id = {a.page_id: a for a in candidates}
    chosen = [by_id[page_id] for page_id in found.page_ids]
    counts = mix_of(found, candidates)
    told = {(row.dimension, row.value) for row in found.shortfalls}
    for label, share in MIX.items():
        assert abs(counts[label] / 200 - share) < 0.01 or ("mix", label) in told
    severe = sum(a.severity > 0.75 for a in chosen) / 200
    assert abs(severe - 0.6) < 0.01 or ("severities", "severe") in told
    churches = sum("Churches" in a.categories for a in chosen) / 200
    assert abs(churches - 0.25) < 0.01 or ("subjects", "buildings") in told


@pytest.mark.parametrize(
    ("what", "of"),
    [
        ("uploader", lambda a: a.uploader),
        ("upload_year", lambda a: a.upload_year),
        ("category", lambda a: a.categories[0]),
        ("camera", lambda a: a.categories[1]),
    ],
)
def test_caps_hold_and_say_who_ran_into_them(what, of):
    candidates = labelled(blur=300)
    found = draw(candidates, seed=2, policy=SamplingPolicy(caps={what: 7}))
    by_id = {a.page_id: a for a in candidates}
    counts = Counter(of(by_id[page_id]) for page_id in found.page_ids)
    assert set(counts.values()) == {7}
    assert set(found.reasons.values()) == {f"cap:{what}"}


def test_the_cap_on_categories_leaves_out_those_of_licenses_and_tools():
    candidates = [
        Accepted(page_id=i, categories=("CC-BY-SA-4.0", "Uploaded with Mobile App"))
        for i in range(1, 30)
    ]
    found = draw(candidates, seed=0, policy=SamplingPolicy(caps={"category": 3}))
    assert len(found.page_ids) == 29


def test_a_fifth_of_the_groups_is_held_out_when_a_fifth_is_asked_for():
    policy = SamplingPolicy(validation_share=0.2)
    held = sum(split_of(i, seed=0, policy=policy) == "validation" for i in range(10_000))
    # Binomial with n = 10,000 and p = 0.2: standard deviation 40; five of them are 200.
    assert 1800 <= held <= 2200


@given(
    st.lists(
        st.tuples(st.integers(1, 8), st.sampled_from(["a", "b", "c", None])),
        min_size=1,
        max_size=40,
    )
)
def test_neither_a_cluster_nor_an_uploader_stands_in_two_groups(rows):
    page_ids = list(range(100, 100 + len(rows)))
    clusters, uploaders = [row[0] for row in rows], [row[1] for row in rows]
    groups = split_groups(page_ids, clusters, uploaders, SamplingPolicy())
    for keys in (clusters, uploaders):
        seen = {}
        for key, group in zip(keys, groups, strict=True):
            if key is not None:
                assert seen.setdefault(key, group) == group
    assert all(group in page_ids and group <= p for group, p in zip(groups, page_ids, strict=True))


def test_only_what_the_policy_names_stays_together():
    policy = SamplingPolicy(together=("cluster",))
    assert split_groups([1, 2, 3], [7, 7, 8], ["a", "b", "a"], policy) == [1, 1, 3]


@pytest.mark.parametrize(
    "bad",
    [
        {"validation_share": 1.0},
        {"max_samples": 0},
        {"mix": {"blur": 0.5}},
        {"severities": {"terrible": 1.0}},
        {"caps": {"country": 3}},
        {"caps": {"uploader": 0}},
        {"subjects": {"cats": 1.0}},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(bad):
    with pytest.raises(ValueError, match=r"share|at least 1|severities are"):
        SamplingPolicy(**bad)
