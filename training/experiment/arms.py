"""The claims of LucidNFT, put to the test on one CPU: arms of equal budget, and what each did on held-out LR.

    lucidlr demo-train

Every arm begins with the same pretrained backbone, sees the same LR and noise for a seed, and differs in one thing:

- `decoupled`: advantages normalised per objective and group, then added (LucidNFT);
- `scalarized`: rewards added, then normalised by one standard deviation (DiffusionNFT); each reward is first divided by
  its standard deviation within groups at the base, for otherwise the one with the larger unit would decide alone;
- `scalarized-group`: the same with the standard deviation of the group;
- `scalarized-raw`: `scalarized` with rewards as they are: what their units make of it;
- `control`: decoupled advantages dealt anew among all rollouts: what training without a signal does by itself;
- `faithfulness`, `perceptual`: one objective alone;
- `benchmark-like`: decoupled, with a few clean LR of one mild degradation instead of the dataset's.

The LR of training are crops of the exported dataset, those of some of its subjects being held out of everything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from catalog import files
from training.backbones import Backbone, load_backbone
from training.backbones.tiny import upsample
from training.experiment.lrs import held_out_lrs, some_lrs, training_lrs
from training.experiment.settings import ARMS, REWARDS, Arm, Experiment
from training.photographs import make_pairs, photographs
from training.rewards import Reward, load_reward
from training.separability import reward_table
from training.train_config import RewardSpec, TrainConfig
from training.train_critic import restore


def rewards_of(experiment: Experiment) -> list[Reward]:
    """The two that are trained on, in the order of REWARDS."""
    return [
        load_reward("lr_faithfulness"),
        load_reward("photo_critic", weights=experiment.critic_file),
    ]


def spreads(experiment: Experiment) -> list[float]:
    """Standard deviation within groups of each of REWARDS at the base, over 32 LR of training; kept in spreads.json."""
    file = experiment.out / "spreads.json"
    if not file.is_file():
        rewards = rewards_at_base(experiment, ARMS["decoupled"])
        files.put(file, json.dumps(rewards.std(1, correction=0).mean(0).tolist()))
    return json.loads(file.read_text())


def rewards_at_base(
    experiment: Experiment, arm: Arm, *, count: int = 32, rollouts: int = 12
) -> Tensor:
    """Raw rewards [G,M,R] of rollouts of the base on LR that an arm is trained on."""
    return reward_table(
        load_backbone("tiny", weights=experiment.backbone_file),
        rewards_of(experiment),
        some_lrs(training_lrs(experiment, arm), count),
        rollouts=rollouts,
        steps=experiment.rollout_steps,
    )


def lr_set(experiment: Experiment, arm: Arm) -> dict[str, float]:
    """What a set of LR gives rollouts to choose from, at the base, over 32 LR of 12 rollouts each.

    `pixel_spread`: standard deviation over the rollouts of one LR, mean over pixels, in grey levels. `spread_<reward>`:
    within groups, in units of the dataset's spread. `all_pairs_gap`: mean difference of two rollouts' summed rewards in
    the same units, so that it shows how much there is to learn from, whatever the normalisation makes of it.
    """
    source = training_lrs(experiment, arm)
    lrs = some_lrs(source, 32)
    backbone = load_backbone("tiny", weights=experiment.backbone_file)
    one_each = lrs.repeat_interleave(12, 0)
    sr = _restore(experiment, backbone, one_each, 5).view(32, 12, 3, -1)
    rewards = rewards_at_base(experiment, arm) / torch.tensor(spreads(experiment))
    total = rewards.sum(2)
    gaps = (total[:, :, None] - total[:, None, :]).abs().sum((1, 2)) / (12 * 11)
    found = {"lrs": float(len(source.keys)), "pixel_spread": 255 * sr.std(1).mean().item()}
    for k, name in enumerate(REWARDS):
        found[f"spread_{name}"] = rewards[:, :, k].std(1, correction=0).mean().item()
    return {**found, "all_pairs_gap": gaps.mean().item()}


def run_arm(experiment: Experiment, arm: Arm, seed: int) -> Path:
    """Trains one arm, going on from its last checkpoint; returns its averaged weights (weights.safetensors)."""
    from training.train_nft import main

    folder = experiment.run_folder(arm.name, seed)
    weights = folder / "weights.safetensors"
    if weights.is_file():
        return weights
    torch.set_num_threads(1)
    began_cpu, began = time.process_time(), time.monotonic()
    rows = experiment.groups * experiment.group_size
    scale = spreads(experiment) if arm.rescaled else (1.0, 1.0)
    weights_of = [weight / unit for weight, unit in zip(arm.weights, scale, strict=True)]
    config = TrainConfig(
        out=folder,
        seed=seed,
        lr_px=experiment.lr_px,
        rewards=tuple(
            RewardSpec(name=n, weight=w) for n, w in zip(REWARDS, weights_of, strict=True)
        ),
        epochs=experiment.epochs,
        groups=experiment.groups,
        group_size=experiment.group_size,
        rollout_steps=experiment.rollout_steps,
        rollout_solver="euler",
        rollout_batch=rows,
        aggregation=arm.aggregation,
        advantage_std=arm.std,
        control=arm.control,
        updates=2,
        train_times=2,
        train_batch=rows,
        learning_rate=experiment.learning_rate,
        warmup_steps=10,
        weight_decay=0.0,
        eval_every=0,
        checkpoint_every=5,
        trackers=(),
        run_name=f"{arm.name}-{seed}",
    )
    result = main(
        config,
        backbone=load_backbone("tiny", weights=experiment.backbone_file),
        rewards=rewards_of(experiment),
        lrs=training_lrs(experiment, arm),
    )
    spent = {
        "epochs": result.epochs,
        "steps": result.steps,
        "cpu_s": round(time.process_time() - began_cpu, 1),
        "wall_s": round(time.monotonic() - began, 1),
    }
    files.put(folder / "spent.json", json.dumps(spent))
    with files.writing(weights) as temporary:
        save_file({name: value.contiguous() for name, value in result.ema.items()}, temporary)
    return weights


def evaluate(experiment: Experiment, weights: Path, out: Path) -> Path:
    """Scores a set of weights on held-out LR and pairs, fresh noise; writes `out` (.npz), [N] for each of MEASURED.

    The noise is the same for all weights, so that differences are paired, and no training used it.
    """
    if out.is_file():
        return out
    torch.set_num_threads(1)
    backbone = load_backbone("tiny", weights=weights)
    lrs, photo = held_out_lrs(experiment)
    faithful, critic = rewards_of(experiment)
    scorers = {
        "lr_faithfulness": faithful,
        "photo_critic": critic,
        "second_critic": load_reward("photo_critic", weights=experiment.second_critic_file),
        "coherent_edges": load_reward("coherent_edges"),
    }
    found = {name: np.zeros(len(lrs)) for name in scorers}
    for draw in range(experiment.draws):
        sr = _restore(experiment, backbone, lrs, draw)
        for name, scorer in scorers.items():
            found[name] += scorer.score(sr, lrs, scorer.prepare(lrs)).numpy() / experiment.draws
    lr, hr, pair_photo = held_out_pairs(experiment)
    error = (_restore(experiment, backbone, lr, 0) - hr).square().mean((1, 2, 3))
    found["psnr_db"] = -10 * np.log10(error.numpy() + 1e-8)
    with files.stream(out) as sink:
        np.savez(sink, allow_pickle=False, photo=photo, psnr_photo=pair_photo.numpy(), **found)
    return out


def held_out_pairs(experiment: Experiment) -> tuple[Tensor, Tensor, Tensor]:
    """LR, HR and photograph of degraded patches of held-out photographs; cut once and kept in pairs.safetensors."""
    file = experiment.out / "pairs.safetensors"
    if not file.is_file():
        held_out = [p for p in photographs(experiment.photos) if p.held_out]
        made = make_pairs(
            held_out, count=experiment.test_lrs, seed=77, lr_px=experiment.lr_px, per_view=4
        )
        with files.writing(file) as temporary:
            save_file({"lr": made.lr, "hr": made.hr, "photo": made.photo}, temporary)
    kept = load_file(file)
    return kept["lr"].float() / 255, kept["hr"].float() / 255, kept["photo"]


def ladder(
    experiment: Experiment, runs: Mapping[str, Sequence[Path]]
) -> dict[str, dict[str, float]]:
    """Where restorations of held-out pairs lie between bicubic interpolation and the photographs: means by row.

    `runs`: name -> weights whose numbers are averaged. Columns: both critics, `detail` (mean difference of horizontal
    neighbours, grey levels) and PSNR in dB.
    """
    lr, hr, _ = held_out_pairs(experiment)
    critics = {
        "critic": load_reward("photo_critic", weights=experiment.critic_file),
        "second critic": load_reward("photo_critic", weights=experiment.second_critic_file),
    }

    def row(image: Tensor) -> dict[str, float]:
        found = {n: c.score(image, lr, c.prepare(lr)).mean().item() for n, c in critics.items()}
        found["detail"] = 255 * (image[..., 1:] - image[..., :-1]).abs().mean().item()
        error = (image - hr).square().mean((1, 2, 3))
        found["PSNR, dB"] = (-10 * torch.log10(error)).mean().item()
        return found

    rows = {"photograph": row(hr), "bicubic": row(upsample(lr))}
    for name, seeds in runs.items():
        each = [
            row(_restore(experiment, load_backbone("tiny", weights=file), lr, 0)) for file in seeds
        ]
        rows[name] = {key: sum(r[key] for r in each) / len(each) for key in each[0]}
    return rows


def samples(experiment: Experiment, weights: Path, *, count: int = 8) -> tuple[Tensor, Tensor]:
    """LR [count,3,h,w] held out, one of each photograph in turn, and SR of them, for grids."""
    lrs, _ = held_out_lrs(experiment)
    chosen = lrs[:: max(1, len(lrs) // count)][:count]
    return chosen, _restore(experiment, load_backbone("tiny", weights=weights), chosen, 0)


def _restore(experiment: Experiment, backbone: Backbone, lrs: Tensor, draw: int) -> Tensor:
    return restore(backbone, lrs, steps=experiment.rollout_steps, seed=900_000 + draw)
