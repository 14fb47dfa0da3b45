"""Any metric of pyiqa as a Metric or a ReferenceMetric. The one place that imports pyiqa and, in filters, torch.

pyiqa is under PolyForm-Noncommercial since 0.1.16; every score carries that. Metrics without weights (piqe) always
work. Others fetch theirs from a hub at first use; where that fails, WeightsMissing says so, and nothing is guessed.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import socket
import sys
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np

from filters.measures import Photo
from filters.metrics import (
    ON_CPU,
    DeviceMissing,
    Scoring,
    UnknownMetric,
    WeightsMissing,
    told,
)

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
        if min(photo.rgb.shape[:2]) < SMALLEST_PX:
            return None
        return _run(self.model, photo, scoring=self.scoring)


@dataclass(frozen=True, kw_only=True)
class PyiqaReferenceMetric:
    """A full-reference metric of pyiqa."""

    name: str
    version: str
    lower_better: bool
    weights_sha256: str | None
    license: str = "LicenseRef-PolyForm-Noncommercial-1.0.0"
    scoring: Scoring = ON_CPU
    model: Any = field(repr=False)

    def compare(self, photo: Photo, reference: Photo) -> float | None:
        """Two images of one size, RGB in [0, 1]; None below 32 px or where there is no number.

        Raises:
            ValueError: the sizes differ.
        """
        if photo.rgb.shape != reference.rgb.shape:
            ours, theirs = photo.rgb.shape, reference.rgb.shape
            raise ValueError(
                f"The image is {ours[1]}x{ours[0]}, its reference {theirs[1]}x{theirs[0]}."
            )
        if min(photo.rgb.shape[:2]) < SMALLEST_PX:
            return None
        return _run(self.model, photo, reference, scoring=self.scoring)


def _run(model: Any, *photos: Photo, scoring: Scoring = ON_CPU) -> float | None:
    import torch

    images = [
        torch.from_numpy(photo.rgb.copy()).permute(2, 0, 1)[None].float() / 255 for photo in photos
    ]
    below = scoring.precision != "float32"
    lower = torch.autocast(
        scoring.device, dtype=getattr(torch, scoring.precision) if below else None, enabled=below
    )
    # The number of threads changes the order of sums, hence the last bits; it is a setting of the whole process.
    with _ONE_AT_A_TIME, torch.no_grad(), lower:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            value = float(model(*(image.to(scoring.device) for image in images)).item())
        finally:
            torch.set_num_threads(threads)
    return value if np.isfinite(value) else None


def load_pyiqa(
    name: str, scoring: Scoring = ON_CPU, options: Mapping[str, Any] | None = None
) -> PyiqaMetric:
    """Loads `pyiqa:<metric>`; `options` go to its class, over those of pyiqa's table.

    Raises:
        DeviceMissing: there is no such device here.
        UnknownMetric: pyiqa has no no-reference metric of that name, or that has no such option.
        WeightsMissing: its weights are neither here nor to be fetched.
    """
    model = _create(name, "NR", scoring, options or {})
    return PyiqaMetric(
        name=name,
        version=_version(options or {}) + scoring.suffix,
        lower_better=bool(model.lower_better),
        weights_sha256=weights_hash(model),
        scoring=scoring,
        model=model,
    )


def _check_device(name: str, scoring: Scoring) -> None:
    import torch

    if scoring.device == "cuda" and not torch.cuda.is_available():
        raise DeviceMissing(
            f"{name} is to be scored on cuda, and torch sees no GPU here: set scoring.device to cpu, or build on a "
            "machine that has one (`lucidlr refilter` needs neither)."
        )


def load_pyiqa_reference(
    name: str, scoring: Scoring = ON_CPU, options: Mapping[str, Any] | None = None
) -> PyiqaReferenceMetric:
    """Loads `pyiqa:<metric>` that compares with a reference; see load_pyiqa.

    Raises:
        DeviceMissing, UnknownMetric, WeightsMissing: see load_pyiqa.
    """
    model = _create(name, "FR", scoring, options or {})
    return PyiqaReferenceMetric(
        name=name,
        scoring=scoring,
        version=_version(options or {}) + scoring.suffix,
        lower_better=bool(model.lower_better),
        weights_sha256=weights_hash(model),
        model=model,
    )


def _version(options: Mapping[str, Any]) -> str:
    return f"pyiqa-{metadata.version('pyiqa')}{told(options)}"


def _create(
    name: str, mode: Literal["NR", "FR"], scoring: Scoring, options: Mapping[str, Any]
) -> Any:
    import pyiqa

    _check_device(name, scoring)

    wanted = name.removeprefix("pyiqa:")
    names: list[str] = pyiqa.list_models(metric_mode=mode)
    if wanted not in names:
        nearest = difflib.get_close_matches(wanted, names, n=1, cutoff=0.0)[0]
        kind = "no-reference" if mode == "NR" else "full-reference"
        raise UnknownMetric(
            f"pyiqa has no {kind} metric {wanted!r}; did you mean 'pyiqa:{nearest}'?"
        )
    try:
        # pyiqa prints what it downloads; our standard output belongs to the command that runs.
        with _hub_if_reachable(), contextlib.redirect_stdout(sys.stderr):
            return pyiqa.create_metric(wanted, device=scoring.device, **options)
    except TypeError as error:
        if not options:
            raise
        raise UnknownMetric(f"{name} does not take {told(options).strip()}: {error}") from error
    # The network and hub clients raise subclasses of OSError; a hub client that is told to stay offline, ValueError.
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else ""
        raise WeightsMissing(
            f"{name} needs weights that are not on this machine ({type(error).__name__}: {why}). Load it once on a "
            "machine with internet and copy its cache folder here (TORCH_HOME, HF_HOME), or take it out of the recipe."
        ) from error
    except ImportError as error:
        raise WeightsMissing(
            f"{name} needs the package {error.name!r}, which pyiqa does not ask for: install it, then its weights."
        ) from error


@contextlib.contextmanager
def _hub_if_reachable() -> Generator[None]:
    """Within: the model hub's client stays offline if its host does not answer; by itself it retries for 50 seconds."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    proxied = any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ)
    if not before and not proxied:
        address = urlsplit(constants.ENDPOINT)
        port = address.port or (80 if address.scheme == "http" else 443)
        try:
            socket.create_connection((address.hostname or "", port), timeout=5).close()
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def weights_hash(model: Any) -> str | None:
    """SHA-256 over the model's tensors by name; None where it has none. (The file may hold more than is used.)

    Metrics also keep weights where `state_dict` does not look: NIQE's as plain attributes, CLIP-IQA's whole network in
    a list.
    """
    tensors = dict(_tensors(model, ""))
    if not tensors:
        return None
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _tensors(module: Any, prefix: str) -> Generator[tuple[str, Any]]:
    import torch

    for key, tensor in module.state_dict().items():
        if tensor.numel():
            yield prefix + key, tensor
    for path, part in module.named_modules():
        for name, value in sorted(vars(part).items()):
            inside = value if isinstance(value, list) else [value]
            for place, item in enumerate(inside):
                key = f"{prefix}{path}.{name}[{place}]"
                if isinstance(item, torch.Tensor) and item.numel():
                    yield key, item
                elif isinstance(item, torch.nn.Module) and isinstance(value, list):
                    yield from _tensors(item, key + ".")
