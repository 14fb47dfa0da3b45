"""Which files are images, and which of two folders belong together: outputs bear the names of their inputs."""

from __future__ import annotations

from pathlib import PurePath

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def is_image(file: PurePath) -> bool:
    """By its suffix; hidden files are none."""
    return file.suffix.lower() in IMAGES and not file.name.startswith(".")


def image_stem(file: PurePath) -> str:
    """The name without all its image suffixes: `lucidlr restore` makes a.v2.jpg.png of a.v2.jpg; both are a.v2."""
    name = PurePath(file.name)
    while name.suffix.lower() in IMAGES and name.stem:
        name = PurePath(name.stem)
    return name.name
