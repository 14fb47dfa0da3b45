"""The stock networks of diffusers, transformers and spandrel, in the sizes asked for, with official weights inside.

Nothing is allocated before the weights come: networks are built on the meta device and take the tensors of the file
over. `Sizes()` gives the full-size ones, whose names and shapes the tests compare with the official files'.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.backbones import BackboneError
from training.backbones.lucidflux.branches import OFFICIAL_NAMES, DualConditionBranch, Modulation
from training.backbones.lucidflux.keys import branch_tensors, transformer_tensors
from training.backbones.lucidflux.sinusoid import same_everywhere
from training.backbones.lucidflux.sizes import FluxSizes, Sizes, SwinIRSizes, VaeSizes
from training.backbones.lucidflux.tensors import load_strictly

State = Mapping[str, Tensor]


def transformer(sizes: FluxSizes) -> nn.Module:
    """FLUX.1 [dev], without weights."""
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    with torch.device("meta"):
        module = FluxTransformer2DModel(
            in_channels=sizes.channels,
            num_layers=sizes.double_blocks,
            num_single_layers=sizes.single_blocks,
            **_shared(sizes),
        )
    return same_everywhere(official_rounding(module)).eval()


def branch(sizes: FluxSizes, blocks: int = 2) -> nn.Module:
    """One condition branch (XLabs' ControlNet), without weights."""
    from diffusers.models.controlnets.controlnet_flux import FluxControlNetModel

    with torch.device("meta"), warnings.catch_warnings():
        # Diffusers warns about an import path of its own.
        warnings.simplefilter("ignore", FutureWarning)
        module = FluxControlNetModel(
            patch_size=2,
            in_channels=sizes.channels,
            num_layers=blocks,
            num_single_layers=0,
            conditioning_embedding_channels=16,
            **_shared(sizes),
        )
    return same_everywhere(official_rounding(module)).eval()


def branches(sizes: FluxSizes, blocks: int = 2) -> DualConditionBranch:
    """Both branches and modulations, without weights."""
    with torch.device("meta"):
        modulations = [Modulation(sizes.hidden) for _ in range(2)]
    return DualConditionBranch(branch(sizes, blocks), branch(sizes, blocks), *modulations).eval()


def connector(siglip_width: int, text: int) -> nn.Module:
    """From SigLIP's tokens to the transformer's text space (FLUX.1 Redux), without weights."""
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder

    with torch.device("meta"):
        return ReduxImageEncoder(redux_dim=siglip_width, txt_in_features=text).eval()


def swinir(sizes: SwinIRSizes) -> nn.Module:
    """The proxy network. Its attention masks are computed here, hence not on the meta device."""
    from spandrel.architectures.SwinIR import SwinIR

    with warnings.catch_warnings():
        # torch.meshgrid wants an argument that spandrel does not give.
        warnings.simplefilter("ignore", UserWarning)
        return SwinIR(
            img_size=sizes.img_size,
            embed_dim=sizes.embed_dim,
            depths=list(sizes.depths),
            num_heads=list(sizes.num_heads),
            window_size=sizes.window_size,
            mlp_ratio=sizes.mlp_ratio,
            upscale=8,
            upsampler="nearest+conv",
            start_unshuffle=8,
        ).eval()


def siglip(config: Mapping[str, Any]) -> nn.Module:
    """The vision half of SigLIP. It computes position indices, hence not on the meta device."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    return SiglipVisionModel(SiglipVisionConfig(**config)).eval()


def vae_decoder(sizes: VaeSizes) -> nn.Module:
    """The decoder of FLUX's autoencoder, without weights; the encoder is not needed."""
    from diffusers.models.autoencoders.vae import Decoder

    with torch.device("meta"):
        return Decoder(
            in_channels=sizes.latent,
            up_block_types=("UpDecoderBlock2D",) * len(sizes.channels),
            block_out_channels=sizes.channels,
            layers_per_block=sizes.layers,
        ).eval()


def official_rounding(module: nn.Module) -> nn.Module:
    """Exchanges torch's RMSNorm for diffusers' own, which casts to bfloat16 before it multiplies, as the official does.

    In float32 they agree; in bfloat16 the whole loop is bit-equal to the official one with this, and off by 0.035
    without.
    """
    from diffusers.models.normalization import RMSNorm

    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.RMSNorm):
                with torch.device("meta"):
                    setattr(parent, name, RMSNorm(child.normalized_shape[0], eps=child.eps or 1e-6))
    return module


def load_transformer(
    sizes: FluxSizes, state: State, *, where: str, dtype: torch.dtype
) -> nn.Module:
    """From the tensors of flux1-dev.safetensors.

    Raises:
        BackboneError: see load_strictly (also of the functions below).
    """
    module = transformer(sizes)
    table = transformer_tensors(sizes.double_blocks, sizes.single_blocks)
    load_strictly(module, state, where=where, table=table, dtype=dtype)
    return module


def load_branches(
    sizes: FluxSizes,
    sections: Mapping[str, State],
    *,
    where: str,
    dtype: torch.dtype,
    blocks: int = 2,
) -> DualConditionBranch:
    """From the sections condition_lq, condition_ldr, modulation_lq, modulation_ldr of lucidflux.pth."""
    module = branches(sizes, blocks)
    for child, section in OFFICIAL_NAMES.items():
        if section not in sections:
            raise BackboneError(f"{where} lacks the section {section!r}; it has {sorted(sections)}")
        table = None if child.startswith("modulation") else branch_tensors(blocks)
        load_strictly(
            getattr(module, child),
            sections[section],
            where=f"{where}, section {section!r}",
            table=table,
            dtype=dtype,
        )
    return module


def load_connector(state: State, *, where: str, dtype: torch.dtype) -> nn.Module:
    """From the section connector of lucidflux.pth; its widths are read off the tensors."""
    try:
        text, width = state["redux_down.weight"].shape[0], state["redux_up.weight"].shape[1]
    except KeyError as error:
        raise BackboneError(f"{where} lacks {error}; it has {sorted(state)}") from error
    module = connector(width, text)
    load_strictly(module, state, where=where, dtype=dtype)
    return module


def load_swinir(sizes: SwinIRSizes, content: Mapping[str, Any], *, where: str) -> nn.Module:
    """From general_swinir_v1.ckpt: perhaps nested in `state_dict`, perhaps with `module.` in front. float32."""
    state = content.get("state_dict", content)
    renamed = {
        name.replace("module.", "").replace("conv_first.1.", "conv_first."): tensor
        for name, tensor in state.items()
    }
    module = swinir(sizes)
    load_strictly(
        module,
        renamed,
        where=where,
        optional=r"(attn_mask|relative_position_index)$",
        dtype=torch.float32,
    )
    return module


def load_siglip(
    config: Mapping[str, Any], state: State, *, where: str, dtype: torch.dtype
) -> nn.Module:
    """From a full SigLIP, whose text half is left aside, or from its vision half alone."""
    module = siglip(config)
    text = ("text_model.", "logit_scale", "logit_bias")
    ours = {
        name.removeprefix("vision_model."): tensor
        for name, tensor in state.items()
        if not name.startswith(text)
    }
    if any(name.startswith("vision_model.") for name in module.state_dict()):
        ours = {f"vision_model.{name}": tensor for name, tensor in ours.items()}
    load_strictly(module, ours, where=where, dtype=dtype)
    return module.to(dtype)


def load_vae_decoder(sizes: VaeSizes, state: State, *, where: str) -> nn.Module:
    """From ae.safetensors; the encoder's tensors are left aside. float32."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    blocks = range(len(sizes.channels))
    config = {"down_block_types": list(blocks), "up_block_types": list(blocks)}
    converted = convert_ldm_vae_checkpoint(dict(state), config)
    decoder = {
        name.removeprefix("decoder."): tensor
        for name, tensor in converted.items()
        if name.startswith("decoder.")
    }
    strangers = {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith(("decoder.", "encoder."))
    }
    module = vae_decoder(sizes)
    load_strictly(module, decoder | strangers, where=where, dtype=torch.float32)
    return module


def full_size() -> dict[str, nn.Module]:
    """All networks at full size on the meta device, to count and compare without a byte of weights."""
    sizes = Sizes()
    with torch.device("meta"):
        vision = siglip(sizes.siglip)
    return {
        "transformer": transformer(sizes.flux),
        "branches": branches(sizes.flux, sizes.branch_blocks),
        "connector": connector(sizes.siglip["hidden_size"], sizes.flux.text),
        # Its constructor reads numbers off tensors, which the meta device has none of; it is small.
        "swinir": swinir(sizes.swinir).to("meta"),
        "siglip": vision,
        "vae_decoder": vae_decoder(sizes.vae),
    }


def _shared(sizes: FluxSizes) -> dict[str, Any]:
    return {
        "attention_head_dim": sizes.hidden // sizes.heads,
        "num_attention_heads": sizes.heads,
        "joint_attention_dim": sizes.text,
        "pooled_projection_dim": sizes.pooled,
        "guidance_embeds": True,
        "axes_dims_rope": sizes.axes,
    }
