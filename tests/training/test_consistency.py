"""LucidConsistency against values of the official code, and what must hold of any scorer."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data
from torch.nn import functional

from filters.degradation.synthesis import downscale, gaussian_blur, jpeg
from tests.training.tiny_qwen import save_tiny_qwen
from training.consistency import (
    ConsistencyError,
    UnknownEncoder,
    encoder_fingerprint,
    encoder_names,
    load_encoder,
)
from training.consistency.encoders.qwen3_vl_embedding import (
    conversation,
    fitted_size,
    last_valid,
)
from training.consistency.head import load_head, new_head, save_head
from training.consistency.images import read_image, to_pillow, to_tensor
from training.consistency.scoring import LucidConsistency, load_consistency, pairs_of

GOLDEN = Path(__file__).parents[1] / "golden"
K = load_file(GOLDEN / "k_consistency_head.safetensors")
L = load_file(GOLDEN / "l_consistency_tiny_qwen3vl.safetensors")
PHOTOS = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]


def head_file(golden, folder):
    """The golden's head as an official proj_head.pt."""
    file = folder / "proj_head.pt"
    prefix = "sd.proj."
    torch.save({k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}, file)
    return file


def as_tensor(pixels):
    return to_tensor(Image.fromarray(pixels))


@pytest.fixture(scope="module")
def lite0():
    return load_encoder("efficientnet_lite0")


@pytest.fixture(scope="module")
def qwen_folder(tmp_path_factory):
    return save_tiny_qwen(tmp_path_factory.mktemp("qwen"))


@pytest.fixture(scope="module")
def qwen(qwen_folder):
    return load_encoder("qwen3_vl_embedding", model=str(qwen_folder), device="cpu")


@pytest.mark.golden
def test_the_last_valid_token_is_found_under_any_padding_and_with_holes():
    pooled = last_valid(K["last_hidden_state"], K["attention_mask"])
    torch.testing.assert_close(pooled, K["pooled"], rtol=0, atol=0)


@pytest.mark.golden
def test_the_head_gives_the_official_values(tmp_path):
    head = load_head(head_file(K, tmp_path))
    torch.testing.assert_close(head.module(K["pooled"]), K["projected"], rtol=0, atol=1e-6)


class Given:
    """An encoder whose embeddings are already there: image i is i / 10 everywhere."""

    name, version, weights_sha256, license, dim = "given", "1", "0" * 64, "CC0-1.0", 32

    def embed(self, images):
        return K["pooled"][[round(float(image.mean()) * 10) for image in images]]


@pytest.mark.golden
def test_scores_with_and_without_head_are_the_official_ones(tmp_path):
    images = torch.stack([torch.full((3, 4, 4), i / 10) for i in range(5)])
    first = images[:1].expand(5, -1, -1, -1)
    scorer = LucidConsistency(encoder=Given(), head=load_head(head_file(K, tmp_path)))
    torch.testing.assert_close(scorer.embed(images), K["proj_embed_norm"], rtol=0, atol=1e-6)
    scores = scorer.score(first, images)
    torch.testing.assert_close(scores, K["pair_score_0_vs_k"], rtol=0, atol=1e-6)
    baseline = LucidConsistency(encoder=Given(), head=None)
    torch.testing.assert_close(baseline.embed(images), K["backbone_embed_norm"], rtol=0, atol=1e-6)
    scores = baseline.score(first, images)
    torch.testing.assert_close(scores, K["backbone_cos_0_vs_k"], rtol=0, atol=1e-6)


@pytest.mark.golden
@pytest.mark.parametrize(
    ("size", "fitted"), json.loads((GOLDEN / "consistency_resize_table.json").read_text()).items()
)
def test_sizes_are_fitted_as_qwen_vl_utils_does(size, fitted):
    width, height = fitted_size(*map(int, size.split("x")))
    assert [width, height, width * height // 32**2] == fitted


@pytest.mark.golden
def test_from_pixels_to_pair_score_the_tiny_model_gives_the_official_values(qwen, tmp_path):
    images = [as_tensor(L[f"image{i}_uint8_hwc"].numpy()) for i in range(2)]
    inputs = qwen.preprocess(images)
    for name in ("input_ids", "attention_mask", "image_grid_thw"):
        assert torch.equal(inputs[name], L[name]), name
    assert torch.equal(inputs["mm_token_type_ids"].int(), L["mm_token_type_ids"])
    torch.testing.assert_close(inputs["pixel_values"], L["pixel_values"], rtol=0, atol=1e-6)
    torch.testing.assert_close(qwen.embed(images), L["pooled"], rtol=0, atol=1e-5)
    scorer = LucidConsistency(encoder=qwen, head=load_head(head_file(L, tmp_path)))
    torch.testing.assert_close(scorer.embed(images), L["proj_embed_norm"], rtol=0, atol=1e-5)
    score = scorer.score(images[:1], images[1:])
    torch.testing.assert_close(score, L["pair_score"], rtol=0, atol=1e-5)


@pytest.mark.golden
def test_images_are_resized_as_the_reference_resizes_them():
    image = to_pillow(as_tensor(L["image0_uint8_hwc"].numpy()))
    resized = as_tensor_bytes(image.resize(fitted_size(*image.size)))
    assert torch.equal(resized, L["image0_resized_uint8_hwc"])


def as_tensor_bytes(image):
    return (to_tensor(image) * 255).round().byte().permute(1, 2, 0)


def test_a_batch_padded_on_the_right_gives_what_each_image_alone_gives(qwen):
    images = [as_tensor(L[f"image{i}_uint8_hwc"].numpy()) for i in range(2)]
    together = qwen.embed_inputs(qwen.preprocess(images))
    alone = torch.cat([qwen.embed([image]) for image in images])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_the_model_as_the_hub_has_it_with_its_language_head_loads_the_same(qwen, tmp_path):
    folder = save_tiny_qwen(tmp_path, with_language_head=True)
    other = load_encoder("qwen3_vl_embedding", model=str(folder), device="cpu")
    image = [as_tensor(L["image1_uint8_hwc"].numpy())]
    assert torch.equal(other.embed(image), qwen.embed(image))
    assert len(other.weights_sha256) == 64


def test_missing_weights_are_an_error_and_not_drawn_at_random(tmp_path):
    folder = save_tiny_qwen(tmp_path, without=("visual.merger.norm.bias",))
    with pytest.raises(ConsistencyError, match=r"lacks 1 weights.*visual\.merger\.norm\.bias"):
        load_encoder("qwen3_vl_embedding", model=str(folder), device="cpu")


def test_a_model_that_is_nowhere_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConsistencyError, match="efficientnet_lite0"):
        load_encoder("qwen3_vl_embedding", model="nobody/nothing-at-all")


def test_the_conversation_is_a_system_text_and_an_image_without_words():
    system, user = conversation()
    assert system["content"][0]["text"] == "Represent the user's input."
    assert user["content"] == [{"type": "image"}]


@pytest.mark.parametrize("size", [(6401, 32), (3, 800)])
def test_an_image_too_long_and_thin_raises_where_the_official_code_would_embed_null(qwen, size):
    width, height = size
    with pytest.raises(ConsistencyError, match=r"crop it"):
        qwen.embed([torch.zeros(3, height, width)])


def test_a_file_that_is_no_image_raises_and_is_named(tmp_path, lite0):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"NULL")
    good = tmp_path / "good.png"
    Image.fromarray(PHOTOS[0]).save(good)
    scorer = LucidConsistency(encoder=lite0, head=None)
    with pytest.raises(ConsistencyError, match=r"bad\.png"):
        scorer.score_files([(good, bad)])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(1, 8, 8), "RGB image is"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "divide bytes by 255"),
        (torch.full((3, 8, 8), 200.0), "RGB in"),
        (torch.full((3, 8, 8), float("nan")), "RGB in"),
        (torch.zeros(3, 0, 8), "RGB image is"),
    ],
)
def test_tensors_that_are_no_images_are_refused(lite0, image, message):
    with pytest.raises(ConsistencyError, match=message):
        lite0.embed([image])


def test_the_offline_encoder_knows_what_is_on_a_photograph(lite0):
    square = as_tensor(PHOTOS[2][:, 75:375])
    with torch.no_grad():
        top = lite0.model(lite0.preprocess(square))[0].topk(3).indices.tolist()
    # ImageNet: tabby, tiger cat, Egyptian cat.
    assert set(top) == {281, 282, 285}


def test_a_degraded_copy_scores_above_any_other_photograph(lite0):
    scorer = LucidConsistency(encoder=lite0, head=None)
    lr = [as_tensor(jpeg(downscale(gaussian_blur(p, 1.0), 2.0), 40)) for p in PHOTOS]
    a, b = scorer.embed(lr), scorer.embed([as_tensor(p) for p in PHOTOS])
    scores = a @ b.T
    assert scores.argmax(1).tolist() == [0, 1, 2, 3]


def test_an_embedding_does_not_depend_on_batch_mates(lite0):
    images = [as_tensor(p) for p in PHOTOS[:3]]
    together = lite0.embed(images)
    assert torch.equal(together, torch.cat([lite0.embed([image]) for image in images]))
    assert together.shape == (3, lite0.dim)
    assert lite0.embed([]).shape == (0, lite0.dim)


def test_the_size_of_the_square_is_part_of_the_version():
    small = load_encoder("efficientnet_lite0", size_px=64)
    assert small.version != load_encoder("efficientnet_lite0").version
    assert torch.isfinite(small.embed(torch.rand(2, 3, 9, 9))).all()
    with pytest.raises(ConsistencyError, match="multiple of 32"):
        load_encoder("efficientnet_lite0", size_px=100)


def test_a_head_survives_both_formats_and_says_what_it_was_trained_on(tmp_path, lite0):
    module = new_head(lite0.dim, torch.Generator().manual_seed(0))
    kept = save_head(tmp_path / "head.safetensors", module, encoder=lite0, notes={"seed": 0})
    official = save_head(tmp_path / "head.pt", module, encoder=lite0, notes={})
    x = torch.rand(2, lite0.dim)
    assert torch.equal(kept.module(x), module(x))
    assert kept.weights_sha256 == official.weights_sha256
    assert official.trained_on == kept.trained_on == encoder_fingerprint(lite0)
    assert not (tmp_path / "head.pt.part").exists()
    other = load_encoder("efficientnet_lite0", size_px=64)
    LucidConsistency(encoder=lite0, head=kept)
    with pytest.raises(ConsistencyError, match="was trained on efficientnet_lite0"):
        LucidConsistency(encoder=other, head=kept)


def test_a_head_for_another_encoder_is_refused(tmp_path, lite0):
    with pytest.raises(ConsistencyError, match="takes 32 values, efficientnet_lite0 gives 1280"):
        LucidConsistency(encoder=lite0, head=load_head(head_file(K, tmp_path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"0.weight": torch.zeros(2, 2)}, "a head has the keys"),
        (
            {"0.weight": torch.zeros(2, 3), "0.bias": torch.zeros(2)}
            | {"2.weight": torch.zeros(2, 2), "2.bias": torch.zeros(2)},
            "has the shapes",
        ),
        ([1, 2], "no state dict"),
    ],
)
def test_a_file_that_is_no_head_is_refused(tmp_path, content, message):
    file = tmp_path / "proj_head.pt"
    torch.save(content, file)
    with pytest.raises(ConsistencyError, match=message):
        load_head(file)


@pytest.mark.parametrize("name", ["proj_head.pt", "head.safetensors"])
def test_a_cut_head_is_refused(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(b"cut")
    with pytest.raises(ConsistencyError, match="fetch or train it again"):
        load_head(file)
    with pytest.raises(ConsistencyError, match="There is no head"):
        load_head(tmp_path / "none.pt")


def test_an_unknown_encoder_names_the_nearest():
    assert set(encoder_names()) >= {"efficientnet_lite0", "qwen3_vl_embedding"}
    with pytest.raises(UnknownEncoder, match="did you mean 'efficientnet_lite0'"):
        load_encoder("efficientnet")


def test_folders_are_paired_by_name_and_nobody_is_left_out(tmp_path):
    for folder, suffix in (("lr", "jpg"), ("sr", "png")):
        for name in ("b/two", "one"):
            file = tmp_path / folder / f"{name}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(PHOTOS[0][:32, :32]).save(file)
    found = pairs_of(tmp_path / "lr", tmp_path / "sr")
    assert [(a.name, b.name) for a, b in found] == [("two.jpg", "two.png"), ("one.jpg", "one.png")]
    (tmp_path / "sr" / "one.png").rename(tmp_path / "sr" / "other.png")
    with pytest.raises(ConsistencyError, match="no partner in the other folder: one, other"):
        pairs_of(tmp_path / "lr", tmp_path / "sr")
    with pytest.raises(ConsistencyError, match="two files or two folders"):
        pairs_of(tmp_path / "lr" / "one.jpg", tmp_path / "sr")
    with pytest.raises(ConsistencyError, match="There is no"):
        pairs_of(tmp_path / "lr", tmp_path / "nowhere")


def test_transparent_pixels_become_white(tmp_path):
    file = tmp_path / "clear.png"
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(file)
    assert torch.equal(read_image(file), torch.ones(3, 4, 4))


def test_files_and_tensors_give_the_same_score(tmp_path, lite0):
    for name, pixels in (("lr", downscale(PHOTOS[1], 4.0)), ("sr", PHOTOS[1])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    scorer = load_consistency(head="none")
    pair = (tmp_path / "lr.png", tmp_path / "sr.png")
    (score,) = scorer.score_files([pair, pair], batch_size=1)[:1]
    tensors = scorer.score([as_tensor(downscale(PHOTOS[1], 4.0))], [as_tensor(PHOTOS[1])])
    assert score == tensors.item()
    same = functional.cosine_similarity(*(lite0.embed([read_image(f)]) for f in pair))
    assert score == pytest.approx(same.item(), abs=1e-6)
