"""The errors that a person can do something about: shown as one message by the command line, not as a traceback."""

from __future__ import annotations


def expected_errors() -> tuple[type[Exception], ...]:
    """All of them; imported only when something went wrong."""
    from catalog.credits import AttributionError
    from catalog.explain import NoBuild, UnknownFile
    from catalog.export import ExportError
    from catalog.manifest import DatasetError
    from catalog.purge import StillReleased
    from catalog.store import CatalogLocked, DiskFull
    from crawler.commons import ListingError
    from crawler.limits import DoorError
    from filters.leakage import FingerprintError
    from filters.measures import UnknownMeasure
    from filters.metrics import DeviceMissing, UnknownMetric, WeightsMissing
    from filters.policy import RuleError
    from pipelines.demo_train import OtherExperiment
    from pipelines.hub import PushError
    from pipelines.recipe import RecipeError
    from training.backbones import BackboneError, UnknownBackbone
    from training.benchmarks import BenchmarkError
    from training.checkpoint import CheckpointError
    from training.consistency import ConsistencyError, UnknownEncoder
    from training.data import DataError
    from training.epoch import TrainingError
    from training.methods import MethodError
    from training.photographs import NoPhotographs
    from training.pretrain_tiny import OtherRun
    from training.restore import RestoreError
    from training.rewards import RewardError, UnknownReward
    from training.statistics import Regressed
    from training.train_config import ConfigError

    return (
        BenchmarkError,
        MethodError,
        Regressed,
        CatalogLocked,
        TrainingError,
        DataError,
        ConfigError,
        CheckpointError,
        ConsistencyError,
        DatasetError,
        DeviceMissing,
        DiskFull,
        DoorError,
        ExportError,
        FingerprintError,
        AttributionError,
        BackboneError,
        ListingError,
        NoBuild,
        NoPhotographs,
        OtherExperiment,
        OtherRun,
        PushError,
        RecipeError,
        RestoreError,
        RewardError,
        RuleError,
        StillReleased,
        UnknownBackbone,
        UnknownEncoder,
        UnknownFile,
        UnknownMeasure,
        UnknownMetric,
        UnknownReward,
        WeightsMissing,
        FileNotFoundError,
    )
