"""Writes the documents that follow from the code: docs/recipe.md, docs/recipe.schema.json and docs/commands.md.

    make docs        or        python -m pipelines.reference [FOLDER]

A test compares them with the code: after a new option or key, run it and commit what it wrote.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from catalog import files
from pipelines.commands.panels import PANELS, UNNAMED, place_of
from pipelines.recipe_doc import json_schema, markdown

DOCS = Path(__file__).parents[1] / "docs"


def documents() -> dict[str, str]:
    """Name -> content of each."""
    schema = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    return {
        "recipe.md": markdown(),
        "recipe.schema.json": schema,
        "commands.md": commands_markdown(),
    }


def commands_markdown() -> str:
    """docs/commands.md: every command of every panel, with its arguments and options."""
    lines = [
        "# Commands",
        "",
        "Written by `make docs` from the command line itself; do not edit. `lucidlr COMMAND -h` shows the same.",
        "",
        "Exit codes: 0 done, 1 an error that the message explains, 2 wrong usage, 130 interrupted (the same command",
        "resumes). Commands about a build take `--out`; without it they answer about the last build of the working",
        "directory and name it on their first line. What deletes or publishes asks, or wants `--out`.",
    ]
    told: str | None = None
    for name, command in commands().items():
        panel = place_of(name)[1]
        if panel != told:
            lines += ["", f"## {panel}"]
            told = panel
        lines += ["", f"### `lucidlr {name}`", "", _sentence(command.help)]
        rows = [_row(parameter) for parameter in command.params if not _hidden(parameter)]
        if rows:
            lines += ["", "| | default | |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def commands() -> dict[str, Any]:
    """Name -> command, in the order of the panels."""
    import typer

    from pipelines.cli import app

    group: Any = typer.main.get_command(app)
    return dict(sorted(group.commands.items(), key=lambda item: place_of(item[0])))


def unplaced() -> list[str]:
    """Commands that no panel names."""
    return [name for name in commands() if place_of(name)[1] == UNNAMED]


def known_commands() -> list[str]:
    """All names that a panel has, also of commands still to come."""
    return [name for names in PANELS.values() for name in names]


def _hidden(parameter: Any) -> bool:
    return getattr(parameter, "hidden", False) or parameter.name == "help"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name, needed = parameter.name.upper(), parameter.required
        default = "required" if needed else _default(parameter)
        label = f"`{name}`"
    else:
        label = ", ".join(f"`{opt}`" for opt in (*parameter.opts, *parameter.secondary_opts))
        default = "required" if parameter.required else _default(parameter)
    return f"| {label} | {default} | {_sentence(parameter.help).replace('|', chr(92) + '|')} |"


def _default(parameter: Any) -> str:
    value = parameter.default
    if value is None or value is False or callable(value) or value in ((), []):
        return ""
    return f"`{getattr(value, 'value', value)}`"


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


def main(folder: Path = DOCS) -> None:
    """Writes them all."""
    for name, content in documents().items():
        files.put(folder / name, content)
        sys.stdout.write(f"{folder / name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else DOCS)
