"""`lucidlr separability`: the analysis of training/separability.py on the backbone and the LR of a training demo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def separability(demo: Path, out: Path, *, groups: int, rollouts: int) -> Iterator[str]:
    """Lines of the table; writes separability.csv, .md and .png into `out`.

    Raises:
        FileNotFoundError: `demo` holds no training demo.
    """
    import torch

    from training.experiment import ARMS, load_experiment, rewards_at_base, spreads
    from training.separability import (
        ROLLOUTS,
        markdown,
        separability,
        share_of_group_std,
        within_group_correlation,
        write,
    )

    experiment = load_experiment(demo)
    torch.set_num_threads(1)
    raw = rewards_at_base(experiment, ARMS["decoupled"], count=groups, rollouts=rollouts)
    # Each objective in units of its spread, as the rescaled scalarised arm has it: otherwise one unit decides.
    raw = raw / torch.tensor(spreads(experiment))
    counts = [m for m in ROLLOUTS if m <= rollouts]
    found = separability(raw, [1.0, 1.0], counts=counts)
    write(found, raw, out)
    shown = [m for m in (2, 4, 8, 12, 16) if m in counts]
    yield markdown(found, shown)
    yield f"Correlation of the two rewards within groups: {within_group_correlation(raw)}"
    for measure in ("distinct", "top-1 by sum", "top-1 by vector", "all pairs"):
        share = share_of_group_std(found, measure, counts[-1])
        yield f"M = {counts[-1]}, {measure}: {share:.0%} of the gap comes with the group's deviation alone."
    yield f"written    {out / 'separability.csv'}, separability.md, separability.png"
