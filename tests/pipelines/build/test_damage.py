"""Bits that turn over, files that are cut or lost: noticed, named, and made again to the undisturbed dataset."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from catalog import sums
from catalog.errors import Expected
from catalog.repair import TombstoneLost, faults, heal
from catalog.store import Catalog
from pipelines.build.driver import build
from pipelines.build.history import last_command
from pipelines.build.refresh import take_down
from pipelines.build.runners import pool_runner
from pipelines.offline.refilter import refilter
from pipelines.progress import NoProgress
from pipelines.recipe import load_recipe
from pipelines.release.verify import mend, problems
from tests.catalog.test_sums import flip
from tests.counts import LONG, rounds, sampled
from tests.pipelines.builds import SEED, dataset_hash
from tests.pipelines.test_recipe import DEMO

pytestmark = pytest.mark.slow

FILES = 36
KINDS = {
    "part": "catalog/parts/*/*/*.parquet",
    "plan": "catalog/plans/*/*/*.parquet",
    "object": "catalog/objects/*/*/*",
    "shard": "dataset/data/*/*.parquet",
    "record": "catalog/r*/*.json",
    "database": "lucidlr.duckdb",
    "manifest": "dataset/manifest.json",
}


class Heard(NoProgress):
    """What a build says."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def recipe():
    made = load_recipe(DEMO)
    return made.model_copy(
        update={"corpus": replace(made.corpus, files=FILES, seed=SEED), "batch_size": 8}
    )


def built(out, heard=None, **options):
    with pool_runner("threads", 1) as runner:
        return build(recipe(), out=out, runner=runner, progress=heard, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("damage") / "demo"
    built(out)
    return out


@pytest.fixture
def copy(undisturbed, tmp_path):
    sums.forget()
    shutil.copytree(undisturbed, tmp_path / "demo")
    return tmp_path / "demo"


def of_kind(out, kind):
    return [path for path in sorted(out.glob(KINDS[kind])) if not path.name.endswith(".sha256")]


def test_an_undisturbed_build_has_no_problem(undisturbed):
    assert problems(undisturbed) == []


@pytest.mark.parametrize("kind", ["part", "plan", "record"])
def test_a_bit_anywhere_is_noticed_and_the_file_named(copy, kind):
    chance = random.Random(f"20261127 {kind}")
    catalog = Catalog(copy / "catalog")
    for _ in range(rounds(300)):
        path = chance.choice(of_kind(copy, kind))
        bit = chance.randrange(8 * path.stat().st_size)
        flip(path, bit)
        assert [fault.path for fault in faults(catalog, again=True)] == [path], bit
        flip(path, bit)


@pytest.mark.parametrize("kind", ["object", "shard", "manifest", "database"])
def test_a_bit_of_an_output_is_noticed(copy, kind):
    chance = random.Random(f"20261127 {kind}")
    # Each round reads the whole folder.
    for _ in range(300 if LONG else 10):
        path = chance.choice(of_kind(copy, kind))
        bit = chance.randrange(8 * path.stat().st_size)
        flip(path, bit)
        found = problems(copy)
        assert any(path.name in line for line in found), (path, bit, found)
        flip(path, bit)
    assert problems(copy) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trial", range(rounds(10, least=1)))
def test_a_damaged_file_is_repaired_to_the_undisturbed_dataset(copy, undisturbed, kind, trial):
    chance = random.Random(f"20261128 {kind} {trial}")
    path = chance.choice(of_kind(copy, kind))
    flip(path, chance.randrange(8 * path.stat().st_size))
    said = []
    needed = mend(copy, said.append)
    assert said, "what was mended is told"
    if needed:
        assert last_command(Catalog(copy / "catalog")) in said[-1]
        built(copy)
    assert dataset_hash(copy) == dataset_hash(undisturbed)
    assert problems(copy) == []


STAGES = (
    "listing",
    "verdict",
    "download",
    "hash",
    "measure",
    "twin",
    "failure",
    "decision",
    "ledger",
)


@pytest.mark.parametrize(
    ("stage", "how"),
    sampled(
        [(stage, how) for how in ("bit", "half", "empty", "lost") for stage in STAGES], least=5
    ),
)
def test_the_same_build_again_makes_a_damaged_part_again(copy, undisturbed, stage, how):
    parts = sorted((copy / "catalog" / "parts" / stage).glob("*/*.parquet"))
    path = random.Random(f"{stage} {how}").choice(parts)
    if how == "bit":
        flip(path, 8 * (path.stat().st_size // 2))
    elif how == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 if how == "half" else 0])
    heard = Heard()
    built(copy, heard)
    if how != "lost":
        assert any(f"parts/{stage}" in line and path.name in line for line in heard.lines)
    assert dataset_hash(copy) == dataset_hash(undisturbed)
    assert problems(copy) == []


@pytest.mark.parametrize(
    ("stage", "how"),
    [("download", "bit"), ("hash", "empty"), ("measure", "lost"), ("measure", "bit")],
)
def test_a_damaged_plan_is_planned_again(copy, undisturbed, stage, how):
    path = sorted((copy / "catalog" / "plans" / stage).glob("*/*.parquet"))[0]
    if how == "bit":
        flip(path, 800)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    built(copy)
    assert dataset_hash(copy) == dataset_hash(undisturbed)
    assert problems(copy) == []


@pytest.mark.parametrize("stage", ["download", "measure"])
def test_a_damaged_plan_does_not_stand_in_the_way_of_its_repair(copy, undisturbed, stage):
    path = sorted((copy / "catalog" / "plans" / stage).glob("*/*.parquet"))[0]
    flip(path, 808)
    assert mend(copy, lambda text: None)
    assert not path.exists()
    built(copy)
    assert dataset_hash(copy) == dataset_hash(undisturbed)


@pytest.mark.parametrize(
    ("how", "when"),
    [("lost", "kept"), ("cut", "any"), ("bit", "kept"), ("lost", "any")],
)
def test_a_lost_or_rotten_original_is_fetched_again(copy, undisturbed, how, when):
    import pyarrow.parquet as pq

    kept = [
        sha1
        for shard in copy.glob("dataset/data/*/*.parquet")
        for sha1 in pq.read_table(shard, columns=["sha1"]).column("sha1").to_pylist()
    ]
    names = kept if when == "kept" else [path.name for path in of_kind(copy, "object")]
    sha1 = random.Random(f"{how} {when}").choice(sorted(names))
    path = copy / "catalog" / "objects" / sha1[:2] / sha1[2:4] / sha1
    if how == "lost":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        flip(path, 8 * (path.stat().st_size // 2))
    assert any(sha1 in line for line in problems(copy))
    built(copy)
    assert dataset_hash(copy) == dataset_hash(undisturbed)
    if how != "bit" or when == "kept":
        assert problems(copy) == [], "a bit of what nobody needs is found by verify alone"


def test_a_rotten_original_does_not_reach_what_is_measured(copy, undisturbed):
    """All measures are lost, so everything is read again, and one original has a bit turned over."""
    for stage in ("hash", "measure", "score"):
        shutil.rmtree(copy / "catalog" / "parts" / stage)
        shutil.rmtree(copy / "catalog" / "plans" / stage, ignore_errors=True)
    path = of_kind(copy, "object")[5]
    flip(path, 8 * (path.stat().st_size // 3))
    built(copy)
    assert dataset_hash(copy) == dataset_hash(undisturbed)
    assert problems(copy) == []


def test_without_a_build_nothing_is_decided_from_a_damaged_catalog(copy):
    path = sorted((copy / "catalog" / "parts" / "measure").glob("*/*.parquet"))[0]
    flip(path, 801)
    before = dataset_hash(copy)
    with pytest.raises(Expected, match=f"{path.name}.*verify --repair"):
        refilter(recipe(), out=copy)
    assert dataset_hash(copy) == before


@pytest.mark.parametrize(
    ("folder", "how"),
    [("runs", "half"), ("recipes", "bit"), ("rules", "half"), ("limits", "bit")],
)
def test_a_damaged_record_is_left_out_and_stops_nothing(copy, undisturbed, folder, how):
    path = sorted((copy / "catalog" / folder).glob("*.json"))[0]
    if how == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        sums.sum_file(path).unlink(missing_ok=True)  # as an older version left it
    else:
        flip(path, 40)
    heard = Heard()
    built(copy, heard)
    assert any(f"{folder}/{path.name}" in line for line in heard.lines)
    assert dataset_hash(copy) == dataset_hash(undisturbed)
    assert problems(copy) == []


def test_a_tombstone_comes_back_from_its_copy_and_without_one_nothing_is_released(copy):
    title = json.loads((copy / "corpus" / "manifest.json").read_text("utf-8"))[0]["filename"]
    take_down(copy, [f"File:{title}"])
    (path,) = (copy / "catalog" / "parts" / "tombstone" / "all").glob("*.parquet")
    whole = path.read_bytes()
    flip(path, 900)
    built(copy)
    assert path.read_bytes() == whole
    path.unlink()
    built(copy)
    assert path.read_bytes() == whole
    shutil.rmtree(copy / "catalog" / "copies")
    flip(path, 900)
    with pytest.raises(TombstoneLost, match="takedown"):
        built(copy)


def test_what_is_set_aside_is_kept_until_a_purge(copy):
    path = sorted((copy / "catalog" / "parts" / "hash").glob("*/*.parquet"))[0]
    flip(path, 555)
    damaged = path.read_bytes()
    catalog = Catalog(copy / "catalog")
    (fault,) = heal(catalog, lambda text: None)
    (aside,) = (catalog.root / "damaged").rglob(path.name)
    assert fault.path == path
    assert aside.read_bytes() == damaged
    assert (
        aside.parent.relative_to(catalog.root / "damaged").parts[1:]
        == path.parent.relative_to(catalog.root).parts
    )
    assert not path.exists()


def test_a_catalog_without_sums_gets_them_and_damage_in_it_is_seen_where_it_can_be(
    copy, undisturbed
):
    for path in (copy / "catalog").rglob("*.sha256"):
        path.unlink()
    half = sorted((copy / "catalog" / "parts" / "measure").glob("*/*.parquet"))[1]
    half.write_bytes(half.read_bytes()[:-20])
    built(copy)
    assert dataset_hash(copy) == dataset_hash(undisturbed)
    for path in Path(copy / "catalog").rglob("*.parquet"):
        assert "damaged" in path.parts or sums.known(path)
    assert problems(copy) == []
