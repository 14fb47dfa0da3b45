"""Kinds of damage that examples are made of: what each should be labelled, and in which amounts it comes."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = ("mild", "moderate", "strong", "severe")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of damage."""

    name: str
    labels: tuple[str, ...]
    """Which labels an image with it should bear."""
    unclear: tuple[str, ...] = ()
    """Labels for which it is neither an example nor a counter-example."""
    amounts: tuple[float, float, float, float]
    """At the four LEVELS, in the unit of the kind."""
    unit: str
    before_sensor: bool
    """Happens in the optics or the scene, so that a camera's noise and JPEG come after it."""


KINDS = (
    Kind(
        name="gaussian_blur",
        labels=("blur",),
        amounts=(1.0, 2.0, 3.0, 4.0),
        unit="sigma, px",
        unclear=("upscaled",),
        before_sensor=True,
    ),
    Kind(
        name="defocus",
        labels=("blur",),
        amounts=(1.5, 3.0, 4.5, 6.0),
        unit="radius, px",
        before_sensor=True,
    ),
    Kind(
        name="motion_blur",
        labels=("blur", "motion_blur"),
        amounts=(5.0, 11.0, 17.0, 25.0),
        unit="length, px",
        before_sensor=True,
    ),
    Kind(
        name="defocus_jpeg",
        labels=("blur",),
        unclear=("jpeg", "upscaled"),
        amounts=(1.5, 3.0, 4.5, 6.0),
        unit="radius, px, then quality 40 to 80",
        before_sensor=False,
    ),
    Kind(
        name="motion_jpeg",
        labels=("blur", "motion_blur"),
        unclear=("jpeg", "upscaled"),
        amounts=(5.0, 11.0, 17.0, 25.0),
        unit="length, px, then quality 40 to 80",
        before_sensor=False,
    ),
    Kind(
        name="white_noise",
        labels=("noise",),
        amounts=(6.0, 12.0, 20.0, 30.0),
        unit="sigma, grey levels",
        before_sensor=False,
    ),
    Kind(
        name="noise_jpeg",
        labels=("noise",),
        amounts=(6.0, 12.0, 20.0, 30.0),
        unit="sigma, grey levels",
        before_sensor=False,
    ),
    Kind(
        name="sensor_noise",
        labels=("noise",),
        amounts=(6.0, 12.0, 20.0, 30.0),
        unit="sigma, correlated, then quality 90",
        before_sensor=False,
    ),
    Kind(
        name="noise_denoised",
        labels=("noise",),
        amounts=(6.0, 12.0, 20.0, 30.0),
        unit="sigma, grey levels",
        before_sensor=False,
    ),
    Kind(
        name="jpeg",
        labels=("jpeg",),
        amounts=(60.0, 35.0, 25.0, 15.0),
        unit="quality",
        before_sensor=False,
    ),
    Kind(
        name="jpeg_again",
        labels=("jpeg",),
        amounts=(60.0, 35.0, 25.0, 15.0),
        unit="quality, then 92",
        before_sensor=False,
    ),
    Kind(
        name="jpeg_cropped",
        labels=("jpeg",),
        amounts=(60.0, 35.0, 25.0, 15.0),
        unit="quality, then cropped",
        before_sensor=False,
    ),
    Kind(
        name="jpeg_resized",
        labels=("jpeg",),
        unclear=("upscaled", "blur"),
        amounts=(60.0, 35.0, 25.0, 15.0),
        unit="quality, then enlarged by 1.5",
        before_sensor=False,
    ),
    Kind(
        name="upscaled",
        labels=("upscaled",),
        unclear=("blur",),
        amounts=(1.5, 2.0, 3.0, 4.0),
        unit="factor",
        before_sensor=False,
    ),
    Kind(
        name="upscaled_jpeg",
        labels=("upscaled",),
        unclear=("blur",),
        amounts=(1.5, 2.0, 3.0, 4.0),
        unit="factor, then quality 90",
        before_sensor=False,
    ),
    Kind(
        name="low_light",
        labels=("low_light",),
        unclear=("noise",),
        amounts=(-1.5, -2.5, -3.5, -4.5),
        unit="EV",
        before_sensor=True,
    ),
    Kind(
        name="low_light_lamps",
        labels=("low_light",),
        unclear=("noise", "overexposed"),
        amounts=(-1.5, -2.5, -3.5, -4.5),
        unit="EV, with lamps",
        before_sensor=True,
    ),
    Kind(
        name="overexposed",
        labels=("overexposed",),
        amounts=(1.0, 1.75, 2.5, 3.25),
        unit="EV",
        before_sensor=True,
    ),
)
"""All kinds but `clean` (no label) and `graphics` (label graphics, made by `graphics_examples`). Two of them are of two
damages at once, since photographs seldom have one alone."""
