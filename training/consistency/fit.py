"""Fits what ships for the offline encoder, and judges it: the paired head and the map of departures.

    lucidlr consistency-fit .photos --out out/consistency-fit [--test FOLDER]

Trained on cuts of photographs and degradations of each; judged on other photographs, whose regions are replaced in
other ways. `weights/README.md` lists the photographs that the shipped files were fitted on, with their licenses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from catalog import files
from filters.degradation.second_order import second_order
from filters.degradation.synthesis import Photo
from training.consistency import Encoder
from training.consistency.departure import CELL_PX, Departure, quantities, save_departure, top_of
from training.consistency.evaluation import auc
from training.consistency.other_ways import WAYS as OTHER_WAYS
from training.consistency.other_ways import replaced_otherwise
from training.consistency.paired_head import PairedHead, fit_paired_head, save_paired_head
from training.consistency.replaced import WAYS, replace_region
from training.photographs import Photograph, degrade, fingerprint
from training.statistics import Interval, interval

HEAD, MAP = "efficientnet_lite0-1.safetensors", "departure-1.safetensors"
_SIDES_PX = (192, 320)
_CELLS = 250
"""Of each picture, drawn for the regression."""
_INSIDE, _OUTSIDE = 0.6, 0.05


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Everything that the two depend on besides photographs and encoder."""

    contents: int = 4
    """Cuts of each photograph that trains."""
    degradations: int = 2
    """Of each cut."""
    judged: int = 2
    """Cuts of each photograph that judges."""
    steps: int = 1500
    """Of the regression's optimiser."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Found:
    """One line of the results."""

    what: str
    value: Interval
    count: int


def fit_and_judge(
    train: Sequence[Photograph],
    test: Sequence[Photograph],
    encoder: Encoder,
    out: Path,
    config: FitConfig,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Found]:
    """Writes HEAD, MAP and results.md below `out`; the figures are those of `test`."""
    head, departure = fit(train, encoder, config, advance=advance)
    notes = {
        "config": asdict(config),
        "photographs": fingerprint(train),
        "names": [p.name for p in train],
    }
    save_paired_head(out / HEAD, head, encoder=encoder, notes=notes)
    save_departure(out / MAP, departure, notes=json.dumps(notes))
    found = judge(test, encoder, head, departure, config, advance=advance)
    lines = [
        f"{len(train)} photographs trained, {len(test)} others judge. Mean and 95 % interval over photographs.",
        "",
        "| | | cuts |",
        "|---|---|---|",
        *(
            f"| {one.what} | {one.value.mean:.3f} [{one.value.low:.3f}, {one.value.high:.3f}] | {one.count} |"
            for one in found
        ),
    ]
    files.put(out / "results.md", ("\n".join(lines) + "\n").encode())
    return found


def fit(
    photos: Sequence[Photograph],
    encoder: Encoder,
    config: FitConfig,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[PairedHead, Departure]:
    """The head in closed form, the map by logistic regression; the same for the same seed."""
    hr, lr, cells, labels = [], [], [], []
    for index, photo in enumerate(photos):
        for k in range(config.contents):
            rng = np.random.default_rng((config.seed, index, k))
            sharp = _cut(photo.pixels, rng)
            pool = [_degraded(sharp, rng) for _ in range(config.degradations)]
            z = encoder.embed([tensor_of(image) for image in (sharp, *pool)])
            hr.append(z[0])
            lr.append(z[1:])
            low = tensor_of(pool[0])
            shown: list[tuple[Photo, NDArray[np.bool_]]] = [
                (sharp, np.zeros(sharp.shape[:2], dtype=bool)),
                (enlarged(pool[0], sharp.shape[:2]), np.zeros(sharp.shape[:2], dtype=bool)),
            ]
            other = _another(photos, index, rng)
            for way in WAYS:
                made = replace_region(sharp, other, way=way, seed=int(rng.integers(0, 2**31)))
                shown.append((made.pixels, made.mask))
            for image, mask in shown:
                x, y = _sampled(low, image, mask, rng)
                cells.append(x)
                labels.append(y)
            advance(1)
    head = fit_paired_head(torch.stack(hr), torch.stack(lr))
    return head, _regression(torch.cat(cells), torch.cat(labels), config)


def _regression(x: Tensor, y: Tensor, config: FitConfig) -> Departure:
    mean, scale = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / scale
    chance = torch.Generator().manual_seed(config.seed)
    weight = torch.zeros(z.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.AdamW([weight, bias], lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    # Replaced cells are few; what is missed weighs more than a false alarm.
    rare = torch.tensor(3.0)
    for _ in range(config.steps):
        rows = torch.randint(len(z), (2048,), generator=chance)
        loss = functional.binary_cross_entropy_with_logits(
            z[rows] @ weight + bias, y[rows], pos_weight=rare
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Departure(mean=mean, scale=scale, weight=weight.detach(), bias=bias.detach())


def judge(
    photos: Sequence[Photograph],
    encoder: Encoder,
    head: PairedHead,
    departure: Departure,
    config: FitConfig,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Found]:
    """Where HR, bicubic and mismatched pictures stand, and the AUC of the map for each other way of replacing."""
    embedded: dict[str, list[Tensor]] = {name: [] for name in ("lr", "hr", "bicubic")}
    photo_of: list[int] = []
    image_scores: dict[str, list[tuple[float, float, int]]] = {way: [] for way in OTHER_WAYS}
    cell_scores: dict[str, list[tuple[float, int]]] = {way: [] for way in OTHER_WAYS}
    for index, photo in enumerate(photos):
        for k in range(config.judged):
            rng = np.random.default_rng((config.seed + 1, index, k))
            sharp = _cut(photo.pixels, rng)
            low = _degraded(sharp, rng)
            up = enlarged(low, sharp.shape[:2])
            z = encoder.embed([tensor_of(image) for image in (low, sharp, up)])
            for name, row in zip(embedded, z, strict=True):
                embedded[name].append(row)
            photo_of.append(index)
            lr = tensor_of(low)
            own = float(top_of(departure.logits(lr, tensor_of(sharp))))
            for way, (image, mask) in replaced_otherwise(
                sharp, _another(photos, index, rng), rng
            ).items():
                logits = departure.logits(lr, tensor_of(image))
                image_scores[way].append((float(top_of(logits)), own, index))
                covered = _covered(mask, (logits.shape[0], logits.shape[1])).flatten()
                inside, outside = (
                    logits.flatten()[rows].double().numpy()
                    for rows in (covered > _INSIDE, covered < _OUTSIDE)
                )
                if len(inside):
                    cell_scores[way].append((auc(inside, outside), index))
            advance(1)
    clusters = np.array(photo_of)
    y = head.project(torch.stack(embedded["lr"]), "lr")
    x = {name: head.project(torch.stack(embedded[name]), "sr") for name in ("hr", "bicubic")}
    hr, up = ((y * x[name]).sum(1).double().numpy() for name in ("hr", "bicubic"))
    cross = (y @ x["hr"].T).double().numpy()
    other = clusters[:, None] != clusters[None, :]
    mismatched = np.array([row[mask].mean() for row, mask in zip(cross, other, strict=True)])
    found = [
        Found(what=what, value=interval(values, clusters=clusters), count=len(values))
        for what, values in (
            ("HR", hr),
            ("bicubic", up),
            ("mismatched", mismatched),
            ("HR above bicubic", hr - up),
            ("bicubic above mismatched", up - mismatched),
            ("share of cuts with HR above bicubic", (hr > up).astype(np.float64)),
        )
    ]
    for way in OTHER_WAYS:
        rows = np.array(image_scores[way])
        found.append(Found(what=f"{way}: AUC over pictures", value=_pooled(rows), count=len(rows)))
        each = np.array(cell_scores[way])
        found.append(
            Found(
                what=f"{way}: AUC over cells of a picture",
                value=interval(each[:, 0], clusters=each[:, 1].astype(np.int64)),
                count=len(each),
            )
        )
    return found


def _pooled(rows: NDArray[np.float64], draws: int = 500) -> Interval:
    """AUC with one threshold for all pictures; photographs are drawn."""
    groups = [np.flatnonzero(rows[:, 2] == g) for g in np.unique(rows[:, 2])]
    rng = np.random.default_rng(0)
    found: list[float] = []
    for _ in range(draws):
        chosen = np.concatenate([groups[g] for g in rng.integers(0, len(groups), len(groups))])
        found.append(auc(rows[chosen, 0], rows[chosen, 1]))
    low, high = np.percentile(found, (2.5, 97.5))
    return Interval(mean=auc(rows[:, 0], rows[:, 1]), low=float(low), high=float(high))


def _cut(pixels: Photo, rng: np.random.Generator) -> Photo:
    short = min(pixels.shape[:2])
    side = (
        int(rng.integers(min(_SIDES_PX[0], short), min(short, _SIDES_PX[1]) + 1))
        // CELL_PX
        * CELL_PX
    )
    top = int(rng.integers(0, pixels.shape[0] - side + 1))
    left = int(rng.integers(0, pixels.shape[1] - side + 1))
    cut = pixels[top : top + side, left : left + side]
    return np.ascontiguousarray(cut[:, ::-1] if rng.random() < 0.5 else cut)


def _degraded(sharp: Photo, rng: np.random.Generator) -> Photo:
    if rng.random() < 0.5:
        return degrade(sharp, rng)
    scale = 4.0 if rng.random() < 0.7 else 2.0
    return second_order(sharp, scale=scale, seed=int(rng.integers(0, 2**31)))


def _another(photos: Sequence[Photograph], index: int, rng: np.random.Generator) -> Photo:
    chosen = int(rng.integers(0, len(photos) - 1))
    return photos[chosen + (chosen >= index)].pixels


def _sampled(
    lr: Tensor, image: Photo, mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    x, grid = quantities(lr, tensor_of(image))
    covered = _covered(mask, grid).flatten()
    clear = np.flatnonzero(((covered > _INSIDE) | (covered < _OUTSIDE)).numpy())
    rows = torch.from_numpy(rng.permutation(clear)[:_CELLS])
    return x[rows], (covered[rows] > _INSIDE).float()


def _covered(mask: NDArray[np.bool_], grid: tuple[int, int]) -> Tensor:
    """[rows,columns]: share of each cell that lies in the region."""
    return functional.adaptive_avg_pool2d(
        torch.from_numpy(mask.astype(np.float32))[None, None], grid
    )[0, 0]


def enlarged(low: Photo, size: tuple[int, int]) -> Photo:
    """Pillow's bicubic to (height, width): what is left when nothing is restored."""
    from PIL import Image

    made: Any = Image.fromarray(low).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(made)


def tensor_of(image: Photo) -> Tensor:
    """[3,H,W] float32 in [0,1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
