"""What decides an experiment: its arms, its sizes, the rewards it trains on and what it measures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from catalog.errors import Missing


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train."""

    name: str
    aggregation: Literal["decoupled", "scalarized"] = "decoupled"
    std: Literal["group", "global"] | None = None
    """None: group if decoupled, global if scalarised."""
    control: Literal["none", "shuffled"] = "none"
    weights: tuple[float, float] = (1.0, 1.0)
    """Of faithfulness and of the perceptual reward."""
    rescaled: bool = False
    """Divide these weights by the spread of each reward at the base; decoupling does so by itself, in every group."""
    lrs: Literal["dataset", "benchmark-like"] = "dataset"


ARMS = {
    arm.name: arm
    for arm in (
        Arm(name="decoupled"),
        Arm(name="scalarized", aggregation="scalarized", rescaled=True),
        Arm(name="scalarized-group", aggregation="scalarized", rescaled=True, std="group"),
        Arm(name="scalarized-raw", aggregation="scalarized"),
        Arm(name="control", control="shuffled"),
        Arm(name="faithfulness", weights=(1.0, 0.0)),
        Arm(name="perceptual", weights=(0.0, 1.0)),
        Arm(name="benchmark-like", lrs="benchmark-like"),
    )
}
MAIN_ARMS = ("decoupled", "scalarized", "control")
REWARDS = ("lr_faithfulness", "photo_critic")
MEASURED = ("lr_faithfulness", "photo_critic", "second_critic", "coherent_edges", "psnr_db")
"""The first two are trained on. The second critic has another seed and is no reward; PSNR is against photographs."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What decides the results."""

    out: Path = Path("out/demo-train")
    dataset: Path = Path("out/demo/dataset")
    photos: Path | None = None
    """A folder of photographs for pretraining, on top of the packaged ones."""
    held_out_subjects: tuple[str, ...] = ("cat", "cameraman", "flower")
    """Subjects of the demo's dataset whose photographs pretraining holds out as well."""
    lr_px: int = 8
    pretrain_steps: int = 4_000
    pretrain_pairs: int = 24_000
    width: int = 32
    critic_steps: int = 400
    critic_patches: int = 3_000
    epochs: int = 20
    groups: int = 12
    group_size: int = 12
    rollout_steps: int = 6
    learning_rate: float = 2e-4
    test_lrs: int = 192
    """Held-out LR crops, and as many held-out pairs for PSNR."""
    draws: int = 2
    """Of noise for each of them."""
    arms: tuple[str, ...] = MAIN_ARMS
    seeds: int = 1
    weights: Path | None = None
    """Pretrained weights to begin with instead of a pretraining."""

    @property
    def backbone_file(self) -> Path:
        """The pretrained backbone."""
        return self.weights or self.out / "pretrain" / "tiny.safetensors"

    @property
    def critic_file(self) -> Path:
        """The critic that is a reward."""
        return self.out / "critic" / "critic.safetensors"

    @property
    def second_critic_file(self) -> Path:
        """The critic that only looks on."""
        return self.out / "second_critic" / "critic.safetensors"

    def run_folder(self, arm: str, seed: int) -> Path:
        """Of one training."""
        return self.out / "runs" / f"{arm}-{seed}"


def load_experiment(folder: Path) -> Experiment:
    """The experiment that a folder holds.

    Raises:
        catalog.errors.Missing: it holds none.
    """
    file = folder / "settings.json"
    if not file.is_file():
        raise Missing(f"{folder} holds no training demo; `lucidlr demo-train` makes one.")
    stored = TypeAdapter(Experiment).validate_json(file.read_text(encoding="utf-8"))
    return replace(stored, out=folder)
