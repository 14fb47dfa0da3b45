"""VisualQuality-R1: a Qwen2.5-VL-7B that was trained to rate image quality, 1 to 5. (arXiv 2505.14460)

Greedy decoding, so that the same image has the same score (the model card samples). The last <answer> counts, and in it
the first number. An answer without one, or outside of 1 to 5, is NaN: the card's code takes a random number there. The
question is the card's, word for word, because the model was trained on it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.consistency.images import to_pillow
from training.rewards import RewardError, Shared
from training.weights import folder_of, hash_of_weights

MODEL = "TianheWu/VisualQuality-R1-7B"
QUESTION = (
    "You are doing the image quality assessment task. Here is the question: "
    "What is your overall rating on the quality of this picture? The rating should be a float between 1 and 5, "
    "rounded to two decimal places, with 1 representing very poor quality and 5 representing excellent quality."
)
PLAIN = " Please only output the final answer with only one score in <answer> </answer> tags."
THINKING = (
    " First output the thinking process in <think> </think> tags and then output the final answer with only one score "
    "in <answer> </answer> tags."
)
LOWEST, HIGHEST = 1.0, 5.0


@dataclass(kw_only=True)
class VisualQualityR1:
    """The Reward; see training/rewards/__init__.py."""

    folder: Path
    device: str | torch.device
    thinking: bool
    most_tokens: int
    batch_size: int
    model: Any = field(repr=False)
    processor: Any = field(repr=False)
    name: str = "visualquality_r1"
    range: tuple[float, float] = (LOWEST, HIGHEST)

    @property
    def version(self) -> str:
        """Of question, decoding and parsing, and the precision."""
        way = "thinking" if self.thinking else "plain"
        return (
            f"1, {way}, greedy {self.most_tokens}, {str(self.model.dtype).removeprefix('torch.')}"
        )

    @cached_property
    def weights_sha256(self) -> str | None:
        """Over names and contents of the safetensors files."""
        return hash_of_weights(self.folder)

    def to(self, device: str | torch.device) -> None:
        """Moves the model."""
        self.model.to(device)
        self.device = device

    def prepare(self, lr: Tensor) -> Shared:
        """Nothing is shared."""
        del lr
        return {}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B]; NaN where the answer can't be read, or an SR is not finite."""
        del lr, shared
        rewards = torch.full((len(sr),), math.nan)
        fine = [i for i, image in enumerate(sr) if bool(torch.isfinite(image).all())]
        for start in range(0, len(fine), self.batch_size):
            rows = fine[start : start + self.batch_size]
            answers = self.answers([to_pillow(sr[i]) for i in rows])
            rewards[rows] = torch.tensor([parsed(answer) for answer in answers])
        return rewards

    def answers(self, images: list[Any]) -> list[str]:
        """What the model says about each Pillow image, special tokens left out."""
        ask = QUESTION + (THINKING if self.thinking else PLAIN)
        message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ask}]}]
        text = self.processor.apply_chat_template(
            message, add_generation_prompt=True, tokenize=False
        )
        inputs = self.processor(
            text=[text] * len(images),
            images=images,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(self.device)
        with torch.no_grad():
            tokens = self.model.generate(
                **inputs,
                max_new_tokens=self.most_tokens,
                do_sample=False,
                num_beams=1,
                temperature=None,
                top_k=None,
                top_p=None,
            )
        new = tokens[:, inputs["input_ids"].shape[1] :]
        return self.processor.batch_decode(new, skip_special_tokens=True)


def parsed(answer: str) -> float:
    """The first number in the last <answer>...</answer>; NaN where there is none, or it is not within 1 to 5."""
    found = re.findall(r"<answer>(.*?)</answer>", answer, re.DOTALL)
    number = re.search(r"-?\d+(?:\.\d+)?", found[-1]) if found else None
    if number is None:
        return math.nan
    value = float(number.group())
    return value if LOWEST <= value <= HIGHEST else math.nan


def load(
    *,
    model: str = MODEL,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    thinking: bool = False,
    most_tokens: int | None = None,
    batch_size: int | None = None,
) -> VisualQualityR1:
    """Loads it from a folder, or by its name from the hub's cache or the hub (16 GB).

    Args:
        thinking: let it reason before it answers: slower, and what its paper reports.
        most_tokens: of an answer; default 32, or 2048 when thinking. A longer one is cut, hence NaN.

    Raises:
        RewardError: not there and not to be fetched, or not such a model.
    """
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    precision: torch.dtype = getattr(torch, dtype or ("float32" if device == "cpu" else "bfloat16"))
    try:
        folder = folder_of(model, revision)
        result: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder, dtype=precision, output_loading_info=True
        )
        loaded, report = result
        processor: Any = AutoProcessor.from_pretrained(folder)
    # Hub clients raise subclasses of OSError for what the network refuses, ValueError for what is impossible.
    except (OSError, ValueError) as error:
        raise RewardError(
            f"{model} does not load ({type(error).__name__}: {error}). Fetch it on a machine with internet "
            "(hf download) and give its folder as `model`."
        ) from error
    # Left to itself, transformers draws missing weights at random and goes on.
    if report["missing_keys"] or report["mismatched_keys"]:
        raise RewardError(f"{folder} lacks weights or has them in another shape; fetch it again.")
    loaded.requires_grad_(False).eval().to(device)
    return VisualQualityR1(
        folder=folder,
        device=device,
        thinking=thinking,
        most_tokens=most_tokens or (2048 if thinking else 32),
        batch_size=batch_size or (1 if device == "cpu" else 8),
        model=loaded,
        processor=processor,
    )
