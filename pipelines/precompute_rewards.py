"""The flow `precompute-rewards`: what all rollouts of one LR share, before a training begins. (docs/rewards.md)

Resumable: crops whose rows are there are left alone. Training finds the folder by itself when it is beside the dataset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.extras import missing_extra
from training.precompute import (
    Made,
    Maker,
    default_folder,
    makers_and_crops,
    precompute,
)
from training.train_config import load_config

try:
    from prefect import flow, task
    from prefect.artifacts import create_table_artifact
    from prefect.cache_policies import NO_CACHE
except ModuleNotFoundError as error:
    raise missing_extra(error) or error from error


@flow(name="precompute-rewards", persist_result=False)
def precompute_rewards(
    recipe: str = "pipelines/recipes/nft/tiny_consistency.yaml",
    dataset: str | None = None,
    to: str | None = None,
    changes: dict[str, Any] | None = None,
    device: str = "cpu",
) -> dict[str, int]:
    """Works out what is missing for a training.

    Args:
        recipe: path of the training's configuration.
        dataset: in the place of the one that it names.
        to: folder of the store; default: `precomputed` beside the dataset, where training looks.
        changes: other keys of the configuration to change for this run, e.g. epochs.
        device: where scorers run.

    Returns:
        Kind -> crops that were worked out now.
    """
    named = {} if dataset is None else {"dataset": dataset}
    settings = load_config(Path(recipe), {**(changes or {}), **named})
    source, crops, wanted = makers_and_crops(settings)
    assert settings.dataset is not None  # makers_and_crops refuses that
    folder = Path(to) if to else default_folder(settings.dataset)

    @task(task_run_name="{maker.kind}", persist_result=False, cache_policy=NO_CACHE)
    def work_out(maker: Maker) -> Made:
        (made,) = precompute(folder, source, crops, [maker], device=device)
        return made

    report = [work_out(maker) for maker in wanted]
    create_table_artifact(
        [
            {
                "kind": made.kind,
                "crops": len(crops),
                "there before": made.there,
                "worked out": made.made,
                "shares nothing": made.nothing,
            }
            for made in report
        ],
        key="precompute-summary",
        description=f"What rollouts of one LR share, in {folder}",
    )
    return {made.kind: made.made for made in report}
