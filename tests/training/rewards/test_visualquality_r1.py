"""VisualQuality-R1: recorded answers, and the whole path with a tiny Qwen2.5-VL of random weights."""

import math

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel

from training.consistency.images import to_pillow
from training.rewards import RewardError, load_reward
from training.rewards.visualquality_r1 import PLAIN, QUESTION, parsed

TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
)
WORDS = 64


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("<answer>3.27</answer>", 3.27),
        ("<answer> 4 </answer>", 4.0),
        ("<think>It is sharp: <answer>1.0</answer>?</think>\n<answer>\n4.85\n</answer>", 4.85),
        ("<answer>Overall rating: 2.50 out of 5</answer>", 2.5),
        ("<answer>5.00</answer><|im_end|>", 5.0),
        ("<think>The rating is 3.5", math.nan),
        ("3.5", math.nan),
        ("<answer>good</answer>", math.nan),
        ("<answer></answer>", math.nan),
        ("<answer>85</answer>", math.nan),
        ("<answer>0.5</answer>", math.nan),
        ("<answer>-3.0</answer>", math.nan),
        ("<answer>4.2</answer> or rather <answer>unsure</answer>", math.nan),
        ("", math.nan),
    ],
)
def test_the_last_answer_counts_and_what_cannot_be_read_is_nan(answer, value):
    assert parsed(answer) == pytest.approx(value, nan_ok=True)


def save_tiny(folder, said):
    """A Qwen2.5-VL of some 40,000 parameters; whatever token it chooses is spelled as `said(id)`."""
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    special = [
        "[PAD]",
        "[UNK]",
        "<|image_pad|>",
        "<|video_pad|>",
        "<|vision_start|>",
        "<|vision_end|>",
    ]
    vocabulary = {word: i for i, word in enumerate(special)}
    vocabulary |= {said(i): i for i in range(len(special), WORDS)}
    words = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        extra_special_tokens=special[2:],
    )
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": WORDS,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [2, 1, 1],
                "rope_theta": 1e4,
            },
            "pad_token_id": 0,
            "bos_token_id": None,
            "eos_token_id": None,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        image_token_id=2,
        video_token_id=3,
        vision_start_token_id=4,
        vision_end_token_id=5,
        tie_word_embeddings=False,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    with torch.no_grad():
        model.lm_head.weight[: len(special)] = (
            0  # else it may choose a special token, which nobody hears
        )
    model.save_pretrained(folder)
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """Whatever it chooses is a rating of its own: 1 + id / 16."""
    folder = save_tiny(tmp_path_factory.mktemp("rated"), lambda i: f"<answer>{1 + i / 16}</answer>")
    return load_reward("visualquality_r1", model=str(folder), device="cpu", most_tokens=2)


def images(count=3):
    torch.manual_seed(1)
    return torch.rand(count, 3, 64, 64)


def test_an_answer_of_the_model_becomes_the_reward_and_greedily_the_same_each_time(rated):
    sr = images()
    rewards = rated.score(sr, sr, {})
    assert ((rewards >= 1) & (rewards <= 5)).all()
    assert torch.equal(rewards, rated.score(sr, sr, {}))
    # Two tokens were said; the last answer counts.
    said = rated.answers([to_pillow(sr[0])])
    assert said[0].count("<answer>") == 2
    assert rewards[0].item() == pytest.approx(parsed(said[0]))


def test_batch_mates_do_not_change_an_answer_and_an_image_that_is_not_finite_is_nan(rated):
    sr = images()
    alone = rated.score(sr, sr, {})
    sr[1, 0, 0, 0] = math.nan
    together = rated.score(sr, sr, {})
    assert torch.isnan(together).tolist() == [False, True, False]
    assert torch.equal(together[[0, 2]], alone[[0, 2]])


def test_an_answer_that_cannot_be_read_is_nan_and_never_a_number(tmp_path):
    folder = save_tiny(tmp_path, lambda i: f"word{i}")
    reward = load_reward("visualquality_r1", model=str(folder), device="cpu", most_tokens=3)
    sr = images(2)
    assert reward.score(sr, sr, {}).isnan().all()


def test_version_range_and_hash_are_stated(rated):
    assert rated.range == (1.0, 5.0)
    assert rated.version == "1, plain, greedy 2, float32"
    assert len(rated.weights_sha256) == 64
    assert (QUESTION + PLAIN).endswith("in <answer> </answer> tags.")


def test_a_model_that_is_nowhere_says_what_to_do(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RewardError, match="give its folder as `model`"):
        load_reward("visualquality_r1", model="nobody/nothing-at-all")
