"""`precompute-rewards` through a Prefect server, and the same by the command line."""

import json
import sys

import pytest
import yaml

from pipelines.cli import main
from tests.prefect_server import ROOT, latest_artifacts, run_deployment
from training.data import LRDataset
from training.precompute import Store, crops_of_training
from training.rewards import load_reward

RECIPE = ROOT / "pipelines" / "recipes" / "nft" / "tiny_consistency.yaml"


@pytest.mark.slow
def test_the_deployment_fills_a_store_that_the_command_line_finds_complete(
    prefect_server, small_build, tmp_path, monkeypatch, capsys
):
    dataset, store = small_build / "dataset", tmp_path / "store"
    changes = json.dumps({"epochs": 2, "groups": 3})
    given = (f"dataset={dataset}", f"to={store}", f"changes={changes}")
    run_deployment(prefect_server, "precompute-rewards/precompute-demo", *given)
    url, _, _ = prefect_server
    artifacts = latest_artifacts(url)
    rows = {row["kind"]: row for row in json.loads(artifacts["precompute-summary"]["data"])}
    assert rows["shared-lucid_consistency"]["worked out"] == 6
    assert rows["shared-coherent_edges"]["shares nothing"]
    assert rows["conditioning"]["worked out"] == rows["baseline-coherent_edges"]["crops"] == 6

    source = LRDataset(dataset, split="train", crop_px=16)
    crops = crops_of_training(source, seed=0, epochs=2, groups=3)
    reward = load_reward("lucid_consistency", size_px=64)
    kept = Store(store, rewards=[reward], backbone=None).shared("lucid_consistency", crops)
    assert kept is not None and kept["lr_embedding"].shape == (6, 1280)

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(yaml.safe_load(RECIPE.read_text()) | json.loads(changes)))
    arguments = ["precompute", str(recipe), "--dataset", str(dataset), "--to", str(store)]
    monkeypatch.setattr(sys, "argv", ["lucidlr", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.count("0 made, 6 were there") == 4


def test_a_configuration_without_a_dataset_says_what_it_needs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lucidlr", "precompute", str(RECIPE)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "needs `dataset`" in capsys.readouterr().err
