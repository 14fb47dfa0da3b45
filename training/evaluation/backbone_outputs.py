"""Outputs of a backbone of ours for the images of a benchmark: one image at a time, by training/restore.py.

The noise of an image follows from the method's seed and the image's bytes, so that a method gives the same outputs
whatever else is evaluated with it, and two checkpoints of one backbone start from the same noise: their difference is
the checkpoint's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from catalog import files
from filters.measures import open_photo
from training.evaluation.inputs import Case, Pixels, png_bytes
from training.evaluation.methods import Method, weights_of_run
from training.evaluation.outputs import MethodError

if TYPE_CHECKING:
    from torch import Tensor

    from training.backbones import Backbone


def restore_cases(method: Method, cases: Sequence[Case], folder: Path) -> None:
    """Writes <name>.png for each case.

    Raises:
        MethodError: no such backbone, its weights are not here, the checkpoint is another's, or an image that it
            cannot take.
    """
    import torch

    from training.backbones import BackboneError, UnknownBackbone, load_backbone
    from training.checkpoint import CheckpointError
    from training.restore import Settings, image_seed, restore_one

    if method.backbone is None:
        raise MethodError(f"{method.name}: which backbone? Give its name.")
    settings = Settings(steps=method.steps, seed=method.seed)
    try:
        backbone = load_backbone(method.backbone, **method.options)
        with _trained(backbone, method):
            for case in cases:
                pixels = open_photo(case.lr.read_bytes()).rgb
                lr = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
                seed = image_seed(method.seed, case.lr_sha256)
                sr = restore_one(lr, backbone, settings, seed=seed).numpy()
                files.put(folder / f"{case.name}.png", png_bytes(_fitted(sr, case.size)))
    except (BackboneError, UnknownBackbone, CheckpointError) as error:
        raise MethodError(f"{method.name}: {error}") from error


@contextmanager
def _trained(backbone: Backbone, method: Method) -> Generator[None]:
    """Within: the averaged weights of the checkpoint, if there is one."""
    from training.backbones.adapters import borrowed

    if method.checkpoint is None:
        yield
        return
    path = Path(method.checkpoint)
    values = _averaged(path, method, backbone)
    parameters = backbone.adapter_parameters("default")
    if set(values) != set(parameters) or any(
        values[name].shape != parameters[name].shape for name in values
    ):
        raise MethodError(
            f"{method.name}: {path} does not fit {method.backbone}: other parameters, or of other shapes."
        )
    with borrowed(parameters, values):
        yield


def _averaged(path: Path, method: Method, backbone: Backbone) -> dict[str, Tensor]:
    """What a run left for use (weights.safetensors), else the average in its last checkpoint."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    from training.checkpoint import exported

    file = weights_of_run(path)
    if not file.is_file():
        return exported(file)
    try:
        with safe_open(file, "pt") as opened:
            base = (opened.metadata() or {}).get("base")
        values = load_file(file)
    except (OSError, SafetensorError) as error:
        raise MethodError(f"{method.name}: {file} cannot be read ({error}).") from error
    if base not in (None, backbone.weights_sha256):
        raise MethodError(
            f"{method.name}: {file} was trained from weights {base[:12]}, loaded were "
            f"{backbone.weights_sha256[:12]}: give the options that training had."
        )
    return values


def _fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """At the size that the protocol asks for; a backbone of another scale is resized with Pillow's bicubic."""
    from PIL import Image

    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
