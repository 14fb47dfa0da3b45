"""Outputs of a backbone of ours for the images of a benchmark: one image at a time, with noise of its own.

The noise of an image follows from the method's seed and the image's name, so that a method gives the same outputs
whatever else is evaluated with it, and two checkpoints of one backbone start from the same noise: their difference is
the checkpoint's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from filters.measures import open_photo
from training.benchmark_inputs import Case, Pixels, png_bytes, write_bytes
from training.methods import Method, MethodError


def restore_cases(method: Method, cases: Sequence[Case], folder: Path) -> None:
    """Writes <name>.png for each case.

    Raises:
        MethodError: no such backbone, its weights are not here, or it cannot take an image.
    """
    import torch

    from training.backbones import BackboneError, UnknownBackbone, load_backbone
    from training.flow_matching import euler_step

    if method.backbone is None:
        raise MethodError(f"{method.name}: which backbone? Give its name.")
    try:
        backbone = load_backbone(method.backbone, **method.options)
        for case in cases:
            lr = torch.from_numpy(open_photo(case.lr.read_bytes()).rgb.copy())
            lr = lr.permute(2, 0, 1)[None].float() / 255
            with torch.no_grad(), backbone.use("default"):
                cond = backbone.encode(lr)
                shape = backbone.latent_shape((lr.shape[2], lr.shape[3]))
                z = _noise(method.seed, case.name, shape)
                times = backbone.schedule(method.steps, shape).tolist()
                for t, t_next in pairwise(times):
                    v = backbone.velocity(z, torch.full((1,), t), cond)
                    z = euler_step(z, v, t, t_next)
                sr = backbone.decode(z, cond)[0]
            pixels = (sr.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
            write_bytes(folder / f"{case.name}.png", png_bytes(_fitted(pixels, case.size)))
    except (BackboneError, UnknownBackbone) as error:
        raise MethodError(f"{method.name}: {error}") from error


def _noise(seed: int, name: str, shape: tuple[int, ...]) -> Any:
    import torch

    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn((1, *shape), generator=generator)


def _fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """At the size that the protocol asks for; a backbone of another scale is resized with Pillow's bicubic."""
    from PIL import Image

    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
