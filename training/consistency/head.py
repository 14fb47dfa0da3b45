"""The head: Linear, GELU (exact), Linear, both D to D with bias; float32. 33.6 M parameters at D = 4096.

Files: a state dict with the keys 0.weight, 0.bias, 2.weight, 2.bias as `.pt` (the official `proj_head.pt`), or the same
as `.safetensors`, which also says which encoder it was trained on.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from catalog import files
from training.consistency import ConsistencyError, Encoder, encoder_fingerprint
from training.consistency.paired_head import KEYS as PAIRED_KEYS
from training.consistency.paired_head import PairedHead, Side

KEYS = ("0.weight", "0.bias", "2.weight", "2.bias")
OFFICIAL = "W2GenAI/LucidNFT"
"""Where the official `proj_head.pt` is, on the Hugging Face Hub; for Qwen3-VL-Embedding-8B."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A head with what is needed to use it rightly."""

    module: nn.Sequential
    dim: int
    weights_sha256: str
    """Over the four tensors, in the order of KEYS, as float32: the same for `.pt` and `.safetensors`."""
    trained_on: str | None = None
    """Fingerprint of the encoder (see there); None where the file does not say."""

    def to(self, device: str | torch.device) -> None:
        """Moves it."""
        self.module.to(device)

    def project(self, embeddings: Tensor, side: Side) -> Tensor:
        """[B,D] of length 1; one map for both sides."""
        del side
        device = next(self.module.parameters()).device
        return functional.normalize(self.module(embeddings.to(device, torch.float32)), dim=-1)


def new_head(dim: int, generator: torch.Generator | None = None) -> nn.Sequential:
    """Untrained; with a generator, drawn from it (uniform within 1/sqrt(D), as torch does by default)."""
    module = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim))
    if generator is not None:
        bound = dim**-0.5
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
    return module


def load_head(file: Path) -> Head | PairedHead:
    """Reads a head of either kind; strict, and without unpickling code.

    Raises:
        ConsistencyError: no such file, other keys, or shapes that are not those of a head.
    """
    if not file.is_file():
        raise ConsistencyError(
            f"There is no head {file}. `lucidlr consistency-train` makes one; the official proj_head.pt is in "
            f"{OFFICIAL} on the Hugging Face Hub."
        )
    state, metadata = _read(file)
    if set(state) == set(PAIRED_KEYS):
        tensors = {key: state[key].float() for key in PAIRED_KEYS}
        return PairedHead(tensors=tensors, trained_on=metadata.get("trained_on"))
    if set(state) != set(KEYS):
        raise ConsistencyError(
            f"{file} holds {sorted(state)[:8]}; a head has the keys {', '.join(KEYS)}."
        )
    dim = int(state["0.weight"].shape[0])
    shapes = [list(state[key].shape) for key in KEYS]
    if shapes != [[dim, dim], [dim], [dim, dim], [dim]]:
        raise ConsistencyError(f"{file} has the shapes {shapes}; a head is [D,D], [D], [D,D], [D].")
    module = new_head(dim)
    module.load_state_dict({key: state[key].float() for key in KEYS}, strict=True)
    module.requires_grad_(False).eval()
    return Head(
        module=module,
        dim=dim,
        weights_sha256=head_hash(module),
        trained_on=metadata.get("trained_on"),
    )


def save_head(
    file: Path, module: nn.Sequential, *, encoder: Encoder, notes: Mapping[str, Any]
) -> Head:
    """Writes `.safetensors` (or the official layout, with the suffix `.pt`), in place by a rename."""
    state = {key: module.state_dict()[key].detach().cpu().float().contiguous() for key in KEYS}
    trained_on = encoder_fingerprint(encoder)
    with files.writing(file) as temporary:
        if file.suffix == ".pt":
            torch.save(state, temporary)
        else:
            about = {"trained_on": trained_on, "notes": json.dumps(dict(notes), sort_keys=True)}
            save_file(state, temporary, about)
    return Head(
        module=module,
        dim=len(state["0.bias"]),
        weights_sha256=head_hash(module),
        trained_on=trained_on,
    )


def head_hash(module: nn.Sequential) -> str:
    """SHA-256 over the tensors in the order of KEYS, as float32."""
    digest = hashlib.sha256()
    state = module.state_dict()
    for key in KEYS:
        digest.update(state[key].detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as opened:
                names = opened.keys()
                return {n: opened.get_tensor(n) for n in names}, opened.metadata() or {}
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ConsistencyError(
            f"{file} is no head that can be read ({error}); fetch or train it again."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConsistencyError(
            f"{file} holds no state dict; a head has the keys {', '.join(KEYS)}."
        )
    return state, {}
