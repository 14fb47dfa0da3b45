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


@cache
def load_embedder(name: str) -> Embedder:
    """Loads `training/consistency/encoders/<name>.py` on the CPU.

    Raises:
        training.consistency.UnknownEncoder: no such encoder; the message names the nearest.
        training.consistency.ConsistencyError: its weights or a package are missing.
    """
    from training.consistency import load_encoder

    encoder = load_encoder(name)
    return Embedder(
        name=name,
        version=f"{VERSION}-{encoder.version}-{encoder.weights_sha256[:8]}",
        weights_sha256=encoder.weights_sha256,
        license=encoder.license,
        embed=_embed_with(encoder),
    )


def _embed_with(encoder: Encoder) -> Embed:
    def embed(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        image = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
        # The number of threads changes the order of sums, hence the last bits; it is a setting of the whole process.
        with _ONE_AT_A_TIME, torch.no_grad():
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                return encoder.embed(image)[0].cpu().numpy()
            finally:
                torch.set_num_threads(threads)

    return embed
