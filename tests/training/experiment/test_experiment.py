"""The training demo at its smallest: arms differ, held-out LR stay out, and a second run adds nothing."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.progress import NoProgress
from pipelines.studies.demo_train import OtherExperiment, claim, demo_train
from training.data import DataError, LRDataset
from training.experiment.arms import rewards_at_base, spreads
from training.experiment.lrs import benchmark_like, held_out_lrs, split_by_subject, training_lrs
from training.experiment.report import difference, scores_of
from training.experiment.settings import ARMS, MEASURED, Experiment, load_experiment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(small_build, tmp_path_factory):
    """Three arms of two epochs; nets of 8 channels."""
    experiment = Experiment(
        out=tmp_path_factory.mktemp("demo-train"),
        dataset=small_build / "dataset",
        width=8,
        pretrain_steps=20,
        pretrain_pairs=64,
        critic_steps=5,
        critic_patches=32,
        epochs=2,
        groups=3,
        group_size=4,
        rollout_steps=3,
        learning_rate=2e-3,
        test_lrs=24,
        draws=1,
    )
    results = demo_train(experiment, processes=1, progress=NoProgress())
    return experiment, results


def test_subjects_are_held_out_of_training_and_their_crops_are_what_is_tested(finished):
    experiment, _ = finished
    train, held_out = split_by_subject(experiment.dataset, experiment.held_out_subjects)
    assert not set(train) & set(held_out)
    assert len(LRDataset(experiment.dataset, split="*", crop_px=8).keys) == len(train) + len(
        held_out
    )
    assert set(training_lrs(experiment, ARMS["decoupled"]).keys) == set(train)
    lrs, photo = held_out_lrs(experiment)
    assert lrs.shape == (24, 3, 8, 8)
    assert len(np.unique(photo)) == min(24, len(held_out))
    with pytest.raises(DataError, match="of the subjects unicorn"):
        split_by_subject(experiment.dataset, ["unicorn"])


def test_the_benchmark_like_set_is_small_and_the_same_every_time(finished):
    experiment, _ = finished
    few = benchmark_like(experiment)
    assert few.shape == (8, 3, 8, 8)
    assert torch.equal(few, benchmark_like(experiment))
    assert len(training_lrs(experiment, ARMS["benchmark-like"]).keys) == 8


def test_every_arm_moved_the_weights_and_no_two_alike(finished):
    experiment, _ = finished
    weights = {
        arm: (experiment.run_folder(arm, 0) / "weights.safetensors").read_bytes()
        for arm in experiment.arms
    }
    assert len({*weights.values(), experiment.backbone_file.read_bytes()}) == 4
    spent = json.loads((experiment.run_folder("control", 0) / "spent.json").read_text())
    assert spent["epochs"] == 2 and spent["steps"] == 4 and spent["cpu_s"] > 0


def test_differences_are_paired_by_lr(finished):
    experiment, _ = finished
    base, ours = scores_of(experiment, "base"), scores_of(experiment, "decoupled-0")
    assert set(MEASURED) < set(base)
    found = difference(experiment, "decoupled", "base", "photo_critic", [0])
    assert found.mean == pytest.approx(float((ours["photo_critic"] - base["photo_critic"]).mean()))
    assert found.low <= found.mean <= found.high
    assert found.mean != 0


def test_the_report_says_the_differences_that_were_measured(finished):
    experiment, results = finished
    text = results.read_text()
    for than in ("base", "control"):
        found = difference(experiment, "scalarized", than, "lr_faithfulness", [0])
        assert str(found) in text
    for picture in ("curves", "differences", "grid"):
        assert (experiment.out / f"results-{picture}.png").stat().st_size > 2_000
    assert "photo_critic" in (experiment.out / "validity.md").read_text()


def test_the_scale_of_the_rescaled_arm_is_the_spread_within_groups(finished):
    experiment, _ = finished
    raw = rewards_at_base(experiment, ARMS["decoupled"])
    assert raw.shape == (32, 12, 2)
    torch.testing.assert_close(
        torch.tensor(spreads(experiment)), raw.std(1, correction=0).mean(0), rtol=1e-4, atol=0
    )


def test_a_removed_run_is_made_again_and_is_the_same(finished):
    experiment, results = finished
    before, folder = results.read_text(), experiment.run_folder("scalarized", 0)
    weights = (folder / "weights.safetensors").read_bytes()
    shutil.rmtree(folder)
    (experiment.out / "evaluation" / "scalarized-0.npz").unlink()
    again = demo_train(experiment, processes=1, progress=NoProgress())
    assert (folder / "weights.safetensors").read_bytes() == weights
    # The costs at the end are those of the new run.
    assert again.read_text().split("**Cost**")[0] == before.split("**Cost**")[0]


def test_other_settings_are_refused_in_the_same_folder_but_more_seeds_are_welcome(finished):
    experiment, _ = finished
    with pytest.raises(OtherExperiment, match="other settings"):
        claim(replace(experiment, epochs=3))
    claim(replace(experiment, seeds=2, arms=("perceptual",)))
    assert load_experiment(experiment.out).epochs == 2
    with pytest.raises(FileNotFoundError, match="demo-train"):
        load_experiment(experiment.out / "runs")
