"""A score beside what gives it a meaning: not restoring (bicubic), another picture, and the sharp one if there is one.

A cosine of .43 says nothing by itself. It says something beside .40 for a bicubic enlargement, .00 for another picture
and .52 for the sharp one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from catalog import files
from training.consistency import ConsistencyError
from training.consistency.departure import Departure, load_departure, top_of
from training.consistency.images import read_image
from training.consistency.scoring import LucidConsistency

COLUMNS = ("lr", "sr", "score", "bicubic", "mismatched", "hr", "departure")


@dataclass(frozen=True, kw_only=True)
class Anchored:
    """One pair."""

    lr: Path
    sr: Path
    score: float
    bicubic: float
    mismatched: float
    """Of the next pair's restoration; of a packaged photograph where there is one pair only."""
    hr: float | None
    departure: float | None
    """0 to 1, see departure.py; None where the LR is too small for a map."""

    def numbers(self) -> tuple[float | None, ...]:
        """In the order of COLUMNS, from the third."""
        return (self.score, self.bicubic, self.mismatched, self.hr, self.departure)


def anchored(
    scorer: LucidConsistency,
    pairs: Sequence[tuple[Path, Path]],
    sharp: Sequence[Path] | None = None,
    *,
    maps: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Anchored]:
    """All pairs, one at a time; `sharp` are the HR in the same order. With `maps` a PNG per pair is written there.

    Raises:
        ConsistencyError: a file that can't be read; it is named.
    """
    departure = load_departure()
    embedded: list[tuple[Tensor, Tensor]] = []
    others: list[tuple[float, float | None, float | None]] = []
    for number, (lr_file, sr_file) in enumerate(pairs):
        lr, sr = read_image(lr_file), read_image(sr_file)
        up = enlarged_to(lr, (sr.shape[1], sr.shape[2]))
        hr = None if sharp is None else read_image(sharp[number])
        x = scorer.embed([lr], "lr")[0]
        z = scorer.embed([sr, up, *([] if hr is None else [hr])], "sr")
        beside = None if hr is None else float(x @ z[2])
        others.append(
            (float(x @ z[1]), beside, _departed(departure, lr, sr, lr_file, sr_file, maps))
        )
        embedded.append((x, z[0]))
        advance(1)
    strangers = [embedded[(n + 1) % len(embedded)][1] for n in range(len(embedded))]
    if len(embedded) == 1:
        strangers = [scorer.embed([_packaged()], "sr")[0]]
    return [
        Anchored(
            lr=lr_file,
            sr=sr_file,
            score=float(x @ z),
            bicubic=bicubic,
            mismatched=float(x @ stranger),
            hr=hr,
            departure=departed,
        )
        for (lr_file, sr_file), (x, z), stranger, (bicubic, hr, departed) in zip(
            pairs, embedded, strangers, others, strict=True
        )
    ]


def summary(scorer: LucidConsistency, rows: Sequence[Anchored]) -> list[str]:
    """What to keep in mind, for the terminal."""
    found: list[str] = []
    means = {
        "bicubic": np.mean([row.bicubic for row in rows]),
        "mismatched": np.mean([row.mismatched for row in rows]),
    }
    sharp = [row.hr for row in rows if row.hr is not None]
    if sharp:
        means["HR"] = np.mean(sharp)
    found.append("           " + ", ".join(f"{name} {value:.4f}" for name, value in means.items()))
    if scorer.head is None:
        found.append(
            "no head    this is the encoder's own cosine: a bicubic enlargement is nearest to its LR, so it rewards "
            "not restoring"
        )
    return found


def enlarged_to(lr: Tensor, size: tuple[int, int]) -> Tensor:
    """[3,H,W]: bicubic, clipped to [0,1]."""
    up = functional.interpolate(
        lr[None], size=size, mode="bicubic", antialias=True, align_corners=False
    )
    return up[0].clamp(0, 1)


def _departed(
    departure: Departure, lr: Tensor, sr: Tensor, lr_file: Path, sr_file: Path, maps: Path | None
) -> float | None:
    try:
        logits = departure.logits(lr, sr)
    except ConsistencyError:
        return None
    if maps is not None:
        write_map(maps / f"{sr_file.stem}.departure.png", sr, logits.sigmoid())
    return float(top_of(logits).sigmoid())


def write_map(file: Path, sr: Tensor, probabilities: Tensor) -> None:
    """The restoration in grey, with what departs in red: more red, more probable."""
    from PIL import Image

    size = (sr.shape[1], sr.shape[2])
    red = functional.interpolate(probabilities[None, None], size=size, mode="bilinear")[0, 0]
    grey = 0.25 + 0.5 * sr.mean(0)
    picture = torch.stack([grey + (1 - grey) * red, grey * (1 - red), grey * (1 - red)])
    pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    with files.stream(file) as sink:
        Image.fromarray(pixels).save(sink, "PNG")


def _packaged() -> Tensor:
    from training.photographs import photographs

    pixels = photographs()[0].pixels
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255
