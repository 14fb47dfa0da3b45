"""The score of LR and SR: cosine of their embeddings, after the head (LucidConsistency) or without one (the baseline).

The official README speaks of a scoring script that its repository lacks; that the score is the cosine of one embedding
per image is the natural reading, and the only one that its code's tensors allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from training.consistency import (
    ConsistencyError,
    Encoder,
    Images,
    encoder_fingerprint,
    load_encoder,
)
from training.consistency.head import Head, load_head
from training.consistency.images import read_image
from training.consistency.paired_head import PairedHead, Side
from training.image_names import candidates, image_stem, is_image


@dataclass(frozen=True, kw_only=True)
class LucidConsistency:
    """An encoder with a head that fits it, or without one."""

    encoder: Encoder
    head: Head | PairedHead | None

    def __post_init__(self) -> None:
        """Raises ConsistencyError where the head was made for something else."""
        if self.head is None:
            return
        if self.head.dim != self.encoder.dim:
            raise ConsistencyError(
                f"The head takes {self.head.dim} values, {self.encoder.name} gives {self.encoder.dim}: "
                "a head works only with the encoder that it was trained on."
            )
        ours = encoder_fingerprint(self.encoder)
        if self.head.trained_on not in (None, ours):
            raise ConsistencyError(
                f"The head was trained on {self.head.trained_on}, not on {ours}; take that one, or train a head."
            )

    @property
    def weights_sha256(self) -> str:
        """Of the encoder's weights, followed by those of the head."""
        head = "" if self.head is None else f"+{self.head.weights_sha256}"
        return f"{self.encoder.weights_sha256}{head}"

    def embed(self, images: Images, side: Side = "sr") -> Tensor:
        """[B,E] float32, of length 1; `side` says whether these are LR or restorations."""
        return self.project(self.encoder.embed(images), side)

    def project(self, embeddings: Tensor, side: Side = "sr") -> Tensor:
        """[B,E] of length 1 from what the encoder gave."""
        if self.head is None:
            return functional.normalize(embeddings.float(), dim=-1)
        with torch.no_grad():
            return self.head.project(embeddings, side).cpu()

    def to(self, device: str | torch.device) -> None:
        """Moves encoder and head; what comes out stays on the CPU."""
        self.encoder.to(device)
        if self.head is not None:
            self.head.to(device)

    def score(self, lr: Images, sr: Images) -> Tensor:
        """[B] in [-1,1]: row by row, images of any sizes."""
        a, b = self.embed(lr, "lr"), self.embed(sr, "sr")
        if len(a) != len(b):
            raise ConsistencyError(
                f"{len(a)} LR and {len(b)} SR images can't be compared in pairs."
            )
        return (a * b).sum(-1)

    def score_files(
        self,
        pairs: Sequence[tuple[Path, Path]],
        *,
        batch_size: int = 16,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[float]:
        """The scores of pairs of files (LR, SR), `batch_size` pairs in memory at a time.

        Raises:
            ConsistencyError: a file that can't be read; it is named.
        """
        scores: list[float] = []
        for start in range(0, len(pairs), batch_size):
            batch = pairs[start : start + batch_size]
            lr = [read_image(a) for a, _ in batch]
            sr = [read_image(b) for _, b in batch]
            scores += self.score(lr, sr).tolist()
            advance(len(batch))
        return scores


NO_HEAD = "none"
SHIPPED = Path(__file__).parent / "weights"


def load_consistency(
    encoder: str = "efficientnet_lite0", head: Path | str | None = None, **options: object
) -> LucidConsistency:
    """By the encoder's name; `options` go to the encoder.

    Args:
        head: file of a head; None: the one that ships for this encoder, where one does; `none`: no head. Without one
            the score is the encoder's own cosine, which rewards not restoring.

    Raises:
        UnknownEncoder, ConsistencyError: see there.
    """
    loaded = load_encoder(encoder, **options)
    if head is not None:
        chosen = None if str(head) == NO_HEAD else load_head(Path(head))
        return LucidConsistency(encoder=loaded, head=chosen)
    shipped = SHIPPED / f"{encoder}-1.safetensors"
    found = load_head(shipped) if shipped.is_file() else None
    # One for the encoder at another size or with other weights is no head for this one.
    fits = found is not None and found.trained_on == encoder_fingerprint(loaded)
    return LucidConsistency(encoder=loaded, head=found if fits else None)


def pairs_of(lr: Path, sr: Path) -> list[tuple[Path, Path]]:
    """The pair of two files, or the pairs of two folders, whose images have the same path but for the suffixes.

    Raises:
        ConsistencyError: a file and a folder, an empty folder, or an image without a partner (none is left out).
    """
    if lr.is_file() and sr.is_file():
        return [(lr, sr)]
    if not (lr.is_dir() and sr.is_dir()):
        missing = [str(place) for place in (lr, sr) if not place.exists()]
        raise ConsistencyError(
            f"There is no {' and no '.join(missing)}."
            if missing
            else "Give two files or two folders, not one of each."
        )
    left, right = _by_stem(lr), _by_stem(sr)
    if not left or not right:
        raise ConsistencyError(f"{sr if left else lr} holds no image.")
    meant = candidates({stem: (stem,) for stem in left}, right)
    several = [stem for stem, found in meant.items() if len(found) > 1]
    if several:
        raise ConsistencyError(
            f"{len(several)} images have several partners in the other folder: {several[0]} has "
            f"{', '.join(meant[several[0]][:3])}. Keep one of them."
        )
    used = {found[0] for found in meant.values() if found}
    alone = sorted([*(stem for stem, found in meant.items() if not found), *(right.keys() - used)])
    if alone:
        named = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
        raise ConsistencyError(
            f"{len(alone)} images have no partner in the other folder: {named}. Partners have the same path, but for "
            "the suffixes and an ending behind `_` in the second folder."
        )
    return [(left[stem], right[found[0]]) for stem, found in sorted(meant.items())]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in _images(folder):
        stem = file.relative_to(folder).with_name(image_stem(file)).as_posix()
        if stem in found:
            raise ConsistencyError(
                f"{found[stem]} and {file} differ only in their suffixes; keep one of them."
            )
        found[stem] = file
    return found


def _images(folder: Path) -> Iterable[Path]:
    return (f for f in sorted(folder.rglob("*")) if is_image(f) and f.is_file())
