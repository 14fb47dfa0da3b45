"""`lucidlr gpu-check WEIGHTS`: fifteen checks of a machine, each with what is expected and what was found.

A check that needs what is not here (a GPU, weights of full size, several processes, a scorer) is skipped with the
reason. What runs on a CPU is run, and its verdict says `cpu`: that is no pass of a GPU. Expected figures are
arithmetic; a figure beside them is a measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["pass", "FAIL", "cpu", "skipped"]
GIB = 2**30


class Skip(Exception):  # a way out, not an error
    """This check cannot be made here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One of the fifteen."""

    number: int
    title: str
    expected: str
    run: Callable[[Context], tuple[str, bool]] = field(repr=False)
    """What was found, and whether it is as expected."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a check."""

    check: Check
    verdict: Verdict
    found: str

    def line(self) -> str:
        """For the terminal."""
        about = f"{self.check.number:>2} {self.verdict:<8}{self.check.title}"
        return f"{about}\n            expected {self.check.expected}\n            found    {self.found}"


@dataclass(kw_only=True)
class Context:
    """Where the checks run; what one has loaded the next ones use."""

    weights: Path
    processes: int = 1
    device: str = "cpu"
    device_name: str = "CPU"
    width: int = 1024
    height: int = 1024
    full_size: bool = True
    """Whether these are LucidFlux's real sizes: expected figures are for them."""
    golden: Path | None = None
    scorer: Path | None = None
    """Folder of Qwen3-VL-Embedding-8B."""
    unipercept: str | None = None
    """Address of a UniPercept server."""
    out: Path = Path("out/gpu-check")
    kept: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def on_gpu(self) -> bool:
        """Whether there is one."""
        return self.device.startswith("cuda")

    def needs_gpu(self) -> None:
        """Raises Skip without one."""
        if not self.on_gpu:
            raise Skip("no GPU here")

    def needs_full_size(self) -> None:
        """Raises Skip for other weights than the real ones."""
        if not self.full_size:
            raise Skip(
                f"{self.weights} holds networks of another size; the figure is for the real weights"
            )

    def model(self) -> Any:
        """LucidFlux with new adapters of rank 32 (4 for small networks), loaded once."""
        if "model" not in self.kept:
            from training.backbones.lucidflux import load

            self.kept["model"] = load(**self.options())
        return self.kept["model"]

    def options(self) -> Mapping[str, Any]:
        """What LucidFlux is loaded with."""
        return {
            "weights": self.weights,
            "width": self.width,
            "height": self.height,
            "device": self.device,
            "dtype": "bfloat16" if self.on_gpu else "float32",
            "lora_rank": 32 if self.full_size else 4,
            "gradient_checkpointing": True,
        }


def run_checks(context: Context, checks: list[Check], say: Callable[[str], None]) -> list[Outcome]:
    """All of them, one after the other; a check that dies of memory or of a library is a FAIL with its message."""
    import torch

    outcomes: list[Outcome] = []
    for check in checks:
        try:
            found, good = check.run(context)
            verdict: Verdict = "FAIL" if not good else ("pass" if context.on_gpu else "cpu")
        except Skip as reason:
            found, verdict = str(reason), "skipped"
        except (RuntimeError, OSError, ValueError, torch.OutOfMemoryError) as error:
            found, verdict = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", "FAIL"
        outcome = Outcome(check=check, verdict=verdict, found=found)
        outcomes.append(outcome)
        say(outcome.line())
    return outcomes
