"""`lucidlr demo-train` and `lucidlr separability`: what they refuse, and what the analysis says of a finished demo."""

import csv

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.commands.experiments import separability_lines
from pipelines.progress import NoProgress
from pipelines.studies.demo_train import demo_train
from training.experiment.settings import Experiment


def test_an_unknown_arm_is_refused_with_the_names_that_there_are():
    done = CliRunner().invoke(app, ["demo-train", "--arms", "decoupled,nothing"])
    assert done.exit_code == 2
    assert "no arm 'nothing'" in done.output and "benchmark-like" in done.output


def test_separability_without_a_demo_says_which_command_makes_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="lucidlr demo-train"):
        list(separability_lines(tmp_path, tmp_path / "out", groups=2, rollouts=2))


@pytest.mark.slow
def test_separability_of_a_demo_has_a_row_per_method_and_says_what_the_groups_deviation_does(
    small_build, tmp_path
):
    demo = Experiment(
        out=tmp_path / "demo",
        dataset=small_build / "dataset",
        width=8,
        pretrain_steps=10,
        pretrain_pairs=64,
        critic_steps=3,
        critic_patches=32,
        epochs=1,
        groups=2,
        group_size=3,
        rollout_steps=2,
        test_lrs=8,
        draws=1,
        arms=("decoupled",),
    )
    demo_train(demo, processes=2, progress=NoProgress())
    lines = list(separability_lines(demo.out, tmp_path / "out", groups=6, rollouts=4))
    assert any("of the gap comes with the group's deviation alone" in line for line in lines)
    with (tmp_path / "out" / "separability.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(r["rollouts"], r["method"]) for r in rows} == {
        (m, method)
        for m in ("2", "3", "4")
        for method in ("decoupled", "scalarized, global std", "scalarized, group std")
    }
    assert (tmp_path / "out" / "separability.png").is_file()
