"""The checks of one process: weights, memory, speed, kernels, offloading."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from training.gpu_check import GIB, Context, Skip

ROLLOUT_STEPS = 10


def golden(context: Context) -> tuple[str, bool]:
    """2: the tiny official networks on this device against the CPU, float32 without TF32, then in bfloat16."""
    if context.golden is None or not context.golden.is_dir():
        raise Skip(
            "no folder of golden values; give --golden (tests/golden/lucidflux of a checkout)"
        )
    context.needs_gpu()
    from training.backbones.lucidflux import load
    from training.backbones.lucidflux.golden_set import write_weights

    weights = write_weights(context.golden, context.out / "golden")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        found: dict[str, Tensor] = {}
        runs: tuple[tuple[str, str, Literal["bfloat16", "float32"]], ...] = (
            ("cpu", "cpu", "float32"),
            ("gpu", context.device, "float32"),
            ("half", context.device, "bfloat16"),
        )
        for name, device, dtype in runs:
            model = load(weights=weights, width=128, height=64, device=device, dtype=dtype)
            found[name] = _trajectory(model, 4).float().cpu()
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    single = (found["gpu"] - found["cpu"]).abs().max().item()
    half = (found["half"] - found["gpu"]).abs().mean().item()
    return f"float32 {single:.1e}, bfloat16 {half:.3f} (mean)", single <= 1e-4 and half <= 0.05


def loads(context: Context) -> tuple[str, bool]:
    """3: all weights on the device, and little of them left in the process."""
    context.needs_gpu()
    torch.cuda.reset_peak_memory_stats()
    context.model()
    there = torch.cuda.memory_allocated() / GIB
    private = _private_bytes() / GIB
    if not context.full_size:
        return f"{there:.2f} GiB on the GPU, {private:.1f} GiB private", True
    return (
        f"{there:.2f} GiB on the GPU, {private:.1f} GiB private",
        26.0 <= there <= 27.9 and private < 5,
    )


def adapters(context: Context) -> tuple[str, bool]:
    """4: how many parameters LoRA trains, and that nothing else gets a gradient."""
    model = context.model()
    trained = model.adapter_parameters("default")
    count = sum(p.numel() for p in trained.values())
    forward_and_backward(model)()
    ids = {id(p) for p in trained.values()}
    stray = [
        name
        for module in model.trainable_modules().values()
        for name, p in module.named_parameters()
        if p.grad is not None and id(p) not in ids
    ]
    states = 6 * count * 4 / 1e9
    good = not stray and (not context.full_size or abs(count / 58.6e6 - 1) < 0.01)
    told = f"; {len(stray)} frozen weights have a gradient" if stray else ""
    return f"{count / 1e6:.1f} M parameters, {states:.2f} GB of them with their states{told}", good


def peak(context: Context) -> tuple[str, bool]:
    """5: the most memory that one pair of an update takes, with gradient checkpointing and without."""
    context.needs_gpu()
    context.needs_full_size()
    model = context.model()
    with_it = _peak_gib(forward_and_backward(model))
    for module in model.trainable_modules().values():
        for part in module.modules():
            if hasattr(part, "gradient_checkpointing"):
                part.gradient_checkpointing = False
    try:
        without = f"{_peak_gib(forward_and_backward(model)):.1f} GiB"
    except torch.OutOfMemoryError:
        without = "out of memory"
    finally:
        torch.cuda.empty_cache()
        for module in (model.parts.transformer, model.parts.branches):
            module.enable_gradient_checkpointing()
    return f"{with_it:.1f} GiB with checkpointing, {without} without", 30 <= with_it <= 38


def scoring_peak(context: Context) -> tuple[str, bool]:
    """6: the most memory while scoring, and what is left of it after the scorer has gone to rest."""
    context.needs_gpu()
    if context.scorer is None:
        raise Skip("no scorer; give --scorer, the folder of Qwen3-VL-Embedding-8B")
    from training.rewards import load_reward
    from training.rollout import move, rest

    reward = load_reward(
        "lucid_consistency", encoder="qwen3_vl_embedding", head="none", model=str(context.scorer)
    )
    model = context.model()
    torch.cuda.reset_peak_memory_stats()
    move([reward], torch.device(context.device))
    z, _, cond = _sample(model)
    sr = model.decode(z, cond)
    lr = torch.rand(1, 3, context.height // 4, context.width // 4, device=context.device)
    start = time.perf_counter()
    reward.score(sr, lr, reward.prepare(lr))
    torch.cuda.synchronize()
    context.kept["score_s"] = time.perf_counter() - start
    most = torch.cuda.max_memory_allocated() / GIB
    rest([reward], torch.device(context.device), offload=True)
    left = torch.cuda.memory_allocated() / GIB
    good = not context.full_size or (44 <= most <= 53 and left < 29)
    return f"peak {most:.1f} GiB, {left:.1f} after rest", good


def speed(context: Context) -> tuple[str, bool]:
    """7: one velocity, a rollout of ten steps, one pair."""
    model = context.model()
    z, t, cond = _sample(model)
    with torch.no_grad():
        velocity = _seconds(context, lambda: model.velocity(z, t, cond), 3)
    pair = _seconds(context, forward_and_backward(model), 1)
    context.kept["velocity_s"], context.kept["pair_s"] = velocity, pair
    found = (
        f"velocity {velocity:.3f} s, rollout {ROLLOUT_STEPS * velocity:.2f} s, pair {pair:.2f} s"
    )
    if not (context.on_gpu and context.full_size):
        return found, True
    return found, velocity <= 0.36 and pair <= 1.9


def epoch(context: Context) -> tuple[str, bool]:
    """8: what an epoch of the recipe takes, by what was measured here."""
    if "velocity_s" not in context.kept:
        raise Skip("no velocity was measured")
    rollouts = 48 * 12 * ROLLOUT_STEPS * context.kept["velocity_s"]
    seconds = rollouts + 48 * 12 * 9 * context.kept["pair_s"]
    days = 610 * seconds / 86400 / context.processes
    found = f"{seconds / 60 / context.processes:.1f} min on {context.processes}; 610 epochs {days:.2f} days"
    if not (context.on_gpu and context.full_size):
        return found, True
    return found, seconds <= 1.5 * 2.1 * 3600


def decoding(context: Context) -> tuple[str, bool]:
    """9: decoding one result, scoring it, and a round trip to UniPercept."""
    model = context.model()
    z, _, cond = _sample(model)
    seconds = _seconds(context, lambda: model.decode(z, cond), 2)
    told = f"decode {seconds:.2f} s"
    if "score_s" in context.kept:
        told += f", Qwen3-VL {context.kept['score_s']:.2f} s"
    if context.unipercept is not None:
        from training.rewards import load_reward

        reward = load_reward("unipercept_iqa", url=context.unipercept)
        image = torch.rand(1, 3, context.height, context.width)
        trip = _seconds(context, lambda: reward.score(image, image, {}), 2)
        told += f", UniPercept {trip:.2f} s, {576 * trip / 60:.1f} min an epoch"
    else:
        told += "; UniPercept not asked (--unipercept URL)"
    return told, not (context.on_gpu and context.full_size) or seconds <= 0.9


def kernels(context: Context) -> tuple[str, bool]:
    """10: which kernel attention takes, whether the host waits, how busy the GPU is."""
    context.needs_gpu()
    from torch.profiler import ProfilerActivity, profile

    model = context.model()
    z, t, cond = _sample(model)
    with torch.no_grad():
        model.velocity(z, t, cond)
        torch.cuda.synchronize()
        start = time.perf_counter()
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
            for _ in range(3):
                model.velocity(z, t, cond)
            torch.cuda.synchronize()
        wall = time.perf_counter() - start
    events = seen.key_averages()
    flash = sorted({e.key for e in events if "flash" in e.key.lower() or "fmha" in e.key.lower()})
    waits = sum(e.count for e in events if e.key in ("cudaStreamSynchronize", "aten::item"))
    busy = sum(float(getattr(e, "self_device_time_total", 0.0)) for e in events) / 1e6 / wall
    found = f"{flash[:1] or 'no flash kernel'}, host waits {waits} times in 3 velocities, GPU busy {busy:.0%}"
    return found, bool(flash) and waits == 0 and busy > 0.9


def offload(context: Context) -> tuple[str, bool]:
    """12: how long the transformer takes to the CPU and back, and that it is refused together with sharding."""
    context.needs_gpu()
    from training.train_config import ConfigError, RewardSpec, TrainConfig
    from training.train_nft import check_options

    transformer: Any = context.model().parts.transformer
    start = time.perf_counter()
    transformer.to("cpu")
    away = time.perf_counter() - start
    transformer.to(context.device)
    torch.cuda.synchronize()
    back = time.perf_counter() - start - away
    config = TrainConfig(
        shard=True,
        backbone_options={"offload": True},
        rewards=(RewardSpec(name="lr_faithfulness"),),
    )
    try:
        check_options(config)
        refused = False
    except ConfigError:
        refused = True
    good = refused and (not context.full_size or max(away, back) < 10)
    return (
        f"{away:.1f} s away, {back:.1f} s back, with shard {'refused' if refused else 'NOT refused'}",
        good,
    )


def metrics(context: Context) -> tuple[str, bool]:
    """14: seconds per image of 1024 px of every metric of the paper whose weights are here, on this device."""
    import numpy as np

    from filters.measures import Photo
    from filters.metrics import Scoring
    from training.evaluation.metrics import PAPER, NotRun, load_scorer

    photo = Photo(np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8))
    told: list[str] = []
    missing: list[str] = []
    for spec in PAPER:
        if not spec.scorer.startswith("metric:"):
            continue
        try:
            scorer = load_scorer(spec, scoring=Scoring(device="cuda" if context.on_gpu else "cpu"))
        except NotRun:
            missing.append(spec.name)
            continue
        seconds = _seconds(context, lambda s=scorer: s.score(photo, lr=None, hr=None), 1)
        told.append(f"{spec.name} {seconds:.2f} s")
    if not told:
        raise Skip(f"weights of none of {', '.join(missing)} are here")
    return f"{', '.join(told)}; without weights: {', '.join(missing) or 'none'}", True


def _sample(model: Any) -> tuple[Tensor, Tensor, Any]:
    chance = torch.Generator().manual_seed(0)
    lr = torch.rand(1, 3, model.height // 4, model.width // 4, generator=chance)
    cond = model.encode(lr)
    shape = model.latent_shape((lr.shape[2], lr.shape[3]))
    z = torch.randn(1, *shape, generator=chance).to(model.device)
    return z, torch.tensor([0.6], device=model.device), cond


def _trajectory(model: Any, steps: int) -> Tensor:
    z, _, cond = _sample(model)
    times = model.schedule(steps, tuple(z.shape[1:])).tolist()
    with torch.no_grad():
        for now, then in pairwise(times):
            z = z + (then - now) * model.velocity(z, torch.tensor([now], device=z.device), cond)
    return z


def forward_and_backward(model: Any) -> Callable[[], None]:
    """One sample as a training step has it: two forward passes without gradients, one with, and backward."""
    z, t, cond = _sample(model)

    def run() -> None:
        with torch.no_grad():
            for adapter in ("old", None):
                with model.use(adapter):
                    model.velocity(z, t, cond)
        with model.use("default"):
            model.velocity(z, t, cond).square().mean().backward()

    return run


def _seconds(context: Context, run: Callable[[], object], times: int) -> float:
    run()
    if context.on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        run()
    if context.on_gpu:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def _peak_gib(run: Callable[[], None]) -> float:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / GIB


def _private_bytes() -> int:
    """Of this process: resident, not shared (files that are mapped count as shared)."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # a file of the kernel
        _, resident, shared = (int(word) for word in file.read().split()[:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
