"""The cases of public bug kinds (../shared/cases/images) through a whole build: a row or a failure row each."""

import hashlib
import io

import duckdb
import pyarrow.parquet as pq
import pytest
from datasets import Image as ImageFeature
from PIL import Image

from crawler.loopback import LoopbackCommons
from crawler.sources import CategorySource
from filters.degradation import DegradationPolicy
from filters.policy import Rule
from pipelines.build.doors import look
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe
from tests.pipelines.test_recipe import DEMO
from tests.shared import shared_folder
from training.data import LRDataset

pytestmark = pytest.mark.slow

MIMES = ("image/jpeg", "image/png", "image/webp", "image/tiff")
FOLDERS = (
    *("dedup-16bit-frame", "dedup-alpha", "dedup-colour", "dedup-night", "dedup-orient"),
    *("dedup-sky", "dedup-text", "dup-blank", "exif", "exif-crash", "lab", "png", "png-datasets"),
    *("png-orient", "screen-dds"),
)
UNREADABLE = {
    "exif-crash/resolution unit text.jpg",
    "exif/resolution unit text.jpg",
    "exif/negative long.jpg",
    "exif/short tag holding text.jpg",
    "png-datasets/eXIf not tiff.png",
    "png/iCCP 2 MB profile.png",
    "png/zTXt 2 MB.png",
}
"""Metadata at which `datasets` stops; each was seen to."""


class House:
    """A build of some files under their folders' names."""

    def __init__(self, target, files, *, labels=False, rules=2):
        self.photos, self.out = target / "photos", target / "out"
        self.photos.mkdir()
        items = []
        for name, content in files.items():
            shown = name.replace("/", " - ")
            (self.photos / shown).write_bytes(content)
            free = {"license": "Cc-by-4.0", "author": "A", "categories": ["All"]}
            items.append({"filename": shown, "description": "x", **free})
        self.server = LoopbackCommons(self.photos, items, look=look)
        recipe = load_recipe(DEMO)
        gate = [rule for rule in recipe.gate if rule.name in ("file", "license")]
        gate.append(Rule(name="mime", value="mime", one_of=MIMES, why="test"))
        self.recipe = recipe.model_copy(
            update={
                "corpus": None,
                "sources": (CategorySource(root="All", depth=0),),
                "gate": tuple(gate),
                "rules": recipe.rules[:rules],
                "scores": (),
                "extra_measures": (),
                "degradation": DegradationPolicy()
                if labels
                else DegradationPolicy(classifier=None),
            }
        )

    def build(self, **changes):
        with self.server, pool_runner("threads", 1) as runner:
            return build(
                self.recipe.model_copy(update=changes),
                out=self.out,
                runner=runner,
                contact="test@example.org",
                host_map=self.server.host_map,
            )

    def query(self, sql):
        with duckdb.connect(str(self.out / "lucidlr.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def reasons(self):
        found = self.query("SELECT title, reason FROM decisions")
        # A wiki writes the first letter of a title large.
        names = [title.removeprefix("File:").replace(" - ", "/", 1) for title, _ in found]
        return {n[0].lower() + n[1:]: why for n, (_, why) in zip(names, found, strict=True)}

    def rows(self):
        files = sorted((self.out / "dataset" / "data").rglob("*.parquet"))
        return [row for file in files for row in pq.read_table(file).to_pylist()]


def files_of(*folders):
    root = shared_folder("cases/images")
    found = {}
    for folder in folders:
        for file in sorted((root / folder).iterdir()):
            found[f"{folder}/{file.name}".replace("_", " ")] = file.read_bytes()
    return found


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = House(tmp_path_factory.mktemp("cases"), files_of(*FOLDERS))
    made.build()
    return made


def kept(house, folder):
    return {name for name, why in house.reasons().items() if why == "kept" and folder in name}


def test_every_file_is_a_row_or_a_failure_row_with_a_sentence(house):
    failed = dict(house.query("SELECT key, error FROM failures"))
    for name, content in files_of(*FOLDERS).items():
        reason = house.reasons()[name]
        if reason == "kept" or reason.startswith("near_duplicate"):
            continue
        sha1 = hashlib.sha1(content).hexdigest()
        assert "mime" in reason or len(failed[sha1].split()) > 5, (name, reason)
    assert (house.out / "report" / "index.html").is_file()


def test_what_is_exported_decodes_at_the_readers_with_the_size_of_its_row(house):
    rows = house.rows()
    assert len(rows) > 20
    for row in rows:
        decoded = ImageFeature().decode_example(row["image"])
        assert decoded.size == (row["width"], row["height"]), row["title"]
        decoded.convert("RGB")


def test_training_reads_what_was_released(house):
    for split in ("train", "validation"):
        if not list((house.out / "dataset" / "data").glob(f"*/{split}-*.parquet")):
            continue
        dataset = LRDataset(house.out / "dataset", split=split, crop_px=64)
        for key in dataset.keys:
            crop = dataset.crop(key, seed=1, epoch=0)
            assert dataset.read(crop).shape == (3, 64, 64)


def test_metadata_that_stops_a_reader_is_a_failure_row(house):
    stopped = {n for n, why in house.reasons().items() if why == "object:unreadable"}
    assert stopped == UNREADABLE
    for (error,) in house.query("SELECT error FROM failures WHERE kind = 'unreadable'"):
        assert error.startswith("Its pixels decode, but readers of a dataset stop at its metadata")


def test_lab_and_a_mislabeled_texture_are_failure_rows(house):
    assert house.reasons()["lab/hopper.Lab.tif"] == "object:unsupported"
    assert house.reasons()["screen-dds/texture named.png"] == "object:corrupt"


@pytest.mark.parametrize(
    ("folder", "count"),
    [("dedup-16bit-frame", 3), ("dedup-colour", 3), ("dedup-night", 4), ("dedup-sky", 4)],
)
def test_different_pictures_with_one_hash_are_kept(house, folder, count):
    assert len(kept(house, folder)) == count


def test_no_two_text_pages_are_one(house):
    assert len(kept(house, "dedup-text")) == 6


def test_one_of_eight_orientations_is_kept(house):
    found = kept(house, "dedup-orient")
    assert sorted(name.split("/")[1][:8] for name in found) == ["Landscap", "Portrait"]


def test_what_is_seen_of_a_cut_out_decides(tmp_path):
    house = House(tmp_path, files_of("dedup-alpha"))
    house.build()
    reasons = house.reasons()
    pair = ["dedup-alpha/cut-out on white.jpg", "dedup-alpha/cut-out hidden photo.png"]
    assert sorted(reasons[name] for name in pair) == ["kept", "near_duplicate:copy"]
    assert reasons["dedup-alpha/the hidden photo itself.jpg"] == "kept"


def test_identical_bytes_are_kept_once_blank_or_not(house):
    assert len(kept(house, "dup-blank")) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twins_that_are_kept_stand_in_one_split(tmp_path, seed):
    house = House(tmp_path, files_of("dedup-orient", "dup-blank"), rules=1)
    sampling = house.recipe.sampling.__class__(validation_share=0.5, together=("cluster",))
    house.build(seed=seed, sampling=sampling)
    splits = {}
    for title, split in house.query("SELECT title, split FROM decisions WHERE keep"):
        splits.setdefault(title.split(" - ")[1][:3], set()).add(split)
    assert {name: len(found) for name, found in splits.items()} == {"Lan": 1, "Por": 1, "fog": 1}


def test_an_enlarged_copy_never_beats_its_clean_original(tmp_path):
    house = House(tmp_path, files_of("dedup-upscaled"), labels=True)
    house.build()
    reasons = house.reasons()
    for name, reason in reasons.items():
        if "enlarged" in name:
            assert reason.startswith("near_duplicate:copy"), (name, reason)
    originals = {name: why for name, why in reasons.items() if "original" in name}
    assert set(originals.values()) == {"kept"}


def test_announced_sizes_are_held_against_the_decoded(tmp_path):
    sink = io.BytesIO()
    Image.effect_noise((90, 50), 40).convert("RGB").save(sink, "JPEG")
    house = House(tmp_path, {"a/lies.jpg": sink.getvalue(), **files_of("png-orient")})
    items = house.server._manifest
    items[0] |= {"width": 4000, "height": 3000}
    house.server = LoopbackCommons(house.photos, items, look=look)
    size = Rule(name="short_side", value="short_side", min=64, why="test")
    house.build(gate=(*house.recipe.gate, size))
    assert house.reasons()["a/lies.jpg"] == "short_side"
    rows = {row["title"]: row for row in house.rows()}
    assert {(row["width"], row["height"]) for row in rows.values()} == {(480, 640)}
