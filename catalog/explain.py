"""Why was this file kept or dropped, and what could not be done: answers for a person, from lucidlr.duckdb alone."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from catalog.database import connect
from catalog.errors import Expected, NoBuild, NotAFile, advice_for
from catalog.removals import Named, pages_named
from catalog.store import catalog_in, holds_build, reading
from catalog.views import opened

MOST_ALIKE = 10
"""Titles shown where a part of a title fits several."""


NOT_YET = (
    "CREATE VIEW decisions AS SELECT * FROM all_decisions WHERE false",
    "CREATE TABLE rules (rule VARCHAR)",
    "CREATE TABLE runs (command VARCHAR, started_at VARCHAR)",
)
"""What a database has and the parts of an unfinished build have not."""


class UnknownFile(Expected, LookupError):
    """No candidate has this title, page id or SHA-1."""


@contextmanager
def database_of(out: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """Opens out/lucidlr.duckdb for reading.

    Raises:
        NoBuild: there is none.
    """
    database = out / "lucidlr.duckdb"
    if not database.is_file() and holds_build(out):
        # A first build that is not at its end: what is committed already.
        with opened(catalog_in(out)) as connection:
            for statement in NOT_YET:
                connection.execute(statement)
            yield connection
        return
    if not database.is_file():
        raise NoBuild(
            f"There is no {database}: name a build's output folder with --out, or build first."
        )
    with reading(out / "catalog"):
        connection = connect(str(database), read_only=True)
        try:
            yield connection
        finally:
            connection.close()


def failure_lines(out: Path, *, details: bool = False) -> list[str]:
    """Open failures by stage and kind with counts and what to do; with `details` each one.

    Raises:
        NoBuild: there is no build in `out`.
    """
    with database_of(out) as connection:
        groups = connection.execute(
            "SELECT stage, kind, retryable, count(*) FROM failures GROUP BY ALL ORDER BY stage, kind"
        ).fetchall()
        rows = connection.execute(
            "SELECT stage, kind, key, error FROM failures ORDER BY stage, kind, key"
        ).fetchall()
        commands = connection.execute(
            "SELECT command FROM runs ORDER BY started_at DESC"
        ).fetchall()
    if not groups:
        return ["No open failures."]
    lines = [f"{'stage':<10}{'kind':<24}{'count':>6}  {'retry':<6}what to do"]
    lines += [
        f"{stage:<10}{kind:<24}{count:>6}  {'yes' if retryable else 'no':<6}{advice_for(kind)}"
        for stage, kind, retryable, count in groups
    ]
    if details:
        lines += ["", *(f"{stage} {kind} {key}: {error}" for stage, kind, key, error in rows)]
    if any(retryable for _, _, retryable, _ in groups):
        lines += ["", _how_to_retry(out, [command for (command,) in commands])]
    return lines


def _how_to_retry(out: Path, commands: list[str]) -> str:
    """By the last command that built, not one that only decided again, and with the folder as it is called today."""
    for command in commands:
        try:
            words = shlex.split(command)
        except ValueError:
            # A run of an older version, noted without quotes.
            words = command.split()
        if words[:1] == ["lucidlr"] and words[1:2] in (["build"], ["demo"]):
            kept = _without_option(words, "--out")
            again = shlex.join([*(word for word in kept if word != "--retry"), "--out", str(out)])
            return f"Retry the retryable ones with:  {again} --retry"
    return "Retry the retryable ones: run the deployment again with -p retry=true"


def _without_option(words: list[str], option: str) -> list[str]:
    """The words of a command without an option and its value, however it was written."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == option:
            skip = True
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


WhyLabels = Callable[[list[str], dict[str, float | None]], list[str]]
"""Labels and measures of a file -> lines that tell which measure speaks for which label."""


def explain_lines(
    out: Path, file: str, *, why_labels: WhyLabels | None = None, named: Named | None = None
) -> list[str]:
    """The way of one file through the build.

    Args:
        file: a page id, a SHA-1, a title or a part of one, or whatever `named` reads.
        named: what a person means (crawler.names.read_name); by default a page id or a title.
        why_labels: set: the file's measures are looked up and what it says of them follows the labels.

    Raises:
        NoBuild: there is no build in `out`.
        UnknownFile: no candidate is called so.
    """
    with database_of(out) as connection:
        found = _decision(connection, file, named or _plain_name)
        waiting = None if found else _undecided(connection, file, named or _plain_name)
        if waiting is not None:
            return waiting
        found = found or _alike(connection, out, file)
        page_id = found["page_id"]
        seen = connection.execute(
            "SELECT source_path, fetched_at FROM evidence WHERE page_id = ? ORDER BY fetched_at",
            [page_id],
        ).fetchall()
        rules = connection.execute(
            'SELECT l.rule, coalesce(printf(\'%.4g\', l."value"), l."text"), l.threshold, l.verdict '
            "FROM ledger l JOIN rules r ON r.rule = l.rule WHERE l.page_id = ? AND l.recipe_hash = ? "
            "ORDER BY r.rowid",
            [page_id, found["recipe_hash"]],
        ).fetchall()
        failed = connection.execute(
            "SELECT stage, kind, error FROM failures WHERE key IN (?, ?, ?)",
            [found["sha1"] or "", str(page_id), found["title"]],
        ).fetchall()
        stones = connection.execute(
            "SELECT reason, removed_at, detail FROM tombstones WHERE page_id = ? ORDER BY removed_at",
            [page_id],
        ).fetchall()
        winner = _row(
            connection,
            "SELECT title, reason FROM decisions WHERE page_id = ?",
            [found["duplicate_of"]],
        )
        said = _verdicts(connection, page_id, found["sha1"])
        others = connection.execute(
            "SELECT page_id, title, reason FROM decisions WHERE cluster_id = ? AND page_id <> ? ORDER BY page_id",
            [found["cluster_id"], page_id],
        ).fetchall()
        measures = {}
        if why_labels is not None and found["labels"]:
            rows = connection.execute(
                'SELECT name, "value" FROM measures WHERE sha1 = ?', [found["sha1"]]
            ).fetchall()
            measures = dict(rows)
    lines = [
        f"{found['title']}  (page {page_id}, sha1 {found['sha1']})",
        f"  {'kept' if found['keep'] else 'dropped'}: {found['reason']}",
        f"  license: {found['license_outcome']}, {found['license'] or 'none'} ({found['license_reason']})",
    ]
    lines += [f"  seen in {path} at {at:%Y-%m-%d %H:%M:%S} UTC" for path, at in seen]
    if found["labels"]:
        lines.append(
            f"  labels: {', '.join(found['labels'])} (severity {found['severity'] or 0.0:.2f})"
        )
    if why_labels is not None and measures:
        lines += [f"    {line}" for line in why_labels(found["labels"], measures)]
    lines += [f"  failure in {stage}: {kind}: {error}" for stage, kind, error in failed]
    lines += [f"  {reason} on {at:%Y-%m-%d}: {detail}" for reason, at, detail in stones]
    lines += said
    if winner:
        lines.append(f"  beaten by {winner['title']} ({winner['reason']})")
    lines += [f"  same cluster: {name} (page {page}, {reason})" for page, name, reason in others]
    lines.append("  rules:")
    lines += [
        f"    {'✓' if verdict == 'pass' else '✗' if verdict == 'fail' else '·'} {rule:<24}"
        f"{'' if value is None else value[:60]:<26}{threshold[:70]}"
        + ("" if verdict != "not_measured" else "  (not measured)")
        for rule, value, threshold, verdict in rules
    ]
    return lines


_SAID = {"frozen": "put it into the test split"}


def _verdicts(connection: duckdb.DuckDBPyConnection, page_id: int, sha1: str | None) -> list[str]:
    """What people said of a file, a line each; older databases know nothing of it."""
    known = connection.execute(
        "SELECT count(*) FROM duckdb_views() WHERE view_name = 'reviews'"
    ).fetchone()
    if not known or not known[0]:
        return []
    rows = connection.execute(
        "SELECT reviewer, what, label, why, reviewed_at, sha1 FROM reviews WHERE page_id = ? "
        "QUALIFY row_number() OVER (PARTITION BY sha1, reviewer, label, what = 'frozen' "
        "ORDER BY reviewed_at DESC, row_id DESC) = 1 "
        "ORDER BY reviewed_at, row_id",
        [page_id],
    ).fetchall()
    return [
        f"  {reviewer} {_SAID.get(what, 'said ' + what.replace('_', ' '))}{f' {label}' if label else ''}"
        f" on {at:%Y-%m-%d}"
        f"{f': {why}' if why else ''}{'' if of == sha1 else ' (of other bytes)'}"
        for reviewer, what, label, why, at, of in rows
        if what != "undo"
    ]


def _plain_name(file: str) -> int | str:
    """A page id, or a title with or without `File:`."""
    text = file.strip()
    if text.isdecimal() and text.isascii():
        return int(text[:18])
    return f"File:{text.removeprefix('File:')}".replace("_", " ")


def _decision(
    connection: duckdb.DuckDBPyConnection, file: str, named: Named
) -> dict[str, Any] | None:
    """The decision on the file that a person means: by its name now, or by one that it had.

    Raises:
        UnknownFile: the text can name no file; the message says why.
    """
    try:
        decided = "(SELECT page_id, title, sha1, '' AS source_path FROM decisions)"
        pages = pages_named(connection, file, named, table=decided)
        pages = pages or pages_named(connection, file, named, table="evidence")
    except NotAFile as error:
        raise UnknownFile(str(error)) from error
    return _row(
        connection,
        "SELECT * FROM decisions WHERE list_contains(?::BIGINT[], page_id) ORDER BY page_id LIMIT 1",
        [pages],
    )


def _undecided(connection: duckdb.DuckDBPyConnection, file: str, named: Named) -> list[str] | None:
    """What is known of a file while its build has decided nothing yet; None where it has, or does not know it."""
    (decided,) = connection.execute("SELECT count(*) FROM decisions").fetchall()[0]
    pages = [] if decided else pages_named(connection, file, named)
    if not pages:
        return None
    title, sha1, when = connection.execute(
        "SELECT title, sha1, fetched_at FROM listing WHERE page_id = ? ORDER BY fetched_at DESC LIMIT 1",
        [pages[0]],
    ).fetchall()[0]
    lines = [f"{title}  listed {when:%Y-%m-%d %H:%M} UTC, not decided yet"]
    known = [
        name
        for name, view in (
            ("downloaded", "objects"),
            ("hashed", "hashes"),
            ("measured", "measures"),
        )
        if connection.execute(f"SELECT 1 FROM {view} WHERE sha1 = ? LIMIT 1", [sha1]).fetchall()
    ]
    lines.append(f"so far: {', '.join(known) or 'nothing but its listing'}")
    failed = connection.execute(
        "SELECT stage, kind, error FROM failures WHERE key IN (?, ?)", [sha1 or "", str(pages[0])]
    ).fetchall()
    return lines + [f"failed in {stage}: {kind}: {error}" for stage, kind, error in failed]


def _alike(connection: duckdb.DuckDBPyConnection, out: Path, file: str) -> dict[str, Any]:
    """The decision on the one file that has this text in its title.

    Raises:
        UnknownFile: none has, or several, which are named.
    """
    part = file.strip().removeprefix("File:").replace("_", " ")
    titles = connection.execute(
        "SELECT title FROM decisions WHERE contains(lower(title), lower(?)) ORDER BY title", [part]
    ).fetchall()
    if len(titles) == 1:
        row = _row(connection, "SELECT * FROM decisions WHERE title = ?", [titles[0][0]])
        assert row is not None  # the title has just been read from there
        return row
    if titles and part:
        shown = "".join(f"\n  {title}" for (title,) in titles[:MOST_ALIKE])
        more = f"\n  and {len(titles) - MOST_ALIKE} more" if len(titles) > MOST_ALIKE else ""
        raise UnknownFile(f"{len(titles)} candidates have {part!r} in their title:{shown}{more}")
    raise UnknownFile(
        f"{file} is no candidate of the build in {out}. Give a title or a part of one, a page id, a SHA-1 of 40 hex "
        "digits, or the address of the file on Commons."
    )


def _row(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]
) -> dict[str, Any] | None:
    # Not by way of Arrow: to load it takes longer than the answer.
    answer = connection.execute(query, parameters)
    names = [column[0] for column in answer.description or ()]
    row = answer.fetchone()
    return None if row is None else dict(zip(names, row, strict=True))
