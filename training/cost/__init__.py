"""What a training needs before it starts: memory by part, FLOP, time, disk. Arithmetic, and said to be that."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.errors import Expected


class PlanError(Expected, RuntimeError):
    """A plan that cannot be made, or one that is over a limit; the message says which and what to change."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One accelerator, by its data sheet."""

    name: str
    memory_gb: float
    half_tflops: float
    """Dense bfloat16."""
    single_tflops: float
    """TF32 off."""

    @property
    def memory_bytes(self) -> float:
        """Data sheets count in powers of ten; the driver keeps about 2 % for itself."""
        return 0.98 * self.memory_gb * 1e9


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu(name="A100-40", memory_gb=42.9, half_tflops=312, single_tflops=19.5),
        Gpu(name="A100-80", memory_gb=85.9, half_tflops=312, single_tflops=19.5),
        Gpu(name="H100-80", memory_gb=85.5, half_tflops=989, single_tflops=67),
        Gpu(name="H200-141", memory_gb=150.7, half_tflops=989, single_tflops=67),
        Gpu(name="B200-180", memory_gb=192.0, half_tflops=2250, single_tflops=80),
        Gpu(name="L40S-48", memory_gb=48.3, half_tflops=362, single_tflops=91),
        Gpu(name="RTX4090-24", memory_gb=25.8, half_tflops=165, single_tflops=82),
    )
}
"""Memory as the driver shows it (an "80 GB" H100 has 79.6 GiB); speed from data sheets, without sparsity."""
EFFICIENCY = 0.45
"""Share of the data sheet's speed that large matrix products reach; an assumption, not a measurement."""
