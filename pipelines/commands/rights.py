"""Look at what the license gate says, and clear files that a person looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Out, the_build
from pipelines.terminal import echo

app = typer.Typer()


@app.command()
def licenses(
    out: Out = None,
    examples: Annotated[int, typer.Option(min=0, help="Files shown for each reason.")] = 3,
    reason: Annotated[
        str | None, typer.Option(help="Only this reason, with all its files, one a line.")
    ] = None,
    clear: Annotated[
        Path | None,
        typer.Option(
            help="List of quarantined files to let through, one a line; - for standard input."
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="With --clear: who looked at them.")] = "",
    why: Annotated[str, typer.Option(help="With --clear: what they found.")] = "",
    signs: Annotated[
        bool, typer.Option("--signs", help="List the signs that a recipe can switch off.")
    ] = False,
    recipe: Annotated[str | None, typer.Option(help="Default: that of the last build.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="With --recipe: its limit.")] = None,
) -> None:
    """Count the reasons of the license gate, with examples; clear files that a person looked at."""
    from pipelines.offline import rights
    from pipelines.recipe import load_recipe

    if signs:
        from filters.rights.signs import signs as table

        for sign in table():
            echo(f"{sign.name:<24}{sign.outcome:<11}{sign.means}")
        return
    out = the_build(out)
    loaded = load_recipe(recipe) if recipe else None
    if clear is not None:
        text = sys.stdin.read() if str(clear) == "-" else clear.read_text(encoding="utf-8-sig")
        done = rights.clear(out, text.splitlines(), by=by, why=why, recipe=loaded, limit=limit)
        echo(f"{len(done.rows)} file{'s were' if len(done.rows) != 1 else ' was'} cleared.")
        for line, problem in done.left_out:
            echo(f"not cleared: {line}\n  {problem}")
        if done.rows:
            echo(f"Next: lucidlr build with the same recipe and --out {out}")
        if done.left_out:
            raise typer.Exit(1)
        return
    most = sys.maxsize if reason else examples
    rows = rights.license_rows(out, recipe=loaded, limit=limit, examples=most)
    if reason is None:
        for line in rights.license_lines(rows):
            echo(line)
        return
    chosen = [row for row in rows if row.reason == reason]
    if not chosen:
        echo(f"No file has the reason {reason!r}; there are: {', '.join(r.reason for r in rows)}")
        raise typer.Exit(1)
    for row in chosen:
        for page_id, title in row.examples:
            echo(f"{page_id}  {title}")
