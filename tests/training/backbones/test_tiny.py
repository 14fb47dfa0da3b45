"""The tiny backbone keeps the protocol; sizes are the smallest that say something."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from training.backbones import BackboneError, load_backbone
from training.backbones.tiny import RESIDUAL_STD, load, untrained, upsample


def lr(batch=2, height=5, width=7):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_shapes_follow_the_lr_also_where_it_is_not_square():
    backbone = untrained()
    cond = backbone.encode(lr())
    assert backbone.latent_shape((5, 7)) == (3, 20, 28)
    z = torch.randn(2, *backbone.latent_shape((5, 7)))
    assert backbone.velocity(z, torch.tensor([0.2, 0.9]), cond).shape == z.shape
    sr = backbone.decode(z, cond)
    assert sr.shape == (2, 3, 20, 28)
    assert sr.dtype == torch.float32
    assert sr.min() >= 0 and sr.max() <= 1


def test_a_latent_of_zero_is_the_bicubic_upsampling_and_the_residual_adds_to_it():
    backbone = untrained()
    image = 0.3 + 0.4 * lr()
    cond = backbone.encode(image)
    up = F.interpolate(image, scale_factor=4.0, mode="bicubic")
    torch.testing.assert_close(backbone.decode(torch.zeros_like(up), cond), up)
    step = backbone.decode(torch.full_like(up, 0.1), cond) - up
    torch.testing.assert_close(step, torch.full_like(up, 0.1 * RESIDUAL_STD), atol=1e-6, rtol=0)


def test_a_row_does_not_depend_on_the_others():
    backbone = untrained()
    cond, z = backbone.encode(lr()), torch.randn(2, 3, 20, 28)
    t = torch.tensor([0.1, 0.8])
    both = backbone.velocity(z, t, cond)
    second = backbone.velocity(z[1:], t[1:], {k: v[1:] for k, v in cond.items()})
    torch.testing.assert_close(both[1:], second)


def test_adapters_begin_equal_and_only_the_one_that_is_changed_moves():
    backbone = untrained()
    cond, z, t = backbone.encode(lr()), torch.randn(2, 3, 20, 28), torch.tensor([0.3, 0.6])
    at_start = backbone.velocity(z, t, cond)
    default, old = backbone.adapter_parameters("default"), backbone.adapter_parameters("old")
    assert list(default) == list(old)
    with torch.no_grad():
        for parameter in default.values():
            parameter += 0.05
    assert not torch.equal(backbone.velocity(z, t, cond), at_start)
    for adapter in ("old", None):
        with backbone.use(adapter):
            torch.testing.assert_close(backbone.velocity(z, t, cond), at_start)
    assert not torch.equal(backbone.velocity(z, t, cond), at_start), "`use` switches back"


def test_use_switches_back_after_an_error_and_nests():
    backbone = untrained()
    with torch.no_grad():
        backbone.adapter_parameters("default")["exit.bias"].fill_(1.0)
    cond, z, t = backbone.encode(lr()), torch.zeros(2, 3, 20, 28), torch.zeros(2)
    default = backbone.velocity(z, t, cond)
    with pytest.raises(KeyError), backbone.use(None):
        with backbone.use("default"):
            torch.testing.assert_close(backbone.velocity(z, t, cond), default)
        assert not torch.equal(backbone.velocity(z, t, cond), default)
        raise KeyError
    torch.testing.assert_close(backbone.velocity(z, t, cond), default)


def test_only_default_asks_for_gradients():
    backbone = untrained()
    assert all(p.requires_grad for p in backbone.adapter_parameters("default").values())
    assert not any(p.requires_grad for p in backbone.adapter_parameters("old").values())
    (module,) = backbone.trainable_modules().values()
    assert {id(p) for p in module.parameters()} == {
        id(p) for p in backbone.adapter_parameters("default").values()
    }


def test_time_matters_to_the_velocity():
    backbone = untrained()
    cond, z = backbone.encode(lr()), torch.randn(2, 3, 20, 28)
    early, late = (backbone.velocity(z, torch.full((2,), t), cond) for t in (0.05, 0.95))
    assert (early - late).abs().max() > 1e-3


def test_the_schedule_falls_from_one_to_zero():
    times = untrained().schedule(4, (3, 8, 8))
    assert times.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    with pytest.raises(BackboneError, match="at least 1 step"):
        untrained().schedule(0, (3, 8, 8))


def test_weights_are_found_by_file_and_named_by_their_hash(tmp_path):
    net = untrained(seed=3).net
    save_file(net.state_dict(), tmp_path / "a.safetensors")
    backbone = load_backbone("tiny", weights=tmp_path / "a.safetensors")
    assert len(backbone.weights_sha256) == 64
    z, t, cond = torch.randn(1, 3, 8, 8), torch.tensor([0.5]), backbone.encode(lr(1, 2, 2))
    torch.testing.assert_close(backbone.velocity(z, t, cond), net(z, t, cond["up"]))


def test_bad_weights_and_bad_images_say_what_is_wrong(tmp_path):
    with pytest.raises(BackboneError, match=r"training\.pretrain_tiny"):
        load(weights=tmp_path / "missing.safetensors")
    cut = tmp_path / "cut.safetensors"
    save_file(untrained().net.state_dict(), cut)
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(BackboneError, match="does not hold the tiny network"):
        load(weights=cut)
    save_file({"entry.weight": torch.zeros(8, 24, 3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(BackboneError, match="does not hold the tiny network"):
        load(weights=tmp_path / "other.safetensors")
    with pytest.raises(BackboneError, match=r"at least 2 x 2"):
        untrained().encode(torch.rand(1, 3, 1, 5))


def test_upsampling_stays_within_the_range_where_bicubic_overshoots():
    step = torch.zeros(1, 3, 4, 4)
    step[..., 2:] = 1.0
    assert F.interpolate(step, scale_factor=4.0, mode="bicubic").max() > 1.01
    assert upsample(step).max() == 1.0
    assert math.isclose(upsample(step).min().item(), 0.0)
