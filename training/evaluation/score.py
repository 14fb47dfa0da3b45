"""Scores every output of every method on every benchmark with every metric; what was scored before is not scored again.

What can go wrong with one image, one method or one metric is reported and stops nothing else: an output that is
missing, cannot be read or has the wrong size, a scorer that fails on one image (a row with the error), a metric whose
weights are not here (`not run: why`, no number). Scores are of the saved file, one image at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.measures import NotAnImage
from training.evaluation.benchmarks import Benchmark
from training.evaluation.cache import Identity, Kept, ScoreCache
from training.evaluation.inputs import Case, prepare
from training.evaluation.lr_labels import Labelled, labels_of
from training.evaluation.methods import Method, Produce, outputs_of
from training.evaluation.metrics import MetricSpec, NotRun, load_scorer, lower_is_better
from training.evaluation.outputs import MethodError, Outputs
from training.evaluation.scoring import ON_ONE_CORE, How, Job, scores_of
from training.pictures import decoded

PER_IMAGE = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("error", pa.string()),
        pa.field("lower_better", pa.bool_(), nullable=False),
        pa.field("metric_version", pa.string(), nullable=False),
        pa.field("weights_sha256", pa.string()),
        pa.field("preprocessing", pa.string(), nullable=False),
        pa.field("image_sha256", pa.string(), nullable=False),
        pa.field("reference_sha256", pa.string()),
    ]
)
"""A row per benchmark, method, image and metric; `value` is null where `error` says why."""
PART_ROWS = 32
"""Scores between two parts: what a kill can cost."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that was left out of the results."""

    benchmark: str
    method: str | None
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.benchmark, self.method, self.what) if part)


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Everything that was scored, and what was not."""

    scores: pa.Table
    """PER_IMAGE."""
    cases: Mapping[str, Sequence[Case]]
    """By benchmark."""
    benchmarks: Mapping[str, Benchmark]
    """By name."""
    outputs: Mapping[tuple[str, str], Mapping[str, Path]]
    """(benchmark, method) -> case -> scored file."""
    labels: Mapping[str, Mapping[str, Labelled]] = field(
        default_factory=dict[str, Mapping[str, Labelled]]
    )
    """Benchmark -> case -> what ails its LR."""
    not_run: Mapping[str, str] = field(default_factory=dict[str, str])
    """Metric -> why."""
    short: Mapping[str, str] = field(default_factory=dict[str, str])
    """Metric -> why, in a few words that several share."""
    problems: Sequence[Problem] = ()
    computed: Mapping[str, int] = field(default_factory=dict[str, int])
    """Metric -> scores that this run computed."""
    reused: int = 0
    made: int = 0
    """Outputs that this run made."""


def _quiet(text: str) -> None:
    del text


def evaluate(
    benchmarks: Sequence[Benchmark],
    methods: Sequence[Method],
    metrics: Sequence[MetricSpec],
    out: Path,
    *,
    produce: Produce | None = None,
    how: How = ON_ONE_CORE,
    retry: bool = False,
    say: Say = _quiet,
) -> Evaluated:
    """Makes outputs where they are missing and scores where they are new.

    Args:
        out: holds inputs/, outputs/ and scores/.
        produce: makes outputs of a backbone; see `training.evaluation.methods`.
        how: device, processes, and whether weights may be fetched.
        retry: compute again what failed before.
        say: told what happens, a line each.
    """
    problems: list[Problem] = []
    cases: dict[str, list[Case]] = {}
    outputs: dict[tuple[str, str], dict[str, Path]] = {}
    labels: dict[str, dict[str, Labelled]] = {}
    hashes: dict[Path, str] = {}
    made = 0
    for benchmark in benchmarks:
        name = benchmark.name
        cases[name], unreadable = prepare(benchmark, out)
        labels[name] = labels_of(cases[name], out)
        for what in (*benchmark.problems, *unreadable):
            problems.append(Problem(benchmark=name, method=None, what=what))
        for method in methods:
            say(f"{name}: outputs of {method.name}")
            try:
                found = outputs_of(method, name, cases[name], out, produce=produce)
            except MethodError as error:
                problems.append(Problem(benchmark=name, method=method.name, what=str(error)))
                continue
            made += found.made
            good, bad = _checked(found, cases[name], hashes)
            outputs[name, method.name] = good
            for what in (*found.problems, *bad):
                problems.append(Problem(benchmark=name, method=method.name, what=what))
    rows: list[dict[str, Any]] = []
    not_run: dict[str, str] = {}
    short: dict[str, str] = {}
    computed: dict[str, int] = {}
    reused = 0
    for spec in metrics:
        wanted = [
            (benchmark, method, case, outputs[benchmark.name, method.name][case.name])
            for benchmark in benchmarks
            if spec.against != "hr" or benchmark.paired
            for method in methods
            for case in cases[benchmark.name]
            if case.name in outputs.get((benchmark.name, method.name), {})
        ]
        done = _Metric(spec, out / "scores", how=how, retry=retry, say=say)
        new = done.score([(case, file, hashes[file]) for _, _, case, file in wanted])
        if done.why is not None:
            not_run[spec.name] = done.why
            short[spec.name] = done.short
        computed[spec.name] = new
        identity = done.identity
        if identity is None:
            continue
        for benchmark, method, case, file in wanted:
            kept = done.cache.kept.get(identity.key(hashes[file], _reference(spec, case)))
            if kept is None:
                continue
            rows.append(
                {
                    "benchmark": benchmark.name,
                    "protocol": benchmark.protocol,
                    "method": method.name,
                    "image": case.name,
                    "cluster": case.cluster,
                    "metric": spec.name,
                    "value": kept.value,
                    "error": kept.error,
                    "lower_better": identity.lower_better,
                    "metric_version": identity.version,
                    "weights_sha256": identity.weights_sha256,
                    "preprocessing": identity.preprocessing,
                    "image_sha256": hashes[file],
                    "reference_sha256": _reference(spec, case),
                }
            )
        keys = {identity.key(hashes[file], _reference(spec, case)) for _, _, case, file in wanted}
        reused += len(keys & done.cache.kept.keys()) - new
    return Evaluated(
        scores=pa.Table.from_pylist(rows, schema=PER_IMAGE),
        cases=cases,
        benchmarks={benchmark.name: benchmark for benchmark in benchmarks},
        outputs=outputs,
        labels=labels,
        not_run=not_run,
        short=short,
        problems=problems,
        computed=computed,
        reused=reused,
        made=made,
    )


def _checked(
    found: Outputs, cases: Sequence[Case], hashes: dict[Path, str]
) -> tuple[dict[str, Path], list[str]]:
    """Outputs that can be read and have the protocol's size; the others with what is wrong. Fills in SHA-256s."""
    good: dict[str, Path] = {}
    bad: list[str] = []
    for case in cases:
        file = found.files.get(case.name)
        if file is None:
            continue
        try:
            content = file.read_bytes()
            height, width = decoded(content).shape[:2]
        except (NotAnImage, OSError) as error:
            bad.append(f"{case.name}: {file.name} cannot be read ({error})")
            continue
        if (width, height) != case.size:
            wanted = f"{case.size[0]}x{case.size[1]}"
            bad.append(f"{case.name}: {file.name} is {width}x{height}, {wanted} was asked for")
            continue
        hashes[file] = hashlib.sha256(content).hexdigest()
        good[case.name] = file
    return good, bad


def _reference(spec: MetricSpec, case: Case) -> str | None:
    return {"nothing": None, "lr": case.lr_sha256, "hr": case.hr_sha256}[spec.against]


class _Metric:
    """One metric over all images; loaded when asked to score."""

    def __init__(self, spec: MetricSpec, folder: Path, *, how: How, retry: bool, say: Say) -> None:
        self.spec, self.how, self.retry, self.say = spec, how, retry, say
        self.cache = ScoreCache(folder, spec.name)
        self.identity: Identity | None = None
        self.why: str | None = None
        self.short = ""

    def score(self, wanted: Sequence[tuple[Case, Path, str]]) -> int:
        """Scores what is not kept; returns how many that were."""
        if not wanted:
            self.why = "no output to score" if self.spec.against != "hr" else "no benchmark with HR"
            self.short = self.why
            return 0
        try:
            scorer = load_scorer(self.spec, scoring=self.how.scoring, download=self.how.download)
        except NotRun as error:
            # Scores that came with the folder, e.g. from a machine with a GPU, are as good as ever.
            self.identity = self.cache.remembered()
            self.why = None if self._all_kept(wanted) else str(error)
            self.short = error.short
            return 0
        self.identity = Identity(
            metric=self.spec.name,
            version=scorer.version,
            weights_sha256=scorer.weights_sha256,
            preprocessing=self.spec.preprocessing,
            lower_better=lower_is_better(self.spec, scorer),
        )
        self.cache.remember(self.identity)
        missing = {
            (digest, _reference(self.spec, case)): (case, file)
            for case, file, digest in wanted
            if self._is_missing(digest, case)
        }
        if missing:
            self.say(f"{self.spec.name}: {len(missing)} images")
        part: dict[tuple[str, str | None], Kept] = {}
        jobs = [Job(spec=self.spec, case=case, file=file) for case, file in missing.values()]
        for key, (job, kept) in zip(missing, scores_of(jobs, scorer, self.how), strict=True):
            if kept.error is not None:
                self.say(f"{self.spec.name}: failed on {job.file}: {kept.error}")
            part[key] = kept
            if len(part) == PART_ROWS:
                self.cache.add(self.identity, part)
                part = {}
        self.cache.add(self.identity, part)
        return len(missing)

    def _is_missing(self, digest: str, case: Case) -> bool:
        assert self.identity is not None
        kept = self.cache.kept.get(self.identity.key(digest, _reference(self.spec, case)))
        return kept is None or (self.retry and kept.error is not None)

    def _all_kept(self, wanted: Sequence[tuple[Case, Path, str]]) -> bool:
        return self.identity is not None and not any(
            self._is_missing(digest, case) for case, _, digest in wanted
        )
