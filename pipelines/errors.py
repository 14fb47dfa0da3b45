"""The errors that a person can do something about: shown as one message by the command line, not as a traceback."""

from __future__ import annotations

EXPECTED: dict[str, tuple[str, ...]] = {
    "builtins": ("FileNotFoundError",),
    "catalog.release.credits": ("AttributionError",),
    "catalog.explain": (
        "NoBuild",
        "UnknownFile",
    ),
    "catalog.release.manifest": ("DatasetError",),
    "catalog.purge": ("StillReleased",),
    "catalog.release.shards": ("ExportError",),
    "catalog.store": (
        "CatalogLocked",
        "DiskFull",
    ),
    "crawler.commons": ("ListingError",),
    "crawler.limits": ("DoorError",),
    "filters.duplicates.leakage": ("FingerprintError",),
    "filters.measures": ("UnknownMeasure",),
    "filters.metrics": (
        "DeviceMissing",
        "UnknownMetric",
        "WeightsMissing",
    ),
    "filters.policy": ("RuleError",),
    "pipelines.studies.demo_train": ("OtherExperiment",),
    "pipelines.release.hub": ("PushError",),
    "pipelines.recipe": ("RecipeError",),
    "training.backbones": (
        "BackboneError",
        "UnknownBackbone",
    ),
    "training.evaluation.benchmarks": ("BenchmarkError",),
    "training.checkpoint": ("CheckpointError",),
    "training.consistency": (
        "ConsistencyError",
        "UnknownEncoder",
    ),
    "training.data": ("DataError",),
    "training.epoch": ("TrainingError",),
    "training.evaluation.methods": ("MethodError",),
    "training.photographs": ("NoPhotographs",),
    "training.pretrain_tiny": ("OtherRun",),
    "training.restore": ("RestoreError",),
    "training.rewards": (
        "RewardError",
        "UnknownReward",
    ),
    "training.statistics": ("Regressed",),
    "training.train_config": ("ConfigError",),
}
"""Module -> its classes. By name, so that nothing is imported to tell: whoever raised one has done that."""


def is_expected(error: BaseException) -> bool:
    """Whether it, or a class that it derives from, stands in `EXPECTED`."""
    return any(kind.__name__ in EXPECTED.get(kind.__module__, ()) for kind in type(error).__mro__)
