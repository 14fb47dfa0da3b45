"""License names: families, CC licenses in categories, and public-domain tags with and without a reason."""

from filters.rights.licenses import cc_of, family_of, pd_reason
from tests.cases import every

WITH_REASON = """PD-old|PD Old|PD-old-70|PD-old-100-expired|PD-old-auto-expired|PD-old-70-1923|PD-old-assumed-expired
PD-Art (PD-old-auto-expired)|PD-Art (PD-old)|PD-Art (PD-Japan)|PD-scan (PD-old-70-expired)|PD-Art-100|PD-US-expired
PD-US|PD-US-not renewed|PD-US-no notice|PD-US-1978-89|PD US Government|PD US Army|PD-USGov-Military-Navy|PD NASA
PD-UKGov|PD-Hubble|PD-self|PD-user|PD-author|PD-heirs|PD-Russia-expired|PD-RusEmpire|PD-Italy|PD-Sweden-photo
PD-Finland50|PD-Japan-oldphoto|PD-Argentina-Photo|PD-South Korea|PD-UK-unknown|PD-Germany-\u00a7134-KUG|PD-anon-70-EU
PD-anon-expired|PD-1923|PD-EU-no author disclosure|CC-PD-Mark|PD-GovEdict|PD-CAGov
Author died more than 100 years ago public domain images"""
WITHOUT = """PD tag needs review|PD-Art missing SDC copyright status|PD-US missing SDC copyright status
PD-Art (PD-old default)|PD-Art|PD-scan|PD-Art default|PD-textlogo|PD-ineligible|PD-shape|PD-algorithm|PD-because
PD-Art (PD-old needing year)|PD-old-70 without death year|PD-old review|PD files|PD-anything|PD-unclear|PD templates
PD-user needing check|Trees"""


def names(text):
    return [name for line in text.splitlines() for name in line.split("|")]


@every("name", names(WITH_REASON))
def test_a_tag_of_the_allow_list_gives_a_reason(name):
    assert pd_reason(name)


@every("name", names(WITHOUT))
def test_upkeep_bare_claims_and_tags_for_what_is_no_photograph_give_none(name):
    assert pd_reason(name) is None


@every(
    "name, family",
    [
        ("GFDL", "gfdl"),
        ("GFDL-1.2 only", "gfdl"),
        ("User-created GFDL images", "gfdl"),
        ("FAL", "fal"),
        ("Free Art License", "fal"),
        ("OGL3", "government"),
        ("UK Open Government Licence", "government"),
        ("KOGL Type 1", "government"),
        ("GODL-India", "government"),
        ("Attribution", "attribution"),
        ("Copyrighted free use provided that", "attribution"),
        ("GPLv3", "software"),
        ("MIT license", "software"),
        ("Apache License 2.0", "software"),
        ("ODbL", "other"),
        ("CC-BY-NC-ND-2.0", "cc"),
        ("CC-SA-1.0", "cc"),
        ("CC-BY-SA-3.0,2.5,2.0,1.0", "cc"),
        ("ODC-BY", "other"),
        ("EUPL 1.2", "other"),
        ("Unsplash license", "other"),
        ("LAL 1.3", "fal"),
        ("Attribution-Argentina", "attribution"),
        ("ODC-PDDL", None),
        ("EU flags", None),
        ("Lal Bahadur Shastri", None),
        # Neither licenses nor upkeep of licenses.
        ("GFDL missing SDC copyright license", None),
        # On pages with a GFDL tag only.
        ("License migration redundant", "gfdl"),
        ("CC-PD-Mark", None),
        ("CC-Zero", None),
        ("Apache helicopters", None),
        ("Falcons", None),
        ("Massachusetts Institute of Technology", None),
        ("Attribution metadata from licensed image", None),
    ],
)
def test_a_category_names_its_family_or_none(name, family):
    assert family_of(name) == family


def test_one_template_may_offer_several_versions():
    assert cc_of("CC-BY-SA-3.0,2.5,2.0,1.0").versions == ("3.0", "2.5", "2.0", "1.0")
    assert cc_of("CC-BY-SA-3.0-migrated").migrated
    assert not cc_of("CC-BY-NC-4.0").free
