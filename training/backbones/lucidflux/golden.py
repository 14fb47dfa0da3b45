"""Golden values of the official code, piece by piece (a to j), against the code that users run.

`check(folder)` takes any set in the layout of tests/golden/lucidflux, made with other seeds or sizes for instance:
tiny random weights under official names (`sd.*`), inputs, and what the official code made of them.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.backbones import BackboneError
from training.backbones.lucidflux import latents, load, merging, networks, preprocess
from training.backbones.lucidflux.branches import (
    Inputs,
    Modulation,
    flow,
    outputs_of,
    predict,
)
from training.backbones.lucidflux.colour import bands, colour_fix
from training.backbones.lucidflux.golden_set import Golden, write_weights
from training.backbones.lucidflux.tensors import load_strictly
from training.data import to_bytes
from training.flow_matching import trajectory


@dataclass(frozen=True)
class Finding:
    """The worst absolute difference of one quantity."""

    piece: str
    what: str
    worst: float
    allowed: float

    @property
    def ok(self) -> bool:
        """Within the tolerance (NaN is not)."""
        return self.worst <= self.allowed

    def line(self) -> str:
        """For a person."""
        verdict = "ok" if self.ok else "BEYOND"
        numbers = f"worst {self.worst:<10.3g} allowed {self.allowed:<7.3g}"
        return f"{self.piece}  {self.what:<44} {numbers} {verdict}"


def worst_of_pieces(findings: Sequence[Finding]) -> list[Finding]:
    """The worst of each piece; where a piece has several tolerances, one for each."""
    worst: dict[tuple[str, float], Finding] = {}
    for one in findings:
        key = one.piece, one.allowed
        # NaN is worse than any number, and compares with none.
        before = worst.get(key)
        if before is None or (isnan(one.worst), one.worst) > (isnan(before.worst), before.worst):
            worst[key] = one
    return list(worst.values())


def worst(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference; infinite if the shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return (ours.double() - theirs.double()).abs().max().item()


def check(folder: Path) -> Iterator[Finding]:
    """All pieces, in order.

    Raises:
        BackboneError: a file of the set is missing, damaged, or lacks a tensor.
    """
    if not folder.is_dir():
        raise BackboneError(f"There is no folder {folder}")
    with torch.no_grad():
        for letter, piece in PIECES.items():
            for what, difference, allowed in piece(folder):
                yield Finding(letter, what, difference, allowed)


Differences = Iterator[tuple[str, float, float]]


def _transformer(folder: Path) -> Differences:
    golden = Golden(folder, "a_transformer")
    model = networks.load_transformer(
        golden.flux(), golden.state(), where=str(golden.path), dtype=torch.float32
    )
    yield "velocity", worst(flow(model, golden.inputs()), golden["out_no_residual"]), 1e-5
    given = [golden[f"residual.{i}"] for i in range(golden.flux().double_blocks)]
    steered = flow(model, golden.inputs(), residuals=given)
    yield "velocity with residuals", worst(steered, golden["out_with_residual"]), 1e-5


def _branch(folder: Path) -> Differences:
    golden = Golden(folder, "b_condition_branch")
    blocks = golden.meta["controlnet_depth"]
    model = networks.branch(golden.flux(), blocks)
    load_strictly(
        model, golden.state(), where=str(golden.path), table=networks.branch_tensors(blocks)
    )
    hint: Any = model.get_submodule("input_hint_block")(golden["controlnet_cond"])
    yield "hint", worst(hint, golden["hint_features"]), 1e-5
    yield "hint, packed", worst(latents.pack(hint), golden["hint_packed"]), 1e-5
    for i, out in enumerate(outputs_of(model, golden.inputs(), golden["controlnet_cond"])):
        yield f"output {i}", worst(out, golden[f"out.{i}"]), 1e-5


def _modulation(folder: Path) -> Differences:
    golden = Golden(folder, "c_modulation")
    model = Modulation(golden.meta["dim"])
    load_strictly(model, golden.state(), where=str(golden.path))
    sinusoid = model.sinusoid(golden["timesteps"] * 1000)
    yield "sinusoid", worst(sinusoid, golden["time_proj_of_t1000"]), 1e-6
    for name in sorted(golden.tensors):
        if found := re.fullmatch(r"out\.index(\d+)", name):
            out = model(golden["x"], golden["timesteps"], int(found[1]))
            yield f"index {found[1]}", worst(out, golden[name]), 1e-6


def _branches(folder: Path) -> Differences:
    golden = Golden(folder, "d_dual_composer")
    model = networks.load_branches(
        golden.flux(), golden.sections(), where=str(golden.path), dtype=torch.float32
    )
    out = model(
        golden.inputs(),
        golden["condition_cond_lq"],
        golden["condition_cond_ldr"],
        golden.meta["num_blocks"],
    )
    differences = [worst(one, golden[f"out.{n:02d}"]) for n, one in enumerate(out)]
    yield f"{len(out)} residuals", max(differences), 1e-5


def _schedule(folder: Path) -> Differences:
    golden = Golden(folder, "e_schedule")
    for name in sorted(golden.tensors):
        if found := re.fullmatch(r"w(\d+)_h(\d+)_n(\d+)", name):
            width, height, steps = map(int, found.groups())
            times = latents.schedule(steps, height=height, width=width)
            yield f"{width}x{height}, {steps} steps", worst(times, golden[name]), 0.0


def _colour(folder: Path) -> Differences:
    golden = Golden(folder, "f_wavelet")
    high, low = bands(golden["content"][None], golden.meta["levels"])
    yield "high band", worst(high[0], golden["content_high"]), 1e-6
    yield "low band", worst(low[0], golden["content_low"]), 1e-6
    fixed = colour_fix(golden["content"][None], golden["style"][None], golden.meta["levels"])[0]
    yield "before clamping", worst(fixed, golden["out_unclamped"]), 1e-6
    yield "clamped", worst(fixed.clamp(0, 1), golden["out"]), 1e-6


def _noise(folder: Path) -> Differences:
    golden = Golden(folder, "g_noise")
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    for name in sorted(golden.tensors):
        if found := re.fullmatch(r"(fp32|bf16)_seed(\d+)_h(\d+)_w(\d+)", name):
            kind, seed, height, width = found[1], int(found[2]), int(found[3]), int(found[4])
            shape = (16, *latents.latent_size(height, width))
            drawn = latents.noise(shape, seed=seed, dtype=dtypes[kind])
            yield f"{kind}, seed {seed}", worst(drawn, golden[name]), 0.0
            if kind == "fp32" and f"packed_fp32_seed{seed}" in golden.tensors:
                packed = latents.pack(drawn)
                yield "packed", worst(packed, golden[f"packed_fp32_seed{seed}"]), 0.0
                places = latents.token_positions(*shape[1:], like=packed)
                yield "positions", worst(places, golden[f"img_ids_seed{seed}"][0]), 0.0
                back = latents.unpack(packed, *shape[1:])
                yield "unpacked", worst(back, golden[f"unpacked_fp32_seed{seed}"]), 0.0
        elif found := re.fullmatch(r"(fp32|bf16)_seed(\d+)_(\d+)_first(\d+)", name):
            shape = (16, *latents.latent_size(int(found[3]), int(found[3])))
            drawn = latents.noise(shape, seed=int(found[2]), dtype=dtypes[found[1]])
            first = drawn.flatten()[: int(found[4])]
            yield f"{found[1]}, {found[3]} px", worst(first, golden[name]), 0.0
            digest = golden.meta.get(f"sha256_{found[1]}_{found[3]}")
            if digest:
                ours = hashlib.sha256(drawn.numpy().tobytes()).hexdigest()
                yield f"{found[1]}, {found[3]} px, all of it", float(ours != digest), 0.0


def _loop(folder: Path) -> Differences:
    golden, weights = Golden(folder, "h_denoise_loop"), Golden(folder, "d_dual_composer")
    for dtype, prefix, allowed in ((torch.float32, "", 1e-5), (torch.bfloat16, "bf16_", 5e-2)):
        states = _denoise(golden, weights, dtype)
        for step, state in enumerate(states):
            name = f"{prefix}latent_after_step{step}"
            if name in golden.tensors:
                kind = str(dtype).removeprefix("torch.")
                yield f"{kind}, step {step}", worst(state, golden[name]), allowed
        if not prefix:
            rows, columns = golden["unpacked"].shape[-2:]
            unpacked = latents.unpack(states[-1], rows, columns)
            yield "unpacked", worst(unpacked, golden["unpacked"]), allowed


def _denoise(golden: Golden, weights: Golden, dtype: torch.dtype) -> list[Tensor]:
    flux = golden.flux()
    model = networks.load_transformer(
        flux, golden.state("flux."), where=str(golden.path), dtype=dtype
    )
    branches = networks.load_branches(
        flux, weights.sections(), where=str(weights.path), dtype=dtype
    )

    def velocity(z: Tensor, t: Tensor) -> Tensor:
        return predict(
            model,
            branches,
            Inputs(
                tokens=z,
                positions=golden["img_ids"][0].to(dtype),
                text=golden["txt"].to(dtype),
                pooled=golden["vec"].to(dtype),
                t=t,
                guidance=torch.full_like(t, golden.meta["guidance"]),
            ),
            lq_image=golden["condition_cond_lq"].to(dtype),
            pre_image=golden["condition_cond_ldr"].to(dtype),
            image_tokens=golden["image_embeds"].to(dtype),
            blocks=flux.double_blocks,
        )

    return trajectory(velocity, golden["packed_noise"].to(dtype), golden["timesteps"])


def _adapters(folder: Path) -> Differences:
    golden = Golden(folder, "i_lora_merged")
    dit, condition = Golden(folder, "a_transformer"), Golden(folder, "d_dual_composer")
    state, sections = merging.merge_into(dit.state(), condition.sections(), folder / "i_lora")
    for name in sorted(golden.tensors):
        if name.startswith("transformer.merged."):
            official = name.removeprefix("transformer.merged.")
            yield f"merged {official}", worst(state[official], golden[name]), 1e-5
    model = networks.load_transformer(dit.flux(), state, where="merged", dtype=torch.float32)
    given = [dit[f"residual.{i}"] for i in range(dit.flux().double_blocks)]
    steered = flow(model, dit.inputs(), residuals=given)
    yield "velocity, merged", worst(steered, golden["transformer.out_with_residual"]), 1e-5
    branches = networks.load_branches(
        condition.flux(), sections, where="merged", dtype=torch.float32
    )
    out = branches(
        condition.inputs(),
        condition["condition_cond_lq"],
        condition["condition_cond_ldr"],
        condition.meta["num_blocks"],
    )
    differences = [worst(one, golden[f"condition.out.{n:02d}"]) for n, one in enumerate(out)]
    yield f"{len(out)} residuals, merged", max(differences), 1e-5


def _end_to_end(folder: Path) -> Differences:
    golden = Golden(folder, "j_end_to_end")
    meta = golden.meta
    with tempfile.TemporaryDirectory() as scratch:
        write_weights(folder, Path(scratch))
        model = load(
            weights=scratch,
            width=meta["width"],
            height=meta["height"],
            guidance=meta["guidance"],
            device="cpu",
            dtype="float32",
        )
        lr = golden["lr_uint8_hwc"].permute(2, 0, 1)[None].float() / 255
        cond = model.encode(lr)
        lq_image, pre_image = model.images(cond)
        resized = cond["lq"][0].permute(1, 2, 0)
        yield "resized LR", worst(resized, golden["lq_resized_uint8_hwc"]), 0.0
        yield "LR for the branch", worst(lq_image, golden["condition_cond"]), 1e-5
        seen = preprocess.unsigned(lq_image)
        raw = model.parts.swinir(seen)
        yield "proxy, unclamped", worst(raw, golden["swinir_out_unclamped"]), 1e-5
        yield "proxy", worst(cond["proxy"], golden["swinir_out"]), 1e-5
        yield "proxy for the branch", worst(pre_image, golden["condition_cond_ldr"]), 1e-5
        for_siglip = preprocess.for_siglip(cond["proxy"][0], meta["siglip_image_size"])
        yield "SigLIP's input", worst(for_siglip, golden["siglip_pixel_values_bf16"]), 0.0
        yield "SigLIP's tokens", worst(cond["siglip"], golden["siglip_last_hidden_state"]), 1e-5
        tokens = model.image_tokens(cond)
        yield "connector", worst(tokens, golden["image_embeds"]), 1e-5
        shape = model.latent_shape((lr.shape[2], lr.shape[3]))
        times = model.schedule(meta["num_steps"], shape)
        yield "times", worst(times, golden["timesteps"]), 0.0
        z = model.noise(shape, meta["seed"])
        z = trajectory(lambda z, t: model.velocity(z, t, cond), z, times)[-1]
        yield "latents", worst(z, golden["latents_unpacked"]), 1e-5
        yield "latents, packed", worst(latents.pack(z), golden["latents_packed"]), 1e-5
        decoded = model.decoded(z) * 2 - 1
        yield "decoded", worst(decoded, golden["vae_decoded"].clamp(-1, 1)), 1e-5
        image = model.decode(z, cond)
        yield "image", worst(image[0], golden["final_float_chw"]), 1e-5
        yield "image, 8 bits", worst(to_bytes(image[0]), golden["final_uint8_hwc"]), 1.0


PIECES: dict[str, Callable[[Path], Differences]] = {
    "a": _transformer,
    "b": _branch,
    "c": _modulation,
    "d": _branches,
    "e": _schedule,
    "f": _colour,
    "g": _noise,
    "h": _loop,
    "i": _adapters,
    "j": _end_to_end,
}
"""Letter of a golden file -> its check."""
