"""Catalogs that an older version left behind open, migrate and finish (tests/frozen, docs/adr/0014).

What stood in them when they were frozen is in the JSON beside each archive and never changes. What the present code
makes of them may: there is one entry under `expected` for each set of versions, and a change that raises a version adds
one (`python scripts/freeze_catalog.py expect tests/frozen/<name> --why ...`), so that a reviewer sees what it does to
a dataset that people have.

Nothing here depends on the CPU. A dataset hash is compared where no value was measured again; where something was,
what was decided is, and the hash only if each value came out to the last bit.
"""

import json
import shutil

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.explain import explain_lines
from catalog.looks import config_hash
from catalog.release.export import verify_dataset
from catalog.release.manifest import load_manifest
from pipelines.cli import app
from scripts.freeze_catalog import KILLS, ROOT
from scripts.frozen import outcome, rows_of, unpack, versions_in_force
from tests.counts import sampled

pytestmark = pytest.mark.golden

FROZEN = sorted(path.with_suffix("") for path in (ROOT / "tests" / "frozen").glob("*.json"))
BUILD = ("build", "recipe.yaml", "--runner", "threads", "--workers", "1", "--out")


class Frozen:
    """One archive, unpacked, and its JSON."""

    def __init__(self, target, folder):
        self.folder = folder
        unpack(target, folder)
        held = json.loads(target.with_suffix(".json").read_text("utf-8"))
        self.stood = held["stood"]
        versions = versions_in_force(folder / "recipe.yaml")
        self.expected = next((e for e in held["expected"] if e["versions"] == versions), None)
        self.same_versions = held["expected"][0]["versions"] == versions

    def now(self, what):
        """What the present versions are said to make of it."""
        assert self.expected is not None, (
            "The versions of facts or the columns of a release changed, and nobody said what that does to a catalog "
            "that people have: run `python scripts/freeze_catalog.py expect tests/frozen/<name> --why ...`, look at "
            "the difference, and commit it with the change."
        )
        return self.expected[what]


@pytest.fixture(scope="module", params=FROZEN, ids=lambda path: path.name)
def frozen(request, tmp_path_factory):
    return Frozen(request.param, tmp_path_factory.mktemp("frozen"))


@pytest.fixture
def copy_of(frozen, tmp_path, monkeypatch):
    """A copy of one of its folders, in a place where it never was, with the recipes beside it."""

    def make(name):
        shutil.copytree(frozen.folder / name, tmp_path / name)
        for recipe in frozen.folder.glob("*.yaml"):
            shutil.copy(recipe, tmp_path)
        monkeypatch.chdir(tmp_path)
        return tmp_path / name

    return make


def lucidlr(*arguments):
    app(list(map(str, arguments)), standalone_mode=False)


def query(out, sql):
    with duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True) as database:
        return [list(row) for row in database.execute(sql).fetchall()]


def assert_same_rows(found, wanted, *, but=()):
    """Every column that a release had then says the same now; there may be more columns."""
    assert [row["page_id"] for row in found] == [row["page_id"] for row in wanted]
    for row, was in zip(found, wanted, strict=True):
        assert {k: row.get(k) for k in was if k not in but} == {
            k: v for k, v in was.items() if k not in but
        }


def assert_outcome(out, wanted, *, hash_too):
    found = outcome(out)
    assert found["decisions"] == wanted["decisions"]
    assert found["labels"] == wanted["labels"]
    if hash_too:
        assert found["dataset_hash"] == wanted["dataset_hash"]


def shards_are_written_alike(frozen):
    """The bytes of a Parquet file are a matter of the library's version; what it holds is not."""
    return frozen.expected["software"] == {"pyarrow": pa.__version__}


def test_there_is_a_frozen_catalog():
    assert FROZEN


def test_the_frozen_release_is_whole(frozen):
    dataset = frozen.folder / "finished" / "dataset"
    assert verify_dataset(dataset) == []
    assert load_manifest(dataset).dataset_hash == frozen.stood["finished"]["dataset_hash"]
    assert [row["page_id"] for row in rows_of(dataset)] == frozen.stood["finished"]["kept"]


def test_it_is_linked_in_a_new_folder_and_every_view_says_what_it_said(copy_of, frozen):
    out, stood = copy_of("finished"), frozen.stood["finished"]
    lucidlr("relink", "--out", out)
    decided = query(out, "SELECT page_id, title, reason FROM decisions ORDER BY page_id")
    assert decided == stood["decisions"]
    stones = query(out, "SELECT page_id, sha1, reason FROM tombstones ORDER BY ALL")
    assert stones == stood["tombstones"]
    verdicts = query(
        out,
        "SELECT license_outcome, license_reason, count(*) FROM verdicts GROUP BY ALL ORDER BY ALL",
    )
    assert verdicts == stood["verdicts"]
    failed = query(out, "SELECT stage, kind, count(*) FROM failures GROUP BY ALL ORDER BY ALL")
    assert failed == stood["failures"]
    rows = {view: query(out, f'SELECT count(*) FROM "{view}"')[0][0] for view in stood["rows"]}
    assert rows == stood["rows"]


def test_a_candidate_explains_itself_and_what_was_purged_tells_nothing(copy_of, frozen):
    out, stood = copy_of("finished"), frozen.stood["finished"]
    lucidlr("relink", "--out", out)
    titles = {row["page_id"]: row["title"] for row in frozen.stood["first_release"]["rows"]}
    purged = [row for row in stood["decisions"] if row[0] in stood["purged_page_ids"]]
    assert purged
    for page_id, title, reason in [*purged, *sampled(stood["decisions"], least=12)]:
        lines = explain_lines(out, str(page_id))
        assert title in "\n".join(lines)
        assert reason in "\n".join(lines)
        if page_id in stood["purged_page_ids"]:
            assert title == "(purged)"
            # Only the request itself is kept, in the words of who asked.
            assert titles[page_id] not in "\n".join(x for x in lines if "owner wrote" not in x)


def test_a_refilter_gives_the_frozen_release_again(copy_of, frozen):
    out = copy_of("finished")
    was = rows_of(out / "dataset")
    lucidlr("refilter", "stricter.yaml", "--out", out)
    assert_outcome(
        out, frozen.now("refilter stricter.yaml"), hash_too=shards_are_written_alike(frozen)
    )
    assert verify_dataset(out / "dataset") == []
    if frozen.same_versions:
        assert_same_rows(rows_of(out / "dataset"), was)
        assert outcome(out)["dataset_hash"] == frozen.stood["finished"]["dataset_hash"]


def test_the_first_recipe_gives_the_first_release_without_what_was_removed(copy_of, frozen):
    out = copy_of("finished")
    lucidlr("refilter", "recipe.yaml", "--out", out)
    assert_outcome(
        out, frozen.now("refilter recipe.yaml"), hash_too=shards_are_written_alike(frozen)
    )
    if frozen.same_versions:
        gone = {row[0] for row in frozen.stood["finished"]["tombstones"]}
        first = frozen.stood["first_release"]["rows"]
        assert_same_rows(
            json.loads(json.dumps(rows_of(out / "dataset"))),
            [row for row in first if row["page_id"] not in gone],
        )


def test_a_build_over_it_measures_what_is_new_only(copy_of, frozen):
    out = copy_of("finished")
    plans = {p: p.stat().st_mtime_ns for p in (out / "catalog" / "plans").rglob("*.parquet")}
    asked = len(list((out / "catalog" / "parts" / "request").glob("*/*.parquet")))
    lucidlr(*BUILD, out)
    now = {p: p.stat().st_mtime_ns for p in (out / "catalog" / "plans").rglob("*.parquet")}
    assert {p: now.get(p) for p in plans} == plans
    if frozen.same_versions:
        assert now == plans
        assert len(list((out / "catalog" / "parts" / "request").glob("*/*.parquet"))) == asked
    assert_outcome(
        out,
        frozen.now("build recipe.yaml over the finished"),
        hash_too=frozen.same_versions and shards_are_written_alike(frozen),
    )


@pytest.mark.slow
def test_a_tombstone_that_was_standing_is_purged(copy_of, frozen):
    out, stood = copy_of("finished"), frozen.stood["finished"]
    lucidlr("refilter", "stricter.yaml", "--out", out)
    standing = [
        *stood["taken_down_page_ids"],
        *stood["deleted_page_ids"],
        *stood["tagged_page_ids"],
    ]
    sha1s = [sha1 for page_id, sha1, _ in stood["tombstones"] if page_id in standing]
    objects = out / "catalog" / "objects"
    assert all(list(objects.rglob(sha1)) for sha1 in sha1s)
    lucidlr("purge", "--out", out)
    assert not any(list(objects.rglob(sha1)) for sha1 in sha1s)
    titles = dict(query(out, "SELECT page_id, title FROM decisions"))
    assert {titles[page_id] for page_id in standing} == {"(purged)"}


def test_a_refresh_of_it_finds_what_changed_on_commons_since(copy_of, frozen, capsys):
    out = copy_of("finished")
    manifest = out / "corpus" / "manifest.json"
    items = json.loads(manifest.read_text("utf-8"))
    (kept, *_) = frozen.stood["finished"]["kept"]
    (title,) = (t for p, t, _ in frozen.stood["finished"]["decisions"] if p == kept)
    manifest.write_text(json.dumps([i for i in items if f"File:{i['filename']}" != title]))
    lucidlr("refresh", "recipe.yaml", "--all", "--out", out)
    told = capsys.readouterr().out
    assert "deleted     1" in told
    assert "tombstone  deleted" in told


# Killed earliest, it has most to do again; the others are slow for the time that they take together.
@pytest.mark.parametrize(
    "name",
    ["killed-in-download", *(pytest.param(n, marks=pytest.mark.slow) for n in list(KILLS)[1:])],
)
def test_a_build_that_was_killed_is_finished_by_the_same_command(copy_of, frozen, name):
    out = copy_of(name)
    lucidlr(*BUILD, out)
    wanted = frozen.now("build recipe.yaml over the killed")
    assert verify_dataset(out / "dataset") == []
    assert list(out.rglob(".*.tmp")) == list(out.glob(".dataset*")) == []
    rows, first = rows_of(out / "dataset"), frozen.stood["first_release"]
    to_the_bit = frozen.same_versions and [(row["measures"], row["scores"]) for row in rows] == [
        (row["measures"], row["scores"]) for row in first["rows"]
    ]
    # Nothing of it has to be measured again.
    assert to_the_bit or not frozen.same_versions or name != "killed-in-export"
    assert_outcome(out, wanted, hash_too=to_the_bit and shards_are_written_alike(frozen))
    if to_the_bit:
        assert_same_rows(rows, first["rows"])
    elif frozen.same_versions:
        assert_same_rows(rows, first["rows"], but=("measures", "scores", "severities", "severity"))


@pytest.mark.slow
def test_a_part_without_a_column_that_came_later_is_read_as_null(copy_of, frozen):
    """As parts of a version before it were written: the column missing in every part, the empty one included."""
    out = copy_of("finished")
    folder = out / "catalog" / "parts" / "listing"
    for part in folder.rglob("*.parquet"):
        table = pq.read_table(part).drop_columns(["sdc_json"])
        part.unlink()
        # The empty part is named by its columns.
        empty = f"empty-{config_hash(table.column_names)}.parquet"
        pq.write_table(table, part.with_name(empty if part.parent == folder else part.name))
    lucidlr("relink", "--out", out)
    assert query(out, "SELECT DISTINCT sdc_json FROM listing") == [[None]]
    lucidlr("refilter", "recipe.yaml", "--out", out)
    assert_outcome(
        out, frozen.now("refilter recipe.yaml"), hash_too=shards_are_written_alike(frozen)
    )
