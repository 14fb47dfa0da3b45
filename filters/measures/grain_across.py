"""How alike the grain of the quietest tiles is between neighbors across. Near -0.55: white noise.

Correlation of second differences at one px, in the fifth of the tiles of 16 px with least of them; see _grain. Noise
that was demosaiced, denoised or reduced is more alike, a smooth ramp most.

None: fewer than five tiles that are neither black nor white.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grain import quiet

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """-1 to 1."""
    return quiet(photo, "across")
