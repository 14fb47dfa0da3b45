"""What LucidFlux needs of memory, from the shapes of the full-size networks: nothing is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from training.backbones.lucidflux.latents import latent_size
from training.backbones.lucidflux.networks import full_size
from training.backbones.lucidflux.sizes import Sizes

BYTES = {
    "transformer": 2,
    "branches": 2,
    "connector": 2,
    "siglip": 2,
    "swinir": 4,
    "vae_decoder": 4,
}
"""Per parameter as run on a GPU: bfloat16, and float32 for proxy and decoder."""
WHEN = {
    "transformer": "every step",
    "branches": "every step",
    "connector": "every step",
    "siglip": "once per LR",
    "swinir": "once per LR",
    "vae_decoder": "once per result",
}


@dataclass(frozen=True)
class Need:
    """One network's weights."""

    module: str
    parameters: int
    bytes: int
    when: str


def weights() -> list[Need]:
    """Per network, largest first."""
    needs: list[Need] = []
    for name, module in full_size().items():
        count = sum(parameter.numel() for parameter in module.parameters())
        needs.append(Need(name, count, count * BYTES[name], WHEN[name]))
    return sorted(needs, key=lambda need: -need.bytes)


def conditioning_bytes(height: int, width: int) -> int:
    """Of one LR's conditioning as `encode` gives it: LR as bytes, proxy in float32, SigLIP tokens in bfloat16."""
    siglip = Sizes().siglip
    tokens = (siglip["image_size"] // siglip["patch_size"]) ** 2
    return 3 * height * width * (1 + 4) + tokens * siglip["hidden_size"] * 2


def residual_bytes(height: int, width: int) -> int:
    """Of the branches' residuals for one sample and one step, in bfloat16."""
    rows, columns = latent_size(height, width)
    flux = Sizes().flux
    return flux.double_blocks * (rows // 2) * (columns // 2) * flux.hidden * 2


def table(height: int = 1024, width: int = 1024) -> list[str]:
    """As Markdown, for the terminal and for docs/lucidflux.md."""
    rows = ["| module | parameters | weights, GiB | needed |", "|---|---|---|---|"]
    needs = weights()
    for need in needs:
        rows.append(
            f"| {need.module} | {need.parameters / 1e6:,.1f} M | {need.bytes / 2**30:.2f} | {need.when} |"
        )
    total = sum(need.bytes for need in needs)
    steps = sum(need.bytes for need in needs if need.when == "every step")
    rows.append(
        f"| all | {sum(need.parameters for need in needs) / 1e6:,.1f} M | {total / 2**30:.2f} | |"
    )
    rows.append(f"| with `--offload`, at most | | {steps / 2**30:.2f} | |")
    rows.append("")
    rows.append(
        f"Per sample of {width}x{height}: conditioning {conditioning_bytes(height, width) / 2**20:.1f} MiB, "
        f"residuals of one step {residual_bytes(height, width) / 2**20:.0f} MiB; activations come on top."
    )
    return rows
