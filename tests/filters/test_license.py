"""The licence gate: by hand for every rule, and over all recorded answers of Commons."""

from collections import Counter
from dataclasses import replace

import pytest

from catalog.records import FileRecord
from crawler.extmetadata import parse_page
from filters.license import RESTRICTIONS, judge
from tests.shared import recorded_pages

FREE = FileRecord(
    title="File:A.jpg",
    license_code="cc-by-sa-4.0",
    license_short_name="CC BY-SA 4.0",
    license_url="https://creativecommons.org/licenses/by-sa/4.0",
    artist="Someone",
    categories=("CC-BY-SA-4.0", "Trees"),
    restrictions=(),
)
PD = FileRecord(title="File:B.jpg", license_code="pd", categories=("PD-old-70", "Trees"))


def verdict(record=FREE, sdc=None, **changes):
    judged = judge(replace(record, **changes), sdc)
    return judged.outcome, judged.reason, judged.license


@pytest.mark.parametrize(
    ("code", "url", "spdx", "family"),
    [
        ("cc-by-4.0", "https://creativecommons.org/licenses/by/4.0", "CC-BY-4.0", "cc_by"),
        ("cc-by-2.5", "http://creativecommons.org/licenses/by/2.5/", "CC-BY-2.5", "cc_by"),
        (
            "cc-by-sa-3.0",
            "//creativecommons.org/licenses/by-sa/3.0/deed.en",
            "CC-BY-SA-3.0",
            "cc_by_sa",
        ),
        (
            "cc-by-sa-3.0-de",
            "https://creativecommons.org/licenses/by-sa/3.0/de/deed.en",
            "CC-BY-SA-3.0-DE",
            "cc_by_sa",
        ),
        (
            "cc-by-sa-2.5-it",
            "https://creativecommons.org/licenses/by-sa/2.5/it",
            "LicenseRef-CC-BY-SA-2.5-IT",
            "cc_by_sa",
        ),
        (
            "CC-BY-SA-1.0",
            "https://creativecommons.org/licenses/by-sa/1.0",
            "CC-BY-SA-1.0",
            "cc_by_sa",
        ),
        ("cc0", "https://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0", "pd_cc0"),
    ],
)
def test_free_licences_get_their_spdx_id_and_family(code, url, spdx, family):
    judged = judge(replace(FREE, license_code=code, license_url=url))
    assert (judged.keep, judged.reason, judged.license, judged.family) == (True, "ok", spdx, family)


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"state": "missing"}, "reject", "not_a_file:missing"),
        ({"non_free": True}, "reject", "non_free"),
        ({"categories": ("CC-BY-SA-4.0", "Non-free files")}, "reject", "non_free"),
        ({"deletion_reason": "per request"}, "reject", "deletion_tagged"),
        ({"categories": ("Deletion requests November 2026",)}, "reject", "deletion_tagged"),
        ({"restrictions": ("personality",)}, "reject", "restricted:personality"),
        ({"restrictions": ("something-new",)}, "quarantine", "restricted:something-new"),
        ({"categories": ("Images with watermarks",)}, "reject", "watermark"),
        ({"categories": ("AI-generated images",)}, "reject", "ai_generated"),
        ({"categories": ("Screenshots of Linux",)}, "reject", "screenshot"),
        ({"categories": ("Logos of banks",)}, "reject", "logo"),
        ({"categories": ("License review needed",)}, "quarantine", "review_needed"),
        ({"license_code": None, "license_short_name": None}, "quarantine", "no_license"),
        (
            {"license_code": None, "license_short_name": "GFDL"},
            "quarantine",
            "license_not_allowed:gfdl",
        ),
        (
            {"license_code": None, "license_short_name": "No restrictions"},
            "quarantine",
            "license_not_allowed:no-restrictions",
        ),
        ({"license_code": "cc-by-nc-4.0"}, "reject", "license_not_allowed:cc-by-nc-4.0"),
        ({"license_code": "cc-by-sa-9.9"}, "quarantine", "license_not_allowed:cc-by-sa-9.9"),
        ({"license_url": None}, "quarantine", "url_missing"),
        (
            {"license_url": "https://creativecommons.org/licenses/by/4.0"},
            "quarantine",
            "url_disagrees",
        ),
        (
            {"license_url": "https://creativecommons.org/licenses/by-sa/3.0"},
            "quarantine",
            "url_disagrees",
        ),
        ({"license_url": "https://example.org/licenses/by-sa/4.0"}, "quarantine", "url_disagrees"),
        ({"artist": None}, "quarantine", "missing_author"),
    ],
)
def test_what_stands_in_the_way_is_named(changes, outcome, reason):
    assert verdict(**changes)[:2] == (outcome, reason)


def test_the_gravest_objection_comes_first():
    assert verdict(non_free=True, license_url=None, artist=None)[1] == "non_free"


def test_an_attribution_text_stands_in_for_the_author():
    assert verdict(artist=None, attribution="Photo: Someone")[0] == "accept"


@pytest.mark.parametrize("restriction", sorted(RESTRICTIONS))
def test_every_known_restriction_keeps_a_file_out(restriction):
    assert verdict(restrictions=(restriction,))[0] == "reject"


@pytest.mark.parametrize(
    ("categories", "outcome", "reason"),
    [
        (("PD-old-70",), "accept", "ok"),
        (("CC-PD-Mark", "Trees"), "accept", "ok"),
        (("PD NASA",), "accept", "ok"),
        (("Trees",), "quarantine", "pd_without_evidence"),
        ((), "quarantine", "pd_without_evidence"),
        (("PD-textlogo",), "quarantine", "pd_without_evidence"),
        (("PD-Art (PD-old)", "CC-BY-SA-3.0"), "quarantine", "pd_beside_cc"),
    ],
)
def test_public_domain_needs_evidence_and_no_other_licence_beside_it(categories, outcome, reason):
    assert verdict(PD, categories=categories)[:2] == (outcome, reason)


def test_the_evidence_for_the_public_domain_is_named_in_the_licence():
    assert judge(PD).license == "LicenseRef-PD-old-70"
    assert judge(PD).family == "pd_cc0"


def statement(item):
    value = {"mainsnak": {"datavalue": {"value": {"id": item}, "type": "wikibase-entityid"}}}
    return [value]


@pytest.mark.parametrize(
    ("record", "sdc", "reason"),
    [
        (FREE, {"statements": {"P275": statement("Q18199165")}}, "ok"),
        (FREE, {"statements": {"P275": statement("Q20007257")}}, "sdc_disagrees"),
        (FREE, {"statements": {"P275": statement("Q1"), "P6216": statement("Q50423863")}}, "ok"),
        (FREE, {"statements": {"P6216": statement("Q19652")}}, "sdc_disagrees"),
        (PD, {"statements": {"P6216": statement("Q19652")}}, "ok"),
        (PD, {"statements": {"P6216": statement("Q50423863")}}, "sdc_disagrees"),
        (FREE, {"statements": []}, "ok"),
        (FREE, {"id": "M1", "missing": ""}, "ok"),
    ],
)
def test_structured_data_must_not_contradict(record, sdc, reason):
    assert verdict(record, sdc)[1] == reason


# All pages of the recorded answers. Their requests did not ask for real categories, so that no file in the public
# domain has evidence here, and 29 hold no file information at all.
RECORDED = {
    ("accept", "ok", "CC-BY-4.0"): 6,
    ("accept", "ok", "CC-BY-SA-2.0"): 1,
    ("accept", "ok", "CC-BY-SA-3.0-DE"): 6,
    ("accept", "ok", "CC-BY-SA-4.0"): 46,
    ("accept", "ok", "CC0-1.0"): 11,
    ("accept", "ok", "LicenseRef-CC-BY-SA-3.0-ES"): 1,
    ("quarantine", "license_not_allowed:no-restrictions", None): 2,
    ("quarantine", "no_license", None): 4,
    ("quarantine", "pd_without_evidence", "LicenseRef-PD"): 47,
    ("reject", "not_a_file:missing", None): 2,
    ("reject", "not_a_file:no_file", None): 29,
}


def test_every_recorded_page_has_the_right_verdict():
    counted = Counter()
    for _, page in recorded_pages():
        judged = judge(parse_page(page))
        counted[judged.outcome, judged.reason, judged.license] += 1
    assert counted == RECORDED


def test_with_its_categories_a_recorded_public_domain_page_is_accepted():
    pages = {page["title"]: page for _, page in recorded_pages() if page.get("pageid") == 18263872}
    (page,) = pages.values()
    said = page["imageinfo"][0]["extmetadata"]["Categories"]["value"].split("|")
    page["categories"] = [{"title": f"Category:{name}"} for name in said]
    judged = judge(parse_page(page))
    assert (judged.outcome, judged.license) == ("accept", "LicenseRef-PD-NASA")
