"""A head with a side for the LR and one for the restoration, so that a good restoration is nearer than no restoration.

One shared map cannot do that: the embedding of a bicubic enlargement is almost that of its LR, so nothing is more
alike, and the score rewards not restoring. Here the LR's side predicts what the *sharp* picture's embedding would be:

    y = A P(z_lr) + b,   x = P(z_sr),   score = cos(y, x)

P centres an embedding of length 1 on the mean of sharp pictures and takes it to its first principal directions, the
small ones enlarged; A and b are ridge regression of P(z_hr) on P(z_lr). All of it is closed form: no step, no seed, and
few photographs are enough for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from catalog import files
from training.consistency import Encoder, encoder_fingerprint

Side = Literal["lr", "sr"]
KEYS = ("lr.weight", "lr.bias", "sr.weight", "sr.bias")
RANK, RIDGE, WHITENING = 64, 0.3, 0.5


@dataclass(kw_only=True)
class PairedHead:
    """Two affine maps of embeddings of length 1."""

    tensors: dict[str, Tensor]
    """KEYS: [E,D], [E], [E,D], [E]; float32."""
    trained_on: str | None = None
    """Fingerprint of the encoder; None where the file does not say."""

    @property
    def dim(self) -> int:
        """D, the length of an embedding."""
        return int(self.tensors["lr.weight"].shape[1])

    @property
    def weights_sha256(self) -> str:
        """Over the four tensors, in the order of KEYS."""
        digest = hashlib.sha256()
        for key in KEYS:
            digest.update(self.tensors[key].cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: str | torch.device) -> None:
        """Moves the maps."""
        self.tensors = {key: value.to(device) for key, value in self.tensors.items()}

    def project(self, embeddings: Tensor, side: Side) -> Tensor:
        """[B,E] of length 1, from embeddings [B,D] as the encoder gives them."""
        weight, bias = self.tensors[f"{side}.weight"], self.tensors[f"{side}.bias"]
        z = functional.normalize(embeddings.to(weight), dim=-1)
        return functional.normalize(z @ weight.T + bias, dim=-1)


def fit_paired_head(
    hr: Tensor,
    lr: Tensor,
    *,
    rank: int = RANK,
    ridge: float = RIDGE,
    whitening: float = WHITENING,
) -> PairedHead:
    """From embeddings of sharp pictures [N,D] and of P degradations of each [N,P,D]; float64 inside.

    Args:
        rank: principal directions that are kept, at most N.
        ridge: of the regression, in units of the mean variance of a direction.
        whitening: how much of the difference between large and small directions is taken away, 0 to 1.
    """
    hr = functional.normalize(hr.double(), dim=-1)
    lr = functional.normalize(lr.double(), dim=-1)
    middle = hr.mean(0)
    every = torch.cat([hr, lr.flatten(0, 1)]) - middle
    directions = (
        torch.linalg.svd(every - every.mean(0), full_matrices=False).Vh[: min(rank, len(hr))].T
    )
    spread = ((hr - middle) @ directions).std(0)
    basis = directions / (spread + 0.3 * spread[0]) ** whitening
    x = (lr.flatten(0, 1) - middle) @ basis
    y = ((hr - middle) @ basis).repeat_interleave(lr.shape[1], 0)
    ones = torch.ones(len(x), 1, dtype=x.dtype)
    design = torch.cat([x, ones], 1)
    penalty = ridge * x.square().sum() / x.shape[1] * torch.eye(x.shape[1] + 1, dtype=x.dtype)
    penalty[-1, -1] = 0.0
    solved = torch.linalg.solve(design.T @ design + penalty, design.T @ y)
    a, b = solved[:-1], solved[-1]
    maps = {
        "lr.weight": (basis @ a).T,
        "lr.bias": b - middle @ basis @ a,
        "sr.weight": basis.T,
        "sr.bias": -middle @ basis,
    }
    return PairedHead(tensors={key: value.float().contiguous() for key, value in maps.items()})


def save_paired_head(
    file: Path, head: PairedHead, *, encoder: Encoder, notes: Mapping[str, Any]
) -> None:
    """`.safetensors`, in place by a rename."""
    told = {
        "trained_on": encoder_fingerprint(encoder),
        "notes": json.dumps(dict(notes), sort_keys=True),
    }
    with files.writing(file) as temporary:
        save_file({key: head.tensors[key].cpu().contiguous() for key in KEYS}, temporary, told)
