"""How near two results of the same formula have to be when two machines computed them.

A sum in another order, a fused multiply-add or another vectorised exponential change last digits, so a tolerance is
counted in last places: steps from one representable number to the next, at the largest number of the golden value. Each
count below is at least three times the worst seen with the kernels of MKL, oneDNN, ATen and OpenBLAS for SSE, AVX2 and
Intel's and AMD's processors (`make test-cpus`, docs/lucidflux.md), and far below what any wrong formula gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import torch
from torch import Tensor

LAYER = 16
"""Last places after a few layers."""
NETWORK = 32
"""After a whole network."""
CHAIN = 96
"""After networks in a row, or with adapters merged, which make weights and sums larger."""
BFLOAT16 = 4
"""After the whole loop in bfloat16: in its own last places, each 65,536 times as wide."""
NOISE = 4e-6
"""Of a normal random number: few last places of a logarithm and a cosine, absolute, because a cosine may be near 0."""

_DIGITS = {torch.float32: 23, torch.bfloat16: 7}


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
    """The worst of each piece by the share of its tolerance, and the worst of what has to be equal."""

    def badness(one: Finding) -> float:
        # NaN is worse than any number, and compares with none.
        return math.inf if isnan(one.worst) else one.worst / (one.allowed or 1.0)

    worst: dict[tuple[str, bool], Finding] = {}
    for one in findings:
        key = one.piece, one.allowed == 0.0
        if key not in worst or badness(one) > badness(worst[key]):
            worst[key] = one
    return list(worst.values())


def worst(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference; infinite if the shapes differ."""
    if ours.shape != theirs.shape:
        return math.inf
    return (ours.double() - theirs.double()).abs().max().item()


def last_place(values: Tensor, dtype: torch.dtype = torch.float32) -> float:
    """The step to the next number at the largest magnitude in `values`, in `dtype`; 0 where all are 0."""
    largest = values.double().abs().max().item()
    return 2.0 ** (math.floor(math.log2(largest)) - _DIGITS[dtype]) if largest else 0.0


def compared(
    what: str, ours: Tensor, theirs: Tensor, places: int, dtype: torch.dtype = torch.float32
) -> tuple[str, float, float]:
    """A quantity, its worst difference, and so many last places as an absolute tolerance."""
    return what, worst(ours, theirs), places * last_place(theirs, dtype)


def steps_apart(ours: Tensor, theirs: Tensor) -> float:
    """Largest number of representable float32 numbers from one to the other; both [..] float32 and positive."""
    return (ours.view(torch.int32).long() - theirs.view(torch.int32).long()).abs().max().item()


def worst_drawn(ours: Tensor, theirs: Tensor) -> float:
    """As `worst`, of random numbers; in bfloat16 only what exceeds a step of it: a number near the middle between two
    may be rounded either way."""
    if ours.shape != theirs.shape or ours.dtype == torch.float32:
        return worst(ours, theirs)
    step = theirs.double().abs() * 2**-7
    return ((ours.double() - theirs.double()).abs() - step).clamp(min=0).max().item()
