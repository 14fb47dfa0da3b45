"""The training demo: pretrain, train under several advantages, look at held-out LR, write it down.

    make demo-train        or        lucidlr demo-train --seeds 3

A stage is done when its last file is there, under its final name; run it again after an interruption and it goes on.
Arms run in two processes of one thread each: more threads only wait for each other on networks of this size.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import files
from catalog.errors import Expected
from pipelines.progress import Progress

if TYPE_CHECKING:
    from training.experiment.settings import Experiment


class OtherExperiment(Expected, ValueError):
    """The output folder holds an experiment with other settings."""


def demo_train(
    experiment: Experiment, *, name: str = "results", processes: int, progress: Progress
) -> Path:
    """All stages; returns <name>.md of the experiment's folder.

    Raises:
        OtherExperiment: `experiment.out` was made with other settings.
        DataError, NoPhotographs: no dataset, or not enough photographs.
    """
    from training.experiment.report import report

    claim(experiment)
    dataset(experiment, progress)
    pretraining(experiment, progress)
    critics(experiment, processes=processes, progress=progress)
    validity(experiment, progress)
    train_arms(experiment, processes=processes, progress=progress)
    evaluation(experiment, processes=processes, progress=progress)
    return report(experiment, name)


def claim(experiment: Experiment) -> None:
    """Notes the settings in a new folder; in another one they must agree, but for arms and seeds, which may grow.

    Raises:
        OtherExperiment: they do not.
    """
    from pydantic import TypeAdapter

    from training.experiment.settings import Experiment, load_experiment

    file = experiment.out / "settings.json"
    if file.is_file():
        stored = load_experiment(experiment.out)
        if replace(stored, arms=experiment.arms, seeds=experiment.seeds) != experiment:
            raise OtherExperiment(
                f"{experiment.out} holds an experiment with other settings ({file}); choose another folder."
            )
        return
    files.put(file, TypeAdapter(Experiment).dump_json(experiment, indent=1))


def dataset(experiment: Experiment, progress: Progress) -> None:
    """The demo's dataset, built if it is not there (a minute)."""
    if (experiment.dataset / "manifest.json").is_file():
        return
    import os

    from pipelines.build.driver import build
    from pipelines.build.runners import pool_runner
    from pipelines.recipe import DEMO_RECIPE, load_recipe

    progress.say(f"{experiment.dataset} is not there: building the demo first")
    with pool_runner("threads", os.cpu_count() or 1) as runner:
        build(
            load_recipe(DEMO_RECIPE),
            out=experiment.dataset.parent,
            runner=runner,
            progress=progress,
        )


def pretraining(experiment: Experiment, progress: Progress) -> Path:
    """The tiny backbone, pretrained on photographs or loaded."""
    from training.pretrain_tiny import PretrainConfig, pretrain

    if experiment.weights is None:
        progress.say("pretraining the tiny backbone")
        pretrain(
            PretrainConfig(
                photos=experiment.photos,
                out=experiment.backbone_file.parent,
                lr_px=experiment.lr_px,
                steps=experiment.pretrain_steps,
                pairs=experiment.pretrain_pairs,
                width=experiment.width,
            )
        )
    return experiment.backbone_file


def critics(experiment: Experiment, *, processes: int, progress: Progress) -> None:
    """The perceptual reward, and a second one of another seed that only looks on."""
    jobs = ((100, experiment.critic_file), (200, experiment.second_critic_file))
    _in_processes(
        "critics",
        [(_critic, (experiment, seed, file)) for seed, file in jobs if not file.is_file()],
        processes=processes,
        progress=progress,
    )


def validity(experiment: Experiment, progress: Progress) -> Path:
    """Whether the perceptual rewards rank photographs above restorations above noise: validity.md."""
    from training.experiment.validity import scorer_of, table, versions_of_held_out
    from training.experiment.validity import validity as judge

    file = experiment.out / "validity.md"
    if file.is_file():
        return file
    progress.say("validity of the perceptual rewards on held-out photographs")
    versions, lr, photo = versions_of_held_out(
        backbone=experiment.backbone_file, photos=experiment.photos, steps=experiment.rollout_steps
    )
    scorers = {
        "photo_critic": scorer_of("photo_critic", weights=experiment.critic_file),
        "second_critic": scorer_of("photo_critic", weights=experiment.second_critic_file),
        "coherent_edges": scorer_of("coherent_edges"),
    }
    files.put(file, table([judge(n, s, versions, lr, photo) for n, s in scorers.items()]) + "\n")
    return file


def train_arms(experiment: Experiment, *, processes: int, progress: Progress) -> None:
    """Every arm with every seed."""
    from training.experiment.arms import spreads

    spreads(experiment)
    runs = [(arm, seed) for seed in range(experiment.seeds) for arm in experiment.arms]
    done = "weights.safetensors"
    jobs = [(a, s) for a, s in runs if not (experiment.run_folder(a, s) / done).is_file()]
    _in_processes(
        "train",
        [(_train, (experiment, arm, seed)) for arm, seed in jobs],
        processes=processes,
        progress=progress,
    )


def evaluation(experiment: Experiment, *, processes: int, progress: Progress) -> None:
    """The base and every run on held-out LR."""
    folder = experiment.out / "evaluation"
    jobs = [(experiment.backbone_file, folder / "base.npz")]
    for seed in range(experiment.seeds):
        for arm in experiment.arms:
            weights = experiment.run_folder(arm, seed) / "weights.safetensors"
            jobs.append((weights, folder / f"{arm}-{seed}.npz"))
    _in_processes(
        "evaluate",
        [(_evaluate, (experiment, weights, file)) for weights, file in jobs if not file.is_file()],
        processes=processes,
        progress=progress,
    )


def _critic(experiment: Experiment, seed: int, file: Path) -> None:
    from training.train_critic import CriticConfig, train_critic

    train_critic(
        CriticConfig(
            backbone=experiment.backbone_file,
            photos=experiment.photos,
            out=file.parent,
            seed=seed,
            lr_px=experiment.lr_px,
            patches=experiment.critic_patches,
            steps=experiment.critic_steps,
            sampling_steps=experiment.rollout_steps,
        )
    )


def _train(experiment: Experiment, arm: str, seed: int) -> None:
    from training.experiment.arms import run_arm
    from training.experiment.settings import ARMS

    run_arm(experiment, ARMS[arm], seed)


def _evaluate(experiment: Experiment, weights: Path, file: Path) -> None:
    from training.experiment.arms import evaluate

    evaluate(experiment, weights, file)


def _in_processes(
    name: str,
    jobs: list[tuple[Callable[..., None], tuple[object, ...]]],
    *,
    processes: int,
    progress: Progress,
) -> None:
    if not jobs:
        return
    with progress.stage(name, len(jobs)) as advance:
        if processes == 1:
            for function, given in jobs:
                function(*given)
                advance(1)
            return
        from pipelines.build.runners import end_with_the_parent

        # A forked child would share the locks of torch's thread pool.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            min(processes, len(jobs)), mp_context=context, initializer=end_with_the_parent
        ) as pool:
            for done in as_completed([pool.submit(function, *given) for function, given in jobs]):
                done.result()
                advance(1)
