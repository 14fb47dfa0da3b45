"""Recipes: every mistake is named with its place and the nearest valid word."""

from pathlib import Path

import pytest
import yaml

from crawler.walkers import source_kinds
from filters.degradation import DegradationPolicy
from pipelines.recipe import RecipeError, load_recipe

FOLDER = Path(__file__).parents[2] / "pipelines" / "recipes"
# Those of builds; `lucidlr evaluate` and `lucidlr train` have recipes of their own.
RECIPES = [path for path in sorted(FOLDER.glob("*.yaml")) if "\nsources:" in path.read_text()]
DEMO = next(path for path in RECIPES if path.name == "demo.yaml")


def broken(tmp_path, change):
    content = yaml.safe_load(DEMO.read_text())
    change(content)
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return str(caught.value)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_we_ship_loads_and_each_rule_says_why(path):
    recipe = load_recipe(path)
    for rule in (*recipe.gate, *recipe.rules):
        assert len(rule.why) > 20, rule.name
    for curve in recipe.degradation.curves:
        assert len(curve.why) > 20, curve.label


def test_an_unknown_key_is_named_with_the_nearest_valid_one(tmp_path):
    message = broken(tmp_path, lambda r: r.update(extra_meassures=[]))
    assert "unknown key 'extra_meassures'" in message
    assert "did you mean 'extra_measures'" in message


def test_an_unknown_key_deep_inside_is_named_with_its_place(tmp_path):
    message = broken(tmp_path, lambda r: r["sources"][0].update(dept=3))
    assert "'dept' at sources.0" in message
    assert "did you mean 'depth'" in message


def test_a_kind_of_source_that_there_is_not_is_named_with_the_nearest(tmp_path):
    message = broken(tmp_path, lambda r: r["sources"][0].update(kind="Catgory"))
    assert "sources.0 has an unknown kind 'Catgory'; did you mean 'category'?" in message
    assert ", ".join(source_kinds()) in message
    assert "sources.0 needs a kind" in broken(tmp_path, lambda r: r["sources"][0].pop("kind"))


def test_each_kind_of_source_names_its_own_nearest_key(tmp_path):
    source = {"kind": "uploader", "usr": "Ilse"}
    message = broken(tmp_path, lambda r: r.update(sources=[source]))
    assert "unknown key 'usr' at sources.0.uploader.usr; did you mean 'user'?" in message


def test_an_unknown_key_of_a_rule_is_named(tmp_path):
    message = broken(tmp_path, lambda r: r["gate"][0].update(minimum=3))
    assert "did you mean 'min'" in message


def test_a_rule_on_something_unknown_says_what_may_be_meant(tmp_path):
    message = broken(tmp_path, lambda r: r["gate"][0].update(value="shortside"))
    assert "did you mean 'short_side'" in message


def test_a_curve_on_a_measure_that_is_none_is_refused_with_the_nearest(tmp_path):
    curve = {"label": "blur", "measure": "edge_sigmas", "mild": 1, "moderate": 2, "severe": 3}
    message = broken(tmp_path, lambda r: r.update(degradation={"curves": [{**curve, "why": "x"}]}))
    assert "no measure 'edge_sigmas'; did you mean 'edge_sigma'" in message


def test_a_recipe_takes_what_its_labels_need_and_what_it_asks_for_besides(tmp_path):
    recipe = load_recipe(DEMO)
    assert set(recipe.measures) == recipe.degradation.measures
    plain = recipe.model_copy(
        update={"degradation": DegradationPolicy(classifier=None), "extra_measures": ("contrast",)}
    )
    assert plain.measures == ("contrast", "textured_share")


def test_a_classifier_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    message = broken(tmp_path, lambda r: r.update(degradation={"classifier": "degradation-0"}))
    assert "degradation-2" in message


def test_a_missing_section_is_named(tmp_path):
    assert "gate: this key is missing" in broken(tmp_path, lambda r: r.pop("gate"))


def test_a_missing_file_and_bad_yaml_say_so(tmp_path):
    with pytest.raises(RecipeError, match="There is no recipe"):
        load_recipe(tmp_path / "none.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: [unclosed")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_recipe(bad)


def test_politeness_does_not_change_the_hash_and_a_threshold_does(tmp_path):
    recipe = load_recipe(DEMO)
    slower = recipe.model_copy(update={"batch_size": 128, "description": "other words"})
    other = recipe.model_copy(update={"rules": recipe.rules[:-1]})
    assert recipe.hash(["a@1"]) == slower.hash(["a@1"])
    assert recipe.hash(["a@1"]) != other.hash(["a@1"])
    assert recipe.hash(["a@1"]) != recipe.hash(["a@2"])


def test_a_limit_is_shared_out_evenly_and_never_lifts_a_cap(tmp_path):
    recipe = load_recipe(DEMO)
    shares = [cap for _, cap in recipe.source_caps(10)]
    assert all(cap is not None and cap <= -(-10 // len(recipe.sources)) for cap in shares)
