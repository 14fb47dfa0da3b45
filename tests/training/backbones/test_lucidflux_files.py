"""What is wrong with a weights folder is said in one sentence that names the file, the tensor and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.backbones.lucidflux_tiny import LORA, copied, tiny
from training.backbones import BackboneError, load_backbone
from training.backbones.lucidflux import checksums
from training.backbones.lucidflux.folder import (
    FILES,
    LUCIDFLUX,
    PROMPT,
    SIGLIP,
    SWINIR,
    TRANSFORMER,
)

QKV = "double_blocks.3.img_attn.qkv.weight"


def test_missing_and_unexpected_tensors_are_all_named(
    lucidflux_weights: Path, tmp_path: Path
) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    state = load_file(folder / TRANSFORMER)
    state["stranger.weight"] = state.pop("img_in.bias")
    del state[QKV]
    save_file(state, folder / TRANSFORMER)
    with pytest.raises(BackboneError) as caught:
        tiny(folder)
    text = str(caught.value)
    assert "flux1-dev.safetensors" in text
    assert f"2 missing: {QKV}, img_in.bias" in text and "1 unexpected: stranger.weight" in text


def test_a_wrong_shape_is_named_with_both_shapes(lucidflux_weights: Path, tmp_path: Path) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    state = load_file(folder / TRANSFORMER)
    state["img_in.weight"] = torch.zeros(32, 63)
    save_file(state, folder / TRANSFORMER)
    with pytest.raises(
        BackboneError, match=r"img_in\.weight is \[32, 63\].*\[32, 64\] for x_embedder"
    ):
        tiny(folder)


def test_full_size_weights_are_asked_for_where_no_sizes_are_given(
    lucidflux_weights: Path, tmp_path: Path
) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    (folder / "sizes.json").unlink()
    with pytest.raises(BackboneError, match=r"does sizes\.json .* belong to it"):
        tiny(folder)


@pytest.mark.parametrize("name", [TRANSFORMER, LUCIDFLUX, SWINIR, SIGLIP])
def test_a_file_that_was_cut_off_is_named(
    name: str, lucidflux_weights: Path, tmp_path: Path
) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackboneError, match=rf"{Path(name).name} is cut off.*fetch it again"):
        tiny(folder)


def test_all_missing_files_are_named_with_the_command_that_fetches_them(
    lucidflux_weights: Path, tmp_path: Path
) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    (folder / PROMPT).unlink()
    (folder / SWINIR).unlink()
    with pytest.raises(
        BackboneError, match=r"lacks prompt_embeddings\.pt, swinir\.pth.*lucidflux-download"
    ):
        tiny(folder)
    with pytest.raises(BackboneError, match="There is no weights folder"):
        tiny(tmp_path / "nowhere")


def test_a_pickle_that_holds_more_than_tensors_is_refused_and_not_run(
    lucidflux_weights: Path, tmp_path: Path
) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    torch.save({"state_dict": Path("x")}, folder / SWINIR)
    with pytest.raises(
        BackboneError, match=r"swinir\.pth is cut off, damaged, or holds more than tensors"
    ):
        tiny(folder)


@pytest.mark.parametrize(("width", "height"), [(1000, 1024), (1024, 72), (0, 64), (63, 64)])
def test_sizes_off_multiples_of_64_are_refused_before_anything_is_loaded(
    width: int, height: int, tmp_path: Path
) -> None:
    with pytest.raises(BackboneError, match=r"multiples of 64 pixels.*Nearest"):
        load_backbone("lucidflux", weights=tmp_path, width=width, height=height)


def test_files_of_different_models_are_told_apart(lucidflux_weights: Path, tmp_path: Path) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    torch.save({"txt": torch.zeros(1, 5, 25), "vec": torch.zeros(1, 20)}, folder / PROMPT)
    with pytest.raises(BackboneError, match="txt of the prompt is 25 wide, not 24"):
        tiny(folder)
    torch.save({"txt": torch.zeros(5, 24)}, folder / PROMPT)
    with pytest.raises(BackboneError, match="should hold `txt`"):
        tiny(folder)


def test_a_flat_lucidflux_file_is_refused_with_the_sections_that_are_wanted(
    lucidflux_weights: Path, tmp_path: Path
) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    torch.save({"img_in.weight": torch.zeros(1)}, folder / LUCIDFLUX)
    with pytest.raises(
        BackboneError, match=r"has the sections \['img_in\.weight'\].*condition_ldr"
    ):
        tiny(folder)


def test_nesting_in_state_dict_makes_no_difference(lucidflux_weights: Path, tmp_path: Path) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    sections = torch.load(folder / LUCIDFLUX, weights_only=True)
    torch.save({"state_dict": sections}, folder / LUCIDFLUX)
    proxy = torch.load(folder / SWINIR, weights_only=True)["state_dict"]
    torch.save({f"module.{name}": tensor for name, tensor in proxy.items()}, folder / SWINIR)
    tiny(folder)


def test_sizes_of_another_network_are_refused(lucidflux_weights: Path, tmp_path: Path) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    text = (folder / "sizes.json").read_text()
    (folder / "sizes.json").write_text(text.replace('"theta": 10000', '"theta": 5000'))
    with pytest.raises(BackboneError, match=r"these differ: \{'theta': 5000\}"):
        tiny(folder)
    (folder / "sizes.json").write_text(text.replace('"swinir"', '"swin"'))
    with pytest.raises(BackboneError, match=r"unknown sections \['swin'\]"):
        tiny(folder)
    (folder / "sizes.json").write_text(text[:-5])
    with pytest.raises(BackboneError, match=r"sizes\.json is no JSON"):
        tiny(folder)


def test_checksums_are_remembered_until_a_file_changes(
    lucidflux_weights: Path, tmp_path: Path
) -> None:
    folder = copied(lucidflux_weights, tmp_path / "w")
    before = checksums.weights_sha256(folder)
    assert set(checksums.checksums(folder)) == {*FILES, "sizes.json"}
    assert checksums.weights_sha256(folder) == before
    content = (folder / PROMPT).read_bytes()
    (folder / PROMPT).write_bytes(content + b"!")
    assert checksums.weights_sha256(folder) != before


def test_an_adapter_that_is_none_is_a_clear_error(lucidflux_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="holds no LucidFlux adapter"):
        tiny(lucidflux_weights, adapter=tmp_path)
    with pytest.raises(BackboneError, match=r"for a model of another size.*img_in"):
        # The golden transformer adapter is for another tiny model (64 wide, these are 32).
        tiny(lucidflux_weights, adapter=LORA)
