"""A scorer behind HTTP as a reward: for one whose dependencies clash with ours, or that has a machine of its own.

The other end is training/rewards/servers/reward_server.py; what is said on the wire stands there. Images travel as
8-bit PNG. A request that fails for the network's or the server's reasons (no connection, timeout, 429, 5xx) is sent
again after 0.5, 1, 2, ... seconds; when it still fails, training stops with an error rather than go on without a reward
(the last checkpoint goes on from there). An image that the server could not score is NaN.
"""

from __future__ import annotations

import base64
import io
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests
import torch
from torch import Tensor

from training.consistency.images import to_pillow
from training.rewards import RewardError, Shared

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class RemoteReward:
    """The Reward; see training/rewards/__init__.py."""

    name: str
    urls: tuple[str, ...]
    """Servers of one and the same scorer; requests go to them in turn."""
    version: str
    weights_sha256: str | None
    range: tuple[float, float]
    factor: float
    """Score times this is the reward."""
    batch_size: int
    connections: int
    retries: int
    timeout_s: float
    session: requests.Session = field(repr=False)

    def prepare(self, lr: Tensor) -> Shared:
        """Nothing is shared."""
        del lr
        return {}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B]; NaN where the server had no score, or an SR is not finite.

        Raises:
            RewardError: the server can't be reached, refuses the request, or is another one than at the start.
        """
        del lr, shared
        rewards = [math.nan] * len(sr)
        fine = [i for i, image in enumerate(sr) if bool(torch.isfinite(image).all())]
        batches = [fine[i : i + self.batch_size] for i in range(0, len(fine), self.batch_size)]
        images = sr.detach().cpu()
        # Processes of one training begin with different servers.
        first = int(os.environ.get("RANK", "0"))
        hosts = [self.urls[(first + i) % len(self.urls)] for i in range(len(batches))]
        with ThreadPoolExecutor(self.connections * len(self.urls)) as pool:
            answers = pool.map(lambda rows, url: self._ask(url, images[rows]), batches, hosts)
            for rows, scores in zip(batches, answers, strict=True):
                for row, score in zip(rows, scores, strict=True):
                    rewards[row] = math.nan if score is None else float(score) * self.factor
        return torch.tensor(rewards, dtype=torch.float32)

    def _ask(self, url: str, images: Tensor) -> list[float | None]:
        # PNGs are made here, in the thread that sends them.
        answer = _json(self, url, "POST", "/score", {"images": [_png(image) for image in images]})
        if answer.get("version") != self._served_version:
            raise RewardError(
                f"{url} is now {answer.get('version')!r}, it was {self._served_version!r} when training began: "
                "rewards of two versions don't mix. Start the old one, or a new training."
            )
        scores = answer.get("scores")
        if not isinstance(scores, list) or len(scores) != len(images):
            raise RewardError(f"{url} did not answer with one score per image.")
        return scores

    @property
    def _served_version(self) -> str:
        return self.version.partition(", ")[0]


def load(
    *,
    url: str | Sequence[str],
    name: str = "remote",
    expect: str | None = None,
    factor: float = 1.0,
    batch_size: int | None = None,
    connections: int = 1,
    retries: int = 5,
    timeout_s: float = 300.0,
    hint: str = "",
) -> RemoteReward:
    """Asks the server at `url` who it is, or each of several, which have to be the same scorer in the same version.

    Args:
        url: e.g. http://127.0.0.1:8765, or a list of such.
        name: in logs and columns.
        expect: the scorer's own name; another one is an error.
        factor: score times this is the reward; negative where less is better.
        batch_size: images per request; default: the server's largest.
        connections: requests at a time to each server, for servers that can.
        retries: further tries after a failure.
        timeout_s: of one request.
        hint: what to do when it can't be reached.

    Raises:
        RewardError: no server there, or another scorer.
    """
    if min(connections, batch_size or 1) < 1 or retries < 0 or not factor or not timeout_s > 0:
        raise RewardError(
            f"{name}: connections and batch_size are at least 1, retries at least 0, factor is not 0."
        )
    urls = tuple(one.rstrip("/") for one in ([url] if isinstance(url, str) else url))
    if not urls:
        raise RewardError(f"{name}: url names no server.")
    bare = RemoteReward(
        name=name,
        urls=urls,
        version="",
        weights_sha256=None,
        range=(-math.inf, math.inf),
        factor=factor,
        batch_size=batch_size or 1,
        connections=connections,
        retries=retries,
        timeout_s=timeout_s,
        session=requests.Session(),
    )
    infos = [_json(bare, one, "GET", "/info", None, hint=hint) for one in urls]
    info = infos[0]
    for one, other in zip(urls, infos, strict=True):
        if expect is not None and other.get("name") != expect:
            served = other.get("name")
            raise RewardError(f"{one} serves {served!r}, not {expect!r}. {hint}".rstrip())
        differing = [
            k for k in ("name", "version", "weights_sha256") if other.get(k) != info.get(k)
        ]
        if differing:
            raise RewardError(
                f"{one} and {urls[0]} are not the same scorer: {', '.join(differing)} differ. Rewards of two versions "
                "don't mix."
            )
    try:
        bounds = [float(bound) * factor for bound in info["range"]]
        largest, version = int(info["largest_batch"]), str(info["version"])
    except (KeyError, TypeError, ValueError) as error:
        raise RewardError(f"{urls[0]}/info does not say what it should ({error!r}).") from error
    return RemoteReward(
        name=name,
        urls=urls,
        version=f"{version}, {factor:+g}",
        weights_sha256=info.get("weights_sha256"),
        range=(min(bounds), max(bounds)),
        factor=factor,
        batch_size=min(batch_size or largest, largest),
        connections=connections,
        retries=retries,
        timeout_s=timeout_s,
        session=bare.session,
    )


def _json(
    reward: RemoteReward,
    url: str,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    *,
    hint: str = "",
) -> dict[str, Any]:
    wait = _FIRST_WAIT_S
    problem = ""
    for attempt in range(reward.retries + 1):
        if attempt:
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)
        try:
            answer = reward.session.request(method, url + path, json=body, timeout=reward.timeout_s)
        except (requests.ConnectionError, requests.Timeout) as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        except requests.RequestException as error:
            raise RewardError(f"{url} is no address to ask: {error}") from error
        if answer.status_code == 429 or answer.status_code >= 500:
            problem = f"status {answer.status_code}"
            continue
        if not answer.ok:
            raise RewardError(f"{url}{path} refuses ({answer.status_code}): {answer.text[:300]}")
        try:
            found = answer.json()
        except requests.JSONDecodeError as error:
            raise RewardError(f"{url}{path} did not answer with JSON: {error}") from error
        if not isinstance(found, dict):
            raise RewardError(f"{url}{path} did not answer with a JSON object.")
        return found
    raise RewardError(
        f"The scorer {reward.name} at {url} can't be reached after {reward.retries + 1} tries ({problem}). "
        f"{hint or 'Start its server and run the same command again.'}"
    )


def _png(image: Tensor) -> str:
    sink = io.BytesIO()
    to_pillow(image).save(sink, "PNG", compress_level=1)
    return base64.b64encode(sink.getvalue()).decode()
