"""Hints of natural degradation in metadata."""

import pyarrow as pa
import pytest

from filters.prefilter import PrefilterPolicy, hints


def told(policy=None, **fields):
    given = {
        "upload_year": 2020,
        "size_bytes": 3_000_000,
        "bytes_per_pixel": 0.5,
        "categories": [],
        **fields,
    }
    types = {
        "upload_year": pa.int64(),
        "size_bytes": pa.int64(),
        "bytes_per_pixel": pa.float64(),
        "categories": pa.list_(pa.string()),
    }
    table = pa.table({name: pa.array([given[name]], kind) for name, kind in types.items()})
    columns = hints(table, policy or PrefilterPolicy())
    (found,), (count,) = (columns[name].to_pylist() for name in ("hints", "hint_count"))
    assert count == len(found)
    return found


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"upload_year": 2010}, "old"),
        ({"size_bytes": 150 * 1024 - 1}, "small"),
        ({"bytes_per_pixel": 0.149}, "few_bytes"),
        ({"categories": ["Churches", "Taken with Nokia N95"]}, "phone"),
        ({"categories": ["Photographs taken with Apple iPhone 3G"]}, "phone"),
        ({"categories": ["Uploaded with Mobile/Android App"]}, "phone"),
        ({"categories": ["Blurred images"]}, "tagged"),
        ({"categories": ["Rail vehicles with motion blur"]}, "tagged"),
        ({"categories": ["Underexposed photographs"]}, "tagged"),
    ],
)
def test_each_hint_has_its_sign(fields, hint):
    assert told(**fields) == [hint]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"upload_year": 2011},
        {"size_bytes": 150 * 1024},
        {"bytes_per_pixel": 0.15},
        {"categories": ["Taken with Canon EOS 5D", "Focus stacking"]},
        {"categories": ["Photographs taken with Apple iPhone 15 Pro"]},
        {"upload_year": None, "size_bytes": None, "bytes_per_pixel": None, "categories": None},
    ],
)
def test_what_is_sharp_new_large_or_unknown_gives_no_hint(fields):
    assert told(**fields) == []


def test_several_hints_stand_in_order_and_patterns_are_the_recipes():
    policy = PrefilterPolicy(old_until=2021, phone=("^my phone$",), tagged=())
    categories = ["My phone", "Blurred images"]
    assert told(policy, size_bytes=10, categories=categories) == ["old", "phone", "small"]


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(Exception, match=r"unterminated|missing"):
        PrefilterPolicy(phone=("(",))
