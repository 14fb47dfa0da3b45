"""The commands of `lucidlr`, a module per group; pipelines.cli puts them together.

A module here has a `typer.Typer()` named `app`. Imports stay inside the commands: `lucidlr --help` answers at once.
"""
