"""Golden values of the official code, piece by piece (a to j), against the code that users run.

`check(folder)` takes any set in the layout of tests/golden/lucidflux, made with other seeds or sizes for instance:
tiny random weights under official names (`sd.*`), inputs, and what the official code made of them.

Nothing here depends on the CPU: networks get the frequencies of the machine that made the set (see sinusoid.py), random
numbers are compared up to the last digits of a logarithm and a cosine, sums up to their order.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
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
from training.backbones.lucidflux.closeness import (
    BFLOAT16,
    CHAIN,
    LAYER,
    NETWORK,
    NOISE,
    Finding,
    compared,
    steps_apart,
    worst,
    worst_drawn,
)
from training.backbones.lucidflux.colour import bands, colour_fix
from training.backbones.lucidflux.golden_set import (
    MODULATION,
    Golden,
    frequencies_of,
    write_weights,
)
from training.backbones.lucidflux.sinusoid import frequencies, use_frequencies
from training.backbones.lucidflux.tensors import load_strictly
from training.data import to_bytes
from training.flow_matching import trajectory


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
    use_frequencies(model, frequencies_of(folder))
    yield compared("velocity", flow(model, golden.inputs()), golden["out_no_residual"], NETWORK)
    given = [golden[f"residual.{i}"] for i in range(golden.flux().double_blocks)]
    steered = flow(model, golden.inputs(), residuals=given)
    yield compared("velocity with residuals", steered, golden["out_with_residual"], NETWORK)


def _branch(folder: Path) -> Differences:
    golden = Golden(folder, "b_condition_branch")
    blocks = golden.meta["controlnet_depth"]
    model = use_frequencies(networks.branch(golden.flux(), blocks), frequencies_of(folder))
    load_strictly(
        model, golden.state(), where=str(golden.path), table=networks.branch_tensors(blocks)
    )
    hint: Any = model.get_submodule("input_hint_block")(golden["controlnet_cond"])
    yield compared("hint", hint, golden["hint_features"], NETWORK)
    yield compared("hint, packed", latents.pack(hint), golden["hint_packed"], NETWORK)
    for i, out in enumerate(outputs_of(model, golden.inputs(), golden["controlnet_cond"])):
        yield compared(f"output {i}", out, golden[f"out.{i}"], NETWORK)


def _modulation(folder: Path) -> Differences:
    golden = Golden(folder, MODULATION)
    theirs = frequencies_of(folder)
    model = use_frequencies(Modulation(golden.meta["dim"]), theirs)
    load_strictly(model, golden.state(), where=str(golden.path))
    yield "frequencies, last places", steps_apart(theirs, frequencies()), 2.0
    sinusoid = model.sinusoid(golden["timesteps"] * 1000)
    yield compared("sinusoid", sinusoid, golden["time_proj_of_t1000"], LAYER)
    for name in sorted(golden.tensors):
        if found := re.fullmatch(r"out\.index(\d+)", name):
            out = model(golden["x"], golden["timesteps"], int(found[1]))
            yield compared(f"index {found[1]}", out, golden[name], LAYER)


def _branches(folder: Path) -> Differences:
    golden = Golden(folder, "d_dual_composer")
    model = networks.load_branches(
        golden.flux(), golden.sections(), where=str(golden.path), dtype=torch.float32
    )
    use_frequencies(model, frequencies_of(folder))
    out = model(
        golden.inputs(),
        golden["condition_cond_lq"],
        golden["condition_cond_ldr"],
        golden.meta["num_blocks"],
    )
    for n, one in enumerate(out):
        yield compared(f"residual {n}", one, golden[f"out.{n:02d}"], NETWORK)


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
    yield compared("high band", high[0], golden["content_high"], LAYER)
    yield compared("low band", low[0], golden["content_low"], LAYER)
    fixed = colour_fix(golden["content"][None], golden["style"][None], golden.meta["levels"])[0]
    yield compared("before clamping", fixed, golden["out_unclamped"], LAYER)
    yield compared("clamped", fixed.clamp(0, 1), golden["out"], LAYER)


def _noise(folder: Path) -> Differences:
    golden = Golden(folder, "g_noise")
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    to_the_bit = True
    for name in sorted(golden.tensors):
        if found := re.fullmatch(r"(fp32|bf16)_seed(\d+)_h(\d+)_w(\d+)", name):
            kind, seed, height, width = found[1], int(found[2]), int(found[3]), int(found[4])
            shape = (16, *latents.latent_size(height, width))
            drawn = latents.noise(shape, seed=seed, dtype=dtypes[kind])
            to_the_bit &= torch.equal(drawn, golden[name])
            yield f"{kind}, seed {seed}", worst_drawn(drawn, golden[name]), NOISE
            if kind == "fp32" and f"packed_fp32_seed{seed}" in golden.tensors:
                packed = latents.pack(golden[name])
                yield "packed", worst(packed, golden[f"packed_fp32_seed{seed}"]), 0.0
                places = latents.token_positions(*shape[1:], like=packed)
                yield "positions", worst(places, golden[f"img_ids_seed{seed}"][0]), 0.0
                back = latents.unpack(packed, *shape[1:])
                yield "unpacked", worst(back, golden[f"unpacked_fp32_seed{seed}"]), 0.0
    for name in sorted(golden.tensors):
        if found := re.fullmatch(r"(fp32|bf16)_seed(\d+)_(\d+)_first(\d+)", name):
            shape = (16, *latents.latent_size(int(found[3]), int(found[3])))
            drawn = latents.noise(shape, seed=int(found[2]), dtype=dtypes[found[1]])
            first = drawn.flatten()[: int(found[4])]
            yield f"{found[1]}, {found[3]} px", worst_drawn(first, golden[name]), NOISE
            digest = golden.meta.get(f"sha256_{found[1]}_{found[3]}")
            # A digest knows no last digits: it speaks to CPUs that draw as the one which made the set.
            if digest and to_the_bit:
                ours = hashlib.sha256(drawn.numpy().tobytes()).hexdigest()
                yield f"{found[1]}, {found[3]} px, all of it", float(ours != digest), 0.0


def _loop(folder: Path) -> Differences:
    golden, weights = Golden(folder, "h_denoise_loop"), Golden(folder, "d_dual_composer")
    kinds = ((torch.float32, "", NETWORK), (torch.bfloat16, "bf16_", BFLOAT16))
    for dtype, prefix, places in kinds:
        states = _denoise(golden, weights, dtype, frequencies_of(folder))
        for step, state in enumerate(states):
            name = f"{prefix}latent_after_step{step}"
            if name in golden.tensors:
                kind = str(dtype).removeprefix("torch.")
                yield compared(f"{kind}, step {step}", state, golden[name], places, dtype)
        if not prefix:
            rows, columns = golden["unpacked"].shape[-2:]
            unpacked = latents.unpack(states[-1], rows, columns)
            yield compared("unpacked", unpacked, golden["unpacked"], places)


def _denoise(golden: Golden, weights: Golden, dtype: torch.dtype, theirs: Tensor) -> list[Tensor]:
    flux = golden.flux()
    model = networks.load_transformer(
        flux, golden.state("flux."), where=str(golden.path), dtype=dtype
    )
    branches = networks.load_branches(
        flux, weights.sections(), where=str(weights.path), dtype=dtype
    )

    for network in (model, branches):
        use_frequencies(network, theirs)

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
            yield compared(f"merged {official}", state[official], golden[name], LAYER)
    theirs = frequencies_of(folder)
    model = networks.load_transformer(dit.flux(), state, where="merged", dtype=torch.float32)
    use_frequencies(model, theirs)
    given = [dit[f"residual.{i}"] for i in range(dit.flux().double_blocks)]
    steered = flow(model, dit.inputs(), residuals=given)
    yield compared("velocity, merged", steered, golden["transformer.out_with_residual"], CHAIN)
    branches = networks.load_branches(
        condition.flux(), sections, where="merged", dtype=torch.float32
    )
    use_frequencies(branches, theirs)
    out = branches(
        condition.inputs(),
        condition["condition_cond_lq"],
        condition["condition_cond_ldr"],
        condition.meta["num_blocks"],
    )
    for n, one in enumerate(out):
        yield compared(f"residual {n}, merged", one, golden[f"condition.out.{n:02d}"], CHAIN)


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
        for network in model.parts.modules().values():
            use_frequencies(network, frequencies_of(folder))
        lr = golden["lr_uint8_hwc"].permute(2, 0, 1)[None].float() / 255
        cond = model.encode(lr)
        lq_image, pre_image = model.images(cond)
        resized = cond["lq"][0].permute(1, 2, 0)
        yield "resized LR", worst(resized, golden["lq_resized_uint8_hwc"]), 0.0
        yield compared("LR for the branch", lq_image, golden["condition_cond"], LAYER)
        seen = preprocess.unsigned(lq_image)
        raw = model.parts.swinir(seen)
        yield compared("proxy, unclamped", raw, golden["swinir_out_unclamped"], CHAIN)
        yield compared("proxy", cond["proxy"], golden["swinir_out"], CHAIN)
        yield compared("proxy for the branch", pre_image, golden["condition_cond_ldr"], CHAIN)
        # From the official proxy: where ours differs in its last digits, cutting to 8 bits may give another grey.
        theirs = golden["swinir_out"]
        for_siglip = preprocess.for_siglip(theirs[0], meta["siglip_image_size"])
        yield "SigLIP's input", worst(for_siglip, golden["siglip_pixel_values_bf16"]), 0.0
        cond |= {
            "proxy": theirs,
            "siglip": model.parts.siglip(for_siglip.float()).last_hidden_state,
        }
        seen = golden["siglip_last_hidden_state"]
        yield compared("SigLIP's tokens", cond["siglip"], seen, NETWORK)
        tokens = model.image_tokens(cond)
        yield compared("connector", tokens, golden["image_embeds"], CHAIN)
        shape = model.latent_shape((lr.shape[2], lr.shape[3]))
        times = model.schedule(meta["num_steps"], shape)
        yield "times", worst(times, golden["timesteps"]), 0.0
        z = model.noise(shape, meta["seed"])
        z = trajectory(lambda z, t: model.velocity(z, t, cond), z, times)[-1]
        yield compared("latents", z, golden["latents_unpacked"], CHAIN)
        yield compared("latents, packed", latents.pack(z), golden["latents_packed"], CHAIN)
        decoded = model.decoded(z) * 2 - 1
        yield compared("decoded", decoded, golden["vae_decoded"].clamp(-1, 1), CHAIN)
        image = model.decode(z, cond)
        yield compared("image", image[0], golden["final_float_chw"], CHAIN)
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
