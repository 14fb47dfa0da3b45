"""Which measures speak for a label: the terms of the classifier that a build decided with."""

from __future__ import annotations

from pathlib import Path

from catalog.explain import WhyLabels
from catalog.store import Catalog

MOST = 4


def why_labels_of(out: Path) -> WhyLabels:
    """For the recipe that the build in `out` was decided with."""
    from filters.classifier import load_classifier
    from pipelines.publish import load_built_recipe

    recipe, _ = load_built_recipe(Catalog(out / "catalog"))
    policy = recipe.degradation

    def why(labels: list[str], measures: dict[str, float | None]) -> list[str]:
        lines: list[str] = []
        for label in labels:
            own = [curve.measure for curve in policy.curves if curve.label == label]
            if own or policy.classifier is None:
                lines.append(f"{label}: by the recipe's curve on {', '.join(own)}")
                continue
            said = load_classifier(policy.classifier).contributions(measures, label)
            top = [
                f"{name} {_shown(measures.get(name))} ({value:+.1f})"
                for name, value in list(said.items())[:MOST]
            ]
            lines.append(f"{label}: {', '.join(top)}")
        return lines

    return why


def _shown(value: float | None) -> str:
    return "null" if value is None else f"{value:.3g}"
