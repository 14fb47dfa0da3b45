"""UniPercept's image quality, the perceptual reward of LucidNFT: 0 to 1 (its 0 to 100, divided by 100).

Behind `remote`, because its package pins torch 2.8 and transformers 4.49: servers/unipercept_server.py runs in an
environment of its own. It looks at 448 x 448 px, squeezed, whatever the image's size: fine texture is invisible to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.rewards import remote
from training.rewards.remote import RemoteReward

URL = "http://127.0.0.1:8765"
_PER_UNIT = 100.0
_HINT = (
    "UniPercept runs as a server in an environment of its own; training/rewards/servers/unipercept_server.py says how "
    "to make it and start it. Then run the same command again."
)


def load(*, url: str | Sequence[str] = URL, **options: Any) -> RemoteReward:
    """Asks the server; `options` as for `remote`.

    Raises:
        RewardError: it is not running, or something else runs there.
    """
    return remote.load(
        url=url,
        name="unipercept_iqa",
        expect="unipercept_iqa",
        factor=1 / _PER_UNIT,
        hint=_HINT,
        **options,
    )
