"""Values computed with the reference implementations, copied from ../shared/golden."""

from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"
