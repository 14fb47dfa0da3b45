"""Trains the photo critic: a perceptual reward small enough for the CPU demo.

    python -m training.train_critic --backbone out/pretrain_tiny/tiny.safetensors --out out/critic      (2 minutes)

For each patch of a training photograph there are versions in a known order: the photograph; a mixture of it and its
restoration; the restoration; the restoration with noise; and the photograph damaged by blur, noise, JPEG or
interpolation. The critic learns each order as Bradley and Terry (1952) have it: softplus(score(worse) - score(better)).
Batches are a function of seed and step. It takes a minute or two and is done anew when interrupted.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from catalog import files
from filters.degradation.synthesis import gaussian_blur, jpeg
from training.backbones import Backbone, load_backbone
from training.flow_matching import solve
from training.photographs import make_pairs, photographs
from training.rewards.photo_critic import CriticNet


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """What decides the critic's weights."""

    backbone: Path | None = None
    """Weights of the tiny backbone; default: the shipped ones."""
    photos: Path | None = None
    """As for the pretraining."""
    out: Path = Path("out/critic")
    seed: int = 100
    lr_px: int = 8
    """Side of an LR patch."""
    patches: int = 3_000
    """Restored once, before training."""
    batch: int = 24
    """Patches a step; each comes in five versions."""
    steps: int = 400
    learning_rate: float = 1e-3
    sampling_steps: int = 6
    """Of the restorations that it learns to tell from photographs: as many as the rollouts will have."""


def train_critic(config: CriticConfig) -> Path:
    """Trains it; returns the file of weights (out/critic.safetensors), which is there only when it is complete.

    Raises:
        NoPhotographs, BackboneError: see there.
    """
    weights = config.out / "critic.safetensors"
    if weights.is_file():
        return weights
    torch.set_num_threads(1)
    photos = [p for p in photographs(config.photos) if not p.held_out]
    lr, hr = make_pairs(photos, count=config.patches, seed=config.seed, lr_px=config.lr_px).floats()
    backbone = load_backbone("tiny", weights=config.backbone)
    sr = restore(backbone, lr, steps=config.sampling_steps, seed=config.seed)
    torch.manual_seed(config.seed)
    net = CriticNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps
    )
    for step in range(config.steps):
        rng = np.random.default_rng((config.seed, step))
        rows = torch.from_numpy(rng.choice(len(hr), config.batch, replace=False))
        loss = ranking_loss(net, versions(hr[rows], sr[rows], lr[rows], rng))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with files.writing(weights) as temporary:
        save_file(net.state_dict(), temporary, metadata={"seed": str(config.seed)})
    return weights


def versions(hr: Tensor, sr: Tensor, lr: Tensor, rng: np.random.Generator) -> list[Tensor]:
    """photograph, mixture, restoration, noisy restoration, damaged photograph: each [B,3,H,W] in [0,1]."""
    share = torch.from_numpy(rng.uniform(0.3, 0.7, (len(hr), 1, 1, 1))).float()
    return [
        hr,
        hr.lerp(sr, share),
        sr,
        with_noise(sr, rng.uniform(0.02, 0.12, len(sr)), rng),
        torch.stack([_damaged(h, low, rng) for h, low in zip(hr, lr, strict=True)]),
    ]


def ranking_loss(net: CriticNet, ranked: list[Tensor]) -> Tensor:
    """Mean of softplus(worse - better) over the orders that are known."""
    scores = net(torch.cat(ranked)).chunk(len(ranked))
    orders = ((0, 1), (1, 2), (0, 2), (2, 3), (0, 4))
    return torch.stack([F.softplus(scores[w] - scores[b]).mean() for b, w in orders]).mean()


def with_noise(image: Tensor, sigma: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Normal noise of `sigma` [B], clipped to [0,1]."""
    noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    return (image + torch.from_numpy(sigma).float()[:, None, None, None] * noise).clamp(0, 1)


def restore(backbone: Backbone, lr: Tensor, *, steps: int, seed: int, batch: int = 64) -> Tensor:
    """SR [B,3,H,W] of LR [B,3,h,w] by Euler steps from seeded noise, under the adapter in use; no gradient."""
    shape = backbone.latent_shape((lr.shape[-2], lr.shape[-1]))
    noise = torch.randn((len(lr), *shape), generator=torch.Generator().manual_seed(seed))
    out: list[Tensor] = []
    with torch.no_grad():
        for first in range(0, len(lr), batch):
            cond = backbone.encode(lr[first : first + batch])
            z = solve(
                lambda z, t, cond=cond: backbone.velocity(z, t, cond),
                noise[first : first + batch],
                backbone.schedule(steps, shape),
            )
            out.append(backbone.decode(z, cond))
    return torch.cat(out)


def _damaged(hr: Tensor, lr: Tensor, rng: np.random.Generator) -> Tensor:
    """One photograph [3,H,W], damaged in one of four ways."""
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return with_noise(hr[None], rng.uniform(0.015, 0.1, 1), rng)[0]
    if kind == 1:
        up = F.interpolate(lr[None], size=hr.shape[-2:], mode="bicubic", align_corners=False)
        return up[0].clamp(0, 1)
    photo = (hr * 255).round().byte().permute(1, 2, 0).numpy()
    sigma_px, quality = float(rng.uniform(0.7, 2.5)), int(rng.integers(15, 70))
    photo = gaussian_blur(photo, sigma_px) if kind == 2 else jpeg(photo, quality)
    return torch.from_numpy(photo).permute(2, 0, 1).float() / 255


def main(arguments: list[str] | None = None) -> Path:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = CriticConfig()
    for name in ("backbone", "photos", "out"):
        parser.add_argument(f"--{name}", type=Path, default=getattr(default, name))
    for name in ("seed", "patches", "batch", "steps"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    return train_critic(replace(default, **vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
