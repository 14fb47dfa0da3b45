"""The typed recipe: one YAML file says all that a build does; nothing else configures it.

Unknown keys are errors that name the key, where it stands, and the nearest valid one. The sections belong to the code
that uses them (`Limits` to the crawler's door, `Rule` to the policy, ...) and are only put together here.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from catalog.errors import Expected
from catalog.plugins import nearest
from crawler.limits import Limits
from crawler.recheck import RefreshPolicy
from crawler.sources import LATER, SiteConfig, source_key
from crawler.sources import Source as AnySource
from filters.degradation import LABELS, DegradationPolicy
from filters.degradation.classifier import load_classifier
from filters.duplicates.dedupe import DedupePolicy
from filters.duplicates.leakage import LeakagePolicy, index_hash
from filters.measures import measure_names
from filters.metrics import Scoring
from filters.policy import Rule
from filters.prefilter import PrefilterPolicy
from filters.rights.policy import RightsPolicy
from filters.sampling import SamplingPolicy
from pipelines.bounds import BudgetConfig
from pipelines.recipe_problems import problems_of
from pipelines.runner_config import RunnerConfig

Source = Annotated[AnySource, Field(discriminator="kind")]

GATE_VALUES = (
    "state",
    "title",
    "mime",
    "media_type",
    "width",
    "height",
    "short_side",
    "long_side",
    "aspect",
    "megapixels",
    "size_bytes",
    "bytes_per_pixel",
    "categories",
    "uploader",
    "upload_year",
    "hints",
    "hint_count",
    "license",
    "license_outcome",
    "license_reason",
    "family",
)
"""What a gate rule may look at: known before anything is downloaded."""

MEASURED_VALUES = (
    "object",
    "twin",
    "leak_distance",
    "leak_points",
    "severity",
    "undecided",
    *(f"severity.{x}" for x in LABELS),
)
"""What the later rules may look at besides, with `measure.<name>` and `score.<name>`."""


DEMO_RECIPE = Path(__file__).parent / "recipes" / "demo.yaml"
"""The demo's; it has a corpus."""
UNHASHED = {
    *("limits", "batch_size", "title", "description", "refresh", "version", "previous", "runner"),
    "budget",
}
"""Sections of a recipe that cannot change a decision."""


FEWEST_FILES, MOST_FILES = 20, 250
"""Of the demo's corpus. Each role occurs from 20 on; more than 250 do not fit on the packaged photographs."""


OWN_KINDS = ("folder", "webdataset")
"""Kinds of sources that lie on this machine: no wiki is asked for them."""


class RecipeError(Expected, ValueError):
    """A recipe that cannot be used; the message says which line to change, and how."""


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """The embedded Commons: a corpus made from packaged photographs, served on loopback for the time of the build."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    seed: int = 1
    """Another seed makes another corpus."""
    files: int = 250
    """How many files, 20 to 250: for more the packaged photographs are not enough."""
    page_size: int = 50
    """Most rows in one answer of the API; small values exercise continuation."""

    def __post_init__(self) -> None:
        if not FEWEST_FILES <= self.files <= MOST_FILES:
            raise ValueError(
                f"the packaged photographs give a corpus of {FEWEST_FILES} to {MOST_FILES} files, not of {self.files}"
            )


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """How shards are cut."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    max_shard_mb: float = 300.0
    """Most bytes of one shard, in millions."""
    row_group_rows: int = 50
    """Images in one row group; a reader holds one group in memory."""


class Recipe(BaseModel):
    """A whole build. See pipelines/recipes/ for complete ones with reasons."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Short name of the dataset that results."""
    title: str = ""
    """Title of the card; default: the name. Does not change the build."""
    description: str = ""
    """For people; does not change the build."""
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "0.1.0"
    """Of the release that results, MAJOR.MINOR.PATCH; does not change the build."""
    previous: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    """Dataset hash of the release that this one follows; does not change the build."""
    seed: int = 0
    """Of the draw and the split."""
    site: SiteConfig = SiteConfig()
    """The wiki to crawl."""
    corpus: CorpusConfig | None = None
    """Set: no wiki is asked, an embedded one is made and served on loopback."""
    limits: Limits = Limits()
    """Politeness; does not change the result."""
    budget: BudgetConfig = BudgetConfig()
    """When to stop before everything is fetched; does not change what a build without it gives."""
    sources: tuple[Source, ...]
    """Where files are listed, in order of precedence."""
    prefilter: PrefilterPolicy = PrefilterPolicy()
    """What counts as a hint of natural degradation, for gate rules on `hints` and `hint_count`."""
    gate: tuple[Rule, ...]
    """Rules on metadata: only what passes them all is downloaded."""
    extra_measures: tuple[str, ...] = ()
    """Names of filters/measures/*, beside those that the labels need."""
    scores: tuple[str, ...] = ()
    """Names of metrics: files of filters/metrics/ or `pyiqa:<name>`."""
    scoring: Scoring = Scoring()
    """Device and precision of the metrics."""
    rights: RightsPolicy = RightsPolicy()
    """What of the license gate does not count here, and a classifier of contents."""
    dedupe: DedupePolicy = DedupePolicy()
    leakage: LeakagePolicy = LeakagePolicy()
    """Benchmark images to keep away from, for rules on `leak_distance` (bits; up to 12 is a copy) and, with
    `dedupe.partial` and points in the index, `leak_points` (points of a common part; 0 is none)."""
    degradation: DegradationPolicy = DegradationPolicy()
    rules: tuple[Rule, ...]
    """Rules on what was measured, in order; the first that fails gives the reason."""
    sampling: SamplingPolicy = SamplingPolicy()
    export: ExportConfig = ExportConfig()
    refresh: RefreshPolicy = RefreshPolicy()
    """How often the files are asked for again; does not change the build."""
    runner: RunnerConfig = RunnerConfig()
    """Where batches run; does not change the result."""
    batch_size: Annotated[int, Field(ge=1, le=512)] = 256
    """Items per batch: the unit of work, of output and of resume. Does not change the result."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Recipe:
        unknown = sorted({*self.extra_measures, *self.degradation.measures} - set(measure_names()))
        if unknown:
            near = nearest(unknown[0], measure_names())
            raise ValueError(f"there is no measure {unknown[0]!r}; did you mean {near!r}?")
        self.bounded_by(self.budget)
        self._screen_is_used()
        self._scenes_can_be_told()
        measured = [f"measure.{name}" for name in self.measures]
        measured += [f"score.{name}" for name in self.scores]
        for rules, allowed in (
            (self.gate, list(GATE_VALUES)),
            (self.rules, [*GATE_VALUES, *MEASURED_VALUES, *measured]),
        ):
            for rule in rules:
                if rule.value not in allowed:
                    raise ValueError(
                        f"rule {rule.name!r} looks at {rule.value!r}, which is not known there; "
                        f"did you mean {nearest(rule.value, allowed)!r}?"
                    )
        names = [rule.name for rule in (*self.gate, *self.rules)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules are named {twice[0]!r}; the ledger needs one name each")
        return self

    def bounded_by(self, budget: BudgetConfig) -> Recipe:
        """The recipe with another budget.

        Raises:
            ValueError: it cannot be met.
        """
        if budget.stop_at is not None and self.sampling.max_samples is None:
            raise ValueError(
                "budget.stop_at: kept needs sampling.max_samples: how many are enough?"
            )
        return self.model_copy(update={"budget": budget})

    def _scenes_can_be_told(self) -> None:
        """Only an encoder tells scenes."""
        if "scene" in self.sampling.caps and self.dedupe.embedding is None:
            raise ValueError(
                "sampling.caps has a cap on scenes, which an encoder tells: add dedupe.embedding, for example "
                "{encoder: efficientnet_lite0}."
            )

    def _screen_is_used(self) -> None:
        """A classifier that nobody asks, or that no rule looks at, screens nothing."""
        screen = self.rights.screen
        if screen is not None and screen not in self.scores:
            raise ValueError(f"rights.screen is {screen!r}, which is not in scores: add it there.")
        if screen is not None and all(rule.value != f"score.{screen}" for rule in self.rules):
            raise ValueError(f"rights.screen is {screen!r}, but no rule looks at score.{screen}.")

    @property
    def measures(self) -> tuple[str, ...]:
        """Every measure that this build takes, in alphabetical order."""
        return tuple(sorted({*self.extra_measures, *self.degradation.measures}))

    def source_key(self, source: Source) -> str:
        """Names a source of this recipe in the catalog; the same source of another wiki or corpus has another key."""
        wiki = f"{self.site.host}{self.site.path}"
        if self.corpus is not None:
            wiki = f"corpus {self.corpus.seed} {self.corpus.files}"
        return source_key(source, wiki=wiki)

    def source_caps(self, limit: int | None) -> list[tuple[str, int | None]]:
        """(source key, most rows) in order; `limit` is shared out evenly among the sources."""
        share = None if limit is None else max(1, -(-limit // len(self.sources)))
        caps = []
        for source in self.sources:
            bounds = [cap for cap in (source.max_files, share) if cap is not None]
            caps.append((self.source_key(source), min(bounds) if bounds else None))
        return caps

    def hash(self, versions: Sequence[str], limit: int | None = None) -> str:
        """12 hex digits over all that can change a decision: the recipe, what measured (name@version), the limit."""
        content = self.model_dump(mode="json", exclude=UNHASHED)
        for source in content["sources"]:
            # When a source is looked at again says nothing about its files; a later key that is not given is not there.
            source.pop("relist", None)
            for name in LATER:
                if source.get(name) is None:
                    source.pop(name, None)
        content |= {"versions": sorted(versions), "limit": limit}
        if self.degradation.classifier is not None:
            content["degradation"]["weights"] = load_classifier(self.degradation.classifier).sha256
        if self.dedupe.partial is None:
            # As before there was such a key: the decisions are the same.
            del content["dedupe"]["partial"]
        embedding = content["dedupe"]["embedding"]
        if embedding is not None and embedding["device"] == "cpu":
            del embedding["device"]
        if self.leakage.index is not None:
            # What the index holds counts, not where it lies.
            content["leakage"]["index"] = index_hash(Path(self.leakage.index))
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def asks_a_wiki(self) -> bool:
        """Whether any of its sources is one of a wiki."""
        return any(source.kind not in OWN_KINDS for source in self.sources)


RECIPES = Path(__file__).parent / "recipes"


Kind = Literal["build", "evaluation", "training"]
"""What a recipe is for: each kind has keys of its own."""


def recipe_names(kind: Kind = "build") -> dict[str, Path]:
    """Name -> file of the recipes of a kind that come with the package."""
    patterns = {"build": "*.yaml", "evaluation": "evaluate_*.yaml", "training": "nft/*.yaml"}
    files = sorted(RECIPES.glob(patterns[kind]))
    if kind == "build":
        files = [file for file in files if not file.stem.startswith(("evaluate_", "train_"))]
    # Settings of accelerate lie beside those of trainings.
    return {file.stem: file for file in files if not file.stem.startswith("accelerate_")}


def recipe_path(named: str | Path, *, kind: Kind = "build") -> Path:
    """The file that a person means by a path, or by the name of a ready recipe.

    Raises:
        RecipeError: there is no such file; the message names the nearest.
    """
    file = Path(named)
    if file.is_file():
        return file
    name = file.name.removesuffix(".yaml")
    known = recipe_names(kind)
    if len(file.parts) == 1 and name in known:
        return known[name]
    near = difflib.get_close_matches(file.stem, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    what = "This is a folder, not a recipe" if file.is_dir() else "There is no recipe"
    raise RecipeError(
        f"{what}: {named}.{hint} Name one of {', '.join(known)}, or the path of a YAML file."
    )


def load_recipe(named: str | Path) -> Recipe:
    """Reads and checks a recipe, named by its path or by the name of a ready one.

    Raises:
        RecipeError: no such file, not YAML, an unknown key or a bad value; the message names it.
    """
    file = recipe_path(named)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(
            f"{file} holds no recipe: a mapping with name, sources, gate, ... is expected."
        )
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{file}:\n  " + "\n  ".join(problems_of(error, Recipe))) from error
