"""Figures of a release in its card: relative addresses that exist, the same bytes again, nothing foreign as markup."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from PIL import Image

from catalog.release.manifest import load_manifest, sha256_of, verify_dataset, write_manifest
from pipelines.release.illustrate import BEGIN, CAPTIONS, illustrate, with_figures
from tests.hub.releases import make_release


def named_in(card):
    return re.findall(r"!\[[^]]*\]\(([^)]+)\)", card)


@pytest.mark.slow
def test_the_card_names_figures_that_lie_beside_it_and_stays_when_it_was_edited(tmp_path):
    folder = tmp_path / "release"
    before = make_release(folder)
    shown = illustrate(folder)
    card = (folder / "README.md").read_text()
    assert named_in(card) == shown
    assert shown[0] == "figures/contact_sheet.png"
    assert len(shown) >= 5
    for path in shown:
        with Image.open(folder / path) as image:
            assert image.format == "PNG"
            assert max(image.size) < 900
    assert sum((folder / path).stat().st_size for path in shown) < 1_500_000
    manifest = load_manifest(folder)
    assert manifest.dataset_hash == before.dataset_hash
    assert {*shown, "README.md", "CREDITS.csv"} <= {entry.path for entry in manifest.files}
    assert verify_dataset(folder) == []
    # Each photograph of the contact sheet is credited below it.
    credits = card.partition("<details><summary>Credits")[2].partition("</details>")[0]
    assert len(re.findall(r"^\d+\. ", credits, re.MULTILINE)) == min(24, before.rows)
    assert card.index("figures/") < card.index("## What is in it")
    # The same again changes nothing, but for a figure that is not drawn any more, which leaves.
    (folder / "figures" / "funnel.png").write_bytes(b"of an earlier build")
    held = {path: sha256_of(folder / path) for path in [*shown, "README.md", "manifest.json"]}
    assert illustrate(folder) == shown
    assert {path: sha256_of(folder / path) for path in held} == held
    assert not (folder / "figures" / "funnel.png").exists()
    # An edited card stays as it is.
    (folder / "README.md").write_text("mine")
    assert illustrate(folder) == []
    assert (folder / "README.md").read_text() == "mine"
    manifest = load_manifest(folder)
    write_manifest(replace(manifest, files=()), folder)
    assert illustrate(folder) == []


def test_credits_of_strangers_are_text_and_old_figures_give_way():
    hostile = (
        '"<img src=x onerror=alert(1)>" by [me](javascript:alert(2)), --> ![x](http://a.b/c.png)'
    )
    card = with_figures("# T\n\n## What is in it\n", ["figures/contact_sheet.png"], [hostile])
    assert "<img" not in card
    assert named_in(card) == ["figures/contact_sheet.png"]
    assert "[me](" not in card  # every bracket is escaped
    again = with_figures(card, ["figures/years.png"], [])
    assert named_in(again) == ["figures/years.png"]
    assert again.count(BEGIN) == 1
    assert again.endswith("## What is in it\n")
    assert set(CAPTIONS) >= {"contact_sheet", "years"}
