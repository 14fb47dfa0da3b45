"""Super-resolution backbones behind one protocol, so that trainer, rollouts and evaluation know one shape: a file each.

A backbone is a conditional flow-matching model. With x_t = (1 - t) x0 + t noise, t = 1 is noise and t = 0 the image,
and `velocity` predicts noise - x0 (DiffusionNFT, eq. of the forward process). There is one convention of time here,
t in [0, 1]; a backbone that counts to 1000 converts inside.

Adding one: `training/backbones/<name>.py` (or a package of that name) with `load(**options) -> Backbone`. Optional:
`notice() -> str`, told before results are made (conditions of the weights).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from catalog.errors import Expected
from catalog.plugins import Plugins, nearest

Adapter = Literal["default", "old"]
"""`default` is trained and used for results, `old` is the policy that makes rollouts. None means the reference."""

Conditioning = dict[str, Tensor]
"""What a velocity depends on besides z and t; every tensor has the batch first: it can be cut and cached by sample."""

Seeds = Literal["constant", "per-image"]
"""One seed for all images of a folder, or one for each, from the run's seed and the image's bytes."""


class UnknownBackbone(Expected, ValueError):
    """There is no such file in training/backbones/."""


BACKBONES = Plugins(
    package="training.backbones",
    what="backbone",
    error=UnknownBackbone,
    beside=frozenset({"adapters"}),
)


class BackboneError(Expected, RuntimeError):
    """Weights missing, gated, cut or of the wrong shape, or an input that the backbone cannot take; says what to do."""


class Backbone(Protocol):
    """What trainer, rollouts, restoration and evaluation need of a model."""

    @property
    def name(self) -> str:
        """As in recipes and results."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Of the base weights; with the adapter's it names a result."""
        ...

    @property
    def license(self) -> str:
        """SPDX id (or LicenseRef-...) of the weights: outputs may inherit conditions from it."""
        ...

    def encode(self, lr: Tensor) -> Conditioning:
        """From LR [B,3,h,w] float32 RGB in [0,1]; no gradient, a pure function of the pixels, hence precomputable."""
        ...

    def latent_shape(self, lr_size: tuple[int, int]) -> tuple[int, ...]:
        """Shape of one latent (without batch) for an LR of (height, width) pixels."""
        ...

    def schedule(self, steps: int, latent_shape: tuple[int, ...]) -> Tensor:
        """Times [steps + 1] float32, from 1 down to 0."""
        ...

    def velocity(self, z: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        """v at z [B,*latent_shape], t [B] in [0,1], under the adapter in use; same shape as z."""
        ...

    def decode(self, z: Tensor, cond: Conditioning) -> Tensor:
        """RGB [B,3,H,W] float32 in [0,1], any colour fix included."""
        ...

    def trainable_modules(self) -> Mapping[str, nn.Module]:
        """The modules that carry trainable parameters, by name; there may be several (transformer, branches)."""
        ...

    def adapter_parameters(self, adapter: Adapter) -> Mapping[str, nn.Parameter]:
        """The parameters of one adapter by name; names and order are the same for both adapters.

        An optimiser must be built from these: which of them ask for gradients changes with the adapter in use.
        """
        ...

    def use(self, adapter: Adapter | None) -> AbstractContextManager[None]:
        """Within: `default`, `old`, or, with None, the reference (no adapter). Afterwards what was before."""
        ...


@runtime_checkable
class Drawn(Protocol):
    """A backbone some of whose trained parameters begin at random."""

    def draw(self, seed: int) -> None:
        """Draws them again, `default` and `old` alike, as a pure function of the seed; others stay as they are."""
        ...


@runtime_checkable
class Configured(Protocol):
    """A backbone whose conditioning depends on more than pixels and weights."""

    @property
    def configuration(self) -> str:
        """Size, dtype, switches: whatever `encode` depends on, as text; part of the key of what is precomputed."""
        ...


@dataclass(frozen=True, kw_only=True)
class OwnSettings:
    """What a backbone's official results were made with; a person's own choice goes before it."""

    seed: int
    seeds: Seeds
    upright: bool
    notes: Mapping[str, str]
    """Instead of the options that it was loaded with."""


@runtime_checkable
class HasOwnSettings(Protocol):
    """A backbone with settings that are not everybody's."""

    @property
    def own_settings(self) -> OwnSettings:
        """See there."""
        ...


def notice_of(name: str) -> str | None:
    """What has to be read before its weights are used: `notice()` of its module, if it has one.

    Raises:
        UnknownBackbone: no such backbone; the message names the nearest.
    """
    told = getattr(BACKBONES.load(name), "notice", None)
    return None if told is None else str(told())


def backbone_names() -> list[str]:
    """The files and folders here."""
    return BACKBONES.names()


def load_backbone(name: str, **options: Any) -> Backbone:
    """Makes a backbone ready.

    Raises:
        UnknownBackbone: no such backbone; the message names the nearest.
        BackboneError: see there; or an option that it has not, or lacks.
    """
    load = BACKBONES.load(name).load
    known = inspect.signature(load).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    unknown = [] if open_ended else sorted(set(options) - set(known))
    if unknown:
        raise BackboneError(
            f"The backbone {name} has no option {unknown[0]!r}; did you mean {nearest(unknown[0], list(known))!r}? "
            f"It has {', '.join(known)}."
        )
    missing = [
        key
        for key, parameter in known.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind is inspect.Parameter.KEYWORD_ONLY
        and key not in options
    ]
    if missing:
        summary = (inspect.getdoc(load) or "").partition("\n")[0]
        raise BackboneError(f"The backbone {name} needs the option {missing[0]}. {summary}")
    return load(**options)
