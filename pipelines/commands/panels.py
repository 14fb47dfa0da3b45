"""The commands in groups, by what a person wants; `lucidlr --help` shows them in this order.

A command's place is its line here. A new one that is not named yet stands under "More" until it is (a test says so).
"""

from __future__ import annotations

PANELS: dict[str, tuple[str, ...]] = {
    "Build": ("demo", "build", "plan", "status", "failures"),
    "Look": ("explain", "whatif", "licenses", "politeness", "review", "explore", "gallery"),
    "Decide": ("refilter", "label", "screen", "fingerprint", "merge", "clean"),
    "Publish": (
        *("export", "push", "diff", "figures", "refresh"),
        *("takedown", "purge", "verify", "relink"),
    ),
    "Train": (
        *("precompute", "train", "demo-train", "gpu-check"),
        *("consistency", "consistency-train", "consistency-fit"),
        *("lucidflux-download", "lucidflux-check", "lucidflux-memory", "lucidflux-export"),
    ),
    "Evaluate": ("evaluate", "restore", "separability"),
    "Study": ("calibrate", "dedup-report"),
}
"""Panel -> commands, both in the order in which help shows them. Some are still to come."""

SLOW_TO_START = frozenset(
    {
        *("demo", "build", "plan", "refilter", "label", "screen", "fingerprint", "merge", "export"),
        *("push", "refresh", "review", "explore", "gallery", "figures", *PANELS["Train"]),
        *(*PANELS["Evaluate"], *PANELS["Study"]),
    }
)
"""Commands that load a second's worth of packages; they say on standard error that they have begun."""

UNNAMED = "More"


def place_of(command: str) -> tuple[int, str]:
    """(rank, panel) of a command."""
    rank = 0
    for panel, names in PANELS.items():
        for name in names:
            rank += 1
            if name == command:
                return rank, panel
    return rank + 1, UNNAMED
