"""The Prefect flow `train-lucidnft`: pretrain or load, precompute, train, evaluate, plot; each a tracked task.
At its end it calls the flow `evaluate-benchmarks` with the backbone before and after.

    prefect deployment run train-lucidnft/train-demo        (see docs/prefect.md)

A recipe is a configuration of `lucidlr train` (training/train_config.py). Or it has that as its section `train` and,
for the tiny backbone, a section `pretrain` (training/pretrain_tiny.py). Nothing is cached by Prefect: a task that is
done finds its files, and one that was cut off goes on from its last checkpoint.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.extras import missing_extra
from pipelines.recipe import RecipeError

try:
    from prefect import flow, get_run_logger, task
    from prefect.artifacts import (
        create_image_artifact,
        create_link_artifact,
        create_markdown_artifact,
        create_progress_artifact,
        create_table_artifact,
        update_progress_artifact,
    )
    from prefect.cache_policies import NO_CACHE
except ModuleNotFoundError as error:
    raise missing_extra(error) or error from error

if TYPE_CHECKING:
    from training.pretrain_tiny import PretrainConfig
    from training.train_config import TrainConfig


def load_training_recipe(
    recipe: Path, *, out: Path | None = None, dataset: Path | None = None
) -> tuple[PretrainConfig | None, TrainConfig]:
    """The two sections; `out` and `dataset` take the place of those of the recipe.

    Raises:
        RecipeError, ConfigError: not YAML, an unknown section or key, or a value that does not fit.
    """
    import yaml
    from pydantic import TypeAdapter, ValidationError

    from training.pretrain_tiny import PretrainConfig
    from training.train_config import config_from

    try:
        content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(f"{recipe} is not YAML: {error}") from error
    if isinstance(content, dict) and not {"train", "pretrain"} & set(content):
        content = {"train": content}
    if (
        not isinstance(content, dict)
        or "train" not in content
        or set(content) - {"train", "pretrain"}
    ):
        raise RecipeError(
            f"{recipe} has a section `train` and may have `pretrain`, nothing else; or it is all of `train`."
        )
    given = {k: v for k, v in (("out", out), ("dataset", dataset)) if v is not None}
    train = config_from({**content["train"], **given})
    if content.get("pretrain") is None:
        return None, train
    if train.backbone != "tiny":
        raise RecipeError(
            f"{recipe}: only the tiny backbone is pretrained here, not {train.backbone!r}."
        )
    values = {"out": train.out / "pretrain", **content["pretrain"]}
    unknown = set(values) - set(PretrainConfig.__dataclass_fields__)
    if unknown:
        raise RecipeError(f"{recipe}: `pretrain` has no key {sorted(unknown)[0]!r}.")
    try:
        return TypeAdapter(PretrainConfig).validate_python(values), train
    except ValidationError as error:
        raise RecipeError(f"{recipe}: {error}") from error


@task(name="backbone", cache_policy=NO_CACHE, persist_result=False)
def backbone_task(pretrain: PretrainConfig | None, train: TrainConfig) -> TrainConfig:
    """Pretrains, if the recipe asks for it; then loads the weights once, so that a bad file ends the run here."""
    import dataclasses

    from training.backbones import load_backbone

    if pretrain is not None:
        from training.pretrain_tiny import pretrain as run

        weights = str(run(pretrain))
        train = dataclasses.replace(
            train, backbone_options={**train.backbone_options, "weights": weights}
        )
    backbone = load_backbone(train.backbone, **train.backbone_options)
    create_table_artifact(
        [
            {
                "backbone": backbone.name,
                "weights": backbone.weights_sha256,
                "license": backbone.license,
                "pretrained here": pretrain is not None,
            }
        ],
        key="train-backbone",
        description="What the training begins with",
    )
    return train


@task(name="precompute", cache_policy=NO_CACHE, persist_result=False)
def precompute_task(config: TrainConfig) -> Path:
    """What all rollouts of one LR share, for every crop that the training will ask for; what is there is left alone."""
    from training.precompute import makers_and_crops, precompute

    folder = config.out / "precomputed"
    source, crops, wanted = makers_and_crops(config)
    report = precompute(folder, source, crops, wanted)
    create_table_artifact(
        [{"kind": m.kind, "crops": len(crops), "worked out now": m.made} for m in report],
        key="train-precompute",
        description="Conditioning, shared tensors and the LR's own rewards",
    )
    return folder


@task(name="train", cache_policy=NO_CACHE, persist_result=False)
def train_task(config: TrainConfig, precomputed: Path) -> Path:
    """All epochs, with their progress; returns the file of averaged weights."""
    from training.backbones import load_backbone
    from training.precompute import Store
    from training.rewards import load_reward
    from training.run_results import keep_average
    from training.train_nft import main

    artifact = create_progress_artifact(0.0, key="train-progress", description="Epochs")
    logger = get_run_logger()

    def progress(row: dict[str, float]) -> None:
        told = {k: round(v, 4) for k, v in row.items() if k.startswith(("reward_", "eval_reward_"))}
        logger.info("epoch %d: %s", row["epoch"], told)
        update_progress_artifact(artifact, 100.0 * row["epoch"] / config.epochs)  # pyright: ignore[reportArgumentType]

    backbone = load_backbone(config.backbone, **config.backbone_options)
    rewards = [load_reward(spec.name, **spec.options) for spec in config.rewards]
    result = main(
        config,
        backbone=backbone,
        rewards=rewards,
        precomputed=Store(precomputed, rewards=rewards, backbone=backbone),
        progress=progress,
    )
    if result.stopped:
        logger.warning("stopped after epoch %d: %s", result.epochs, result.stopped)
    return keep_average(config, result.ema)


@task(name="held-out", cache_policy=NO_CACHE, persist_result=False)
def held_out_task(config: TrainConfig, average: Path) -> dict[str, float]:
    """Base and trained model on held-out LR and fresh noise; the changes by reward."""
    from training.run_results import before_after, results_table

    found = before_after(config, average)
    create_markdown_artifact(
        f"# {config.run_name}\n\n{results_table(found, config)}",
        key="train-results",
        description="Held-out LR, before and after",
    )
    return {one.reward: one.change.mean for one in found}


@task(name="plots", cache_policy=NO_CACHE, persist_result=False)
def plots_task(config: TrainConfig) -> None:
    """Curves and the grid as pictures, and links to what lies in the folder."""
    from training.run_results import curves

    for file, text in (
        (curves(config), "Rewards by epoch"),
        (config.out / "grid.png", "LR, base, trained"),
    ):
        picture = base64.b64encode(file.read_bytes()).decode()
        create_image_artifact(
            f"data:image/png;base64,{picture}", key=f"train-{file.stem}", description=text
        )
    for file in ("results.md", "log.csv", "average.safetensors"):
        key = f"train-file-{Path(file).stem}"
        create_link_artifact((config.out / file).resolve().as_uri(), key=key, link_text=file)


@flow(name="train-lucidnft", persist_result=False)
def train_lucidnft(
    recipe: str = "pipelines/recipes/train_demo.yaml",
    out: str | None = None,
    dataset: str | None = None,
    evaluation: str | None = "pipelines/recipes/evaluate_demo.yaml",
) -> dict[str, Any]:
    """Trains a backbone with NFT by a recipe; run it again after an interruption and it goes on.

    Args:
        recipe: path of the recipe.
        out: output folder; default: the recipe's.
        dataset: folder of the exported dataset; default: the recipe's.
        evaluation: recipe of the subflow evaluate-benchmarks, into <out>/evaluation; None: no evaluation on benchmarks.

    Returns:
        Change of every reward on held-out LR.
    """
    pretrain, config = load_training_recipe(
        Path(recipe), out=Path(out) if out else None, dataset=Path(dataset) if dataset else None
    )
    config = backbone_task(pretrain, config)
    average = train_task(config, precompute_task(config))
    changes = held_out_task(config, average)
    plots_task(config)
    if evaluation is not None:
        from pipelines.evaluate_benchmarks import evaluate_benchmarks

        evaluate_benchmarks(
            recipe=evaluation,
            out=str(config.out / "evaluation"),
            checkpoint=str(config.out),
            backbone=config.backbone,
            backbone_options=dict(config.backbone_options),
            dataset=str(config.dataset) if config.dataset else None,
        )
    return changes
