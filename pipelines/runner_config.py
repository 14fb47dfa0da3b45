"""Where the batches of a build run: in this process, in processes of this machine, or on a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

Kind = Literal["threads", "processes", "dask", "ray"]


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """A Dask cluster that is started for the build and ends with it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: str = "distributed.LocalCluster"
    """Class of the cluster, e.g. dask_jobqueue.SLURMCluster or dask_kubernetes.operator.KubeCluster; its package has to
    be installed beside the extra `dask`."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of that class."""
    adapt: dict[str, int] | None = None
    """`{minimum: 1, maximum: 40}`: grows and shrinks with the work. None: `workers` of them."""


@dataclass(frozen=True, kw_only=True)
class RunnerConfig:
    """Where batches run. Listing and downloading stay one process: it holds the limits that Wikimedia sees."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Kind | None = None
    """None: what the command takes by itself (demo: threads, build: processes)."""
    workers: int | None = None
    """How many; None: one per core, or as many as the cluster at `address` has."""
    address: str | None = None
    """Of a running cluster: tcp://host:8786 for Dask; auto or host:6379 for Ray."""
    cluster: ClusterConfig | None = None
    """Dask only: start this cluster."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError("workers: at least one is needed.")
        if self.address is not None and self.cluster is not None:
            raise ValueError("give address or cluster, not both.")
        if self.address is not None and self.kind not in ("dask", "ray"):
            raise ValueError("an address belongs to kind dask or ray.")
        if self.cluster is not None and self.kind != "dask":
            raise ValueError("a cluster is started for kind dask only.")


def chosen_runner(
    held: RunnerConfig,
    *,
    kind: Kind | None,
    workers: int | None,
    address: str | None,
    usual: Kind,
) -> RunnerConfig:
    """What was asked for, else the recipe's (`held`), else what is usual there.

    Raises:
        ValueError: what was asked for does not go together.
    """
    named = kind or held.kind or ("dask" if address else usual)
    changes: dict[str, Any] = {"kind": named}
    if named != held.kind or address is not None:
        changes |= {"address": address, "cluster": None}
    if workers is not None:
        changes["workers"] = workers
    return replace(held, **changes)
