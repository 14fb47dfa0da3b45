"""Every row is credited in full (title, author, source, license, changes) or refused by name."""

from __future__ import annotations

import csv
import random

import pyarrow as pa
import pytest

from catalog.release.credits import (
    CREDIT_COLUMNS,
    AttributionError,
    attribution_line,
    attribution_lines,
    license_terms,
    plain,
    write_credits,
)
from tests.catalog.release.release_samples import HOSTILE, release

PAGE = "https://commons.wikimedia.org/wiki/File:Red_fox.jpg"
FOX = {
    "title": "File:Red fox.jpg",
    "file_page_url": PAGE,
    "license": "CC-BY-SA-4.0",
    "family": "cc_by_sa",
    "license_short_name": "CC BY-SA 4.0",
    "license_url": "https://creativecommons.org/licenses/by-sa/4.0",
    "artist": "Jane Doe",
    "artist_url": "https://example.org/jane",
}
CC0 = {"license": "CC0-1.0", "family": "pd_cc0", "license_short_name": None, "license_url": None}


def test_the_line_has_title_author_source_license_and_changes():
    assert attribution_line(**FOX) == (
        '"Red fox.jpg" by Jane Doe (https://example.org/jane), via Wikimedia Commons, '
        "https://commons.wikimedia.org/wiki/File:Red_fox.jpg, licensed under CC BY-SA 4.0 "
        "(https://creativecommons.org/licenses/by-sa/4.0), unmodified."
    )


def test_an_author_without_an_address_goes_without():
    assert '"Red fox.jpg" by Jane Doe, via Wikimedia' in attribution_line(
        **{**FOX, "artist_url": None}
    )


def test_an_attribution_in_the_authors_own_words_stands_word_for_word():
    line = attribution_line(
        **{**FOX, "attribution": "Photo: J. Doe / ACME & Sons, www.acme.example"}
    )
    assert line.startswith(
        '"Red fox.jpg", Photo: J. Doe / ACME & Sons, www.acme.example, via Wikimedia'
    )
    assert line.endswith("(https://creativecommons.org/licenses/by-sa/4.0), unmodified.")
    assert "Jane Doe" not in line


def test_cc0_is_a_dedication_and_needs_no_author():
    line = attribution_line(**{**FOX, **CC0, "artist": None, "artist_url": None})
    assert line == (
        f'"Red fox.jpg", via Wikimedia Commons, {PAGE}, dedicated to the public domain under CC0 1.0 '
        "(https://creativecommons.org/publicdomain/zero/1.0/), unmodified."
    )
    assert '"Red fox.jpg" by Jane Doe (' in attribution_line(**{**FOX, **CC0})


def test_public_domain_without_a_license_text_says_so():
    terms = {
        "license": "LicenseRef-PD",
        "family": "pd_cc0",
        "license_short_name": "PD-old-70",
        "license_url": None,
    }
    assert attribution_line(**{**FOX, **terms}).endswith(
        f"{PAGE}, in the public domain: PD-old-70, unmodified."
    )


@pytest.mark.parametrize(
    ("spdx", "name", "url"),
    [
        ("CC-BY-2.5", "CC BY 2.5", "https://creativecommons.org/licenses/by/2.5/"),
        (
            "CC-BY-SA-3.0-DE",
            "CC BY-SA 3.0 DE",
            "https://creativecommons.org/licenses/by-sa/3.0/de/",
        ),
        (
            "LicenseRef-CC-BY-SA-2.1-JP",
            "CC BY-SA 2.1 JP",
            "https://creativecommons.org/licenses/by-sa/2.1/jp/",
        ),
    ],
)
def test_what_commons_left_out_of_a_license_follows_from_its_spdx_id(spdx, name, url):
    assert license_terms(spdx, None, None) == (name, url)
    assert license_terms(spdx, "As named", "//example.org/l") == (
        "As named",
        "https://example.org/l",
    )


def test_markup_line_breaks_and_reordering_characters_do_not_reach_the_line():
    assert plain("Jörg <a href='x'>M&uuml;ller</a>\n\t(photo)") == "Jörg Müller (photo)"
    assert plain("evil\u202egpj") == "evilgpj"
    assert plain("Jane <jane@example.org> <3") == "Jane <jane@example.org> <3"
    assert plain("<script>x</script>", markup=False) == "<script>x</script>"
    line = attribution_line(**{**FOX, "title": HOSTILE})
    assert "\u202e" not in line
    assert "<script>alert(1)</script>" in line


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"artist": None}, "lacks an author or an attribution text"),
        ({"artist": "<br>\n"}, "lacks an author or an attribution text"),
        ({"title": "File: "}, "a title"),
        ({"file_page_url": ""}, "the address of its file page"),
        (
            {"license": "LicenseRef-odd", "license_url": None},
            "the address of the license LicenseRef-odd",
        ),
    ],
)
def test_an_incomplete_row_is_an_error_that_says_what_is_missing(change, what):
    with pytest.raises(AttributionError, match=what):
        attribution_line(**{**FOX, **change})


def test_all_rows_that_lack_something_are_named_at_once():
    samples, _ = release(6)
    at = samples.column_names.index("artist")
    without = samples.set_column(at, "artist", pa.nulls(6, pa.string()))
    with pytest.raises(AttributionError) as caught:
        attribution_lines(without)
    # Pages 1000 and 1021 are CC0: they need no author.
    pages = [
        page
        for page in (1000, 1007, 1014, 1021, 1028, 1035)
        if f"page {page}:" in str(caught.value)
    ]
    assert pages == [1007, 1014, 1028, 1035]
    with pytest.raises(AttributionError, match="no column artist"):
        attribution_lines(samples.drop_columns(["artist"]))


def test_credits_name_every_row_once_grouped_by_license_in_the_same_bytes_for_any_order(tmp_path):
    samples, _ = release(24)
    write_credits(samples, tmp_path / "a.csv")
    order = list(range(24))
    random.Random(1).shuffle(order)
    write_credits(samples.take(order), tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as source:
        header, *rows = csv.reader(source)
    assert tuple(header) == CREDIT_COLUMNS
    assert [int(row[3]) for row in rows if row[0] == "CC-BY-4.0"] == [
        1007 + 21 * k for k in range(8)
    ]
    assert [row[0] for row in rows] == ["CC-BY-4.0"] * 8 + ["CC-BY-SA-3.0"] * 8 + ["CC0-1.0"] * 8
    lines = dict(zip(samples["page_id"].to_pylist(), attribution_lines(samples), strict=True))
    assert {int(row[3]): row[7] for row in rows} == lines
