"""LucidFlux behind the Backbone protocol: encode, velocity, decode, as the official inference does them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from training.backbones import Adapter, BackboneError, Conditioning, OwnSettings
from training.backbones.adapters import LoraAdapters
from training.backbones.lucidflux import preprocess
from training.backbones.lucidflux.branches import Inputs, predict
from training.backbones.lucidflux.colour import colour_fix
from training.backbones.lucidflux.folder import LICENSE, Parts
from training.backbones.lucidflux.latents import (
    OFFICIAL_SEED,
    latent_size,
    noise,
    pack,
    schedule,
    token_positions,
    unpack,
)
from training.backbones.lucidflux.lora import save_official, scales_of
from training.backbones.lucidflux.oddities import OFFICIAL, Oddities

GUIDANCE = 4.0
"""The official one."""


class LucidFlux:
    """See training.backbones.Backbone for the shared methods.

    A conditioning holds, per sample, `lq` (the resized LR, uint8 [3,H,W]), `proxy` (float32 [3,H,W] in [0,1]),
    `siglip` (tokens before the connector) and `shape` (height and width that count): everything expensive that does
    not depend on z or t, to be computed once. Branches depend on both and run at every step.
    """

    name = "lucidflux"
    license = LICENSE

    def __init__(
        self,
        parts: Parts,
        *,
        weights_sha256: str,
        width: int = 1024,
        height: int = 1024,
        guidance: float = GUIDANCE,
        device: torch.device | str = "cpu",
        oddities: Oddities = OFFICIAL,
        offload: bool = False,
        gradient_checkpointing: bool = False,
        adapters: LoraAdapters | None = None,
        decode_batch: int = 1,
        merged: bool = False,
    ) -> None:
        preprocess.check_size(width, height)
        self.parts = parts
        self.weights_sha256 = weights_sha256
        self.width, self.height, self.guidance = width, height, guidance
        self.device = torch.device(device)
        self.oddities = oddities
        self.offload = offload
        self.decode_batch = decode_batch
        self.merged = merged
        self.dtype = parts.text.dtype
        self.text, self.pooled = parts.text.to(self.device), parts.pooled.to(self.device)
        self._adapters = adapters
        if gradient_checkpointing:
            parts.transformer.enable_gradient_checkpointing()  # pyright: ignore[reportCallIssue]
            parts.branches.enable_gradient_checkpointing()
        if not offload:
            for module in parts.modules().values():
                module.to(self.device)

    @property
    def configuration(self) -> str:
        """What a conditioning depends on besides pixels and weights."""
        size = f"{self.width}x{self.height}"
        siglip = next(self.parts.siglip.parameters()).dtype
        return f"{size} {self.dtype} {siglip} {self.oddities}"

    @property
    def own_settings(self) -> OwnSettings:
        """The official seed, for every image the same unless corrected, and images as they are stored."""
        notes = {
            "size": f"{self.width}x{self.height}",
            "dtype": str(self.dtype).removeprefix("torch."),
            "corrected": str(self.oddities != OFFICIAL),
        }
        if self.merged:
            notes["adapter"] = "merged"
        if self.guidance != GUIDANCE:
            notes["guidance"] = str(self.guidance)
        return OwnSettings(
            seed=OFFICIAL_SEED,
            seeds="constant" if self.oddities.same_noise else "per-image",
            upright=not self.oddities.as_stored,
            notes=notes,
        )

    @contextmanager
    def _awake(self, *names: str) -> Generator[None]:
        """With offloading, only these modules are on the device; all others wait in the CPU's memory."""
        if self.offload:
            for name, module in self.parts.modules().items():
                module.to(self.device if name in names else "cpu")
        yield

    def encode(self, lr: Tensor) -> Conditioning:
        """Resized LR, proxy and SigLIP tokens; one image at a time, so that a sample does not depend on its batch."""
        if lr.ndim != 4 or lr.shape[1] != 3 or not lr.numel():
            raise BackboneError(f"lucidflux takes LR [B,3,h,w], got {list(lr.shape)}.")
        with torch.no_grad(), self._awake("swinir", "siglip"):
            each = [self._encode_one(preprocess.to_bytes(image)) for image in lr]
        return {key: torch.stack([one[key] for one in each]) for key in each[0]}

    def _encode_one(self, pixels: Tensor) -> dict[str, Tensor]:
        height, width = self._fitted(pixels.shape[1], pixels.shape[2])
        lq = preprocess.resize(pixels, height, width)
        lq = preprocess.pad_edge(lq, *preprocess.padded(height, width)).to(self.device)
        seen = preprocess.unsigned(preprocess.signed(lq, self.dtype))
        proxy = self.parts.swinir(seen[None]).float().clamp(0, 1)[0]
        side = self.parts.sizes.siglip["image_size"]
        pixels_in = preprocess.for_siglip(proxy, side, truncate=self.oddities.tokens_truncated)
        siglip_dtype = next(self.parts.siglip.parameters()).dtype
        tokens = self.parts.siglip(pixels_in.to(self.device, siglip_dtype)).last_hidden_state[0]
        shape = torch.tensor([height, width], device=self.device)
        return {"lq": lq, "proxy": proxy, "siglip": tokens, "shape": shape}

    def _fitted(self, height: int, width: int) -> tuple[int, int]:
        if self.oddities.aspect_lost:
            return self.height, self.width
        return preprocess.fitted(height, width, canvas=(self.height, self.width))

    def latent_shape(self, lr_size: tuple[int, int]) -> tuple[int, ...]:
        """(16, rows, columns); officially the same for every LR."""
        size = preprocess.padded(*self._fitted(*lr_size))
        return (self.parts.sizes.vae.latent, *latent_size(*size))

    def schedule(self, steps: int, latent_shape: tuple[int, ...]) -> Tensor:
        """FLUX's shifted times, with the official count of tokens."""
        if steps < 1:
            raise BackboneError(f"A schedule needs at least 1 step, got {steps}.")
        _, rows, columns = latent_shape
        true = not self.oddities.token_count_of_64th
        return schedule(steps, height=8 * rows, width=8 * columns, true_tokens=true)

    def noise(self, latent_shape: tuple[int, ...], seed: int) -> Tensor:
        """[1, *latent_shape], drawn as the official code does: in the model's dtype, on the model's device."""
        return noise(latent_shape, seed=seed, dtype=self.dtype, device=self.device)

    def velocity(self, z: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        """In the model's dtype inside, in z's outside; a bfloat16 z goes the official way bit by bit."""
        # Dtypes are chosen here, one by one; autocast would choose others.
        plain = torch.autocast(self.device.type, enabled=False)
        with self._awake("branches", "transformer", "connector"), plain:
            tokens = pack(z.to(self.device, self.dtype))
            count = tokens.shape[0]
            inputs = Inputs(
                tokens=tokens,
                positions=token_positions(z.shape[-2], z.shape[-1], like=tokens),
                text=self.text.expand(count, -1, -1),
                pooled=self.pooled.expand(count, -1),
                t=t.to(self.device, self.dtype),
                guidance=tokens.new_full((count,), self.guidance),
            )
            lq_image, pre_image = self.images(cond)
            v = predict(
                self.parts.transformer,
                self.parts.branches,
                inputs,
                lq_image=lq_image,
                pre_image=pre_image,
                image_tokens=self.image_tokens(cond),
                blocks=self.parts.sizes.flux.double_blocks,
            )
        return unpack(v, z.shape[-2], z.shape[-1]).to(z)

    def images(self, cond: Conditioning) -> tuple[Tensor, Tensor]:
        """LR and proxy [B,3,H,W] in [-1,1] as the branches see them, in the model's dtype."""
        lq = preprocess.signed(cond["lq"].to(self.device), self.dtype)
        return lq, (cond["proxy"].to(self.device) * 2 - 1).to(self.dtype)

    def image_tokens(self, cond: Conditioning) -> Tensor:
        """SigLIP's tokens through the connector: [B, S, text] in the model's dtype."""
        dtype = next(self.parts.connector.parameters()).dtype
        tokens = cond["siglip"].to(self.device, dtype)
        return self.parts.connector(tokens).image_embeds.to(self.dtype)

    def decode(self, z: Tensor, cond: Conditioning) -> Tensor:
        """Decoded in float32, colours taken from the proxy; padding (which officially never is) cut off."""
        with torch.no_grad(), self._awake("vae"):
            content = torch.cat([self.decoded(part) for part in z.split(self.decode_batch)])
        fixed = colour_fix(content, cond["proxy"].to(self.device)).clamp(0, 1)
        height, width = (int(value) for value in cond["shape"][0])
        return fixed[:, :, :height, :width]

    def decoded(self, z: Tensor) -> Tensor:
        """[B,3,H,W] in [0,1] before the colour fix."""
        vae = self.parts.sizes.vae
        image = self.parts.vae(z.to(self.device, torch.float32) / vae.scale + vae.shift)
        return (image.clamp(-1, 1) + 1) / 2

    def trainable_modules(self) -> Mapping[str, nn.Module]:
        """`transformer` and `branches`, as far as they carry adapters."""
        return self._trained().trainable_modules()

    def adapter_parameters(self, adapter: Adapter) -> Mapping[str, nn.Parameter]:
        """LoRA by `<module>.<layer>.lora_A.weight`."""
        return self._trained().parameters(adapter)

    def draw(self, seed: int) -> None:
        """New adapters from a seed; those that were loaded, and a LucidFlux without any, stay."""
        if self._adapters is not None:
            self._adapters.draw(seed)

    def use(self, adapter: Adapter | None) -> AbstractContextManager[None]:
        """Switches adapters; without any there is only the reference, whatever is asked for."""
        return nullcontext() if self._adapters is None else self._adapters.use(adapter)

    def save_adapter(self, out: Path, values: Mapping[str, Tensor] | None = None) -> list[Path]:
        """`default` (or these values for it) in LucidNFT's layout below `out`; returns the folders written."""
        adapters = self._trained()
        chosen = adapters.parameters("default") if values is None else values
        return save_official(chosen, scales_of(adapters), self.parts.sizes, out)

    def _trained(self) -> LoraAdapters:
        if self._adapters is None:
            raise BackboneError(
                "This LucidFlux carries no trainable adapters: load it with lora_rank (new ones) or lora_from "
                "(a folder in LucidNFT's layout)"
            )
        return self._adapters
