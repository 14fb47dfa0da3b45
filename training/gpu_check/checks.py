"""The fifteen, in order, with what is expected of the real weights on an H100 or H200."""

from __future__ import annotations

from pathlib import Path

from training.gpu_check import Check, Context, several, single

CHECKS = [
    Check(
        number=1,
        title="adapters on all processes",
        expected="difference 0, bit for bit",
        run=several.ranks,
    ),
    Check(
        number=2,
        title="golden networks on the GPU",
        expected="float32 within 1e-4 of the CPU (TF32 off), bfloat16 within .05",
        run=single.golden,
    ),
    Check(
        number=3,
        title="weights load",
        expected="26.25 GiB on the GPU (22.17 transformer, 2.92 branches, 1.16 others), under 5 GiB private",
        run=single.loads,
    ),
    Check(
        number=4,
        title="LoRA",
        expected="58.6 M parameters of rank 32, 1.4 GB with their states; no gradient of frozen weights",
        run=single.adapters,
    ),
    Check(
        number=5,
        title="memory of one pair",
        expected="33 to 38 GiB with checkpointing; without: a figure, or out of memory on 80 GB",
        run=single.peak,
    ),
    Check(
        number=6,
        title="memory while scoring",
        expected="48 to 52 GiB; under 29 after the scorer rests",
        run=single.scoring_peak,
    ),
    Check(
        number=7,
        title="speed",
        expected="velocity .20 to .30 s, rollout of 10 steps 2 to 3 s, pair 1.1 to 1.6 s",
        run=single.speed,
    ),
    Check(
        number=8,
        title="an epoch of the recipe (48 x 12)",
        expected="about 2.1 h on 1, 16 min on 8; 610 epochs about 53 and 6.6 days",
        run=single.epoch,
    ),
    Check(
        number=9,
        title="decoding and scoring",
        expected="decode .3 to .6 s, Qwen3-VL .05 to .1 s, UniPercept measured",
        run=single.decoding,
    ),
    Check(
        number=10,
        title="kernels",
        expected="flash attention, no host synchronisation in a velocity, GPU busy over 90 %",
        run=single.kernels,
    ),
    Check(
        number=11,
        title="sharding",
        expected="loss within 1e-3, peak falls by about 25 (N-1)/N GiB",
        run=several.shard,
    ),
    Check(
        number=12,
        title="offloading",
        expected="1 to 2 s each way pinned; refused together with shard",
        run=single.offload,
    ),
    Check(
        number=13,
        title="sum of gradients",
        expected="58.6 M float32 in under 10 ms over NVLink",
        run=several.reduce,
    ),
    Check(
        number=14,
        title="metrics of the paper",
        expected="seconds per 1024 px image each (MUSIQ 4.4 s on one CPU thread)",
        run=single.metrics,
    ),
    Check(
        number=15,
        title="kill -9 and resume",
        expected="losses of the next epoch equal",
        run=several.resume,
    ),
]


def context_of(
    weights: Path,
    *,
    processes: int,
    out: Path,
    golden: Path | None = None,
    scorer: Path | None = None,
    unipercept: str | None = None,
) -> Context:
    """Looks at the machine and at the weights.

    Raises:
        BackboneError: no weights folder, or its sizes cannot be read.
    """
    import torch

    from training.backbones import BackboneError
    from training.backbones.lucidflux.sizes import Sizes

    if not weights.is_dir():
        raise BackboneError(
            f"There is no weights folder {weights}; `lucidlr lucidflux-download` makes one."
        )
    full = Sizes.of_folder(weights).flux == Sizes().flux
    gpu = torch.cuda.is_available()
    return Context(
        weights=weights,
        processes=processes,
        device=f"cuda:{torch.cuda.current_device()}" if gpu else "cpu",
        device_name=torch.cuda.get_device_name() if gpu else "CPU",
        # Small networks are checked at a small size.
        width=1024 if full else 128,
        height=1024 if full else 64,
        full_size=full,
        golden=golden,
        scorer=scorer,
        unipercept=unipercept,
        out=out,
    )
