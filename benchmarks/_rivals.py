"""What other tools say of pictures: one number each, more is worse. Those that are not installed are named.

- `laplacian`: less the logarithm of the variance of the Laplacian of the luma, the blur check of many scripts;
- `piqe`: pyiqa's PIQE (Venkatanath et al. 2015), of the dependencies;
- `cleanvision`: cleanvision's dark, light and blurry scores, the worst of them (pip install --no-deps cleanvision);
- `brisque`: BRISQUE (Mittal et al. 2012), the package of that name (pip install --no-deps brisque libsvm-official).

The last two ask for other versions of OpenCV and of each other's needs, so they are no dependencies of ours: install
them into a folder of their own and put it on PYTHONPATH.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from filters.measures import NotAnImage, open_photo, opencv

NAMES = ("laplacian", "piqe", "cleanvision", "brisque")


def available() -> list[str]:
    """Those of NAMES that can be run here."""
    needs = {"cleanvision": "cleanvision", "brisque": "brisque", "piqe": "pyiqa"}
    return [n for n in NAMES if n not in needs or importlib.util.find_spec(needs[n]) is not None]


def rival_scores(files: Sequence[Path], kept: Path) -> dict[str, list[float | None]]:
    """By name, one per file; None where a tool fails on it. Kept in a JSON file, so that each is asked once.

    What a tool said in another environment counts, too.
    """
    known: dict[str, dict[str, float | None]] = (
        json.loads(kept.read_text()) if kept.is_file() else {}
    )
    for name in available():
        done = known.setdefault(name, {})
        missing = [file for file in files if str(file) not in done]
        if missing:
            done |= _ASK[name](missing)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(known))
    asked = [name for name in NAMES if any(str(file) in known.get(name, {}) for file in files)]
    return {name: [known[name].get(str(file)) for file in files] for name in asked}


def _each(ask: Callable[[Any], float]) -> Callable[[Sequence[Path]], dict[str, float | None]]:
    def of_all(files: Sequence[Path]) -> dict[str, float | None]:
        found: dict[str, float | None] = {}
        for file in files:
            try:
                found[str(file)] = float(ask(open_photo(file.read_bytes()).rgb))
            except (NotAnImage, ValueError, TypeError, AssertionError):
                found[str(file)] = None
        return found

    return of_all


def _laplacian(rgb: Any) -> float:
    cv2 = opencv()
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return -float(np.log(cv2.Laplacian(grey, cv2.CV_32F).var() + 1e-6))


def _piqe(files: Sequence[Path]) -> dict[str, float | None]:
    import pyiqa
    import torch

    torch.set_num_threads(1)
    metric = pyiqa.create_metric("piqe", device="cpu")

    def one(rgb: Any) -> float:
        pixels = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            return float(metric(pixels[:, :, :2048, :2048]))

    return _each(one)(files)


def _brisque(files: Sequence[Path]) -> dict[str, float | None]:
    from brisque import BRISQUE  # pyright: ignore

    model = BRISQUE(url=False)
    return _each(lambda rgb: float(model.score(rgb[:2048, :2048])))(files)


def _cleanvision(files: Sequence[Path]) -> dict[str, float | None]:
    from cleanvision import Imagelab

    os.environ.setdefault("TQDM_DISABLE", "1")
    # It stumbles over grey with transparency and 16 bits.
    usable = [str(file) for file in files if Image.open(file).mode in ("RGB", "RGBA", "L", "P")]
    lab = Imagelab(filepaths=usable)
    lab.find_issues({"dark": {}, "light": {}, "blurry": {}}, n_jobs=1, verbose=False)
    scores = lab.issues[["dark_score", "light_score", "blurry_score"]].min(axis=1)
    found: dict[str, float | None] = dict.fromkeys(map(str, files))
    return found | {str(file): 1.0 - float(score) for file, score in scores.items()}


_ASK: dict[str, Callable[[Sequence[Path]], dict[str, float | None]]] = {
    "laplacian": _each(_laplacian),
    "piqe": _piqe,
    "brisque": _brisque,
    "cleanvision": _cleanvision,
}
