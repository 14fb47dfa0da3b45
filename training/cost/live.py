"""How many bytes of tensors are alive, and the most that ever were: what an accelerator's allocator would have to hold.

    with LiveBytes() as live:
        ...
    live.peak

Works on any device, a CPU included, since it watches operations and not an allocator. It does not see what a kernel
borrows for itself (workspaces of convolutions), nor an allocator's rounding and gaps: some per cent on a GPU.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts storages from the first operation that touches them until nothing holds them."""

    def __init__(self, *, beside: Iterable[Tensor] = ()) -> None:
        """`beside`: tensors that are there all the time and are not counted, weights for example."""
        super().__init__()
        self._beside = {tensor.untyped_storage().data_ptr() for tensor in beside}
        self.now = 0
        self.peaks: dict[str, int] = {}
        """Moment -> most bytes alive within it; see `moment`."""
        self._moment = ""
        self._alive: dict[int, int] = {}

    @property
    def peak(self) -> int:
        """The most of all moments."""
        return max(self.peaks.values(), default=0)

    @contextmanager
    def moment(self, name: str) -> Generator[None]:
        """Within, peaks count under this name."""
        before, self._moment = self._moment, name
        self._note()
        try:
            yield
        finally:
            self._moment = before

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """See TorchDispatchMode."""
        del types
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, found)):
            if isinstance(value, Tensor):
                self._see(value.untyped_storage())
        return found

    def _see(self, storage: torch.UntypedStorage) -> None:
        place, size = storage.data_ptr(), storage.nbytes()
        if not place or place in self._alive or place in self._beside:
            return
        self._alive[place] = size
        self.now += size
        self._note()
        weakref.finalize(storage, self._gone, place)

    def _gone(self, place: int) -> None:
        self.now -= self._alive.pop(place, 0)

    def _note(self) -> None:
        self.peaks[self._moment] = max(self.peaks.get(self._moment, 0), self.now)
