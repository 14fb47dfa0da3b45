"""Qwen3-VL-Embedding: the encoder of the official LucidConsistency (8B; `proj_head.pt` belongs to it).

The path from pixels to embedding follows the official inference code as described in its repository: one conversation
per image (a system text, a user turn that is only the image), the model's own chat template with the generation prompt,
pixels clamped to 4,096 to 1,843,200 and sides to multiples of 32 by Pillow's bicubic (as qwen-vl-utils 0.0.14 does),
padding to the right, hidden state of the last valid token after the final norm. Two differences are meant: where the
official code embeds the text "NULL" in place of an image that it could not read, this one raises; and a text that would
be cut is refused, because the cut would go through the image.

Not stated in the official repository, hence assumed: the system text of its scoring script.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.consistency import ConsistencyError, Images
from training.consistency.images import each_image, to_pillow
from training.weights import folder_of, hash_of_weights

MODEL = "Qwen/Qwen3-VL-Embedding-8B"
INSTRUCTION = "Represent the user's input."
FACTOR_PX = 32
"""Two patches of 16: what becomes one token."""
LEAST_PIXELS = 4 * FACTOR_PX**2
MOST_PIXELS = 1800 * FACTOR_PX**2
MOST_TOKENS = 8192
MOST_ASPECT = 200


@dataclass(kw_only=True)
class Qwen3VLEmbedding:
    """See the module."""

    folder: Path
    device: str | torch.device
    dtype: torch.dtype
    batch_size: int
    model: Any = field(repr=False)
    processor: Any = field(repr=False)
    name: str = "qwen3_vl_embedding"
    license: str = "Apache-2.0"

    @property
    def version(self) -> str:
        """Of the path from pixels to embedding, and the precision."""
        return f"1-{str(self.dtype).removeprefix('torch.')}"

    @property
    def dim(self) -> int:
        """4096 for 8B, 2048 for 2B."""
        return int(self.model.config.text_config.hidden_size)

    @cached_property
    def weights_sha256(self) -> str:
        """Over names and contents of the model's safetensors files."""
        return hash_of_weights(self.folder)

    def to(self, device: str | torch.device) -> None:
        """See Encoder."""
        self.model.to(device)
        self.device = device

    def embed(self, images: Images) -> Tensor:
        """[B,D] float32 on the CPU; see Encoder."""
        ready = each_image(images)
        made = [torch.empty(0, self.dim)]
        for start in range(0, len(ready), self.batch_size):
            made.append(self.embed_inputs(self.preprocess(ready[start : start + self.batch_size])))
        return torch.cat(made)

    def preprocess(self, images: Images) -> dict[str, Tensor]:
        """What the model takes: input_ids, attention_mask, mm_token_type_ids, pixel_values, image_grid_thw.

        Raises:
            ConsistencyError: an image that is too long and thin, or a text that would have to be cut.
        """
        pictures: list[Any] = []
        for image in images:
            picture = to_pillow(image)
            width, height = fitted_size(picture.width, picture.height)
            pictures.append(picture.resize((width, height)))
        text = self.processor.apply_chat_template(
            conversation(), add_generation_prompt=True, tokenize=False
        )
        inputs = self.processor(
            text=[text] * len(pictures),
            images=pictures,
            do_resize=False,
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
        tokens = int(inputs["input_ids"].shape[1])
        if tokens > MOST_TOKENS:
            raise ConsistencyError(f"An image takes {tokens} tokens; {MOST_TOKENS} are the most.")
        return dict(inputs)

    def embed_inputs(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """[B,D] float32 on the CPU from what `preprocess` gave."""
        moved = {name: tensor.to(self.device) for name, tensor in inputs.items()}
        moved["pixel_values"] = moved["pixel_values"].to(self.dtype)
        with torch.no_grad():
            hidden = self.model(**moved).last_hidden_state
        return last_valid(hidden, moved["attention_mask"]).float().cpu()


def conversation(instruction: str = INSTRUCTION) -> list[dict[str, Any]]:
    """One image, no words of the user's."""
    return [
        {"role": "system", "content": [{"type": "text", "text": instruction}]},
        {"role": "user", "content": [{"type": "image"}]},
    ]


def last_valid(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """[B,D]: of hidden [B,T,D] the row at the last position whose mask [B,T] is 1, wherever the padding is."""
    back = attention_mask.flip(1).argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), hidden.shape[1] - 1 - back]


def fitted_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) in multiples of 32 with the pixels clamped, as qwen-vl-utils' smart_resize.

    Raises:
        ConsistencyError: one side is more than 200 times the other.
    """
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise ConsistencyError(
            f"{width} x {height}: one side is more than {MOST_ASPECT} times the other; crop it."
        )
    # Python rounds halves to the even neighbour, and so does the reference.
    fitted = [max(FACTOR_PX, round(side / FACTOR_PX) * FACTOR_PX) for side in (width, height)]
    pixels = fitted[0] * fitted[1]
    if pixels > MOST_PIXELS:
        shrink = math.sqrt(width * height / MOST_PIXELS)
        fitted = [math.floor(side / shrink / FACTOR_PX) * FACTOR_PX for side in (width, height)]
    elif pixels < LEAST_PIXELS:
        grow = math.sqrt(LEAST_PIXELS / (width * height))
        fitted = [math.ceil(side * grow / FACTOR_PX) * FACTOR_PX for side in (width, height)]
    if min(fitted) == 0:
        raise ConsistencyError(
            f"{width} x {height} is too long and thin for this encoder; crop it."
        )
    return fitted[0], fitted[1]


def load(
    *,
    model: str = MODEL,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
) -> Qwen3VLEmbedding:
    """Loads it from a folder, or by its name from the hub's cache or the hub (8B: 16 GB).

    Args:
        model: folder or name on the Hugging Face Hub.
        device: default: cuda where there is one.
        dtype: default: bfloat16 on a GPU, float32 on a CPU.
        batch_size: images at a time; default 1 on a CPU, 8 elsewhere.

    Raises:
        ConsistencyError: not there and not to be fetched, or not such a model; weights are loaded strictly.
    """
    from transformers import AutoModel, AutoProcessor

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    precision: torch.dtype = getattr(torch, dtype or ("float32" if device == "cpu" else "bfloat16"))
    try:
        folder = folder_of(model, revision)
        loaded, report = AutoModel.from_pretrained(
            folder, dtype=precision, output_loading_info=True
        )
        processor: Any = AutoProcessor.from_pretrained(folder)
    # Hub clients raise subclasses of OSError for what the network refuses, ValueError for what is impossible.
    except (OSError, ValueError) as error:
        raise ConsistencyError(
            f"{model} does not load as {MODEL} does ({type(error).__name__}: {error}). Fetch it on a machine with "
            "internet (hf download) and give its folder, or take the encoder efficientnet_lite0."
        ) from error
    if loaded.config.model_type != "qwen3_vl":
        raise ConsistencyError(f"{folder} is a {loaded.config.model_type}, not a qwen3_vl.")
    # Left to itself, transformers draws missing weights at random and goes on.
    wrong = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if wrong:
        raise ConsistencyError(
            f"{folder} lacks {len(wrong)} weights or has them in another shape, first {wrong[0]}; fetch it again."
        )
    images = processor.image_processor
    if (images.patch_size * images.merge_size, images.temporal_patch_size) != (FACTOR_PX, 2):
        raise ConsistencyError(
            f"{folder} cuts images into patches of {images.patch_size} px, merged {images.merge_size} by "
            f"{images.merge_size}; 16 px and 2 are known here."
        )
    loaded.requires_grad_(False).eval().to(device)
    return Qwen3VLEmbedding(
        folder=folder,
        device=device,
        dtype=precision,
        batch_size=batch_size or (1 if device == "cpu" else 8),
        model=loaded,
        processor=processor,
    )
