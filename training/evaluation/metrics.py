"""The paper's ten metrics by its names, and full-reference ones for pairs, each tied to one exact variant.

A name in a table says little: MANIQA of KonIQ and of PIPAL differ by a third, CLIP-IQA+ exists in three sizes. So a
metric here is a scorer with its variant and preprocessing in words, and a score keeps version and hash of the weights.
Scorers are the metrics of filters/metrics and the rewards of training/rewards; nothing is scored in two ways.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from filters.measures import Photo
from filters.metrics import (
    ON_CPU,
    DeviceMissing,
    Scoring,
    UnknownMetric,
    WeightsMissing,
    load_metric,
    load_reference_metric,
)
from filters.metrics._offline import offline
from training.rewards import RewardError, UnknownReward, load_reward

Against = Literal["nothing", "lr", "hr"]


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A name in tables, and what exactly stands behind it."""

    name: str
    scorer: str
    """`metric:<name of filters/metrics>`; `reference:<...>` compares with the HR; `reward:<name>` with the LR."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What a scorer is loaded with: a variant (the border of PSNR), or where weights are."""
    lower_better: bool = False
    against: Against = "nothing"
    digits: int = 4
    factor: float = 1.0
    """What a reward's value is multiplied by to be on the paper's scale."""
    preprocessing: str
    """What the scorer does to the PNG before it looks, in words; part of the key of a score."""


PAPER = (
    MetricSpec(
        name="CLIP-IQA+",
        scorer="metric:pyiqa:clipiqa+",
        preprocessing="RN50 with learned prompts, native resolution, 0 to 1",
    ),
    MetricSpec(
        name="Q-Align",
        scorer="metric:pyiqa:qalign",
        preprocessing="one-align, quality task, padded to a square, fp16, one image at a time, 1 to 5",
    ),
    MetricSpec(
        name="MUSIQ",
        scorer="metric:pyiqa:musiq",
        preprocessing="KonIQ weights, full size and longer sides 224 and 384, about 0 to 100",
    ),
    MetricSpec(
        name="MANIQA",
        scorer="metric:pyiqa:maniqa",
        preprocessing="KonIQ weights (not PIPAL), 20 of 25 uniform crops of 224 px, about 0 to 1",
    ),
    MetricSpec(
        name="NIMA",
        scorer="metric:pyiqa:nima",
        preprocessing="InceptionResNetV2 on AVA, resized and centre-cropped to 299 px, 1 to 10",
    ),
    MetricSpec(
        name="CLIP-IQA",
        scorer="metric:pyiqa:clipiqa",
        preprocessing="RN50, five pairs of prompts averaged, native resolution, 0 to 1",
    ),
    MetricSpec(
        name="NIQE",
        scorer="metric:pyiqa:niqe",
        lower_better=True,
        preprocessing="Y of YIQ, blocks of 96 px, cropped to multiples of them, float64 (not MATLAB's)",
    ),
    MetricSpec(
        name="UniPercept IQA",
        scorer="reward:unipercept_iqa",
        factor=100.0,
        preprocessing="bicubic 448 x 448, softmax over 101 score tokens, 0 to 100",
    ),
    MetricSpec(
        name="VisualQuality-R1",
        scorer="reward:visualquality_r1",
        preprocessing="greedy answer without thinking, 1 to 5",
    ),
    MetricSpec(
        name="LucidConsistency",
        scorer="reward:lucid_consistency",
        against="lr",
        options={"encoder": "qwen3_vl_embedding"},
        preprocessing="cosine of the projected embeddings of LR and output, at most 1800 x 32 x 32 px, -1 to 1",
    ),
)
"""In the paper's order."""
REFERENCE = (
    MetricSpec(
        name="PSNR",
        scorer="reference:psnr",
        against="hr",
        preprocessing="Y of YCbCr as BasicSR and pyiqa's ycbcr have it, dB; options space, border, rounded",
    ),
    MetricSpec(
        name="SSIM",
        scorer="reference:ssim",
        against="hr",
        preprocessing="rounded Y of YCbCr as pyiqa's ycbcr has it, no downsampling; options space, border, rounded, "
        "clipped",
    ),
    MetricSpec(
        name="LPIPS",
        scorer="reference:pyiqa:lpips",
        lower_better=True,
        against="hr",
        preprocessing="AlexNet, version 0.1, RGB",
    ),
    MetricSpec(
        name="DISTS",
        scorer="reference:pyiqa:dists",
        lower_better=True,
        against="hr",
        preprocessing="VGG16, RGB, full size",
    ),
)
WEIGHT_FREE = (
    MetricSpec(
        name="PIQE",
        scorer="metric:pyiqa:piqe",
        lower_better=True,
        preprocessing="luminance, blocks of 16 px, 0 to 100",
    ),
    MetricSpec(
        name="Similarity (EfficientNet-Lite0)",
        scorer="reward:lucid_consistency",
        against="lr",
        options={"encoder": "efficientnet_lite0", "head": "none"},
        preprocessing="cosine of ImageNet embeddings of LR and output, no head, -1 to 1; rewards not restoring",
    ),
    MetricSpec(
        name="Faithfulness (EfficientNet-Lite0)",
        scorer="reward:lucid_consistency",
        against="lr",
        options={"encoder": "efficientnet_lite0"},
        preprocessing="cosine of the embeddings of LR and output after the paired head that ships, -1 to 1",
    ),
    MetricSpec(
        name="Departure",
        scorer="reward:departure",
        against="lr",
        lower_better=True,
        factor=-1.0,
        preprocessing="the cells of 4 LR px that depart most from the LR, 0 to 1; not restoring departs least",
    ),
)
"""Not of the paper; computable everywhere. The similarity is what LucidConsistency is without its encoder and head."""
SPECS = {spec.name: spec for spec in (*PAPER, *REFERENCE, *WEIGHT_FREE)}
FAITHFULNESS = (
    "LucidConsistency",
    "LPIPS",
    "Faithfulness (EfficientNet-Lite0)",
    "Similarity (EfficientNet-Lite0)",
    "SSIM",
    "PSNR",
)
"""Axes for how true an output is to its LR or HR, the first one that was computed is taken."""
PERCEPTION = ("UniPercept IQA", "MUSIQ", "Q-Align", "CLIP-IQA+", "MANIQA", "NIQE", "PIQE")
"""Axes for how good it looks, likewise."""


_AGAINST: dict[str, Against] = {
    "metric": "nothing",
    "reference": "hr",
    "reward": "lr",
}


class NotRun(RuntimeError):
    """The metric cannot be computed here; the message says why and what to do."""

    def __init__(self, message: str, *, short: str) -> None:
        super().__init__(message)
        self.short = short
        """Why, in a few words that several metrics can share."""


class Scorer(Protocol):
    """A metric that is ready, with what names its scores."""

    @property
    def version(self) -> str:
        """Changes whenever a score could."""
        ...

    @property
    def weights_sha256(self) -> str | None:
        """Of its weights; None where there are none."""
        ...

    def score(self, sr: Photo, *, lr: Photo | None, hr: Photo | None) -> float | None:
        """One image; None where the metric does not apply to it."""
        ...


def metric_spec(name: str) -> MetricSpec:
    """A metric by its name in tables, or `metric:...`, `reference:...`, `reward:...` for any other scorer.

    Raises:
        UnknownMetric: neither; the message names the nearest.
    """
    if name in SPECS:
        return SPECS[name]
    kind, _, rest = name.partition(":")
    if kind in _AGAINST and rest:
        return MetricSpec(
            name=name, scorer=name, against=_AGAINST[kind], preprocessing="the scorer's own"
        )
    near = difflib.get_close_matches(name, SPECS, n=1, cutoff=0.0)[0]
    raise UnknownMetric(
        f"There is no metric {name!r}; did you mean {near!r}? Any other scorer: metric:<name>, "
        "reference:<name> or reward:<name>."
    )


def load_scorer(spec: MetricSpec, *, scoring: Scoring = ON_CPU, download: bool = False) -> Scorer:
    """Makes a metric ready.

    Args:
        scoring: device and precision; part of the version of a score.
        download: fetch weights that are not here; otherwise nothing is fetched from anywhere.

    Raises:
        NotRun: its weights, its package or its scorer are not here.
    """
    try:
        with contextlib.nullcontext() if download else offline():
            return _loaded(spec, scoring)
    except WeightsMissing as error:
        short = "weights are not here; --download fetches them"
        raise NotRun(
            _line(error), short=short if not download else "weights are not here"
        ) from error
    except DeviceMissing as error:
        raise NotRun(_line(error), short="no such device") from error
    except (RewardError, UnknownMetric, UnknownReward) as error:
        raise NotRun(_line(error), short="scorer or option is not here") from error


def _loaded(spec: MetricSpec, scoring: Scoring) -> Scorer:
    kind, _, name = spec.scorer.partition(":")
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in spec.options.items()}
    where = () if scoring == ON_CPU else (scoring,)
    if kind == "metric":
        return _NoReference(load_metric(name, *where, **options))
    if kind == "reference":
        return _Reference(load_reference_metric(name, *where, **options))
    if name == "lucid_consistency" and spec.name in SPECS and not _has_its_head(spec):
        raise NotRun(
            "LucidConsistency needs the projection head: give the option head (proj_head.pt of the LucidNFT "
            "weights, or one of `lucidlr consistency-train`), and the encoder's weights.",
            short="the option head is missing",
        )
    return _Rewarded(load_reward(name, **options), spec.factor, scoring)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _has_its_head(spec: MetricSpec) -> bool:
    """Without its head the paper's metric would be another one under its name."""
    return spec.name != "LucidConsistency" or spec.options.get("head") not in (None, "none")


def lower_is_better(spec: MetricSpec, scorer: Scorer) -> bool:
    """For a scorer given by name the metric itself knows; for a named metric the spec does."""
    metric: Any = getattr(scorer, "metric", None)
    return bool(metric.lower_better) if metric is not None else spec.lower_better


class _NoReference:
    def __init__(self, metric: Any) -> None:
        self.metric = metric
        self.version: str = metric.version
        self.weights_sha256: str | None = metric.weights_sha256

    def score(self, sr: Photo, *, lr: Photo | None, hr: Photo | None) -> float | None:
        del lr, hr
        return self.metric.score(sr)


class _Reference:
    def __init__(self, metric: Any) -> None:
        self.metric = metric
        self.version: str = metric.version
        self.weights_sha256: str | None = metric.weights_sha256

    def score(self, sr: Photo, *, lr: Photo | None, hr: Photo | None) -> float | None:
        del lr
        return None if hr is None else self.metric.compare(sr, hr)


class _Rewarded:
    """A reward as a metric: one image at a time, so that a score does not depend on its neighbours in a batch."""

    def __init__(self, reward: Any, factor: float = 1.0, scoring: Scoring = ON_CPU) -> None:
        self.reward, self.factor = reward, factor
        # A reward with weights can be taken to a device, and its version says to which.
        moves = hasattr(reward, "to")
        if moves:
            reward.to(scoring.device)
        self.version: str = reward.version + (scoring.suffix if moves else "")
        self.weights_sha256: str | None = reward.weights_sha256

    def score(self, sr: Photo, *, lr: Photo | None, hr: Photo | None) -> float | None:
        import torch

        del hr
        # A reward that does not look at the LR is given the output in its place.
        image, low = _tensor(sr), _tensor(lr or sr)
        with torch.no_grad():
            value = float(self.reward.score(image, low, self.reward.prepare(low))[0])
        if value != value:
            raise ValueError("the scorer gave no number (its answer could not be read)")
        return self.factor * value


def _tensor(photo: Photo) -> Any:
    """float32 [1,3,H,W] in [0,1]."""
    import torch

    return torch.from_numpy(photo.rgb.copy()).permute(2, 0, 1)[None].float() / 255
