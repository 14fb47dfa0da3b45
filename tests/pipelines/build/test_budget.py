"""Builds that a budget stops: whole, told, and resumed to the same dataset."""

import json
from dataclasses import replace

import duckdb
import numpy as np
import pytest
from skimage import data

from crawler.walkers.folder import FolderSource
from filters.degradation.synthesis import encode_jpeg, gaussian_blur
from pipelines import bounds
from pipelines.bounds import BudgetConfig, Clock, chosen_budget
from pipelines.build import budget as budgets
from pipelines.build import run as runs
from pipelines.build.budget import Queue, rounds
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.commands.options import tell
from pipelines.progress import NoProgress
from pipelines.recipe import Recipe, load_recipe
from tests.pipelines.build.test_clusters import small
from tests.pipelines.build.test_own_files import FIELDS, GOOD

SAMPLES, FILES = 6, 30


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty small photographs with a license each, of one's own: nothing is asked of a wiki."""
    folder = tmp_path_factory.mktemp("budget") / "photos"
    folder.mkdir()
    chance = np.random.default_rng(3)
    for number in range(FILES):
        top, left = (int(n) for n in chance.integers(0, 340, 2))
        crop = np.ascontiguousarray(data.astronaut()[top : top + 140, left : left + 150])
        # Qualities that make sizes differ fivefold.
        photo = encode_jpeg(gaussian_blur(crop, 2.0), 30 + 2 * number)
        (folder / f"{number:02d}.jpg").write_bytes(photo)
        (folder / f"{number:02d}.json").write_text(json.dumps(GOOD))
    return folder


@pytest.fixture(scope="module")
def built(photos):
    def build_it(out, budget=None, *, samples=None, progress=None):
        demo = load_recipe("demo")
        recipe = demo.model_copy(
            update={
                "corpus": None,
                "sources": (FolderSource(path=str(photos), fields=FIELDS),),
                "rules": demo.rules[:2],
                "sampling": replace(demo.sampling, max_samples=samples),
                "batch_size": 4,
            }
        )
        if budget is not None:
            recipe = recipe.bounded_by(budget)
        with pool_runner("threads", 1) as runner:
            return build(recipe, out=out, runner=runner, progress=progress)

    return build_it


@pytest.fixture(scope="module")
def whole(built, tmp_path_factory):
    return built(tmp_path_factory.mktemp("whole") / "whole")


@pytest.fixture
def small_rounds(monkeypatch):
    monkeypatch.setattr(budgets, "FIRST_ROUND", 5)


def at_hand(out):
    with duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT count(*), sum(size_bytes) FROM objects").fetchall()[0]


def test_rounds_cover_every_file_once_and_grow_by_a_tenth():
    found = list(rounds(10_000, one=False))
    assert [begin for begin, _ in found[1:]] == [end for _, end in found[:-1]]
    assert (found[0], found[-1][1]) == ((0, 64), 10_000)
    assert all(e - b <= max(64, b // 10) for b, e in found)
    # A hundred thousand files are decided on some sixty times, not fifteen hundred times.
    assert len(list(rounds(100_000, one=False))) < 70
    assert list(rounds(5, one=True)) == [(0, 5)]
    assert list(rounds(0, one=True)) == []


def test_the_clock_is_never_over_without_hours():
    times = iter([0.0, 1799.0, 1801.0, 3600.0])
    clock = Clock(1.0, now=lambda: next(times))
    assert [clock.over(0.5), clock.over(0.5), clock.over()] == [False, True, True]
    assert not Clock().over()


def test_what_cannot_be_met_is_refused():
    with pytest.raises(ValueError, match="max_bytes is more than 0"):
        BudgetConfig(max_bytes=0)
    with pytest.raises(ValueError, match="max_hours is more than 0"):
        chosen_budget(BudgetConfig(), max_hours=float("nan"), max_bytes=None, stop_at=None)
    with pytest.raises(ValueError, match="needs sampling"):
        small().bounded_by(BudgetConfig(stop_at="kept"))
    content = small().model_dump(mode="json") | {"budget": {"stop_at": "kept"}}
    with pytest.raises(ValueError, match="needs sampling"):
        Recipe.model_validate(content)
    # As YAML gives it: a text, because there is no dot in it.
    content["budget"] = {"max_bytes": "5e9"}
    assert Recipe.model_validate(content).budget == BudgetConfig(max_bytes=5e9)


def test_a_budget_changes_no_hash_of_a_recipe():
    assert small().hash([]) == small().bounded_by(BudgetConfig(max_hours=2)).hash([])


def test_a_queue_tells_how_far_it_is():
    queue = Queue(["a", "b", "c"], np.array([1e9, 3e9, 4e9]).astype(int), np.array([1, 0, 1], bool))
    assert queue.told() == "2 of 3 files that passed the gate were fetched (2.00 of 4.00 GB)"


@pytest.mark.slow
def test_a_build_paused_by_bytes_is_whole_says_so_and_ends_as_if_it_had_not_been(
    built, whole, tmp_path, capsys
):
    out = tmp_path / "paused"
    everything, size = at_hand(whole.out)
    first = built(out, BudgetConfig(max_bytes=0.3 * size))
    count, fetched = at_hand(out)
    # By listed sizes, up to the last file that still fits.
    assert 0.15 * size < fetched <= 0.3 * size
    assert first.stop is not None
    assert f"{first.dataset_hash}" != whole.dataset_hash
    assert "max_bytes" in first.stop.why
    assert "--max-bytes" in first.stop.resume
    # Said in the card, the report, the run record and on the last line.
    assert (
        first.stop.why.split(";")[0].replace("_", "\\_")
        in (first.dataset / "README.md").read_text()
    )
    assert "stopped by" in first.report.read_text()
    tell(first, out)
    assert capsys.readouterr().out.splitlines()[-1] == f"to resume  {first.stop.resume}"
    with duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT stopped FROM runs").fetchall() == [(first.stop.why,)]
    # The same again fetches nothing; a larger one goes on; without one it is as if there had been none.
    again = built(out, BudgetConfig(max_bytes=0.3 * size))
    assert (again.dataset_hash, at_hand(out)) == (first.dataset_hash, (count, fetched))
    larger = built(out, BudgetConfig(max_bytes=0.6 * size))
    assert count < at_hand(out)[0] < everything
    assert larger.stop is not None
    last = built(out)
    assert last.stop is None
    assert last.dataset_hash == whole.dataset_hash
    assert "stopped" not in (last.dataset / "README.md").read_text()


class Interrupted(NoProgress):
    """Ends the build when so many rounds of downloads have begun."""

    def __init__(self, rounds):
        self.left = rounds

    def stage(self, name, total):
        if name == "download":
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        return super().stage(name, total)


@pytest.mark.slow
@pytest.mark.usefixtures("small_rounds")
def test_stop_at_kept_fetches_no_more_than_it_needs_and_the_same_whatever_interrupts_it(
    built, whole, tmp_path
):
    budget = BudgetConfig(stop_at="kept")
    straight = built(tmp_path / "straight", budget, samples=SAMPLES)
    assert straight.stop is not None
    assert "stop_at kept" in straight.stop.why
    assert straight.funnel[-1][1] == SAMPLES
    count, _ = at_hand(straight.out)
    assert count < at_hand(whole.out)[0]
    out = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        built(out, budget, samples=SAMPLES, progress=Interrupted(1))
    # Between, a budget of bytes that allows of one round more only: whole rounds, so it changes nothing.
    built(out, BudgetConfig(stop_at="kept", max_bytes=1.0), samples=SAMPLES)
    resumed = built(out, budget, samples=SAMPLES)
    assert resumed.dataset_hash == straight.dataset_hash
    assert at_hand(out)[0] == count
    # More than there is: everything is fetched, and the shortfall is told as in any build.
    more = built(out, budget, samples=10_000)
    assert more.stop is None
    assert at_hand(out)[0] == at_hand(whole.out)[0]


@pytest.mark.slow
@pytest.mark.usefixtures("small_rounds")
def test_hours_end_a_run_with_what_is_measured_and_the_next_run_goes_on(
    built, whole, tmp_path, monkeypatch
):
    out = tmp_path / "hours"
    asked = 0

    def tick():
        nonlocal asked
        asked += 1
        return float(asked)

    monkeypatch.setattr(runs, "Clock", lambda hours: Clock(hours, now=tick))
    # By this clock every question takes a second. At once: a part of the listing, and nothing else.
    first = built(out, BudgetConfig(max_hours=1 / 3600))
    assert first.dataset_hash is None
    assert first.stop is not None
    assert "max_hours" in first.stop.why
    assert "same command again" in first.stop.resume
    counts = []
    for _ in range(12):
        result = built(out, BudgetConfig(max_hours=24 / 3600))
        counts.append(at_hand(out)[0])
        if result.stop is None:
            break
    assert result.stop is None, result.stop
    assert len(counts) > 1
    assert counts == sorted(counts)
    assert built(out).dataset_hash == whole.dataset_hash == result.dataset_hash
    records = [
        json.loads(p.read_text())["stopped"] for p in sorted((out / "catalog/runs").glob("*.json"))
    ]
    assert sum(said is not None for said in records) == len(records) - 2
    assert bounds.LISTING_SHARE < bounds.FETCHING_SHARE < 1
