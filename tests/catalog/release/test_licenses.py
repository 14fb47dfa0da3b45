"""LICENSES.md: every license that occurs, with the address of its text and what it asks."""

from __future__ import annotations

import random
import re

import pyarrow as pa
import pytest

from catalog.release.licenses import licenses_of, licenses_text
from filters.license import SPDX_PORTS, license_url_for


def table(*rows):
    """Samples of (license, family)."""
    return pa.table({"license": [row[0] for row in rows], "family": [row[1] for row in rows]})


def only(spdx, family):
    (found,) = licenses_of(table((spdx, family)))
    return found


SAMPLES = table(
    *[("CC-BY-4.0", "cc_by")] * 3,
    *[("CC-BY-SA-3.0-DE", "cc_by_sa")] * 2,
    ("LicenseRef-CC-BY-2.5-SE", "cc_by"),
    ("CC0-1.0", "pd_cc0"),
    *[("LicenseRef-PD-old-70", "pd_cc0")] * 4,
)


def test_each_license_is_told_once_with_its_rows_from_no_conditions_to_share_alike():
    assert [(one.spdx, one.rows) for one in licenses_of(SAMPLES)] == [
        ("LicenseRef-PD-old-70", 4),
        ("CC0-1.0", 1),
        ("CC-BY-4.0", 3),
        ("LicenseRef-CC-BY-2.5-SE", 1),
        ("CC-BY-SA-3.0-DE", 2),
    ]
    text = licenses_text(SAMPLES)
    assert text.count("\n## ") == 5
    assert (
        "| `CC-BY-4.0` | `cc_by` | 3 | <https://creativecommons.org/licenses/by/4.0/legalcode>"
        in (text)
    )


def test_any_order_of_rows_gives_the_same_text():
    order = list(range(SAMPLES.num_rows))
    random.Random(1).shuffle(order)
    assert licenses_text(SAMPLES.take(order)) == licenses_text(SAMPLES)


@pytest.mark.parametrize(
    "spdx", ["CC0-1.0", "CC-BY-1.0", "CC-BY-SA-4.0", "LicenseRef-CC-BY-2.5-SE", *sorted(SPDX_PORTS)]
)
def test_the_summary_is_where_the_license_gate_expects_it_and_the_text_lies_below(spdx):
    family = "pd_cc0" if spdx == "CC0-1.0" else "cc_by_sa" if "-SA-" in spdx else "cc_by"
    found = only(spdx, family)
    assert found.deed == license_url_for(spdx)
    assert found.text == f"{found.deed}legalcode"
    listed = None if spdx.startswith("LicenseRef") else f"https://spdx.org/licenses/{spdx}.html"
    assert found.listed == listed


def test_the_public_domain_has_no_text_and_says_that_it_may_not_hold_everywhere():
    found = only("LicenseRef-PD-old-70", "pd_cc0")
    assert (found.deed, found.text, found.listed) == (None, None, None)
    assert "not in others" in found.asks[0]


@pytest.mark.parametrize(
    ("spdx", "family", "told", "not_told"),
    [
        ("CC0-1.0", "pd_cc0", "Nothing.", "Credit:"),
        ("CC-BY-4.0", "cc_by", "within 30 days", "Share alike"),
        ("CC-BY-4.0", "cc_by", "stands behind you", "name the title too"),
        ("CC-BY-2.0", "cc_by", "name the title too", "stands behind you"),
        ("CC-BY-SA-1.0", "cc_by_sa", "goes under this same license.", "later version"),
        ("CC-BY-SA-2.5", "cc_by_sa", "a national version", "compatible"),
        ("CC-BY-SA-4.0", "cc_by_sa", "lists as compatible", "national version"),
        ("CC-BY-3.0-DE", "cc_by", "adapted for DE", "30 days"),
    ],
)
def test_what_a_license_asks_follows_its_kind_and_version(spdx, family, told, not_told):
    asks = " ".join(only(spdx, family).asks)
    assert told in asks
    assert not_told not in asks


def test_the_file_is_plain_text_and_links_to_nobody_but_the_licenses():
    hosts = set(re.findall(r"https?://([^/>]+)", licenses_text(SAMPLES)))
    assert hosts == {"creativecommons.org", "spdx.org"}
