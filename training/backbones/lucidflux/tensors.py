"""Weight files in, checked tensors into modules: strict where the official loader lets everything pass."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.backbones import BackboneError
from training.backbones.lucidflux.keys import Source, Table, cut_rows

SHOWN = 40
"""Names listed of each kind of difference; the rest is counted."""


def read_tensors(path: Path) -> dict[str, Any]:
    """The content of a .safetensors file, or of a .pth, .pt or .ckpt file, whose pickle may hold tensors only.

    Raises:
        BackboneError: missing, cut off, or not what its name says.
    """
    if not path.is_file():
        raise BackboneError(f"{path} is missing; `lucidlr lucidflux-download` fetches it")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise BackboneError(
                f"{path} is cut off or damaged ({error}): delete it and fetch it again"
            ) from error
    try:
        mapped = zipfile.is_zipfile(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, OSError) as error:
        raise BackboneError(
            f"{path} is cut off, damaged, or holds more than tensors ({first_line(error)}): "
            "delete it and fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise BackboneError(f"{path} holds a {type(content).__name__}, not tensors by name")
    return content


def first_line(error: BaseException) -> str:
    """Of its message, for a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def load_strictly(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    where: str,
    table: Table | None = None,
    optional: str = "",
    dtype: torch.dtype | None = None,
) -> None:
    """Puts official tensors into a module: every one of them, and no other.

    Args:
        where: the file and section, for messages.
        table: target tensor -> official tensor; None where both have the same names.
        optional: pattern of tensors that may be missing, because the module computes them.
        dtype: of floating-point tensors afterwards; None keeps theirs.

    Raises:
        BackboneError: names every missing, unexpected or misshapen tensor.
    """
    wanted = module.state_dict()
    if table is None:
        table = {name: Source(name) for name in wanted}
    if bad := set(wanted) ^ set(table):
        raise BackboneError(
            f"{where}: the conversion table does not fit {type(module).__name__} of the installed "
            f"library: {_listed(bad)}"
        )
    may_miss = re.compile(optional) if optional else None
    sources = {source.name for source in table.values()}
    missing = sources - set(state)
    if may_miss:
        missing = {name for name in missing if not may_miss.search(name)}
    converted: dict[str, Tensor] = {}
    wrong: set[str] = set()
    for target, source in table.items():
        if source.name not in state:
            continue
        tensor = cut_rows(state[source.name], source)
        if tensor.shape != wanted[target].shape:
            wrong.add(
                f"{source.name} is {list(state[source.name].shape)}: {list(tensor.shape)} instead of "
                f"{list(wanted[target].shape)} for {target}"
            )
        keep = dtype is None or not tensor.is_floating_point()
        converted[target] = tensor if keep else tensor.to(dtype)
    unexpected = set(state) - sources
    if missing or unexpected or wrong:
        kinds = (("missing", missing), ("unexpected", unexpected), ("of the wrong shape", wrong))
        found = "; ".join(
            f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds if names
        )
        raise BackboneError(
            f"{where} does not fit {type(module).__name__}: {found}. Is this the official file, and "
            "does sizes.json (if there is one) belong to it?"
        )
    module.load_state_dict(converted, assign=True, strict=may_miss is None)


def _listed(names: set[str]) -> str:
    ordered = sorted(names)
    rest = len(ordered) - SHOWN
    return ", ".join(ordered[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
