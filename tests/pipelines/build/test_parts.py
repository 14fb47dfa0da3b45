"""A build with `dedupe.partial`: a picture and its parts stand in one split, and a benchmark's crops are told."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from filters.duplicates.dedupe import DedupePolicy
from filters.duplicates.leakage import LeakagePolicy
from filters.duplicates.partial import PartialPolicy
from filters.policy import Rule
from filters.sampling import SamplingPolicy
from pipelines.offline.refilter import refilter
from pipelines.recipe import load_recipe
from pipelines.studies.dedup_report import add_fingerprints
from tests.pipelines.build.test_pictures import House
from tests.pipelines.test_recipe import DEMO

pytestmark = pytest.mark.slow

PHOTOS = {"cat": data.chelsea(), "cup": data.coffee(), "rocket": data.rocket()}


def jpeg(pixels):
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(sink, "JPEG", quality=90)
    return sink.getvalue()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    files = {}
    for name, pixels in PHOTOS.items():
        high, wide = pixels.shape[:2]
        files[f"{name}/whole.jpg"] = jpeg(pixels)
        files[f"{name}/upper left.jpg"] = jpeg(pixels[: high * 6 // 10, : wide * 6 // 10])
        files[f"{name}/middle.jpg"] = jpeg(pixels[high // 5 : -high // 5, wide // 5 : -wide // 5])
    target = tmp_path_factory.mktemp("parts")
    made = House(target, files, rules=0)
    benchmark = target / "benchmark"
    benchmark.mkdir()
    (benchmark / "cat.png").write_bytes(jpeg(PHOTOS["cat"]))
    made.index = target / "benchmarks.parquet"
    assert add_fingerprints("Web", benchmark, made.index, parts=True) == 1
    # Every file is an uploader's own, so that only what is seen ties them.
    made.sampling = SamplingPolicy(validation_share=0.5, together=("cluster",))
    made.build(sampling=made.sampling, seed=2)
    return made


def splits(house):
    found = {}
    for title, split in house.query("SELECT title, split FROM decisions WHERE keep"):
        found.setdefault(title.removeprefix("File:").split(" - ")[0].lower(), []).append(split)
    return found


def test_parts_stand_in_one_split_over_three_seeds_and_not_without_the_option(house):
    assert any(len(set(found)) == 2 for found in splits(house).values())
    dedupe = DedupePolicy(partial=PartialPolicy())
    for seed in (2, 3, 4):
        house.build(sampling=house.sampling, seed=seed, dedupe=dedupe)
        found = splits(house)
        assert {name: (len(s), len(set(s))) for name, s in found.items()} == dict.fromkeys(
            PHOTOS, (3, 1)
        )


def test_a_rule_keeps_parts_of_benchmark_images_out(house):
    clean = Rule(name="leak", value="leak_points", max=0, why="test")
    changes = {
        "sampling": house.sampling,
        "dedupe": DedupePolicy(partial=PartialPolicy()),
        "leakage": LeakagePolicy(index=str(house.index)),
        "rules": (*house.recipe.rules, clean),
    }
    house.build(**changes)
    reasons = house.reasons()
    assert {name for name, why in reasons.items() if why == "leak"} == {
        f"cat/{part}.jpg" for part in ("whole", "upper left", "middle")
    }
    assert sorted(reasons.values()) == ["kept"] * 6 + ["leak"] * 3
    # From the facts alone, no picture and no network.
    again = refilter(house.recipe.model_copy(update=changes), out=house.out)
    assert again.to_measure == {}
    assert house.reasons() == reasons


def test_a_recipe_without_the_option_has_the_hash_that_it_had():
    recipe = load_recipe(DEMO)
    told = recipe.model_dump(mode="json")["dedupe"]
    assert told["partial"] is None
    with_parts = recipe.model_copy(update={"dedupe": DedupePolicy(partial=PartialPolicy())})
    assert with_parts.hash([]) != recipe.hash([])
