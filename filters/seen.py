"""From pixels as a file has them to pixels as they are seen: the rules of filters/picture.py, one strip at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from filters.formats import NotAnImage

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
STRIP_PIXELS = 1 << 18
"""Pixels that are converted at a time, so that conversions take no room to speak of."""
_BITS, _PHOTOMETRIC = 258, 262


def stored_view(seen: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of an upright array in the order in which the file stores it: writing there turns the picture."""
    stored = seen.swapaxes(0, 1) if orientation > 4 else seen
    if orientation in (3, 4, 6, 7):
        stored = stored[::-1]
    if orientation in (2, 3, 7, 8):
        stored = stored[:, ::-1]
    return stored


def strips(image: Image.Image) -> Iterator[tuple[int, Pixels]]:
    """(first row, [h, W, 3]) of the whole image, in the stored orientation."""
    from PIL import Image as pillow

    wide = image.mode.startswith(("I", "F"))
    low, high = _range(image) if wide else (0.0, 255.0)
    transparent = image.has_transparency_data and not wide
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height)))
        if wide:
            grey = (np.asarray(part, dtype=np.float64) - low) * (255.0 / (high - low))
            eight = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
            yield top, np.repeat(eight[:, :, None], 3, axis=2)
            continue
        if transparent:
            over = part.convert("RGBA")
            white = pillow.new("RGBA", over.size, "white")
            part = pillow.alpha_composite(white, over)
        yield top, np.asarray(part if part.mode == "RGB" else part.convert("RGB"))


def _range(image: Image.Image) -> tuple[float, float]:
    """Values that are seen as black and as white, of grey in more than 8 bits.

    Sixteen bits have a white of their own; of wider pixels it is the least usual one that holds them all.
    """
    tags = getattr(image, "tag_v2", {})
    inverted = tags.get(_PHOTOMETRIC) == 0
    if image.mode.startswith("I;16"):
        bits = tags.get(_BITS, (16,))
        white = float(2 ** (bits[0] if isinstance(bits, tuple) and 8 < bits[0] <= 16 else 16) - 1)
    else:
        lowest, highest = (float(v) for v in image.getextrema())  # pyright: ignore[reportArgumentType]
        usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        whites = [w for w in usual if highest <= w]
        if not (np.isfinite(lowest) and lowest >= 0 and whites):
            raise NotAnImage(
                f"Its values run from {lowest:g} to {highest:g}; which of them is white is not known.",
                "unsupported",
            )
        white = whites[0]
    return (white, 0.0) if inverted else (0.0, white)
