"""Runs every benchmark, or those that are named: python -m benchmarks [NAME ... [ARGUMENT ...]]

What is no benchmark's name goes to the one named before it.
"""

import importlib
import sys
from pathlib import Path

known = sorted(
    file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_")
)
ON_REQUEST = ("lookalikes", "pages", "rehearsal", "scale", "weekly")
"""Minutes to hours: only where they are named."""
chosen: list[tuple[str, list[str]]] = []
for argument in sys.argv[1:]:
    if argument in known:
        chosen.append((argument, []))
    elif chosen:
        chosen[-1][1].append(argument)
    else:
        sys.exit(f"no benchmark {argument!r}; there are {', '.join(known)}")
for name, arguments in chosen or [(name, []) for name in known if name not in ON_REQUEST]:
    print(f"\n== {name}")
    importlib.import_module(f"benchmarks.{name}").main(*arguments)
