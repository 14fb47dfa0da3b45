"""The only synthetic degrader of the project: known amounts, seeded, nothing else.

It makes the demo corpus, calibrates the measures and degrades clean photographs for training, so that one number (a
sigma, a quality, an exposure value) means the same everywhere. Every function takes and returns a uint8 RGB array
[H,W,3] and is pure; what is random takes a generator or a seed. Exposure is changed in linear light; blur, noise and
resampling act on the coded values, as the trials behind the thresholds did.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from filters.picture import open_picture

Photo = NDArray[np.uint8]
"""[H,W,3], RGB, 0 to 255."""
Plane = NDArray[np.float32]

Kind = Literal[
    "gaussian_blur",
    "defocus",
    "motion_blur",
    "gaussian_noise",
    "correlated_noise",
    "jpeg",
    "low_light",
    "overexpose",
    "upscale",
    "downscale",
    "camera_chain",
]
Resampling = Literal["nearest", "linear", "cubic", "lanczos"]

_INTERPOLATION: dict[str, int] = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}
_KERNEL_SUPERSAMPLING = 8
_CORRELATION_SIGMA_PX = 0.7
"""About what demosaicing leaves between neighbouring pixels."""
_FULL_WELL = 4000.0
"""Electrons at white before the exposure is lowered: a small sensor, so that low light is visibly noisy."""
_READ_NOISE = 4.0
"""Electrons, root mean square."""


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """One degradation and how much of it; `apply` turns it into pixels.

    The unit of `amount` by kind: gaussian_blur sigma in px; defocus radius of the disk in px; motion_blur length in px
    (the angle comes from the seed); gaussian_noise and correlated_noise standard deviation in grey levels; jpeg quality
    1 to 100; low_light exposure change in EV, negative, with sensor noise; overexpose EV, positive; upscale and
    downscale factor, above 1; camera_chain noise standard deviation in grey levels (quality 88 to 92 from the seed).
    """

    kind: Kind
    amount: float


def apply(image: Photo, degradation: Degradation, *, seed: int) -> Photo:
    """`image` degraded; the same image, degradation and seed give the same bytes. Only downscale changes the size.

    Raises:
        ValueError: the amount is outside of what its kind allows, or the image is not uint8 [H,W,3].
    """
    kind, amount = degradation.kind, degradation.amount
    rng = np.random.default_rng(seed)
    if kind == "gaussian_blur":
        return gaussian_blur(image, amount)
    if kind == "defocus":
        return defocus(image, amount)
    if kind == "motion_blur":
        return motion_blur(image, amount, float(rng.uniform(0.0, 180.0)))
    if kind in ("gaussian_noise", "correlated_noise"):
        return gaussian_noise(image, amount, rng, correlated=kind == "correlated_noise")
    if kind == "jpeg":
        return jpeg(image, round(amount))
    if kind == "low_light":
        return low_light(image, amount, rng)
    if kind == "overexpose":
        return overexpose(image, amount)
    if kind == "upscale":
        return upscale(image, amount)
    if kind == "downscale":
        return downscale(image, amount)
    return camera_chain(image, rng, sigma=amount)


def gaussian_blur(image: Photo, sigma_px: float) -> Photo:
    """Convolved with a Gaussian of `sigma_px`, reaching to 4 sigma."""
    _need(sigma_px > 0, "sigma_px", sigma_px, "above 0")
    side = 2 * math.ceil(4.0 * sigma_px) + 1
    blurred = cv2.GaussianBlur(
        _floats(image), (side, side), sigma_px, borderType=cv2.BORDER_REFLECT_101
    )
    return _bytes(blurred)


def defocus(image: Photo, radius_px: float) -> Photo:
    """Convolved with a disk of `radius_px` (its edge anti-aliased): a lens out of focus."""
    _need(radius_px > 0, "radius_px", radius_px, "above 0")
    reach = math.ceil(radius_px)
    fine = (2 * reach + 1) * _KERNEL_SUPERSAMPLING
    axis = (np.arange(fine) + 0.5) / _KERNEL_SUPERSAMPLING - reach - 0.5
    inside = (axis[:, None] ** 2 + axis[None, :] ** 2 <= radius_px**2).astype(np.float32)
    side = 2 * reach + 1
    kernel = inside.reshape(side, _KERNEL_SUPERSAMPLING, side, _KERNEL_SUPERSAMPLING).sum((1, 3))
    return _convolve(image, kernel)


def motion_blur(image: Photo, length_px: float, angle_deg: float) -> Photo:
    """Convolved with a straight line of `length_px`; 0 degrees is along x, positive turns towards the top."""
    _need(length_px >= 1, "length_px", length_px, "at least 1")
    reach = math.ceil(length_px / 2) + 1
    steps = np.linspace(-length_px / 2, length_px / 2, max(2, math.ceil(length_px * 16)))
    x = reach + steps * math.cos(math.radians(angle_deg))
    y = reach - steps * math.sin(math.radians(angle_deg))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (1 - np.abs(x - x0 - dx)) * (1 - np.abs(y - y0 - dy))
        np.add.at(kernel, (y0 + dy, x0 + dx), weight.astype(np.float32))
    return _convolve(image, kernel)


def gaussian_noise(
    image: Photo, sigma: float, rng: np.random.Generator, *, correlated: bool = False
) -> Photo:
    """Normal noise of standard deviation `sigma` grey levels on each channel; `correlated` between neighbours."""
    _need(sigma >= 0, "sigma", sigma, "0 or more")
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if correlated:
        noise = cv2.GaussianBlur(noise, (0, 0), _CORRELATION_SIGMA_PX)
        noise = noise / float(noise.std())
    return _bytes(_floats(image) + np.float32(sigma) * noise)


def encode_jpeg(image: Photo, quality: int, *, subsampling: str = "4:2:0") -> bytes:
    """The bytes of a baseline JPEG, IJG quality 1 to 100; `subsampling` of the colour: 4:4:4, 4:2:2 or 4:2:0."""
    _need(1 <= quality <= 100, "quality", quality, "between 1 and 100")
    check_photo(image)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def jpeg(image: Photo, quality: int) -> Photo:
    """Encoded as JPEG and decoded again."""
    with open_picture(encode_jpeg(image, quality)) as decoded:
        return decoded.rgb


def low_light(image: Photo, ev: float, rng: np.random.Generator | None = None) -> Photo:
    """`ev` (negative) stops less light; with `rng` also the shot and read noise of a small sensor.

    Noise: variance of the electron count = count + read noise squared, normal approximation.
    """
    _need(ev < 0, "ev", ev, "below 0; overexpose brightens")
    light = linear(image) * np.float32(2.0**ev)
    if rng is not None:
        electrons = light * np.float32(_FULL_WELL)
        spread = np.sqrt(electrons + np.float32(_READ_NOISE**2))
        electrons += spread * rng.standard_normal(image.shape, dtype=np.float32)
        light = electrons / np.float32(_FULL_WELL)
    return coded(light)


def overexpose(image: Photo, ev: float) -> Photo:
    """`ev` (positive) stops more light; what exceeds white is lost."""
    _need(ev > 0, "ev", ev, "above 0; low_light darkens")
    return coded(linear(image) * np.float32(2.0**ev))


def downscale(image: Photo, factor: float) -> Photo:
    """Smaller by `factor` in each direction, every pixel the mean of the area it stands for."""
    _need(factor >= 1, "factor", factor, "at least 1")
    check_photo(image)
    height, width = image.shape[:2]
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(_floats(image), size, interpolation=cv2.INTER_AREA)
    return _bytes(small)


def upscale(image: Photo, factor: float, method: Resampling = "cubic") -> Photo:
    """Area-averaged down by `factor`, then interpolated up again: same size, effective resolution 1/factor."""
    _need(factor > 1, "factor", factor, "above 1")
    check_photo(image)
    height, width = image.shape[:2]
    small = _floats(downscale(image, factor))
    return _bytes(cv2.resize(small, (width, height), interpolation=_INTERPOLATION[method]))


def camera_chain(image: Photo, rng: np.random.Generator, *, sigma: float = 3.0) -> Photo:
    """What every camera does to a good picture: mild correlated noise, then JPEG of quality 88 to 92."""
    noisy = gaussian_noise(image, sigma, rng, correlated=True)
    return jpeg(noisy, int(rng.integers(88, 93)))


def _convolve(image: Photo, kernel: Plane) -> Photo:
    kernel = kernel / float(kernel.sum())
    return _bytes(cv2.filter2D(_floats(image), -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def linear(image: Photo) -> Plane:
    """sRGB code values to linear light in [0,1] (IEC 61966-2-1)."""
    coded = _floats(image) / np.float32(255.0)
    low = coded / np.float32(12.92)
    high = ((coded + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(coded <= 0.04045, low, high).astype(np.float32)


def coded(light: Plane) -> Photo:
    """Linear light to sRGB code values, clipped at black and white."""
    light = np.clip(light, 0.0, 1.0)
    low = light * np.float32(12.92)
    high = np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055)
    return _bytes(np.where(light <= 0.0031308, low, high) * np.float32(255.0))


def check_photo(image: Photo) -> None:
    """Raises ValueError for anything but uint8 RGB."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"Expected a uint8 RGB array [H,W,3], got {image.dtype} {list(image.shape)}; "
            "convert it with np.array(pil_image.convert('RGB'))."
        )


def _floats(image: Photo) -> Plane:
    check_photo(image)
    return image.astype(np.float32)


def _bytes(values: NDArray[Any]) -> Photo:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _need(ok: bool, name: str, value: float, rule: str) -> None:
    if not ok:
        raise ValueError(f"{name} must be {rule}, got {value}.")
