"""docs/licenses.md is what the tables say."""

from pathlib import Path

from filters.license import judge
from filters.rights.guide import guide_text
from filters.rights.reasons import REASONS, means
from filters.rights.signs import signs
from tests.filters.test_license import FREE

PAGE = Path(__file__).parents[3] / "docs" / "licenses.md"


def test_the_page_is_made_from_the_tables():
    told = "run: python -m filters.rights.guide > docs/licenses.md"
    assert PAGE.read_text(encoding="utf-8") == guide_text(), told


def test_every_sign_and_reason_has_a_sentence():
    for name in (*REASONS, *(sign.name for sign in signs())):
        assert means(name).endswith(".")
    assert means("license_not_allowed:gfdl") == means("license_not_allowed")
    assert means(judge(FREE).reason) == REASONS["ok"][1]
