"""What the official inference does that nobody would expect, in one place. All of it is the default here.

The official results depend on these, so `OFFICIAL` reproduces them to the bit where rounding allows. `CORRECTED` does
what was probably meant; its images are not the paper's, and no number of the paper may be compared with them.

Further oddities have no switch, because nothing but parity depends on them: only one image at a time; times and
guidance rounded to the model's dtype before they are multiplied by 1000; a wasted twentieth modulation (left out, it
changes nothing); the UltraFlux VAE that is downloaded and never loaded (not fetched here); every weight loaded without
a check (strict here); a connector's LoRA dropped without a word (reported here).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Oddities:
    """Each field is an official oddity, True where it is reproduced."""

    token_count_of_64th: bool = True
    """The schedule's shift is computed for (W//8)*(H//8)//256 tokens, 1/64 of the true count."""
    aspect_lost: bool = True
    """The LR is resized to exactly W x H whatever its shape. Else: shape kept, padded to multiples of 64, cut again."""
    tokens_truncated: bool = True
    """The proxy's 8 bits for SigLIP are cut off, not rounded, and then pass through bfloat16 even in float32."""
    as_stored: bool = True
    """Photographs are not turned upright by their EXIF tag."""
    same_noise: bool = True
    """The same seed for every image of a folder (for `lucidlr restore`; `--seeds per-image` overrides)."""


OFFICIAL = Oddities()
CORRECTED = Oddities(
    token_count_of_64th=False,
    aspect_lost=False,
    tokens_truncated=False,
    as_stored=False,
    same_noise=False,
)
