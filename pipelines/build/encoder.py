"""An encoder of training/consistency as the callable that the embedding stage wants: single images, one thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filters.duplicates.embedding import VERSION, Embed

if TYPE_CHECKING:
    from training.consistency import Encoder

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """An encoder and what is needed to understand its vectors later."""

    name: str
    version: str
    """Of what is kept, of the encoder, and the beginning of its weights' SHA-256."""
    weights_sha256: str
    license: str
    embed: Embed


ON_CUDA = ".cuda"
"""Ends the encoder's part of a version: vectors of a GPU differ in their last bits."""


def on_device(version: str) -> str:
    """The device that a version (`name@version`) was embedded on."""
    return "cuda" if ON_CUDA in version.partition("+")[0] else "cpu"


@cache
def load_embedder(name: str, device: str = "cpu", *, elsewhere: bool = False) -> Embedder:
    """Loads `training/consistency/encoders/<name>.py` onto a device.

    Args:
        elsewhere: for its version only; other machines embed, and this one need not have the device.

    Raises:
        filters.metrics.DeviceMissing: there is no such device here.
        training.consistency.UnknownEncoder: no such encoder; the message names the nearest.
        training.consistency.ConsistencyError: its weights or a package are missing.
    """
    from training.consistency import load_encoder

    encoder = load_encoder(name)
    if device != "cpu" and not elsewhere:
        _move(encoder, name, device)
    return Embedder(
        name=name,
        version=f"{VERSION}-{encoder.version}-{encoder.weights_sha256[:8]}{ON_CUDA if device == 'cuda' else ''}",
        weights_sha256=encoder.weights_sha256,
        license=encoder.license,
        embed=_embed_with(encoder, device),
    )


def _move(encoder: Encoder, name: str, device: str) -> None:
    import torch

    from filters.metrics import DeviceMissing

    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceMissing(
            f"{name} is to embed on cuda, and torch sees no GPU here: set dedupe.embedding.device to cpu, or build on "
            "a machine that has one (docs/clusters.md)."
        )
    encoder.to(device)


def _embed_with(encoder: Encoder, device: str) -> Embed:
    def embed(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        image = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
        # The number of threads changes the order of sums, hence the last bits; it is a setting of the whole process.
        with _ONE_AT_A_TIME, torch.no_grad():
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                return encoder.embed(image.to(device))[0].cpu().numpy()
            finally:
                torch.set_num_threads(threads)

    return embed
