"""A quick look at many files: grey, reduced where the format allows it, a few patches. To sort out, not to keep.

JPEG decoders can give the luma alone, without converting colours, and an eighth of the size for next to nothing. What
comes out of that is close to the hashes and measures of a full decode and not equal to them, so it has names of its own
(`screen_...`) and never goes into the catalog as `phash` or as a measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.records import Hash64
from filters.duplicates.hashing import to_uint64
from filters.measures import Floats, Photo, load_measure, opencv
from filters.picture import open_picture

PATCHES = 4
MEASURES = ("edge_sigma", "laplacian_p90", "noise_immerkaer", "blockiness", "luma_p95")
"""What a grey picture tells."""
_WHOLE = (1 << 16, 1 << 16)
"""Larger than any JPEG: only the colors are left out, no pixels."""


@dataclass(frozen=True, kw_only=True)
class Screened:
    """What a quick look gives."""

    width: int
    height: int
    screen_phash: Hash64
    """64 bits; in the mean within a bit of pHash, at most about 10 away."""
    screen_dhash: Hash64
    measures: dict[str, float | None]
    """By MEASURES' names; of 4 patches of 256 px of the grey picture."""


def screen(data: bytes) -> Screened:
    """Looks at one file.

    Raises:
        filters.picture.NotAnImage: it does not decode, or is too large.
    """
    import imagehash

    # A JPEG's decoder then leaves the colors alone; other formats ignore it.
    with open_picture(data, draft=("L", _WHOLE)) as picture:
        grey = Image.fromarray(picture.grey)
    small = grey.reduce(max(1, min(grey.size) // 128))
    square = small.resize((32, 32), Image.Resampling.LANCZOS)
    strip = small.resize((9, 8), Image.Resampling.LANCZOS)
    photo = GreyPhoto(np.asarray(grey))
    return Screened(
        width=grey.width,
        height=grey.height,
        screen_phash=to_uint64(imagehash.phash(square)),
        screen_dhash=to_uint64(imagehash.dhash(strip)),
        measures={name: load_measure(name).measure(photo) for name in MEASURES},
    )


class GreyPhoto(Photo):
    """A picture of which only the luma is known."""

    def __init__(self, luma: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> None:
        """`luma` is uint8 [H, W]."""
        # Three views of one plane: nothing is copied before a patch is cut.
        rgb = np.broadcast_to(luma[:, :, None], (*luma.shape, 3))
        super().__init__(rgb, most_patches=PATCHES)

    @cached_property
    def lumas(self) -> list[Floats]:
        """The patches themselves: there is no colour to weigh."""
        return [patch[:, :, 0].astype(np.float32) for patch in self.patches]

    @cached_property
    def luma_counts(self) -> NDArray[np.int64]:
        """[256]: how many pixels of the patches have that luma."""
        cv2 = opencv()
        planes = [np.ascontiguousarray(patch[:, :, 0]) for patch in self.patches]
        counts = sum(cv2.calcHist([plane], [0], None, [256], [0, 256]) for plane in planes)
        return np.asarray(counts).ravel().astype(np.int64)
