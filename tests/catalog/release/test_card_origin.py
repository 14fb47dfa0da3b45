"""The card of a release says where its photographs come from, and what scenes an encoder saw."""

import re

import pyarrow as pa
import pytest

from catalog.records import OWN_IDS
from catalog.release.card import balance, render_card
from catalog.release.croissant import croissant
from catalog.release.export import export_dataset
from tests.catalog.release.release_samples import reader, release

FUNNEL = [("listed", 96), ("chosen", 24)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table of samples and the manifest of its release."""
    samples, store = release()
    manifest = export_dataset(
        samples,
        read_bytes=reader(store),
        out=tmp_path_factory.mktemp("origin") / "dataset",
        recipe={"name": "tiny"},
        recipe_hash="abc",
        name="lucidlr-tiny",
    )
    return samples, manifest


def card_of(samples, manifest):
    return render_card(manifest, samples=samples, funnel=FUNNEL)


def with_column(samples, name, values, kind):
    column = pa.array(values, kind)
    if name in samples.column_names:
        return samples.set_column(samples.column_names.index(name), name, column)
    return samples.append_column(name, column)


def test_a_release_of_own_files_does_not_say_that_commons_has_them(made):
    samples, manifest = made
    text = card_of(samples, manifest)
    assert "photographs from Wikimedia Commons" in text and "wikimedia-commons" in text
    ids = [OWN_IDS + number for number in range(samples.num_rows)]
    own = card_of(with_column(samples, "page_id", ids, pa.int64()), manifest)
    opening = own.partition("## What is in it")[0]
    assert "from files that the maker of this release had" in opening and "Commons" not in opening
    told = own.partition("````yaml")[0] + own.partition("## Limits")[2]
    assert not re.findall(r".*Commons.*", told)
    assert "wikimedia-commons" not in own
    said = croissant(manifest, with_column(samples, "page_id", ids, pa.int64()))
    assert not re.findall(r"from Wikimedia Commons|Contributors|API of", str(said["description"]))
    assert said["creator"]["name"] == "The authors named in CREDITS.csv"
    assert "Contributors" in croissant(manifest, samples)["creator"]["name"]
    mixed = card_of(with_column(samples, "page_id", [*range(1, 5), *ids[4:]], pa.int64()), manifest)
    assert "4 from Wikimedia Commons and 20 from files that the maker" in mixed


def test_scenes_are_in_the_balance_where_an_encoder_looked(made):
    samples, manifest = made
    scenes = [7] * 6 + [None] * 2 + list(range(10, 26))
    seen = with_column(samples, "scene", scenes, pa.int64())
    row = {r["name"]: r for r in balance(seen)}["scene, as an encoder sees it"]
    # 6 of the 22 that it saw are of one scene, 16 alone.
    assert (row["different"], row["largest"], row["missing"]) == (17, 6 / 22, 2)
    text = card_of(seen, manifest)
    assert "| scene, as an encoder sees it | 17 | 27.3 % |" in text
    assert "| scenes | not measured |" not in text and "| faces | not measured |" in text
