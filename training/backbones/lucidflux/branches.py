"""The two condition branches (LR and proxy) and their modulations: 19 residuals for the transformer's double blocks.

A branch is diffusers' `FluxControlNetModel` with two double blocks. Its two outputs serve all 19 blocks in turn, each
time modulated by the time and by the index of the block. Children bear the official wrapper's names, because adapters
are stored under them; `pre` is the branch of the proxy, called `ldr` in the weights file.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.backbones.lucidflux.sinusoid import Sinusoid

OFFICIAL_NAMES = {
    "lq": "condition_lq",
    "pre": "condition_ldr",
    "modulation_lq": "modulation_lq",
    "modulation_pre": "modulation_ldr",
}
"""Child here and in adapters -> section of lucidflux.pth."""


class Inputs(NamedTuple):
    """What transformer and branches are told at one point of the trajectory, in the model's dtype."""

    tokens: Tensor
    """Packed noisy latents [B, L, 64]."""
    positions: Tensor
    """[L, 3]."""
    text: Tensor
    """The prompt's hidden states [B, T, text]."""
    pooled: Tensor
    """[B, pooled]."""
    t: Tensor
    """[B] in [0, 1]."""
    guidance: Tensor
    """[B]."""


class Modulation(nn.Module):
    """Shift and scale of a residual by time and block index: LayerNorm(x) * (1 + scale) + shift."""

    def __init__(self, width: int) -> None:
        from diffusers.models.embeddings import TimestepEmbedding

        super().__init__()
        self.sinusoid = Sinusoid()
        self.linear = nn.Linear(width, 2 * width)
        self.timestep_embedder = TimestepEmbedding(256, width)
        self.control_index_embedder = TimestepEmbedding(256, width)

    def forward(self, x: Tensor, t: Tensor, index: int) -> Tensor:
        """x [B, L, D] and t [B] in [0, 1] to [B, L, D]; the time is multiplied by 1000, the index is not."""
        time = self.timestep_embedder(self.sinusoid(t * 1000).to(x.dtype))
        place = self.control_index_embedder(self.sinusoid(torch.full_like(t, index)).to(x.dtype))
        shift, scale = self.linear(functional.silu(time + place))[:, None, :].chunk(2, dim=-1)
        return functional.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class DualConditionBranch(nn.Module):
    """Both branches with their modulations."""

    def __init__(
        self, lq: nn.Module, pre: nn.Module, modulation_lq: Modulation, modulation_pre: Modulation
    ) -> None:
        super().__init__()
        self.lq = lq
        self.pre = pre
        self.modulation_lq = modulation_lq
        self.modulation_pre = modulation_pre

    def enable_gradient_checkpointing(self) -> None:
        """In both branches; the modulations are small."""
        for branch in (self.lq, self.pre):
            branch.enable_gradient_checkpointing()  # pyright: ignore[reportCallIssue]

    def forward(
        self, inputs: Inputs, lq_image: Tensor, pre_image: Tensor, blocks: int
    ) -> list[Tensor]:
        """Residuals [B, L, D] for `blocks` double blocks; images [B, 3, H, W] in [-1, 1], in pixels, not latents."""
        of_lq = outputs_of(self.lq, inputs, lq_image)
        of_pre = outputs_of(self.pre, inputs, pre_image)
        return [
            self.modulation_lq(of_lq[n % len(of_lq)], inputs.t, n)
            + self.modulation_pre(of_pre[n % len(of_pre)], inputs.t, n)
            for n in range(blocks)
        ]


def outputs_of(branch: nn.Module, inputs: Inputs, image: Tensor) -> list[Tensor]:
    """What one branch says of its image [B, 3, H, W] in [-1, 1]: a residual [B, L, D] per double block of its own."""
    return branch(
        hidden_states=inputs.tokens,
        controlnet_cond=image,
        encoder_hidden_states=inputs.text,
        pooled_projections=inputs.pooled,
        timestep=inputs.t,
        guidance=inputs.guidance,
        img_ids=inputs.positions,
        txt_ids=inputs.positions.new_zeros(inputs.text.shape[1], 3),
    ).controlnet_block_samples


def flow(
    transformer: nn.Module,
    inputs: Inputs,
    *,
    image_tokens: Tensor | None = None,
    residuals: list[Tensor] | None = None,
) -> Tensor:
    """The velocity of the packed latents [B, L, 64].

    The transformer reads the image's tokens [B, S, text] behind the prompt's; the branches read the prompt only.
    """
    text = inputs.text if image_tokens is None else torch.cat([inputs.text, image_tokens], dim=1)
    return transformer(
        hidden_states=inputs.tokens,
        encoder_hidden_states=text,
        pooled_projections=inputs.pooled,
        timestep=inputs.t,
        guidance=inputs.guidance,
        img_ids=inputs.positions,
        txt_ids=inputs.positions.new_zeros(text.shape[1], 3),
        controlnet_block_samples=residuals,
        return_dict=False,
    )[0]


def predict(
    transformer: nn.Module,
    branches: DualConditionBranch,
    inputs: Inputs,
    *,
    lq_image: Tensor,
    pre_image: Tensor,
    image_tokens: Tensor,
    blocks: int,
) -> Tensor:
    """One evaluation of the whole model: branches, then transformer with their residuals. [B, L, 64]."""
    residuals = branches(inputs, lq_image, pre_image, blocks)
    return flow(transformer, inputs, image_tokens=image_tokens, residuals=residuals)
