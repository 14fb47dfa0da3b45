"""A Qwen3-VL of 60,000 parameters with a processor of its own, saved as the hub would have it.

The weights are those of golden/l_consistency_tiny_qwen3vl. Tokenizer and chat template are toys that turn the official
conversation into exactly the token ids which that golden was made with: any other system text becomes [UNK].
"""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel

FILE = Path(__file__).parents[1] / "golden" / "l_consistency_tiny_qwen3vl.safetensors"
VOCABULARY = {
    "[PAD]": 0,
    "[UNK]": 1,
    "[SYSTEM]": 5,
    "Represent": 6,
    "the": 7,
    "user's": 8,
    "input.": 9,
    "[END]": 10,
    "[DONE]": 11,
    "[NEXT]": 12,
    "[ASSISTANT]": 13,
    "[SAYS]": 14,
    "<|image_pad|>": 60,
    "<|vision_start|>": 61,
    "<|vision_end|>": 62,
    "<|video_pad|>": 63,
}
TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if message.role == 'system' %}[SYSTEM] {{ part.text }} [END]"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>[DONE]"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}[NEXT][ASSISTANT][SAYS]{% endif %}"
)


def tiny_config():
    from transformers import Qwen3VLConfig

    with safe_open(FILE, "pt") as opened:
        return Qwen3VLConfig(**json.loads(opened.metadata()["config"]))


def tiny_processor():
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2VLImageProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    words = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = [word for word in VOCABULARY if word.startswith(("[", "<"))]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", extra_special_tokens=special
    )
    pixels = {"patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**pixels),
        chat_template=TEMPLATE,
    )


def save_tiny_qwen(folder, *, with_language_head=False, without=()):
    """The folder of a model, as the base model or as the hub has it, with a language head."""
    from transformers import Qwen3VLForConditionalGeneration, Qwen3VLModel

    prefix = "sd.qwen.model."
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in load_file(FILE).items()
        if name.startswith(prefix) and not name.endswith(tuple(without) or ("\n",))
    }
    if with_language_head:
        model = Qwen3VLForConditionalGeneration(tiny_config())
        model.model.load_state_dict(state, strict=True)
    else:
        model = Qwen3VLModel(tiny_config())
        model.load_state_dict(state, strict=not without)
    model.save_pretrained(folder, state_dict=None if not without else state)
    tiny_processor().save_pretrained(folder)
    return folder
