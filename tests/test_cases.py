"""Many cases in one test: each is tried, and each that failed is named."""

import pytest

from tests.cases import every


@pytest.fixture
def base():
    return 10


def test_every_case_is_tried_and_each_that_failed_is_named_with_its_error():
    tried = []

    @every("a, b", [(1, 1), (1, 2), (3, 3), (4, 0)])
    def check(a, b):
        tried.append(a)
        if b == 0:
            with pytest.raises(KeyError):
                pass
        assert a == b, "they differ"

    with pytest.raises(AssertionError) as caught:
        check()
    assert tried == [1, 1, 3, 4]
    told = str(caught.value)
    assert told.startswith("2 of 4 cases failed")
    assert "{'a': 1, 'b': 2}" in told and "they differ" in told
    assert "{'a': 4, 'b': 0}" in told and "DID NOT RAISE" in told
    assert "{'a': 3" not in told


def test_a_case_without_all_its_values_is_an_error():
    @every("a, b", [(1,)])
    def check(a, b):
        raise AssertionError("never called")

    with pytest.raises(ValueError, match="argument 2 is shorter"):
        check()


def test_no_cases_at_all_are_a_skipped_test_and_not_a_passed_one():
    @every("a", [])
    def check(a):
        raise AssertionError("never called")

    with pytest.raises(pytest.skip.Exception):
        check()


@pytest.mark.parametrize("plus", [1, 2])
@every("a", [0, 5])
def test_fixtures_and_parametrize_are_as_without(base, plus, a):
    assert base + plus + a in (11, 12, 16, 17)
