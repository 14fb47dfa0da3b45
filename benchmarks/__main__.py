"""Runs every benchmark, or those that are named: python -m benchmarks [NAME ...]"""

import importlib
import sys
from pathlib import Path

names = sys.argv[1:] or sorted(
    file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_")
)
for name in names:
    print(f"\n== {name}")
    importlib.import_module(f"benchmarks.{name}").main()
