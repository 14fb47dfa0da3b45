"""The license gate: by hand for every rule, and over all recorded answers of Commons."""

import re
from collections import defaultdict
from dataclasses import replace

import pytest

from catalog.records import FileRecord
from crawler.extmetadata import parse_page
from filters.license import RESTRICTIONS, judge, license_url_for, objections
from tests.cases import every
from tests.shared import recorded_pages, shared_folder

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


@every(
    "code, url, spdx, family",
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
def test_free_licenses_get_their_spdx_id_and_family(code, url, spdx, family):
    judged = judge(replace(FREE, license_code=code, license_url=url, categories=("Trees",)))
    assert (judged.keep, judged.reason, judged.license, judged.family) == (True, "ok", spdx, family)


@every(
    "changes, outcome, reason",
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


@every("restriction", sorted(RESTRICTIONS))
def test_every_known_restriction_keeps_a_file_out(restriction):
    assert verdict(restrictions=(restriction,))[0] == "reject"


@every(
    "categories, outcome, reason",
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
def test_public_domain_needs_evidence_and_no_other_license_beside_it(categories, outcome, reason):
    assert verdict(PD, categories=categories)[:2] == (outcome, reason)


def test_the_evidence_for_the_public_domain_is_named_in_the_license():
    assert judge(PD).license == "LicenseRef-PD-old-70"
    assert judge(PD).family == "pd_cc0"


def statement(item):
    value = {"mainsnak": {"datavalue": {"value": {"id": item}, "type": "wikibase-entityid"}}}
    return [value]


@every(
    "record, sdc, reason",
    [
        (FREE, {"statements": {"P275": statement("Q18199165")}}, "ok"),
        (FREE, {"statements": {"P275": statement("Q20007257")}}, "sdc_disagrees"),
        (
            FREE,
            {"statements": {"P275": statement("Q1"), "P6216": statement("Q50423863")}},
            "sdc_unknown_license",
        ),
        (FREE, {"statements": {"P275": [*statement("Q1"), *statement("Q18199165")]}}, "ok"),
        (FREE, {"statements": {"P275": statement("Q24082749")}}, "sdc_disagrees"),
        (FREE, {"statements": {"P275": statement("Q50829104")}}, "sdc_disagrees"),
        (FREE, {"statements": {"P6216": statement("Q19652")}}, "sdc_disagrees"),
        (PD, {"statements": {"P6216": statement("Q19652")}}, "ok"),
        (PD, {"statements": {"P6216": statement("Q50423863")}}, "sdc_disagrees"),
        (PD, {"statements": {"P275": statement("Q18199165")}}, "sdc_disagrees"),
        (PD, {"statements": {"P275": statement("Q6938433")}}, "ok"),
        (
            FREE,
            {"statements": {"P275": [{**statement("Q20007257")[0], "rank": "deprecated"}]}},
            "ok",
        ),
        (FREE, {"statements": []}, "ok"),
        (FREE, {"id": "M1", "missing": ""}, "ok"),
    ],
)
def test_structured_data_must_not_contradict(record, sdc, reason):
    assert verdict(record, sdc)[1] == reason


# Page ids by verdict, over all pages of the recorded answers, and how many page objects there are of each. Their
# requests did not ask for real categories, so that no file in the public domain has evidence here; a page in the middle
# of a continuation has no file information yet. None: pages recorded without an id. The two files under
# `custom_permission` speak of social media in their permission field.
RECORDED = {
    ("accept", "ok", "CC-BY-4.0"): (
        5,
        "44672250 44672276 44672278 44672284 44672293",
    ),
    # In the author's place stands "This file is lacking author information."
    ("quarantine", "missing_author", "CC-BY-4.0"): (1, "44672279"),
    ("accept", "ok", "CC-BY-SA-2.0"): (1, "None"),
    ("accept", "ok", "CC-BY-SA-4.0"): (
        45,
        "44672188 44672189 44672190 44672192 44672193 44672194 44672195 44672196 44672197 44672199 44672200 "
        "44672203 44672205 44672206 44672207 44672233 44672234 44672239 44672269 44672270 44672271 44672272 "
        "44672273 44672274 81754323",
    ),
    ("accept", "ok", "CC0-1.0"): (
        11,
        "44672277 44672280 44672282 44672283 44672285 44672286 44672288 44672289 44672290 44672291 44672292",
    ),
    ("accept", "ok", "LicenseRef-CC-BY-SA-3.0-ES"): (1, "21214211"),
    ("quarantine", "custom_permission", "CC-BY-SA-3.0-DE"): (6, "44672185"),
    ("quarantine", "custom_permission", "CC-BY-SA-4.0"): (1, "44672267"),
    ("quarantine", "license_not_allowed:no-restrictions", None): (2, "42098895 42211633"),
    ("quarantine", "no_license", None): (4, "123 456 789 81754323"),
    ("quarantine", "pd_without_evidence", "LicenseRef-PD"): (
        47,
        "18263872 44666587 44669852 44672181 44672183 44672186 44672187 44672208 44672210 44672212 44672213 "
        "44672214 44672235 44672238 44672240 44672241 44672245 44672247 44672248 44672252 44672253 44672254 "
        "44672255 44672256 44672257 44672258 44672259 44672263 44672264 44672266 44672268 44672281",
    ),
    ("reject", "not_a_file:missing", None): (2, "None"),
    ("reject", "not_a_file:no_file", None): (
        29,
        "18263872 44672185 44672190 44672194 44672195 44672196 44672207 44672210 44672212 56717420 81754323 "
        "84774204 84798633",
    ),
}


def test_every_recorded_page_has_the_right_verdict():
    found = defaultdict(list)
    for _, page in recorded_pages():
        record = parse_page(page)
        judged = judge(record)
        found[judged.outcome, judged.reason, judged.license].append(str(record.page_id))
    assert {
        verdict: (len(pages), " ".join(sorted(set(pages)))) for verdict, pages in found.items()
    } == RECORDED


@every(
    "permission, reason",
    [
        # As recorded from Commons.
        (
            "This image is not public domain. [...] excludes use in social media",
            "custom_permission",
        ),
        ("Commercial use only with my prior written permission.", "custom_permission"),
        ("For non-commercial use.", "custom_permission"),
        ("All rights reserved", "custom_permission"),
        ("Nutzung in sozialen Netzwerken untersagt", "custom_permission"),
        # What free licenses and the volunteers' response team say themselves, as recorded from Commons.
        (
            "I, the copyright holder of this work, hereby publish it under the following license:",
            "ok",
        ),
        ("If you wish to use this content, you do not need to request permission", "ok"),
        (
            "You may do so in any reasonable manner, but not in any way that suggests the licensor",
            "ok",
        ),
        (
            "You can use the work, even for commercial purposes, all without asking permission.",
            "ok",
        ),
        (None, "ok"),
    ],
)
def test_conditions_beside_the_license_need_a_person(permission, reason):
    assert verdict(permission=permission)[1] == reason


@every(
    "spdx, url",
    [
        ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
        ("CC-BY-SA-3.0-DE", "https://creativecommons.org/licenses/by-sa/3.0/de/"),
        ("LicenseRef-CC-BY-SA-2.5-IT", "https://creativecommons.org/licenses/by-sa/2.5/it/"),
        ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("LicenseRef-PD-old-70", None),
        ("LicenseRef-Pd-self", None),
        ("LicenseRef-PD", None),
    ],
)
def test_each_license_has_its_address(spdx, url):
    assert license_url_for(spdx) == url


def test_the_address_of_an_accepted_license_passes_the_gate():
    for code in ("cc-by-1.0", "cc-by-sa-2.1-jp", "cc-by-sa-2.5-scotland", "cc0"):
        spdx = judge(replace(FREE, license_code=code)).license
        changes = {"license_url": license_url_for(spdx), "categories": ("Trees",)}
        assert verdict(license_code=code, **changes)[1:] == ("ok", spdx)


@every("spdx", ["CC-BY-NC-4.0", "GFDL-1.3", "CC-BY-9.9", ""])
def test_a_license_outside_of_the_gate_has_no_address(spdx):
    with pytest.raises(ValueError, match="no license of the gate"):
        license_url_for(spdx)


# License templates of the MediaWiki that the project is held against -> what its extmetadata say -> the verdict.
TEMPLATES = {
    "Cc-zero": ("accept", "ok", "CC0-1.0"),
    "Cc-by-2.0": ("accept", "ok", "CC-BY-2.0"),
    "Cc-by-2.5": ("accept", "ok", "CC-BY-2.5"),
    "Cc-by-3.0": ("accept", "ok", "CC-BY-3.0"),
    "Cc-by-4.0": ("accept", "ok", "CC-BY-4.0"),
    "Cc-by-sa-2.0": ("accept", "ok", "CC-BY-SA-2.0"),
    "Cc-by-sa-2.5": ("accept", "ok", "CC-BY-SA-2.5"),
    "Cc-by-sa-3.0": ("accept", "ok", "CC-BY-SA-3.0"),
    "Cc-by-sa-4.0": ("accept", "ok", "CC-BY-SA-4.0"),
    "PD-old": ("accept", "ok", "LicenseRef-PD-old"),
    "PD-USGov": ("accept", "ok", "LicenseRef-PD-US-Government"),
    "GFDL": ("quarantine", "license_not_allowed:gfdl", None),
    "FAL": ("quarantine", "license_not_allowed:fal", None),
    "Non-free_logo": ("reject", "non_free", None),
}


@every("template", TEMPLATES)
def test_every_license_template_of_the_test_wiki_has_the_right_verdict(template):
    text = (shared_folder("mediawiki") / f"assets/templates/{template}.txt").read_text("utf-8")
    said = dict(part.split("=", 1) for part in text.strip().strip("{}").split("|")[1:])
    short = said["short"]
    code = "pd" if short == "Public domain" else short.lower().replace(" ", "-")
    judged = verdict(
        license_code=code if re.fullmatch(r"pd|cc0|cc-by.*", code) else None,
        license_short_name=short,
        license_url=said["link"] or None,
        categories=(said["cat"],),
    )
    assert judged == TEMPLATES[template]


def test_with_its_categories_a_recorded_public_domain_page_is_accepted():
    pages = {page["title"]: page for _, page in recorded_pages() if page.get("pageid") == 18263872}
    (page,) = pages.values()
    said = page["imageinfo"][0]["extmetadata"]["Categories"]["value"].split("|")
    page["categories"] = [{"title": f"Category:{name}"} for name in said]
    judged = judge(parse_page(page))
    assert (judged.outcome, judged.license) == ("accept", "LicenseRef-PD-NASA")


CC0 = replace(
    FREE,
    license_code="cc0",
    license_short_name="CC0",
    license_url="https://creativecommons.org/publicdomain/zero/1.0/",
    categories=("CC-Zero", "Trees"),
)


@every(
    "beside, reason",
    [
        ("CC-BY-2.0", "pd_beside_cc"),
        ("CC-BY-NC-ND-2.0", "pd_beside_cc"),
        ("GFDL-1.2 only", "pd_beside_gfdl"),
        ("License migration candidates", "pd_beside_gfdl"),
        ("FAL", "pd_beside_fal"),
        ("OGL3", "pd_beside_government"),
        ("KOGL Type 1", "pd_beside_government"),
        ("Attribution", "pd_beside_attribution"),
        ("GPLv3", "pd_beside_software"),
        ("ODbL", "pd_beside_other"),
        ("CC-Zero", "ok"),
        ("CC-PD-Mark", "ok"),
        ("GFDL missing SDC copyright license", "ok"),
    ],
)
def test_a_claim_of_public_domain_is_checked_against_every_other_license(beside, reason):
    assert verdict(PD, categories=("PD-old-70", beside))[1] == reason


def test_texts_and_flags_of_the_page_name_other_licenses_too():
    assert verdict(PD, permission="Released under the GFDL.")[1] == "pd_beside_gfdl"
    said = verdict(PD, license_url="https://creativecommons.org/licenses/by-sa/3.0")[1]
    assert said in ("url_disagrees", "pd_beside_cc")
    assert verdict(PD, attribution_required=True)[1] == "pd_beside_attribution"


@every(
    "record, categories, reason",
    [
        (FREE, ("CC-BY-SA-4.0", "CC-BY-3.0"), "several_licenses"),
        (FREE, ("CC-BY-SA-4.0", "CC-BY-SA-3.0"), "several_licenses"),
        (FREE, ("CC-BY-SA-4.0", "OGL3"), "several_licenses"),
        (FREE, ("CC-BY-SA-4.0", "Attribution"), "several_licenses"),
        (FREE, ("CC-BY-SA-4.0", "CC-Zero"), "several_licenses"),
        # One template offers these, or the second is one that Commons takes beside a free one only.
        (FREE, ("CC-BY-SA-4.0,3.0,2.5,2.0,1.0",), "ok"),
        (FREE, ("CC-BY-SA-4.0", "GFDL"), "ok"),
        (FREE, ("CC-BY-SA-4.0", "CC-BY-NC-SA-3.0"), "ok"),
        (FREE, ("CC-BY-SA-4.0", "GFDL", "CC-BY-SA-3.0-migrated"), "ok"),
        (CC0, ("CC-Zero", "CC-BY-SA-4.0"), "several_licenses"),
        (CC0, ("CC-Zero", "GFDL"), "several_licenses"),
        (CC0, ("CC-Zero",), "ok"),
    ],
)
def test_a_second_license_of_another_template_needs_a_person(record, categories, reason):
    assert verdict(record, categories=categories)[1] == reason


@every(
    "record, changes, reason",
    [
        (FREE, {"author_count": 2}, "several_authors"),
        (PD, {"author_count": 3}, "several_authors"),
        (FREE, {"author_count": 1}, "ok"),
        (FREE, {"artist": "x" * 501}, "author_unclear"),
        (FREE, {"artist": "REUTERS/Jo Doe"}, "agency"),
        (FREE, {"credit": "Getty Images"}, "agency"),
        (PD, {"artist": "Associated Press"}, "ok"),
        (FREE, {"artist": "Unbekannter Fotograf"}, "missing_author"),
        (FREE, {"artist": "Unknown", "attribution": "Photo: Jo Doe"}, "ok"),
        (PD, {"artist": "Unknown"}, "ok"),
        (CC0, {"artist": "Anonymous"}, "missing_author"),
        (CC0, {"artist": None, "credit": "Naturalis Biodiversity Center"}, "ok"),
        (CC0, {"artist": None, "credit": "Own work"}, "missing_author"),
        (CC0, {"artist": None}, "missing_author"),
        (FREE, {"license_short_name": "CC BY-NC-SA 4.0"}, "name_disagrees"),
        (FREE, {"permission": "Made with a text-to-image model"}, "ai_generated"),
        (FREE, {"credit": "Own work, upscaled with Topaz Gigapixel AI"}, "ai_upscaled"),
    ],
)
def test_who_made_it_has_to_be_told(record, changes, reason):
    assert verdict(record, **changes)[1] == reason


def test_what_rejects_goes_before_what_waits_and_a_reason_can_be_switched_off():
    file = replace(FREE, categories=("CC-BY-SA-4.0", "License review needed", "Logos of banks"))
    assert judge(file).reason == "logo"
    assert judge(file, off={"logo"}).reason == "review_needed"
    assert judge(file, off={"logo", "review_needed"}).keep
    assert [item.reason for item in objections(file)] == ["review_needed", "logo"]


def test_a_file_without_a_readable_license_cannot_be_switched_on():
    file = replace(FREE, license_code=None, license_short_name="GFDL", categories=())
    assert not judge(file, off={"license_not_allowed:gfdl"}).keep


def test_a_file_that_nobody_could_credit_cannot_be_switched_on_either():
    off = {"missing_author", "custom_permission"}
    nobody = replace(FREE, artist=None)
    assert judge(nobody, off=off).reason == "missing_author"
    assert not judge(replace(FREE, artist="Do not use without my permission."), off=off).keep
    # There is a text to print, and a person looked at it.
    assert judge(replace(FREE, artist="Unknown author"), off=off).keep


def test_what_structured_data_say_is_shown_counts():
    said = {"statements": {"P275": statement("Q18199165"), "P180": statement("Q3031")}}
    assert verdict(FREE, said)[:2] == ("reject", "subject:minors")


def test_terms_that_free_nothing_wait_only_where_a_field_states_the_terms():
    said = "For use in newspapers about Oslo."
    for field in ("permission", "usage_terms"):
        assert judge(replace(FREE, **{field: said})).reason == "custom_permission"
    assert judge(replace(FREE, credit="Copy of a print in the town library")).keep


def test_an_account_is_credited_by_its_name_and_a_lone_agency_is_looked_at():
    user = "https://commons.wikimedia.org/wiki/User:"
    photographer = replace(FREE, artist="The Photographer", attribution=None)
    assert judge(replace(photographer, artist_url=user + "The_Photographer")).keep
    assert judge(replace(photographer, artist_url=None)).reason == "missing_author"
    agency = replace(FREE, artist="Keystone", attribution=None, artist_url=None)
    assert judge(agency).reason == "agency"
    assert judge(replace(agency, artist_url=user + "Keystone")).keep
