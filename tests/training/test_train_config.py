from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
from pathlib import Path

import pytest

from training import train_config
from training.train_config import ConfigError, RewardSpec, TrainConfig, config_from, load_config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"grop_size": 4}, "did you mean 'group_size'"),
        ({"rewards": [{"name": "a", "wieght": 2}]}, "rewards.0.wieght"),
        ({"decay": "sometimes"}, "decay"),
        ({"epochs": "many"}, "epochs"),
        ({"epochs": 0}, "at least 1"),
        ({"beta": 0.0}, "above 0"),
        ({"kl_beta": -1.0}, "not negative"),
        ({"updates": 9, "group_size": 8}, "at most group_size"),
        ({"train_times": 11, "rollout_steps": 10}, "train_times"),
        ({"aggregation": "scalarized", "advantage_whiten": True}, "decoupled"),
        ({"rewards": [{"name": "a"}, {"name": "a"}]}, "twice"),
    ],
)
def test_a_wrong_configuration_says_which_key(values, message):
    with pytest.raises(ConfigError, match=message):
        config_from(values)


def test_yaml_becomes_a_configuration_and_options_lie_on_top(tmp_path):
    file = tmp_path / "nft.yaml"
    file.write_text("epochs: 3\nrewards:\n- {name: a, weight: 0.5}\nbetas: [0.8, 0.9]\n")
    found = load_config(file, {"seed": 7})
    assert (found.epochs, found.seed, found.betas) == (3, 7, (0.8, 0.9))
    assert found.rewards == (RewardSpec(name="a", weight=0.5),)


@pytest.mark.parametrize("text", ["- 1\n", "a: [\n"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text):
    file = tmp_path / "nft.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_config(file)


def test_the_hash_knows_what_decides_a_result():
    base = TrainConfig()
    assert base.hash == TrainConfig(epochs=7, out=Path("elsewhere"), train_batch=3).hash
    assert base.hash != TrainConfig(beta=0.5).hash
    assert base.hash != TrainConfig(rewards=(RewardSpec(name="a", weight=0.5),)).hash


def test_all_times_but_one_are_trained_at_by_default():
    assert TrainConfig(rollout_steps=10).times_per_rollout == 9
    assert TrainConfig(rollout_steps=1).times_per_rollout == 1
    assert TrainConfig(train_times=2).times_per_rollout == 2


def explained_fields(kind) -> dict[str, tuple[str, str]]:
    """Field -> default as written, and the docstring under it."""
    tree = ast.parse(inspect.getsource(train_config))
    body = next(
        n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == kind.__name__
    ).body
    found = {}
    for field, after in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            default = "" if field.value is None else plain(ast.unparse(field.value))
            found[field.target.id] = (default, " ".join(str(after.value.value).split()))
    return found


def plain(default: str) -> str:
    """As YAML has it."""
    if default.startswith("field("):
        return "{}"
    default = default.removeprefix("Path(").removesuffix(")") if "Path" in default else default
    for python, yaml in (("None", "null"), ("True", "true"), ("False", "false"), ("'", "")):
        default = default.replace(python, yaml)
    return default.replace("(", "[").replace(",)", "]").replace(")", "]")


@pytest.mark.parametrize("kind", [TrainConfig, RewardSpec])
def test_every_field_is_explained(kind):
    assert {f.name for f in dataclasses.fields(kind)} == set(explained_fields(kind))


@pytest.mark.parametrize("kind", [TrainConfig, RewardSpec])
def test_the_guide_lists_every_key_with_its_default_and_meaning(kind):
    guide = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    for name, (default, meaning) in explained_fields(kind).items():
        row = f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |"
        assert row in guide, f"docs/training.md needs the line\n{row}"
