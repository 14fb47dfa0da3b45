"""croissant.json, read by MLCommons' own reader: valid, and the records are those of the shards."""

from __future__ import annotations

import io
import json
import os

import pyarrow as pa
import pytest
from PIL import Image

from catalog.release.card import render_card
from catalog.release.croissant import RECORDS, croissant, write_croissant
from catalog.release.export import export_dataset
from catalog.release.manifest import sha256_of
from tests.catalog.release.release_samples import reader, release


def reader_of_croissant():
    """The module mlcroissant; skips the test without it, or fails it with LUCIDLR_REQUIRE_SHARED=1."""
    try:
        import mlcroissant
    except ImportError:
        reason = "mlcroissant is not installed (it belongs to the extra `dev`)"
        if os.environ.get("LUCIDLR_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return mlcroissant


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    samples, store = release()
    # Numbers that are not known, which pandas would make floats of.
    at = samples.column_names.index("author_count")
    counts = pa.array([2, *[None] * 23], pa.int64())
    samples = samples.set_column(at, "author_count", counts)
    out = tmp_path_factory.mktemp("croissant") / "dataset"

    def write(folder, manifest):
        card = render_card(manifest, samples=samples, funnel=[("chosen", 24)])
        (folder / "README.md").write_text(card, encoding="utf-8")
        write_croissant(manifest, folder, samples=samples, notice="A test.")

    manifest = export_dataset(
        samples,
        read_bytes=reader(store),
        out=out,
        recipe={},
        recipe_hash="abc",
        name="lucidlr_tiny",
        version="0.4.2",
        max_shard_bytes=150_000,
        write_extra=write,
    )
    return samples, store, out, manifest


@pytest.fixture(scope="module")
def described(made):
    return json.loads((made[2] / "croissant.json").read_text(encoding="utf-8"))


def test_the_description_says_what_the_manifest_says(made, described):
    *_, manifest = made
    assert described["name"] == "lucidlr_tiny"
    assert described["version"] == "0.4.2"
    assert described["isLiveDataset"] is False
    assert described["description"].startswith("A test. 24 naturally degraded photographs")
    assert manifest.dataset_hash in described["citeAs"]
    assert described["license"] == [
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "https://creativecommons.org/licenses/by/4.0/",
        "https://creativecommons.org/licenses/by-sa/3.0/",
    ]
    for word in ("dataBiases", "dataLimitations", "personalSensitiveInformation"):
        assert described[f"rai:{word}"]


def test_every_shard_is_named_with_its_sha256(made, described):
    _, _, out, manifest = made
    files = [d for d in described["distribution"] if d["@type"] == "cr:FileObject"]
    assert len(files) == len(manifest.shards) > 3
    for file in files:
        assert file["sha256"] == sha256_of(out / file["contentUrl"])


def test_every_released_column_is_a_field_and_every_field_of_a_struct_a_subfield(made, described):
    *_, manifest = made
    (records,) = described["recordSet"]
    fields = {field["name"]: field for field in records["field"]}
    assert tuple(fields) == manifest.columns
    assert [sub["name"] for sub in fields["measures"]["subField"]] == [
        "measures/jpeg_quality",
        "measures/laplacian",
    ]


def test_an_address_is_told_once_there_is_one(made):
    samples, _, _, manifest = made
    assert "url" not in croissant(manifest, samples)
    assert croissant(manifest, samples, url="https://example.org/d")["url"] == (
        "https://example.org/d"
    )


def test_mlcroissant_finds_no_error_and_no_warning_but_for_the_date(made):
    mlc = reader_of_croissant()
    issues = mlc.Dataset(jsonld=str(made[2] / "croissant.json")).metadata.issues
    assert list(issues.errors) == []
    assert [warning for warning in issues.warnings if "datePublished" not in warning] == []


def test_mlcroissant_reads_the_records_of_the_shards(made):
    mlc = reader_of_croissant()
    samples, store, out, _ = made
    dataset = mlc.Dataset(jsonld=str(out / "croissant.json"))
    records = {int(record[f"{RECORDS}/page_id"]): record for record in dataset.records(RECORDS)}
    assert set(records) == set(samples["page_id"].to_pylist())
    for row in samples.to_pylist():
        record = records[row["page_id"]]

        def said(name, record=record):
            return record[f"{RECORDS}/{name}"]

        sha1 = said("sha1").decode()
        assert sha1 == row["sha1"]
        assert said("image").tobytes() == Image.open(io.BytesIO(store[sha1])).tobytes()
        assert said("title").decode() == row["title"]
        assert int(said("phash")) == row["phash"]
        assert [label.decode() for label in said("labels")] == row["labels"]
        assert said("author_count") == row["author_count"]
        assert said("uploaded_at").to_pydatetime() == row["uploaded_at"]
        for column in ("measures", "severities", "scores"):
            inner = {key.rpartition("/")[2]: value for key, value in said(column).items()}
            assert inner == row[column]


def test_mlcroissant_notices_a_description_that_is_wrong(made, tmp_path):
    """The check above can fail."""
    mlc = reader_of_croissant()
    wrong = json.loads((made[2] / "croissant.json").read_text())
    del wrong["distribution"][0]["sha256"]
    (tmp_path / "croissant.json").write_text(json.dumps(wrong))
    with pytest.raises(mlc.ValidationError, match="sha256"):
        mlc.Dataset(jsonld=str(tmp_path / "croissant.json"))
