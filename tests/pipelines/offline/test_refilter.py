"""Decisions from stored facts: there and back, without network and without models, and what a change would do."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import duckdb
import pytest

from catalog.store import Catalog
from pipelines.build.history import load_built_recipe
from pipelines.offline.changes import changed_recipe
from pipelines.offline.refilter import refilter
from pipelines.offline.what_if import what_if, what_if_lines
from pipelines.recipe import RecipeError
from tests.pipelines.builds import dataset_hash

# Runs in a process of its own: whatever opens a socket, or loads torch, ends it.
OFFLINE = """
import json, socket, sys
def refuse(*a, **k):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from pipelines.cli import app
for recipe in sys.argv[2:]:
    try:
        app(["refilter", recipe, "--out", sys.argv[1]])
    except SystemExit as end:
        assert not end.code, end.code
    print(json.load(open(sys.argv[1] + "/dataset/manifest.json"))["dataset_hash"], file=sys.stderr)
assert "torch" not in sys.modules, "a model was loaded"
"""


def offline(*arguments):
    """Refilters a build by one recipe after the other; the dataset hash after each."""
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [line for line in done.stderr.splitlines() if re.fullmatch("[0-9a-f]{64}", line)]


@pytest.fixture
def built(small_build, tmp_path):
    out = tmp_path / "build"
    shutil.copytree(small_build, out)
    return out


@pytest.fixture
def recipe(built):
    return load_built_recipe(Catalog(built / "catalog"))[0]


def kept(out):
    with duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT page_id FROM decisions WHERE keep").fetchall()
    return {page_id for (page_id,) in rows}


@pytest.mark.slow
def test_there_and_back_gives_the_same_dataset_hash_offline(built, recipe, tmp_path):
    before = dataset_hash(built)
    files = {}
    for name, made in (
        ("stricter", changed_recipe(recipe, ["degraded.min=0.7"])),
        ("same", recipe),
    ):
        files[name] = tmp_path / f"{name}.yaml"
        # JSON is YAML.
        files[name].write_text(json.dumps(made.model_dump(mode="json")))
    there, back = offline(built, files["stricter"], files["same"])
    assert there != before
    assert back == before == dataset_hash(built)


def test_what_if_foretells_what_a_refilter_does_and_writes_nothing(built, recipe):
    first = kept(built)
    runs = sorted(built.rglob("*"))
    told = what_if(["degraded.min=0.7"], out=built)
    assert sorted(built.rglob("*")) == runs
    assert told.kept_before == len(first)
    refilter(changed_recipe(recipe, ["degraded.min=0.7"]), out=built)
    now = kept(built)
    assert told.kept_after == len(now)
    assert sum(told.leaving.values()) == len(first - now)
    assert set(told.leaving) == {"degraded"}
    (changed,) = [effect for effect in told.effects if effect.changed]
    assert changed.rule == "degraded"
    assert all(value < 0.7 for _, value in changed.below)
    assert all(value >= 0.7 for _, value in changed.above)
    assert [v for _, v in changed.above] == sorted(v for _, v in changed.above)


def test_what_a_looser_gate_would_have_to_fetch_is_counted(built, recipe):
    gate = tuple(replace(r, min=10) if r.name == "short_side" else r for r in recipe.gate)
    done = refilter(recipe.model_copy(update={"gate": gate}), out=built)
    with duckdb.connect(str(built / "lucidlr.duckdb"), read_only=True) as connection:
        waiting = connection.execute(
            "SELECT count(*) FROM decisions WHERE reason = 'object:not_measured'"
        ).fetchall()
    assert done.to_download == waiting[0][0] > 0
    told = what_if(["short_side.min=10"], out=built, recipe=recipe)
    assert told.to_download == done.to_download


def test_what_was_never_computed_or_listed_is_told(built, recipe):
    wanted = recipe.model_copy(update={"scores": ("pyiqa:niqe",), "sources": recipe.sources[1:]})
    done = refilter(wanted, out=built)
    assert list(done.to_measure) == ["score.pyiqa:niqe"]
    assert done.unlisted == 0
    other = replace(recipe.sources[0], root="Category:Another")
    done = refilter(recipe.model_copy(update={"sources": (other, *recipe.sources)}), out=built)
    assert done.unlisted == 1


def test_of_sources_that_were_never_listed_nothing_is_kept_and_the_release_stays(built, recipe):
    before = dataset_hash(built)
    others = tuple(replace(source, root="Category:Another") for source in recipe.sources[:1])
    done = refilter(recipe.model_copy(update={"sources": others}), out=built)
    assert done.unlisted == 1
    assert done.result.dataset_hash is None
    assert dataset_hash(built) == before
    refilter(recipe, out=built)


def test_a_score_that_no_rule_looks_at_can_be_asked_about(built):
    told = what_if(["piqe.max=50"], out=built)
    assert set(told.leaving) == {"piqe"}
    text = "\n".join(what_if_lines(told))
    assert "leave: piqe" in text
    assert "nothing was written" in text


def test_a_change_of_the_sampling_or_of_the_twins_is_a_change_too(built):
    told = what_if(["sampling.max_samples=10"], out=built)
    assert told.kept_after == 10
    assert set(told.leaving) == {"not_drawn"}
    assert what_if(["dedupe.phash_radius=0"], out=built).kept_after >= told.kept_before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("degraded", "Use RULE.FIELD=VALUE"),
        ("sharpness.min=1", "no rule or section 'sharpness'"),
        ("degraded.mean=1", "there is no field 'mean'. Did you mean 'min'"),
        ("degraded.min=high", "degraded.min=high"),
        ("sampling.max_samples=0", "at least 1"),
    ],
)
def test_a_change_that_means_nothing_says_what_there_is(recipe, change, said):
    with pytest.raises(RecipeError, match=said):
        changed_recipe(recipe, [change])


def test_where_nothing_was_built_nothing_can_be_decided(tmp_path, recipe):
    with pytest.raises(FileNotFoundError, match="holds no build"):
        refilter(recipe, out=tmp_path / "nowhere")
    Catalog(tmp_path / "empty" / "catalog")
    with pytest.raises(FileNotFoundError, match="no finished build"):
        what_if(["degraded.min=0.7"], out=tmp_path / "empty")
