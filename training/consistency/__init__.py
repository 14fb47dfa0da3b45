"""LucidConsistency: does a restored image show what its degraded input shows? (LucidNFT, arXiv 2603.05947)

A frozen encoder gives an embedding per image, a small trained head makes it blind to degradation, and the score of a
pair is the cosine of the two. Encoders are a file each in `encoders/`, `head.py` is the head, `scoring.py` the score,
`losses.py`, `pools.py` and `training.py` make a head, `evaluation.py` says how good it is.

Adding an encoder: `training/consistency/encoders/<name>.py` with `load(**options) -> Encoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from catalog.errors import Expected
from catalog.plugins import Plugins

if TYPE_CHECKING:
    # The command line knows the errors below; for them alone nobody waits for torch.
    from torch import Tensor, device

Images: TypeAlias = "Tensor | Sequence[Tensor]"
"""[B,3,H,W], or B images [3,H,W] of any sizes; float32 RGB in [0,1]."""


class UnknownEncoder(Expected, ValueError):
    """There is no such file in training/consistency/encoders/."""


ENCODERS = Plugins(package="training.consistency.encoders", what="encoder", error=UnknownEncoder)


class ConsistencyError(Expected, RuntimeError):
    """An encoder, a head or an image can't be used; the message says what to do."""


class Encoder(Protocol):
    """A frozen image encoder."""

    @property
    def name(self) -> str:
        """As in configurations and logs."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever an embedding could, weights aside."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Of the weights."""
        ...

    @property
    def license(self) -> str:
        """SPDX id of the weights' license."""
        ...

    @property
    def dim(self) -> int:
        """D, the length of an embedding."""
        ...

    def embed(self, images: Images) -> Tensor:
        """[B,D] float32, not normalised, without gradient; a function of each image's pixels alone."""
        ...

    def to(self, device: str | device) -> None:
        """Moves the weights."""
        ...


def encoder_fingerprint(encoder: Encoder) -> str:
    """Name, version and weights of an encoder: what a head belongs to."""
    return f"{encoder.name} {encoder.version} {encoder.weights_sha256}"


def encoder_names() -> list[str]:
    """The files in encoders/."""
    return ENCODERS.names()


def load_encoder(name: str, **options: Any) -> Encoder:
    """Makes an encoder ready.

    Raises:
        UnknownEncoder: no such encoder; the message names the nearest.
        ConsistencyError: its weights or a package are missing.
    """
    return ENCODERS.load(name).load(**options)
