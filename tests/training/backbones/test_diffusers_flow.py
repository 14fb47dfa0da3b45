"""SD3, FLUX and SANA with a control branch, tiny and random: loaded from files as real ones are, and trained."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from tests.training.small import Agreement, Contrast, photographs, small_config
from training.backbones import BackboneError, load_backbone
from training.train_nft import main

KL = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "scaling_factor": 0.36,
    "shift_factor": 0.12,
    "sample_size": 16,
}


def tiny_folder(family, folder):
    """Random networks, saved as diffusers saves them."""
    import diffusers as d

    torch.manual_seed(0)
    prompt = {"prompt_embeds": torch.randn(1, 5, 16), "pooled": torch.randn(1, 16)}
    scheduler = '{"shift": 3.0}'
    if family == "sd3":
        sizes = {
            "sample_size": 16,
            "patch_size": 2,
            "in_channels": 4,
            "attention_head_dim": 8,
            "num_attention_heads": 2,
            "joint_attention_dim": 16,
            "caption_projection_dim": 16,
            "pooled_projection_dim": 16,
            "out_channels": 4,
            "pos_embed_max_size": 16,
        }
        parts = [
            d.SD3Transformer2DModel(num_layers=2, **sizes),
            d.SD3ControlNetModel(num_layers=1, **sizes),
        ]
        vae = d.AutoencoderKL(**KL)
    elif family == "flux":
        sizes = {
            "patch_size": 1,
            "in_channels": 16,
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "joint_attention_dim": 16,
            "pooled_projection_dim": 16,
            "axes_dims_rope": (4, 6, 6),
        }
        parts = [
            d.FluxTransformer2DModel(
                num_layers=2, num_single_layers=2, guidance_embeds=True, **sizes
            ),
            d.FluxControlNetModel(num_layers=1, num_single_layers=1, **sizes),
        ]
        vae = d.AutoencoderKL(**KL)
        scheduler = '{"use_dynamic_shifting": true}'
    else:
        sizes = {
            "in_channels": 4,
            "out_channels": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 8,
            "num_cross_attention_heads": 2,
            "cross_attention_head_dim": 8,
            "cross_attention_dim": 16,
            "caption_channels": 16,
            "sample_size": 8,
        }
        parts = [
            d.SanaTransformer2DModel(num_layers=2, **sizes),
            d.SanaControlNetModel(num_layers=1, **sizes),
        ]
        vae = d.AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            scaling_factor=0.41,
        )
        prompt = {"prompt_embeds": prompt["prompt_embeds"], "attention_mask": torch.ones(1, 5)}
    with torch.no_grad():
        # The branch's exits begin at zero: without this it would change nothing.
        for parameter in parts[1].parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    for name, module in zip(("transformer", "controlnet", "vae"), (*parts, vae), strict=True):
        module.save_pretrained(folder / name)
    save_file(prompt, folder / "prompt.safetensors")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(scheduler)
    return folder


@pytest.fixture(scope="module", params=["sd3", "flux", "sana"])
def folder(request, tmp_path_factory):
    return tiny_folder(request.param, tmp_path_factory.mktemp(request.param))


def test_velocity_depends_on_the_control_and_not_on_batch_mates(folder):
    backbone = load_backbone("diffusers_flow", weights=folder, scale=2, device="cpu")
    lr = photographs(2, edge=8)
    images = torch.stack([lr.read(lr.crop(key, seed=0, epoch=0)) for key in lr.keys])
    cond = backbone.encode(images)
    shape = backbone.latent_shape((8, 8))
    assert shape == (4, 8, 8)
    z = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.7, 0.2])
    v = backbone.velocity(z, t, cond)
    assert v.shape == z.shape and v.isfinite().all()
    for row in range(2):
        alone = backbone.velocity(
            z[row : row + 1], t[row : row + 1], {"control": cond["control"][row : row + 1]}
        )
        torch.testing.assert_close(alone, v[row : row + 1], rtol=1e-4, atol=1e-5)
    other = backbone.velocity(z, t, {"control": cond["control"].flip(0)})
    assert (other - v).abs().max() > 1e-5
    image = backbone.decode(z, cond)
    assert image.shape == (2, 3, 16, 16) and image.min() >= 0 and image.max() <= 1
    times = backbone.schedule(4, shape)
    assert times[0] == 1 and times[-1] == 0 and bool((times.diff() < 0).all())


@pytest.mark.slow
def test_an_epoch_of_nft_trains_transformer_and_branch(folder, tmp_path):
    backbone = load_backbone(
        "diffusers_flow", weights=folder, scale=2, device="cpu", lora_rank=2, lora_alpha=4
    )
    config = small_config(tmp_path, epochs=1, groups=2, group_size=3, learning_rate=1e-2)
    done = main(
        config, backbone=backbone, rewards=[Agreement(), Contrast()], lrs=photographs(3, edge=8)
    )
    moved = {
        name.split(".")[0] for name, value in done.ema.items() if "lora_B" in name and value.any()
    }
    assert moved == {"transformer", "controlnet"}


def test_what_does_not_fit_is_said(folder, tmp_path):
    with pytest.raises(BackboneError, match="it needs transformer/, controlnet/"):
        load_backbone("diffusers_flow", weights=tmp_path)
    backbone = load_backbone("diffusers_flow", weights=folder, scale=1, device="cpu")
    with pytest.raises(BackboneError, match="multiples of"):
        backbone.latent_shape((7, 7))
    with pytest.raises(BackboneError, match="load it with lora_rank"):
        backbone.trainable_modules()
