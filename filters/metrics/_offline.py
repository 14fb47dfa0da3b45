"""Within `offline()`, loading a scorer fetches nothing: what is not on this machine is an OSError at once.

pyiqa, torch.hub, CLIP and the model hub's client fetch weights as soon as they miss them, gigabytes of them, and retry
for minutes where there is no network. All of them open their connections in one of three places, which are closed here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, NoReturn
from unittest import mock


class DownloadsOff(OSError):
    """A scorer wanted to fetch its weights."""


def _refuse(*args: Any, **options: Any) -> NoReturn:
    address = getattr(args[0], "full_url", args[0]) if args else options.get("url", "")
    raise DownloadsOff(f"downloads are off, and {address} would have been fetched")


@contextlib.contextmanager
def offline() -> Generator[None]:
    """For the time of loading; not for threads that load something else meanwhile."""
    import torch.hub
    from huggingface_hub import constants

    with (
        mock.patch.object(constants, "HF_HUB_OFFLINE", True),
        mock.patch("urllib.request.urlopen", _refuse),
        mock.patch.object(torch.hub, "urlopen", _refuse),
    ):
        yield
