"""LucidFlux behind the protocol: what may be precomputed, what batches may not change, and what `corrected` changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.backbones.lucidflux_tiny import tiny
from training.backbones import BackboneError, Configured
from training.backbones.lucidflux import latents, preprocess
from training.backbones.lucidflux.backbone import LucidFlux
from training.data import LRTensors
from training.precompute import Store, crops_of_training, makers, precompute


def lr(count: int = 2, height: int = 20, width: int = 30) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_the_conditioning_of_a_sample_depends_on_its_pixels_alone(lucidflux: LucidFlux) -> None:
    both = lucidflux.encode(lr())
    alone = lucidflux.encode(lr()[1:])
    assert {name: value.shape[0] for name, value in both.items()} == dict.fromkeys(both, 2)
    assert all(torch.equal(both[name][1:], alone[name]) for name in both)


def test_eight_bit_pixels_come_back_exactly_from_floats() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(preprocess.to_bytes(pixels.float() / 255), pixels)


def test_a_velocity_does_not_depend_on_the_rest_of_its_batch(lucidflux: LucidFlux) -> None:
    cond = lucidflux.encode(lr())
    z = torch.randn(2, *lucidflux.latent_shape((20, 30)))
    t = torch.tensor([0.9, 0.2])
    with torch.no_grad():
        both = lucidflux.velocity(z, t, cond)
        alone = lucidflux.velocity(z[1:], t[1:], {name: v[1:] for name, v in cond.items()})
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-5)


def test_velocity_follows_time_image_and_proxy(lucidflux: LucidFlux) -> None:
    cond = lucidflux.encode(lr(1))
    z = torch.randn(1, *lucidflux.latent_shape((20, 30)))
    with torch.no_grad():
        v = lucidflux.velocity(z, torch.tensor([0.5]), cond)
        for name in ("lq", "proxy", "siglip"):
            other = cond | {name: 1 - cond[name]}
            assert not torch.equal(lucidflux.velocity(z, torch.tensor([0.5]), other), v)
        assert not torch.equal(lucidflux.velocity(z, torch.tensor([0.6]), cond), v)


def test_officially_every_lr_becomes_the_same_size(lucidflux: LucidFlux) -> None:
    assert lucidflux.latent_shape((20, 30)) == lucidflux.latent_shape((500, 10)) == (16, 8, 16)
    cond = lucidflux.encode(lr(1, 40, 10))
    image = lucidflux.decode(torch.zeros(1, 16, 8, 16), cond)
    assert image.shape == (1, 3, 64, 128)
    assert image.dtype == torch.float32 and image.min() >= 0 and image.max() <= 1


def test_other_shapes_and_no_steps_are_refused(lucidflux: LucidFlux) -> None:
    with pytest.raises(BackboneError, match=r"takes LR \[B,3,h,w\], got \[3, 4, 4\]"):
        lucidflux.encode(torch.zeros(3, 4, 4))
    with pytest.raises(BackboneError, match="at least 1 step"):
        lucidflux.schedule(0, (16, 8, 16))


def test_corrected_keeps_the_shape_and_counts_tokens(lucidflux_weights: Path) -> None:
    model = tiny(lucidflux_weights, corrected=True, width=128, height=128)
    # 30 x 20 at 128 x 128 pixels' area: x sqrt(16384 / 600) = 5.23: 157 x 105, padded to 192 x 128.
    assert model.latent_shape((20, 30)) == (16, 16, 24)
    cond = model.encode(lr(1))
    assert cond["lq"].shape == (1, 3, 128, 192)
    assert torch.equal(cond["lq"][..., 105:, :], cond["lq"][..., 104:105, :].expand(-1, -1, 23, -1))
    image = model.decode(torch.zeros(1, 16, 16, 24), cond)
    assert image.shape == (1, 3, 105, 157)
    official, corrected = (
        latents.schedule(4, height=1024, width=1024, true_tokens=true) for true in (False, True)
    )
    # The true count, 4096, shifts by e^1.15 instead of e^0.4675: e.g. 3.158 / (3.158 + 1/0.75 - 1) = 0.9045.
    assert official[1].item() == pytest.approx(0.8272287, abs=1e-6)
    assert corrected[1].item() == pytest.approx(0.9045, abs=1e-4)


def test_what_a_conditioning_depends_on_is_in_the_key_of_what_is_precomputed(
    lucidflux: LucidFlux, lucidflux_weights: Path
) -> None:
    assert isinstance(lucidflux, Configured)
    changes = ({"width": 192}, {"dtype": "bfloat16"}, {"corrected": True})
    others = [tiny(lucidflux_weights, **change).configuration for change in changes]
    assert len({lucidflux.configuration, *others}) == 4
    assert tiny(lucidflux_weights, guidance=1.0).configuration == lucidflux.configuration


def test_precomputed_conditioning_is_the_same_to_the_bit_and_not_found_for_another_size(
    lucidflux: LucidFlux, lucidflux_weights: Path, tmp_path: Path
) -> None:
    source = LRTensors(lr())
    crops = crops_of_training(source, seed=0, epochs=1, groups=2)
    precompute(tmp_path, source, crops, makers([], lucidflux))
    kept = Store(tmp_path, rewards=[], backbone=lucidflux).conditioning(crops)
    fresh = lucidflux.encode(torch.stack([source.read(crop) for crop in crops]))
    assert kept is not None and kept.keys() == fresh.keys()
    for name, value in fresh.items():
        assert torch.equal(kept[name], value) and kept[name].dtype == value.dtype
    wider = tiny(lucidflux_weights, width=192)
    assert Store(tmp_path, rewards=[], backbone=wider).conditioning(crops) is None


def test_in_bfloat16_the_proxy_network_sees_the_rounded_lr(lucidflux_weights: Path) -> None:
    model = tiny(lucidflux_weights, dtype="bfloat16")
    pixels = torch.full((1, 3, 64, 128), 77, dtype=torch.uint8)
    seen = preprocess.unsigned(preprocess.signed(pixels, torch.bfloat16))
    # 77 / 127.5 - 1 = -0.39608; the nearest bfloat16 is -0.39648, which is (1 - 0.39648) / 2.
    assert seen[0, 0, 0, 0].item() == pytest.approx(0.30176, abs=1e-5)
    cond = model.encode(pixels.float() / 255)
    with torch.no_grad():
        assert torch.equal(cond["proxy"], model.parts.swinir(seen).clamp(0, 1))
        z = model.noise(model.latent_shape((64, 128)), 7)
        assert model.velocity(z, torch.tensor([1.0]), cond).dtype == z.dtype == torch.bfloat16


def test_offloading_changes_no_number(lucidflux: LucidFlux, lucidflux_weights: Path) -> None:
    """Here both places are the CPU: that modules are awake when they work is for a GPU to show (marker gpu)."""
    model = tiny(lucidflux_weights, offload=True)
    for_both = lr(1)
    cond = model.encode(for_both)
    z = model.noise(model.latent_shape((20, 30)), 1)
    with torch.no_grad():
        t = torch.tensor([0.7])
        assert torch.equal(model.velocity(z, t, cond), lucidflux.velocity(z, t, cond))
    assert torch.equal(model.decode(z, cond), lucidflux.decode(z, cond))


@pytest.mark.gpu
def test_offloading_keeps_only_working_modules_on_the_gpu(lucidflux_weights: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    model = tiny(lucidflux_weights, offload=True, device="cuda")
    cond = model.encode(lr(1))
    places = {n: next(m.parameters()).device.type for n, m in model.parts.modules().items()}
    assert places["transformer"] == "cpu" and places["siglip"] == "cuda"
    z = model.noise(model.latent_shape((20, 30)), 1)
    with torch.no_grad():
        model.velocity(z, torch.tensor([0.7], device="cuda"), cond)
    places = {n: next(m.parameters()).device.type for n, m in model.parts.modules().items()}
    assert places["transformer"] == "cuda" and places["siglip"] == "cpu"
