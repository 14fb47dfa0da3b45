"""`lucidlr train` on an exported dataset of real photographs, with an untrained tiny backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from skimage import data
from typer.testing import CliRunner

from catalog.errors import Expected
from pipelines.cli import app
from tests.training.test_data import encoded, write_shard
from training.backbones.tiny import untrained
from training.train_config import ConfigError, load_config

RECIPES = Path(__file__).parents[2] / "pipelines" / "recipes" / "nft"
ASKED = ["--set", "epochs=2", "--set", "groups=2", "--set", "group_size=3", "--set", "eval_every=2"]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Eight tiles of scikit-image's cat, two of them held out, and random weights of the tiny network."""
    folder = tmp_path_factory.mktemp("release")
    cat = np.asarray(data.chelsea())
    rows = [
        {
            "sha1": f"{n:040x}",
            "width": 48,
            "height": 40,
            "bytes": encoded(cat[40 * n : 40 * n + 40, 100:148].copy()),
        }
        for n in range(7)
    ]
    write_shard(folder / "dataset" / "data" / "cc_by" / "train-00000-of-00001.parquet", rows[:5])
    held_out = folder / "dataset" / "data" / "cc_by" / "validation-00000-of-00001.parquet"
    write_shard(held_out, rows[5:])
    state = {name: value.clone() for name, value in untrained(width=8).net.state_dict().items()}
    save_file(state, folder / "tiny.safetensors")
    return folder


def train(release, *arguments):
    options = f"backbone_options={{weights: '{release / 'tiny.safetensors'}'}}"
    command = ["train", str(RECIPES / "tiny.yaml"), "--dataset", str(release / "dataset")]
    return CliRunner().invoke(app, [*command, "--set", options, *ASKED, *map(str, arguments)])


def test_training_on_an_exported_dataset_from_the_command_line(release, tmp_path):
    done = train(release, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("epoch     0  eval_reward_lr_faithfulness")
    assert "trained    2 epochs, 4 steps" in lines
    for name in ("log.csv", "log.parquet", "weights.safetensors", "tensorboard", "checkpoints"):
        assert (tmp_path / name).exists(), name
    again = train(release, "--out", tmp_path)
    assert [line for line in again.output.splitlines() if line.startswith("epoch")] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [("grops=3", "did you mean 'groups'"), ("groups", "key=value"), ("groups=many", "groups")],
)
def test_a_wrong_change_says_which(release, tmp_path, change, message):
    done = train(release, "--out", tmp_path, "--set", change)
    assert isinstance(done.exception, ConfigError)
    assert isinstance(done.exception, Expected)
    assert message in str(done.exception)


@pytest.mark.parametrize("name", ["tiny", "lucidflux"])
def test_shipped_configurations_are_valid(name):
    assert load_config(RECIPES / f"{name}.yaml").backbone == name
