"""docs/licenses.md, made from the tables: what is accepted and why, what is not, and what Commons can't tell.

python -m filters.rights.guide > docs/licenses.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from filters.rights.conditions import languages
from filters.rights.licenses import tables
from filters.rights.reasons import REASONS
from filters.rights.signs import KINDS, signs, sources
from filters.rights.statements import licenses


def _families() -> Iterator[str]:
    yield "## Public-domain tags with a reason\n"
    yield "| why it is free | tags: `PD-` and a name that matches one of |"
    yield "|---|---|"
    for reason, pattern in tables().tags:
        shown = pattern.pattern.removeprefix("(?:").removesuffix(r")\Z").replace("|", r"\|")
        yield f"| {reason} | `{shown if len(shown) < 300 else shown[:297] + '...'}` |"
    yield f"| law of the country named | one of {len(tables().countries)} countries and states |"
    marks = "`CC-PD-Mark`, `CC-Zero`, `Author died more than N years ago`"
    yield f"| given up, or marked as free of known copyright | {marks} |"
    yield ""
    yield (
        "Names of upkeep (`missing SDC`, `default`, `review`, `needing`, ...) are never evidence, nor part of a "
        "license id; tags for what is too simple for copyright or made by a program (`PD-textlogo`, `PD-algorithm`) "
        "say nothing about a photograph.\n"
    )


def _signs() -> Iterator[str]:
    yield "## Signs\n"
    yield (
        'Matched by the words of a category\'s name, in shapes: "permission" near "pending" is one, whatever '
        'stands around it. "Seen" are names that stand in a public file; names that no public file shows are '
        "matched by shape and not listed.\n"
    )
    for kind, title in KINDS.items():
        yield f"### {title[0].upper()}{title[1:]}\n"
        yield "| sign | outcome | what it means | seen |"
        yield "|---|---|---|---|"
        for sign in signs():
            if sign.kind == kind:
                seen = "; ".join(f"{name} [{source}]" for name, source in sign.seen)
                yield f"| `{sign.name}` | {sign.outcome} | {sign.means} | {seen} |"
        yield ""
    yield "Sources:\n"
    for key, about in sources().items():
        yield f"- [{key}] {about}"
    yield ""


def _reasons() -> Iterator[str]:
    yield "## Other reasons\n"
    yield "| reason | outcome | what it means |"
    yield "|---|---|---|"
    for reason, (outcome, about) in REASONS.items():
        yield f"| `{reason}` | {outcome} | {about} |"
    yield ""
    yield (
        f"Conditions are looked for in permission, attribution, author, source and usage terms, in "
        f"{len(languages())} languages: {', '.join(languages())}. In the fields that state the terms "
        "(permission, usage terms) a sentence about use needs a word that frees, credits or thanks, and a text in "
        "another language waits; so does a price, or a day on which use ends. Where somebody is credited, a sentence "
        "that speaks to the reader (please, you must, if, any other use) or says whose the picture is waits, unless it "
        f"frees, credits or thanks. Structured data are compared for "
        f"{len(licenses())} license items of Wikidata, NC and ND included.\n"
    )


def guide_text() -> str:
    """The whole page: guide.md.tmpl with the tables in it."""
    text = Path(__file__).with_name("guide.md.tmpl").read_text(encoding="utf-8")
    for name, lines in (("families", _families()), ("signs", _signs()), ("reasons", _reasons())):
        text = text.replace(f"@{name}", "\n".join(lines).strip())
    return text


if __name__ == "__main__":
    sys.stdout.write(guide_text())
