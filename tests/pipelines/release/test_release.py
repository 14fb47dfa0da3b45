"""What is released: credited in full, without what was taken down, the same bytes wherever it is made, comparable."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.plans import write_parquet
from catalog.release.export import verify_dataset
from catalog.release.licenses import licenses_of
from catalog.release.manifest import DatasetError, load_manifest
from catalog.release.tombstones import read_tombstones
from catalog.store import Catalog
from crawler.download import ObjectStore
from pipelines.build.refresh import purge_removed, take_down
from pipelines.recipe import load_recipe
from pipelines.release.export import VersionError, compare, diff_lines, export_again
from tests.pipelines.builds import ENVIRONMENT, FILES, dataset_hash, demo_command
from tests.pipelines.test_recipe import DEMO


@pytest.fixture
def built(small_build, tmp_path):
    out = tmp_path / "build"
    shutil.copytree(small_build, out)
    return out


def rows_of(out, *columns):
    shards = sorted(out.glob("dataset/data/*/*.parquet"))
    return pa.concat_tables([pq.read_table(path, columns=list(columns) or None) for path in shards])


def lucidlr(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_every_released_row_has_a_complete_attribution(small_build):
    rows = rows_of(small_build).drop_columns(["image"]).to_pylist()
    assert len(rows) == load_manifest(small_build / "dataset").rows > 30
    for row in rows:
        line, free = row["attribution_line"], row["family"] == "pd_cc0"
        assert line.startswith(f'"{row["title"].removeprefix("File:").rpartition(".")[0]}')
        assert f"via Wikimedia Commons, {row['file_page_url']}, " in line
        assert line.endswith(", unmodified.")
        assert (row["attribution"] or row["artist"] or "") in line
        assert free or row["attribution"] or row["artist"]
        assert free or f"licensed under {row['license_short_name']} (" in line
        assert free or "https://creativecommons.org/licenses/by" in line
    text = (small_build / "dataset" / "LICENSES.md").read_text(encoding="utf-8")
    for one in licenses_of(rows_of(small_build, "license", "family")):
        assert f"| `{one.spdx}` | `{one.family}` | {one.rows} |" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8"},
        {"TZ": "America/St_Johns", "LC_ALL": "C"},
    ],
)
def test_the_same_facts_and_recipe_give_the_same_dataset_elsewhere(small_build, tmp_path, place):
    done = subprocess.run(
        demo_command(tmp_path / "a folder with spaces"),
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **place, "LANG": place["LC_ALL"]},
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, other = (
        load_manifest(out / "dataset") for out in (small_build, tmp_path / "a folder with spaces")
    )
    assert other.dataset_hash == one.dataset_hash
    # Not the data alone: card, credits, licenses, description and tombstones are the same, too.
    assert other.files == one.files


@pytest.fixture(scope="module")
def story(small_build, tmp_path_factory):
    """Three photographs are taken down from a finished build, which is exported again."""
    folder = tmp_path_factory.mktemp("takedown")
    out = folder / "build"
    shutil.copytree(small_build, out)
    shutil.copytree(out / "dataset", folder / "old")
    shards = sorted(out.glob("dataset/data/*/*.parquet"))
    # One from each family, so that several shards have to change.
    firsts = [pq.read_table(path).slice(0, 1).to_pylist()[0] for path in shards]
    asked = list({row["family"]: row for row in firsts}.values())
    assert len(asked) == 3
    take_down(out, [row["title"] for row in asked], why="Jane Doe <jane@example.org> wrote")
    done = export_again(out, version="0.2.0", previous=str(folder / "old"))
    return folder, asked, done.result


@pytest.mark.slow
class TestTakenDown:
    """The release after a removal list."""

    def test_their_bytes_are_in_no_shard_and_nowhere_else_in_the_release(self, story):
        folder, asked, _ = story
        for row in asked:
            content = row["image"]["bytes"]
            assert [path for path in files_in(folder / "old") if content in path.read_bytes()], (
                "the search finds nothing even where something is"
            )
            for needle in (content, row["title"].encode(), row["title"][5:-4].encode()):
                dataset = folder / "build" / "dataset"
                assert [path for path in files_in(dataset) if needle in path.read_bytes()] == []

    def test_the_release_lists_them_without_a_word_about_persons(self, story):
        folder, asked, _ = story
        dataset = folder / "build" / "dataset"
        assert verify_dataset(dataset) == []
        stones = read_tombstones(dataset).to_pylist()
        assert {(s["page_id"], s["sha1"], s["reason"], s["kind"]) for s in stones} == {
            (row["page_id"], row["sha1"], "requested", "page") for row in asked
        }
        for path in files_in(dataset):
            assert b"Jane" not in path.read_bytes()
        assert "3 entries (requested 3)" in (dataset / "README.md").read_text()

    def test_version_and_predecessor_stand_in_manifest_card_and_description(self, story):
        folder, _, result = story
        dataset = folder / "build" / "dataset"
        manifest, before = load_manifest(dataset), load_manifest(folder / "old")
        assert manifest.dataset_hash == result.dataset_hash != before.dataset_hash
        assert (manifest.version, manifest.previous) == ("0.2.0", before.dataset_hash)
        assert (before.version, before.previous) == ("0.1.0", None)
        assert before.dataset_hash in (dataset / "README.md").read_text()
        assert json.loads((dataset / "croissant.json").read_text())["version"] == "0.2.0"

    def test_the_diff_tells_that_they_were_requested(self, story, tmp_path):
        folder, asked, _ = story
        report = tmp_path / "d.json"
        done = lucidlr("diff", folder / "old", folder / "build", "--json", report)
        assert done.returncode == 0, done.stderr
        assert "3  tombstone:requested" in done.stdout
        assert "lucidlr_demo 0.1.0" in done.stdout
        held = json.loads(report.read_text())
        assert held["reasons"] == {"tombstone:requested": 3}
        gone = {row["page_id"] for row in held["rows"] if row["change"] == "removed"}
        assert gone == {row["page_id"] for row in asked}
        for row in asked:
            assert row["title"] not in done.stdout + report.read_text()

    def test_after_the_purge_the_dataset_can_be_exported_again_and_is_the_same(self, story):
        folder, asked, result = story
        out = folder / "build"
        assert purge_removed(out).objects == 3
        assert export_again(out).result.dataset_hash == result.dataset_hash
        store = ObjectStore(out / "catalog" / "objects")
        assert [store.has(row["sha1"]) for row in asked] == [False] * 3


@pytest.mark.slow
def test_a_takedown_names_the_near_duplicates_that_could_take_its_place(built, tmp_path):
    """The export would rightly release the twin of what is gone: another file, though the same photograph."""
    with duckdb.connect(str(built / "lucidlr.duckdb"), read_only=True) as connection:
        twins = connection.execute(
            "SELECT k.title, list(c.title ORDER BY c.page_id) FROM decisions c JOIN decisions k "
            "ON k.page_id = c.duplicate_of WHERE k.keep GROUP BY ALL ORDER BY len(list(c.title)) DESC"
        ).fetchall()
    title, copies = twins[0]
    assert len(copies) >= 2
    removals = tmp_path / "removals.txt"
    removals.write_text(title)
    done = lucidlr("takedown", removals, "--out", built)
    assert done.returncode == 0, done.stderr
    for copy in copies:
        assert f"near-duplicate that stays: {copy}\n" in done.stdout
    again = take_down(built, [title, *copies])
    assert again.copies == []


def files_in(folder: Path):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


@pytest.mark.slow
def test_the_same_bytes_under_another_page_are_taken_down_with_the_page_that_was_asked_for(built):
    """A person who wants a photograph gone wants it gone, whichever upload of it the dataset has."""
    row = rows_of(built, "page_id", "sha1", "title").slice(0, 1).to_pylist()[0]
    catalog = Catalog(built / "catalog")
    # As if another page, listed but never released, had held the same bytes.
    with duckdb.connect(str(built / "lucidlr.duckdb"), read_only=True) as connection:
        other = connection.execute(
            "SELECT title FROM decisions WHERE reason LIKE 'license%' ORDER BY page_id LIMIT 1"
        ).fetchall()[0][0]
    for part in sorted((catalog.parts / "listing").glob("*/*.parquet")):
        table = pq.read_table(part)
        hashes = [
            row["sha1"] if title == other else sha1
            for title, sha1 in zip(
                table["title"].to_pylist(), table["sha1"].to_pylist(), strict=True
            )
        ]
        at = table.schema.get_field_index("sha1")
        field = table.schema.field(at)
        metadata = table.schema.metadata
        table = table.set_column(at, field, pa.array(hashes, field.type))
        write_parquet(part, table.replace_schema_metadata(metadata))
    take_down(built, [other])
    export_again(built)
    assert row["sha1"] not in rows_of(built, "sha1")["sha1"].to_pylist()
    with duckdb.connect(str(built / "lucidlr.duckdb"), read_only=True) as connection:
        reasons = connection.execute(
            "SELECT reason FROM decisions WHERE page_id = ?", [row["page_id"]]
        ).fetchall()
    assert reasons == [("removed:requested",)]


@pytest.mark.slow
def test_an_export_without_a_change_gives_the_same_dataset_hash(built):
    before = load_manifest(built / "dataset")
    done = lucidlr("export", "--out", built, "--version", "1.0.0")
    assert done.returncode == 0, done.stderr
    after = load_manifest(built / "dataset")
    assert after.dataset_hash == before.dataset_hash == dataset_hash(built)
    assert (after.version, after.recipe_hash) == ("1.0.0", before.recipe_hash)
    # The version that was given last is the recipe's from then on; a predecessor is told anew each time.
    export_again(built, previous=before.dataset_hash)
    assert load_manifest(built / "dataset").version == "1.0.0"
    assert load_manifest(built / "dataset").previous == before.dataset_hash
    export_again(built)
    assert load_manifest(built / "dataset").previous is None


@pytest.mark.slow
def test_what_a_recipe_does_not_choose_any_more_is_told_by_its_rule(built, tmp_path):
    from pipelines.offline.changes import changed_recipe
    from pipelines.offline.refilter import refilter

    shutil.copytree(built / "dataset", tmp_path / "old")
    recipe = load_recipe(DEMO)
    recipe = recipe.model_copy(
        update={"corpus": type(recipe.corpus)(seed=7, files=FILES, page_size=50)}
    )
    refilter(changed_recipe(recipe, ["degraded.min=0.7"]), out=built)
    told = compare(tmp_path / "old", built, out=built)
    assert set(told.reasons) == {"decision:degraded"}
    assert told.changes["removed"] == told.reasons["decision:degraded"] > 0
    # The other way round they are additions, and the recipe of the smaller release says why it left them out.
    assert compare(built, tmp_path / "old", out=built).added == {
        "was:degraded": told.changes["removed"]
    }
    lines = "\n".join(diff_lines(compare(tmp_path / "old", built)))
    assert f"{told.changes['removed']}  no longer chosen by the recipe (its hash changed)" in lines


def test_what_cannot_be_compared_or_exported_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no build"):
        export_again(tmp_path)
    with pytest.raises(DatasetError, match=r"no manifest\.json"):
        compare(tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no build"):
        compare(tmp_path, tmp_path, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_malformed_version_is_one_line_and_leaves_the_dataset_alone(built):
    before = load_manifest(built / "dataset")
    for options in (["--version", "2"], ["--previous", "yesterday's"]):
        done = lucidlr("export", "--out", built, *options)
        assert done.returncode == 1
        assert "MAJOR.MINOR.PATCH" in done.stderr
        assert "Traceback" not in done.stderr
    with pytest.raises(VersionError):
        export_again(built, version="v1.0.0")
    assert load_manifest(built / "dataset") == before


def test_version_and_predecessor_do_not_change_the_hash_of_a_recipe():
    recipe = load_recipe(DEMO)
    named = recipe.model_copy(update={"version": "3.0.0", "previous": "a" * 64})
    assert named.hash(["m@1"]) == recipe.hash(["m@1"])
