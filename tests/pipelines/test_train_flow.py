"""The flow train-lucidnft: its recipe, and once through a real server and worker."""

import json
from pathlib import Path

import pytest
import yaml

from pipelines.recipe import RecipeError
from pipelines.train_lucidnft import load_training_recipe
from tests.prefect_server import ROOT, api, latest_artifacts, run_deployment
from training.train_config import ConfigError

DEMO = ROOT / "pipelines" / "recipes" / "train_demo.yaml"


def written(folder: Path, content: object) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_the_demo_recipe_loads_the_shipped_weights_and_trains_on_two_rewards():
    pretrain, train = load_training_recipe(DEMO, out=Path("elsewhere"))
    assert pretrain is None
    assert train.out == Path("elsewhere")
    assert [reward.name for reward in train.rewards] == ["lr_faithfulness", "photo_critic"]


def test_a_configuration_of_lucidlr_train_is_a_recipe_as_it_stands():
    pretrain, train = load_training_recipe(ROOT / "pipelines" / "recipes" / "nft" / "tiny.yaml")
    assert pretrain is None
    assert train.backbone == "tiny" and train.rewards


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        ({"pretrain": {}}, RecipeError, "has a section `train`"),
        ({"train": {"epochs": 1}, "extra": 1}, RecipeError, "nothing else"),
        ({"train": {"epoch": 1}}, ConfigError, "did you mean 'epochs'"),
        ({"train": {}, "pretrain": {"step": 3}}, RecipeError, "no key 'step'"),
        ({"train": {}, "pretrain": {"steps": "many"}}, RecipeError, "steps"),
        (
            {"train": {"backbone": "lucidflux"}, "pretrain": {"steps": 3}},
            RecipeError,
            "only the tiny",
        ),
    ],
)
def test_a_recipe_that_cannot_be_used_says_what_is_wrong(tmp_path, content, error, told):
    with pytest.raises(error, match=told):
        load_training_recipe(written(tmp_path, content))


@pytest.mark.slow
def test_the_flow_pretrains_trains_evaluates_and_shows_it(prefect_server, small_build, tmp_path):
    url, _, _ = prefect_server
    train = yaml.safe_load(DEMO.read_text())["train"]
    small = {"epochs": 2, "groups": 3, "group_size": 4, "rollout_steps": 3, "eval_every": 1}
    small |= {"rewards": [{"name": "lr_faithfulness"}, {"name": "coherent_edges"}], "eval_lrs": 8}
    recipe = written(
        tmp_path,
        {"pretrain": {"steps": 10, "pairs": 64, "width": 8}, "train": {**train, **small}},
    )
    out = tmp_path / "run"
    run_deployment(
        prefect_server,
        "train-lucidnft/train-demo",
        f"recipe={recipe}",
        f"out={out}",
        f"dataset={small_build / 'dataset'}",
    )
    for file in ("pretrain/tiny.safetensors", "average.safetensors", "results.md", "grid.png"):
        assert (out / file).is_file()
    artifacts = latest_artifacts(url)
    wanted = {
        "train-precompute",
        "train-backbone",
        "train-progress",
        "train-results",
        "train-curves",
        "train-grid",
    }
    assert wanted | {"train-file-results", "train-file-log", "train-file-average"} <= set(artifacts)
    (row,) = json.loads(artifacts["train-backbone"]["data"])
    assert row["pretrained here"] is True and len(row["weights"]) == 64
    kinds = {
        r["kind"]: r["worked out now"] for r in json.loads(artifacts["train-precompute"]["data"])
    }
    assert kinds["conditioning"] == kinds["baseline-coherent_edges"] == 6, "three LR in two epochs"
    assert float(artifacts["train-progress"]["data"]) == 100.0
    assert "| coherent_edges |" in artifacts["train-results"]["data"]
    assert artifacts["train-curves"]["data"].startswith("data:image/png;base64,")
    runs = api(url, "/task_runs/filter", {})
    done = {run["name"].rsplit("-", 1)[0] for run in runs if run["state_type"] == "COMPLETED"}
    assert {"backbone", "precompute", "train", "held-out", "plots"} <= done
