"""A fresh virtual environment that holds the light core and nothing else.

Its packages are links to those that are installed here: the project's dependencies in pyproject.toml and what they ask
for, no extra. So it takes a second and no network, and `import torch` fails in it because torch is not there.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def make_light_venv(folder: Path) -> Path:
    """Makes it in `folder`; returns its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next((folder / "lib").glob("python3*")) / "site-packages"
    for name in sorted(core_packages()):
        _link(metadata.distribution(name), site)
    about = site / "lucidlr-0.dist-info"
    about.mkdir()
    version = metadata.version("lucidlr")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lucidlr\nVersion: {version}\n")
    (site / "lucidlr.pth").write_text(f"{ROOT}\n")
    return folder / "bin" / "python"


def core_packages() -> set[str]:
    """Names of all distributions that the core needs, directly or not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: set[str] = set()
    waiting = [Requirement(line) for line in project["dependencies"]]
    while waiting:
        wanted = waiting.pop()
        extras = {"", *wanted.extras}
        key = wanted.name.lower().replace("_", "-")
        if key in found and not wanted.extras:
            continue
        found.add(key)
        for line in metadata.requires(wanted.name) or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needed)
    return found


def _link(package: metadata.Distribution, site: Path) -> None:
    tops = {
        path.parts[0] for path in package.files or [] if path.parts[0] not in ("..", "__pycache__")
    }
    for top in tops:
        source, target = Path(str(package.locate_file(top))), site / top
        if source.exists() and not target.exists():
            target.symlink_to(source)


def run_in(
    python: Path, *arguments: object, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs `python arguments...`, without what this process's environment says about Python."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(python), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**kept, "HF_HUB_OFFLINE": "1", **environment},
        check=False,
        timeout=600,
    )
