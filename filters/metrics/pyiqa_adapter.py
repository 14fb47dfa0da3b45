"""Any no-reference metric of pyiqa as a Metric. The one place that imports pyiqa and, in filters, torch.

pyiqa is under PolyForm-Noncommercial since 0.1.16; every score carries that. Metrics without weights (piqe) always
work. Others fetch theirs from a hub at first use; where that fails, WeightsMissing says so, and nothing is guessed.
"""

from __future__ import annotations

import difflib
import hashlib
import threading
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

from filters.measures import Photo
from filters.metrics import ON_CPU, DeviceMissing, Scoring, UnknownMetric, WeightsMissing

SMALLEST_PX = 32
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class PyiqaMetric:
    """A metric of pyiqa."""

    name: str
    version: str
    lower_better: bool
    weights_sha256: str | None
    license: str = "LicenseRef-PolyForm-Noncommercial-1.0.0"
    scoring: Scoring = ON_CPU
    model: Any = field(repr=False)

    def score(self, photo: Photo) -> float | None:
        """One image, RGB in [0, 1]; None below 32 px, or where the metric gives no number (a flat image)."""
        import torch

        if min(photo.rgb.shape[:2]) < SMALLEST_PX:
            return None
        device, precision = self.scoring.device, self.scoring.precision
        image = torch.from_numpy(photo.rgb.copy()).permute(2, 0, 1)[None].float() / 255
        lower = torch.autocast(
            device, dtype=getattr(torch, precision), enabled=precision != "float32"
        )
        # The number of threads changes the order of sums, hence the last bits; it is a setting of the whole process.
        with _ONE_AT_A_TIME, torch.no_grad(), lower:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                value = float(self.model(image.to(device)).item())
            finally:
                torch.set_num_threads(threads)
        return value if np.isfinite(value) else None


def load_pyiqa(name: str, scoring: Scoring = ON_CPU) -> PyiqaMetric:
    """Loads `pyiqa:<metric>`.

    Raises:
        DeviceMissing: there is no such device here.
        UnknownMetric: pyiqa has no no-reference metric of that name.
        WeightsMissing: its weights are neither here nor to be fetched.
    """
    import pyiqa
    import torch

    if scoring.device == "cuda" and not torch.cuda.is_available():
        raise DeviceMissing(
            f"{name} is to be scored on cuda, and torch sees no GPU here: set scoring.device to cpu, or build on a "
            "machine that has one (`lucidlr refilter` needs neither)."
        )
    wanted = name.removeprefix("pyiqa:")
    names: list[str] = pyiqa.list_models(metric_mode="NR")
    if wanted not in names:
        nearest = difflib.get_close_matches(wanted, names, n=1, cutoff=0.0)[0]
        raise UnknownMetric(
            f"pyiqa has no no-reference metric {wanted!r}; did you mean 'pyiqa:{nearest}'?"
        )
    try:
        model: Any = pyiqa.create_metric(wanted, device=scoring.device)
    # The network and hub clients raise subclasses of OSError; a hub client that is told to stay offline, ValueError.
    except (OSError, ValueError) as error:
        raise WeightsMissing(
            f"{name} needs weights that are not on this machine ({type(error).__name__}: {error}). Load it once on a "
            "machine with internet and copy its cache folder here (TORCH_HOME, HF_HOME), or take it out of the recipe."
        ) from error
    return PyiqaMetric(
        name=name,
        version=f"pyiqa-{metadata.version('pyiqa')}{scoring.suffix}",
        lower_better=bool(model.lower_better),
        weights_sha256=_weights_hash(model),
        scoring=scoring,
        model=model,
    )


def _weights_hash(model: Any) -> str | None:
    """SHA-256 over the model's tensors by name; None where it has none. (The file may hold more than is used.)"""
    state = model.state_dict()
    if not state:
        return None
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
