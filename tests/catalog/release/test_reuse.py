"""Shards that would be written again byte for byte are those of the last release, under a second name."""

import pyarrow as pa
import pytest

from catalog.release.export import export_dataset, verify_dataset
from catalog.release.reuse import software
from tests.catalog.release.release_samples import reader, release

RECIPE = {"name": "test", "export": {"max_shard_mb": 0.15, "row_group_rows": 3}}


@pytest.fixture(scope="module")
def made():
    samples, store = release()
    return samples.sort_by("page_id"), store


def export(samples, store, out, recipe=RECIPE, most=150_000):
    read = []

    def noted(sha1):
        read.append(sha1)
        return reader(store)(sha1)

    manifest = export_dataset(
        samples,
        read_bytes=noted,
        out=out,
        recipe=recipe,
        recipe_hash="abc",
        name="tiny",
        max_shard_bytes=most,
        row_group_rows=3,
    )
    return manifest, read


def inodes(out, manifest):
    return {shard.path: (out / shard.path).stat().st_ino for shard in manifest.shards}


def test_the_same_rows_are_not_written_again_and_no_original_is_read(made, tmp_path):
    samples, store = made
    first, _ = export(samples, store, tmp_path / "a")
    assert len(first.shards) > 3
    before = inodes(tmp_path / "a", first)
    again, read = export(samples, store, tmp_path / "a")
    assert (again, read) == (first, [])
    assert inodes(tmp_path / "a", again) == before
    assert verify_dataset(tmp_path / "a") == []


@pytest.mark.parametrize("left_out", ["last", "first", "middle"])
def test_a_release_that_grew_has_the_bytes_of_one_made_at_once(made, tmp_path, left_out):
    samples, store = made
    count = samples.num_rows
    place = {"last": count - 1, "first": 0, "middle": count // 2}[left_out]
    fewer = pa.concat_tables([samples.slice(0, place), samples.slice(place + 1)])
    export(fewer, store, tmp_path / "grown")
    grown, read = export(samples, store, tmp_path / "grown")
    at_once, all_read = export(samples, store, tmp_path / "once")
    assert grown.dataset_hash == at_once.dataset_hash
    assert grown.shards == at_once.shards
    assert verify_dataset(tmp_path / "grown") == []
    # Something is taken over: families and splits that did not change, and what stands before the change.
    assert len(read) < len(all_read)
    shrunk, _ = export(fewer, store, tmp_path / "grown")
    assert shrunk.dataset_hash != grown.dataset_hash
    assert shrunk.dataset_hash == export(fewer, store, tmp_path / "fewer")[0].dataset_hash


@pytest.mark.parametrize(
    "change",
    [
        lambda d, m: (d / m.shards[0].path).write_bytes(b"x" * m.shards[0].bytes),
        lambda d, m: (d / m.shards[0].path).unlink(),
        lambda d, m: (d / "manifest.json").write_text("{"),
        lambda d, m: (d / "manifest.json").write_text(
            (d / "manifest.json").read_text().replace('"shards": "1"', '"shards": "0"')
        ),
    ],
    ids=["damaged", "gone", "no manifest", "written otherwise"],
)
def test_what_is_not_as_the_manifest_says_is_written_again(made, tmp_path, change):
    samples, store = made
    first, _ = export(samples, store, tmp_path / "a")
    change(tmp_path / "a", first)
    again, read = export(samples, store, tmp_path / "a")
    assert again.dataset_hash == first.dataset_hash
    assert read
    assert verify_dataset(tmp_path / "a") == []
    assert again.software == software()


def test_another_cut_and_another_value_are_written(made, tmp_path):
    samples, store = made
    export(samples, store, tmp_path / "a")
    other = {**RECIPE, "export": {"max_shard_mb": 0.3, "row_group_rows": 3}}
    larger, read = export(samples, store, tmp_path / "a", other, 300_000)
    assert len(read) >= samples.num_rows
    # A changed title far behind: the shard that holds it is written, those before it are not.
    place = samples.column_names.index("title")
    titles = samples.column("title").to_pylist()
    titles[-1] = "File:Another name.jpg"
    renamed = samples.set_column(place, "title", pa.array(titles))
    changed, read = export(renamed, store, tmp_path / "a", other, 300_000)
    assert changed.dataset_hash != larger.dataset_hash
    assert 0 < len(read) < samples.num_rows
