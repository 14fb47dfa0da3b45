"""The released dataset: whole or not at all, the same bytes for the same rows, and readable by everybody's tools."""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalog.records import FileRecord
from catalog.release.columns import leaves, released_schema
from catalog.release.credits import AttributionError
from catalog.release.export import (
    RELEASED,
    ExportError,
    MissingObjectError,
    SampleError,
    Sha1MismatchError,
    TombstonedError,
    VersionError,
    export_dataset,
    recover,
    verify_dataset,
)
from catalog.release.manifest import DatasetError, load_manifest
from catalog.release.tombstones import TOMBSTONES, no_tombstones, read_tombstones
from tests.catalog.release.release_samples import HOSTILE, reader, release

RECIPE = {"name": "test", "seed": 7}


@pytest.fixture(scope="module")
def made():
    return release()


@pytest.fixture(scope="module")
def dataset(made, tmp_path_factory):
    """An export with small shards, read by many tests and changed by none."""
    samples, store = made
    out = tmp_path_factory.mktemp("out") / "dataset"
    return out, export(samples, store, out, max_shard_bytes=150_000)


def export(samples, store, out, **options):
    return export_dataset(
        samples,
        read_bytes=reader(store),
        out=out,
        recipe=RECIPE,
        recipe_hash="abc",
        name="tiny",
        **options,
    )


def shards_of(out):
    return sorted(out.glob("data/*/*.parquet"))


def test_load_dataset_decodes_every_image_without_being_told(made, dataset, tmp_path, monkeypatch):
    samples, store = made
    out, _ = dataset
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    import datasets

    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(out / "data/**/*.parquet"),
        split="train",
        cache_dir=str(tmp_path),
    )
    assert isinstance(loaded.features["image"], datasets.Image)
    assert loaded.num_rows == samples.num_rows
    for row in loaded:
        expected = Image.open(io.BytesIO(store[row["sha1"]]))
        assert row["image"].tobytes() == expected.tobytes()
        assert row["uploaded_at"].tzinfo is not None
        assert set(row["measures"]) == {"jpeg_quality", "laplacian"}


def test_features_are_those_that_datasets_derives_from_the_schema(made):
    import datasets

    schema = released_schema(made[0].schema)
    theirs = datasets.Features.from_arrow_schema(schema.remove_metadata()).to_dict()
    theirs["image"] = {"_type": "Image"}
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"] == theirs


def test_the_same_rows_in_another_order_give_the_same_dataset_hash(made, dataset, tmp_path):
    samples, store = made
    _, manifest = dataset
    order = list(range(samples.num_rows))
    random.Random(3).shuffle(order)
    shuffled = samples.take(order)
    # Two chunks and another order of the struct's fields must not show either.
    flipped = pa.array(
        [{k: row[k] for k in ("blur", "jpeg")} for row in shuffled["severities"].to_pylist()],
        pa.struct([("blur", pa.float64()), ("jpeg", pa.float64())]),
    )
    at = shuffled.column_names.index("severities")
    shuffled = shuffled.set_column(at, "severities", flipped)
    shuffled = pa.concat_tables([shuffled.slice(0, 5), shuffled.slice(5)])
    again = export(shuffled, store, tmp_path / "dataset", max_shard_bytes=150_000)
    assert again == manifest


def test_run_dependent_values_do_not_reach_the_shards(made, dataset, tmp_path):
    samples, store = made
    _, manifest = dataset
    at = samples.column_names.index("revision_id")
    later = samples.set_column(at, "revision_id", pa.array([99] * samples.num_rows))
    again = export(later, store, tmp_path / "dataset", max_shard_bytes=150_000)
    assert again.dataset_hash == manifest.dataset_hash
    assert not {"revision_id", "state", "deletion_reason"} & set(manifest.columns)


def test_a_changed_value_changes_the_dataset_hash(made, dataset, tmp_path):
    samples, store = made
    _, manifest = dataset
    at = samples.column_names.index("severity")
    other = samples.set_column(at, "severity", pa.array([0.25] * samples.num_rows))
    again = export(other, store, tmp_path / "dataset", max_shard_bytes=150_000)
    assert again.dataset_hash != manifest.dataset_hash


@pytest.mark.parametrize("bound", [70_000, 110_000, 150_000])
@pytest.mark.parametrize("group_rows", [1, 3, 50])
def test_no_shard_is_larger_than_the_bound(made, tmp_path, bound, group_rows):
    samples, store = made
    manifest = export(
        samples, store, tmp_path / "d", max_shard_bytes=bound, row_group_rows=group_rows
    )
    assert max(shard.bytes for shard in manifest.shards) <= bound
    assert sum(shard.rows for shard in manifest.shards) == samples.num_rows
    assert verify_dataset(tmp_path / "d") == []


def test_a_photograph_larger_than_the_bound_has_a_shard_for_itself(made, tmp_path):
    samples, store = made
    manifest = export(samples, store, tmp_path / "d", max_shard_bytes=1)
    assert [shard.rows for shard in manifest.shards] == [1] * samples.num_rows


def test_row_groups_end_at_their_rows_or_their_bytes(made, tmp_path):
    samples, store = made
    export(samples, store, tmp_path / "rows", row_group_rows=3)
    # cc_by/train has the pages 1007 + 21k, without 1049 (n = 7): 7 rows, so groups of 3, 3 and 1.
    path = tmp_path / "rows/data/cc_by/train-00000-of-00001.parquet"
    shard = pq.ParquetFile(path)
    assert [shard.metadata.row_group(i).num_rows for i in range(shard.num_row_groups)] == [3, 3, 1]
    export(samples, store, tmp_path / "bytes", row_group_bytes=1)
    shard = pq.ParquetFile(tmp_path / "bytes/data/cc_by/train-00000-of-00001.parquet")
    assert shard.num_row_groups == 7


def test_rows_stand_in_the_order_of_their_pages_and_images_are_stored_as_they_are(made, dataset):
    samples, store = made
    out, manifest = dataset
    seen = 0
    for family in ("pd_cc0", "cc_by", "cc_by_sa"):
        for split in ("train", "test"):
            pages = []
            for path in sorted(out.glob(f"data/{family}/{split}-*.parquet")):
                table = pq.read_table(path)
                pages += table["page_id"].to_pylist()
                assert set(table["family"].to_pylist()) == {family}
                for image, sha1 in zip(
                    table["image"].to_pylist(), table["sha1"].to_pylist(), strict=True
                ):
                    assert image == {"bytes": store[sha1], "path": f"{sha1}.jpg"}
            assert pages == sorted(pages)
            seen += len(pages)
    assert seen == samples.num_rows == manifest.rows


def test_images_are_uncompressed_and_texts_are_zstd(dataset):
    out, _ = dataset
    metadata = pq.ParquetFile(shards_of(out)[0]).metadata
    group = metadata.row_group(0)
    codecs = {
        group.column(i).path_in_schema: group.column(i).compression
        for i in range(group.num_columns)
    }
    assert codecs.pop("image.bytes") == "UNCOMPRESSED"
    assert set(codecs.values()) == {"ZSTD"}
    assert set(codecs) | {"image.bytes"} == set(leaves(pq.read_schema(shards_of(out)[0])))


def test_plain_duckdb_reads_the_shards(dataset):
    out, manifest = dataset
    shards = duckdb.read_parquet(str(out / "data/**/*.parquet"))
    counts = dict(duckdb.sql("select license, count(*) from shards group by 1").fetchall())
    assert counts == manifest.counts["license"] == {"CC-BY-4.0": 8, "CC-BY-SA-3.0": 8, "CC0-1.0": 8}
    assert duckdb.sql("select max(measures.laplacian) from shards").fetchall() == [(100.0,)]
    # The first page's pHash has its highest bit set: it must not come back negative.
    first = duckdb.sql("select phash from shards where page_id = 1000").fetchall()
    assert first == [(2**64 - 1,)]
    assert duckdb.sql("select bool_and(sha1(image.bytes) = sha1) from shards").fetchall() == [
        (True,)
    ]
    assert shards.columns == list(manifest.columns)


def test_every_row_carries_its_attribution_line(dataset):
    out, _ = dataset
    lines = pa.concat_tables(
        [pq.read_table(p, columns=["attribution_line"]) for p in shards_of(out)]
    )
    for line in lines["attribution_line"].to_pylist():
        assert "via Wikimedia Commons, https://commons.wikimedia.org/wiki/File:Tile_" in line
        assert line.endswith("unmodified.")
        assert "\n" not in line


def test_the_dataset_hash_can_be_recomputed_with_sha256sum(dataset):
    out, manifest = dataset
    shell = "find data -name '*.parquet' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    printed = subprocess.run(shell, shell=True, cwd=out, capture_output=True, text=True, check=True)
    assert printed.stdout.split()[0] == manifest.dataset_hash


def test_the_manifest_says_what_is_in_the_dataset(made, dataset):
    samples, store = made
    out, manifest = dataset
    assert load_manifest(out) == manifest
    assert manifest.recipe == RECIPE
    assert manifest.image_bytes == sum(map(len, store.values()))
    blurred = sum("blur" in labels for labels in samples["labels"].to_pylist())
    assert manifest.counts["label"]["blur"] == blurred > 0
    assert [file.path for file in manifest.files] == ["CREDITS.csv", "LICENSES.md"]
    assert manifest.columns == tuple(column.name for column in RELEASED)


def test_extra_files_are_hashed_but_do_not_change_the_dataset_hash(made, dataset, tmp_path):
    samples, store = made
    _, plain = dataset

    def card(folder, manifest):
        (folder / "README.md").write_text(manifest.dataset_hash)

    out = tmp_path / "dataset"
    manifest = export(samples, store, out, max_shard_bytes=150_000, write_extra=card)
    assert (out / "README.md").read_text() == manifest.dataset_hash == plain.dataset_hash
    (out / "README.md").write_text("changed")
    (fault,) = verify_dataset(out)
    assert fault.startswith("README.md was changed")


class Killed(BaseException):
    """Stands for a kill in the middle of an export."""


def killed_after(store, count):
    reads = iter(range(count))

    def read(sha1):
        if next(reads, None) is None:
            raise Killed
        return store[sha1]

    return read


@pytest.mark.parametrize("reads", [0, 5, 23])
def test_a_kill_while_shards_are_written_leaves_the_old_dataset(made, dataset, tmp_path, reads):
    samples, store = made
    _, manifest = dataset
    out = tmp_path / "dataset"
    shutil.copytree(dataset[0], out)
    with pytest.raises(Killed):
        export_dataset(
            samples.slice(0, 24),
            read_bytes=killed_after(store, reads),
            out=out,
            recipe={},
            recipe_hash="new",
            name="new",
        )
    assert verify_dataset(out) == []
    assert load_manifest(out) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


@pytest.mark.parametrize("left", [".dataset.0a1b2c3d.tmp", ".dataset.new"])
def test_what_a_real_kill_leaves_behind_is_cleared_up_by_the_next_export(
    made, dataset, tmp_path, left
):
    samples, store = made
    out = tmp_path / "dataset"
    shutil.copytree(dataset[0], out)
    half = tmp_path / left
    shutil.copytree(dataset[0], half)
    (half / "manifest.json").unlink()
    (half / "data/cc_by/stale.parquet").write_bytes(b"PAR1")
    assert verify_dataset(out) == []
    export(samples.slice(0, 6), store, out)
    assert verify_dataset(out) == []
    assert load_manifest(out).rows == 6
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


@pytest.mark.parametrize("new_is_whole", [True, False])
@pytest.mark.parametrize(
    ("new", "old"),
    [(".dataset.ffffffff.tmp", ".dataset.0a1b2c3d.tmp"), (".dataset.new", ".dataset.old")],
    ids=["now", "before catalog.files"],
)
def test_a_kill_between_the_two_renames_is_recovered(
    made, dataset, tmp_path, new_is_whole, new, old
):
    samples, store = made
    export(samples.slice(0, 6), store, tmp_path / "small")
    (tmp_path / "small").rename(tmp_path / new)
    shutil.copytree(dataset[0], tmp_path / old)
    if not new_is_whole:
        (tmp_path / new / "manifest.json").unlink()
    out = tmp_path / "dataset"
    assert "has no manifest.json" in verify_dataset(out)[0]
    recover(out)
    assert verify_dataset(out) == []
    assert load_manifest(out).rows == (6 if new_is_whole else samples.num_rows)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_a_new_export_takes_the_place_of_the_old_one_whole(made, dataset, tmp_path):
    samples, store = made
    out = tmp_path / "dataset"
    shutil.copytree(dataset[0], out)
    (out / "stray.txt").write_text("not ours")
    manifest = export(samples.slice(3, 1), store, out)
    assert load_manifest(out) == manifest
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == [
        "CREDITS.csv",
        "LICENSES.md",
        "manifest.json",
        "train-00000-of-00001.parquet",
    ]


def test_a_missing_object_and_wrong_bytes_are_told_apart_and_name_the_file(made, tmp_path):
    samples, store = made
    sha1 = samples["sha1"][2].as_py()
    without = {key: value for key, value in store.items() if key != sha1}
    with pytest.raises(MissingObjectError, match=r"Tile 2\.jpg.*lucidlr build"):
        export(samples, without, tmp_path / "dataset")
    with pytest.raises(Sha1MismatchError, match=r"Tile 2\.jpg.*Commons says " + sha1):
        export(samples, {**store, sha1: store[sha1] + b"x"}, tmp_path / "dataset")
    assert list(tmp_path.iterdir()) == []


def test_a_row_without_an_author_stops_the_export(made, tmp_path):
    samples, store = made
    at = samples.column_names.index("artist")
    artists = [*samples["artist"].to_pylist()]
    artists[1] = None
    with pytest.raises(AttributionError, match=r"page 1007: 'File:Tile 1\.jpg' lacks an author"):
        export(
            samples.set_column(at, "artist", pa.array(artists, pa.string())), store, tmp_path / "d"
        )


def replaced(samples, name, value):
    at = samples.column_names.index(name)
    field = samples.schema.field(name)
    return samples.set_column(at, name, pa.array([value] * samples.num_rows, field.type))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["phash", "url"]), "no column url, phash"),
        (lambda t: t.slice(0, 0), "No sample was chosen"),
        (lambda t: pa.concat_tables([t, t.slice(4, 1)]), "page 1028"),
        (lambda t: replaced(t, "family", "gfdl"), "gfdl"),
        (lambda t: replaced(t, "split", "../up"), "cannot name a split"),
        (lambda t: replaced(t, "sha1", None), "24 samples have no sha1"),
    ],
)
def test_a_table_unfit_for_release_is_refused_with_the_reason(made, tmp_path, change, message):
    samples, store = made
    with pytest.raises(SampleError, match=message):
        export(change(samples), store, tmp_path / "dataset")


def test_a_struct_without_fields_is_left_out(made, tmp_path):
    samples, store = made
    none = pa.array([{}] * samples.num_rows, pa.struct([]))
    samples = samples.set_column(samples.column_names.index("scores"), "scores", none)
    manifest = export(samples, store, tmp_path / "dataset")
    assert "scores" not in manifest.columns
    assert "measures" in manifest.columns


def test_verify_names_what_was_changed_added_or_taken_away(dataset, tmp_path):
    out = tmp_path / "dataset"
    shutil.copytree(dataset[0], out)
    first, second, *_ = shards_of(out)
    damaged = bytearray(first.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    first.write_bytes(damaged)
    second.unlink()
    (out / "data/cc_by/added.parquet").write_bytes(b"")
    faults = "\n".join(verify_dataset(out))
    assert f"{first.relative_to(out)} was changed" in faults
    assert f"{second.relative_to(out)} is missing" in faults
    assert "data/cc_by/added.parquet is not in the manifest" in faults
    assert "The dataset hash is" in faults


def test_a_damaged_or_foreign_manifest_is_a_typed_error(dataset, tmp_path):
    out = tmp_path / "dataset"
    shutil.copytree(dataset[0], out)
    path = out / "manifest.json"
    whole = json.loads(path.read_text())
    for text, message in (
        ("{", "damaged"),
        (json.dumps({**whole, "schema_version": 99}), "schema version"),
        (json.dumps({**whole, "more": 1}), "more"),
        (json.dumps({k: v for k, v in whole.items() if k != "version"}), "version"),
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=message):
            load_manifest(out)


def test_hostile_titles_come_back_as_they_were(dataset):
    out, _ = dataset
    titles = [t for p in shards_of(out) for t in pq.read_table(p)["title"].to_pylist()]
    assert HOSTILE in titles


def stones(*rows):
    """Tombstones of (page id, SHA-1, kind)."""
    day = date(2026, 1, 2)
    return pa.Table.from_pylist(
        [
            {"page_id": page, "sha1": sha1, "date": day, "reason": "requested", "kind": kind}
            for page, sha1, kind in rows
        ],
        TOMBSTONES,
    )


OTHER = "f" * 40


def test_a_sample_with_a_tombstone_stops_the_export_and_the_old_dataset_stays(
    made, dataset, tmp_path
):
    samples, store = made
    out = tmp_path / "dataset"
    shutil.copytree(dataset[0], out)
    first = samples["sha1"][0].as_py()
    for row in ((1000, OTHER, "page"), (1000, None, "page"), (5, first, "version")):
        with pytest.raises(TombstonedError, match=r"1 chosen samples .*\(pages 1000\)") as caught:
            export(samples, store, out, tombstones=stones(row))
        assert "Tile" not in str(caught.value), "the message goes into logs"
    assert load_manifest(out) == dataset[1]


def test_the_new_version_of_an_overwritten_file_is_released_beside_the_tombstone_of_the_old(
    made, dataset, tmp_path
):
    samples, store = made
    graves = stones((9, OTHER, "page"), (1000, OTHER, "version"))
    out = tmp_path / "dataset"
    manifest = export(samples, store, out, max_shard_bytes=150_000, tombstones=graves)
    assert manifest.dataset_hash == dataset[1].dataset_hash
    assert read_tombstones(out).equals(graves)
    assert verify_dataset(out) == []
    (out / "tombstones.parquet").write_bytes(b"PAR1")
    assert "tombstones.parquet was changed" in verify_dataset(out)[0]


def test_the_same_tombstones_in_another_order_are_the_same_bytes(made, tmp_path):
    samples, store = made
    rows = [(9, OTHER, "page"), (3, None, "page"), (9, "e" * 40, "page")]
    one, other = (
        export(samples, store, tmp_path / name, tombstones=stones(*order))
        for name, order in (("a", rows), ("b", rows[::-1]))
    )
    assert one == other


def test_nothing_but_the_columns_of_a_tombstone_can_be_published(made, tmp_path):
    samples, store = made
    more = no_tombstones().append_column("detail", pa.array([], pa.string()))
    with pytest.raises(ExportError, match=r"date, reason, kind, not .*detail"):
        export(samples, store, tmp_path / "dataset", tombstones=more)
    assert list(tmp_path.iterdir()) == []


def test_version_and_previous_stand_in_the_manifest_and_outside_the_dataset_hash(
    made, dataset, tmp_path
):
    samples, store = made
    before = dataset[1].dataset_hash
    manifest = export(
        samples,
        store,
        tmp_path / "d",
        max_shard_bytes=150_000,
        version="1.2.0",
        previous=before,
    )
    assert (manifest.version, manifest.previous) == ("1.2.0", before)
    assert manifest.dataset_hash == before
    assert load_manifest(tmp_path / "d") == manifest
    assert (dataset[1].version, dataset[1].previous) == ("0.1.0", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "1.2"}, "MAJOR.MINOR.PATCH"),
        ({"version": "01.2.0"}, "MAJOR.MINOR.PATCH"),
        ({"previous": "abc"}, "64 hex digits"),
    ],
)
def test_a_malformed_version_is_refused_before_anything_is_written(
    made, tmp_path, options, message
):
    samples, store = made
    with pytest.raises(VersionError, match=message):
        export(samples, store, tmp_path / "dataset", **options)
    assert list(tmp_path.iterdir()) == []


def test_every_released_column_is_a_field_of_the_records_or_made_on_the_way():
    """A renamed field of FileRecord must not go unnoticed until an export fails."""
    joined = {
        "license",
        "family",
        "split",
        "labels",
        "severities",
        "severity",
        "measures",
        "scores",
    }
    joined |= {"phash", "dhash", "cluster_id"}
    known = set(FileRecord.__dataclass_fields__) | joined
    assert {column.source or column.name for column in RELEASED if not column.made} <= known
