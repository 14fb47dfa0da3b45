"""The plan of a recipe: its arithmetic, and how near it comes to what a build then asks."""

import dataclasses
from pathlib import Path

import duckdb
import pytest

from crawler.limits import Limits
from crawler.loopback import LoopbackCommons
from pipelines.build.doors import look
from pipelines.build.plan import budget, plan, plan_lines
from pipelines.demo.corpus import make_corpus
from pipelines.recipe import load_recipe
from tests.pipelines.builds import FILES, SEED
from tests.pipelines.test_recipe import DEMO

RECIPE_20K = Path(DEMO).with_name("lucidlr_20k.yaml")


def test_the_arithmetic_follows_from_the_limits():
    # Metadata of 200,000 candidates is 4,000 requests: 40 minutes at 100 a minute, 67 at one a second.
    limits = Limits(api_per_minute=100)
    first = budget(files=200_000, downloads=20_000, mean_bytes=1e6, limits=limits)
    assert first.api_requests == 4000
    assert first.api_hours == pytest.approx(40 / 60)
    slower = dataclasses.replace(limits, api_per_minute=60)
    one_a_second = budget(files=200_000, downloads=0, mean_bytes=0, limits=slower)
    assert one_a_second.api_hours * 60 == pytest.approx(66.7, abs=0.1)
    # 25 Mbit/s are 3.1 MB/s: 20,000 files of 1 MB take 1.8 hours, 100,000 of 2 MB take 18.
    assert first.media_hours == pytest.approx(1.78, abs=0.01)
    more = budget(files=100_000, downloads=100_000, mean_bytes=2e6, limits=limits)
    assert more.media_hours == pytest.approx(17.8, abs=0.1)
    # Structured data is asked for the files that pass.
    assert (
        budget(
            files=1000, downloads=500, mean_bytes=1.0, limits=limits, structured=True
        ).api_requests
        == 30
    )


def test_a_plan_comes_near_to_what_the_build_then_asks_for(small_build, tmp_path):
    recipe = load_recipe(DEMO)
    assert recipe.corpus is not None
    corpus = dataclasses.replace(recipe.corpus, seed=SEED, files=FILES)
    made = plan(recipe.model_copy(update={"corpus": corpus}), out=tmp_path)
    with duckdb.connect(str(small_build / "lucidlr.duckdb"), read_only=True) as connection:
        asked, fetched = connection.execute(
            "SELECT count(*) FILTER (kind = 'api'), count(DISTINCT url) FILTER (kind = 'media') FROM requests"
        ).fetchall()[0]
        size = connection.execute("SELECT sum(size_bytes) FROM objects").fetchall()[0][0]
    # The build asks once for the site's name.
    assert made.total.api_requests == pytest.approx(asked - 1, abs=2)
    assert made.total.downloads == pytest.approx(fetched, rel=0.25)
    assert made.total.media_bytes == pytest.approx(size, rel=0.35)
    # The interval of each source holds what the build then found.
    with duckdb.connect(str(small_build / "lucidlr.duckdb"), read_only=True) as connection:
        rate = connection.execute(
            "SELECT avg((object IS NOT NULL)::INT) FROM decisions LEFT JOIN "
            "(SELECT sha1, true AS object FROM objects) USING (sha1)"
        ).fetchall()[0][0]
    low, high = (
        sum(getattr(s.passing, end) * s.budget.files for s in made.sources)
        / sum(s.budget.files for s in made.sources)
        for end in ("low", "high")
    )
    assert low <= rate <= high
    # Disk: what the build took, without its corpus and report; at most twice the originals and the catalog.
    taken = sum(
        file.stat().st_size
        for name in ("catalog", "dataset", "lucidlr.duckdb", "evidence.parquet")
        for file in [small_build / name, *(small_build / name).rglob("*")]
        if file.is_file()
    )
    assert 0.4 * taken < made.disk_bytes < 6 * taken, (taken, made.disk_bytes)
    assert made.free_bytes > 0
    # CPU: small tiles cost at least the fixed part; an hour for a hundred of them would be a thousandfold.
    assert 0.1 < made.cpu_s < 3600
    text = "\n".join(plan_lines(made))
    assert "core hours" in text
    assert "disk " in text
    assert sum(s.budget.files for s in made.sources) == pytest.approx(FILES, rel=0.15)


def test_the_20k_recipe_is_planned_against_the_embedded_commons(tmp_path):
    recipe = load_recipe(RECIPE_20K)
    corpus = make_corpus(tmp_path / "corpus", seed=SEED, files=40)
    with LoopbackCommons(corpus.photos, corpus.manifest, look=look) as server:
        made = plan(
            recipe, out=tmp_path / "out", contact="test@example.org", host_map=server.host_map
        )
    lines = plan_lines(made)
    assert len(made.sources) == len(recipe.sources)
    for item in made.sources:
        if item.survey.problem:
            assert any(item.survey.problem in line for line in lines)
    # Its categories are not on this wiki, and the plan says so instead of failing.
    assert "does not exist" in "\n".join(lines)
    assert f"at {recipe.limits.api_per_minute:g} a minute" in "\n".join(lines)
    assert made.asked < 100
