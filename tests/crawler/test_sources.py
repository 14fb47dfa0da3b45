"""The keys that name a source in a catalog: as they have always been, or an old catalog would list everything again."""

from datetime import UTC, date, datetime

import pytest

from crawler.sources import (
    CandidateSource,
    CategorySource,
    SearchShardSource,
    SearchSource,
    TitleSource,
    UploadWindowSource,
    source_key,
)

# Written down from the version in which sources were not yet a file each.
KEYS = [
    (CategorySource(root="Category:Rain"), "e366cb701fcd"),
    (
        CategorySource(root="Fog", depth=4, max_categories=7, max_files=9, deny=("maps?$",)),
        "ffc6d012e261",
    ),
    (SearchSource(query="blurry"), "1c29676c277c"),
    (SearchSource(query="a", sort="create_timestamp_asc", max_files=3), "ce0fe5d9349b"),
    (
        SearchShardSource(
            query="x",
            width=(10, 20),
            size_kib=(1, 9),
            created_from=date(2010, 1, 2),
            created_to=date(2011, 3, 4),
        ),
        "b4d698ea2ef0",
    ),
    (SearchShardSource(query="x"), "0a520c816989"),
    (
        UploadWindowSource(
            start=datetime(2011, 1, 1, tzinfo=UTC), end=datetime(2013, 1, 1, tzinfo=UTC)
        ),
        "b5d0f0d2d6b9",
    ),
    (TitleSource(titles=("A.jpg",), page_ids=(4, 5)), "69742936f104"),
    (TitleSource(path="titles.txt"), "2ea03842a066"),
    (CandidateSource(path="c.csv"), "21188b41045a"),
    (CandidateSource(path="c.csv", title_column="Bäh"), "7959a70d2298"),
]


@pytest.mark.parametrize(("source", "key"), KEYS, ids=[key for _, key in KEYS])
def test_a_source_keeps_the_key_that_old_catalogs_know_it_by(source, key):
    assert source_key(source, wiki="commons.wikimedia.org/w/") == key


def test_a_cap_is_no_part_of_a_key_and_the_wiki_is():
    plain, capped = SearchSource(query="a"), SearchSource(query="a", max_files=3)
    assert source_key(plain, wiki="w") == source_key(capped, wiki="w")
    assert source_key(plain, wiki="w") != source_key(plain, wiki="v")
