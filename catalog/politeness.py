"""Was the crawl polite? The request log of a run against the limits that it had, host by host.

Computed from the log alone, so it also judges the door that wrote it: windows are counted over the times of the
attempts, and a Retry-After counts as honoured only if nothing was sent to that host before it was over. The log has
whole seconds, so a window of a minute may count a second's requests too many, and a wait is called honoured when the
next attempt began no more than one second early.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.store import Catalog
from catalog.views import opened

MINUTE_S, MEDIA_WINDOW_S = 60, 10
"""Windows in which Wikimedia counts API requests and bytes of originals."""


@dataclass(frozen=True, kw_only=True)
class HostManners:
    """What one host was asked in one run."""

    run_id: str
    host: str
    kind: str
    """api or media."""
    requests: int
    retries: int
    """Attempts after the first."""
    refused: int
    """Answers 403 and 429."""
    errors: int
    """No answer, or one of 500 and above."""
    bytes: int
    span_s: float
    """From the first attempt to the end of the last."""
    waited_s: float
    """Spent on limits and Retry-After."""
    most_in_minute: int
    most_in_flight: int
    most_mbit_per_s: float
    """Over 10 seconds, each answer's bytes spread evenly over its time."""
    retry_after: int
    """Answers with Retry-After."""
    retry_after_honoured: int

    @property
    def requests_per_minute(self) -> float:
        """Over the whole span."""
        return self.requests * 60 / max(self.span_s, 1.0)


def manners(catalog: Catalog, *, run_id: str | None = None) -> list[HostManners]:
    """One entry per run, host and kind, oldest run first; of one run where `run_id` is given."""
    where = "" if run_id is None else "WHERE run_id = ?"
    query = (
        "SELECT run_id, host, kind, epoch(started_at)::BIGINT AS began, size_bytes, seconds, waited_s, "
        "coalesce(retry_after_s, -1) AS retry_after_s, in_flight, attempt, coalesce(status, 0) AS status "
        f"FROM requests {where} ORDER BY run_id, host, kind, began"
    )
    with opened(catalog, "requests") as connection:
        rows = connection.sql(query, params=[] if run_id is None else [run_id]).to_arrow_table()
    found: list[HostManners] = []
    for (run, host, kind), group in _groups(rows, ("run_id", "host", "kind")):
        found.append(_manners(run, host, kind, group))
    return sorted(found, key=lambda m: (m.run_id, m.kind, m.host))


def _groups(rows: pa.Table, keys: tuple[str, ...]) -> list[tuple[tuple[str, ...], pa.Table]]:
    """Runs of equal keys in a table that is sorted by them."""
    if rows.num_rows == 0:
        return []
    columns = [rows.column(key).combine_chunks().dictionary_encode() for key in keys]
    codes = np.stack([column.indices.to_numpy() for column in columns])
    borders = np.flatnonzero((codes[:, 1:] != codes[:, :-1]).any(axis=0)) + 1
    starts = [0, *borders.tolist()]
    ends = [*borders.tolist(), rows.num_rows]
    return [
        (tuple(rows.column(key)[start].as_py() for key in keys), rows.slice(start, end - start))
        for start, end in zip(starts, ends, strict=True)
    ]


def _manners(run: str, host: str, kind: str, rows: pa.Table) -> HostManners:
    def numbers(name: str) -> NDArray[np.float64]:
        return rows.column(name).to_numpy().astype(np.float64)

    began, seconds, size = numbers("began"), numbers("seconds"), numbers("size_bytes")
    status, after = numbers("status"), numbers("retry_after_s")
    return HostManners(
        run_id=run,
        host=host,
        kind=kind,
        requests=rows.num_rows,
        retries=int((numbers("attempt") > 1).sum()),
        refused=int(np.isin(status, (403, 429)).sum()),
        errors=int(((status == 0) | (status >= 500)).sum()),
        bytes=int(size.sum()),
        span_s=float((began + seconds).max() - began.min()),
        waited_s=round(float(numbers("waited_s").sum()), 3),
        most_in_minute=_most_within(began, MINUTE_S),
        most_in_flight=int(numbers("in_flight").max()),
        most_mbit_per_s=round(_fastest(began, seconds, size), 3),
        retry_after=int((after >= 0).sum()),
        retry_after_honoured=_honoured(began, seconds, after),
    )


def _most_within(began: NDArray[np.float64], window_s: float) -> int:
    """Most attempts that began in a window, its end excluded; `began` ascends."""
    ends = np.searchsorted(began, began + window_s, side="left")
    return int((ends - np.arange(len(began))).max())


def _fastest(
    began: NDArray[np.float64], seconds: NDArray[np.float64], size: NDArray[np.float64]
) -> float:
    """Most megabits a second over any window that begins with a second of the log."""
    first = began.min()
    span = int((began + seconds).max() - first) + 2
    # How many bytes had come by the end of each second: every answer adds a ramp.
    slope = np.zeros(span + 1)
    lasting = np.maximum(np.ceil(seconds), 1.0)
    start = (began - first).astype(np.int64)
    end = np.minimum(start + lasting.astype(np.int64), span)
    np.add.at(slope, start, size / lasting)
    np.add.at(slope, end, -size / lasting)
    per_second = np.cumsum(slope)[:span]
    summed = np.concatenate([[0.0], np.cumsum(per_second)])
    width = min(MEDIA_WINDOW_S, span)
    return float((summed[width:] - summed[:-width]).max()) * 8 / 1e6 / width


def _honoured(
    began: NDArray[np.float64], seconds: NDArray[np.float64], after: NDArray[np.float64]
) -> int:
    """Answers with Retry-After before whose end no later attempt began; those that had begun by then do not count."""
    kept = 0
    for i in np.flatnonzero(after >= 0):
        answered = began[i] + seconds[i]
        over = answered + after[i]
        # Attempts of the same second may have begun before the answer was read.
        kept += not bool(((began > np.ceil(answered)) & (began + 1.0 < over)).any())
    return kept


def broken_limits(entry: HostManners, limits: Mapping[str, Any]) -> list[str]:
    """What of the limits (fields of crawler.limits.Limits) a run did not keep; empty: all kept."""
    slots = limits.get(f"{entry.kind}_in_flight")
    said: list[str] = []
    if slots is not None and entry.most_in_flight > slots:
        said.append(f"{entry.most_in_flight} requests at a time, {slots} allowed")
    if entry.kind == "api" and limits.get("api_per_minute") is not None:
        # The bucket lets a burst of as many as may be in flight go first; a second more by the log's clock.
        allowed = limits["api_per_minute"] * (MINUTE_S + 1) / MINUTE_S + (slots or 0)
        if entry.most_in_minute > allowed:
            per_minute = limits["api_per_minute"]
            said.append(f"{entry.most_in_minute} requests in a minute, {per_minute:g} allowed")
    bandwidth = limits.get("media_mbit_per_s")
    # The log's seconds are rounded at both ends of a window.
    most = (bandwidth or 0) * (MEDIA_WINDOW_S + 2) / MEDIA_WINDOW_S
    if entry.kind == "media" and bandwidth is not None and entry.most_mbit_per_s > most:
        said.append(
            f"{entry.most_mbit_per_s:.1f} Mbit/s over {MEDIA_WINDOW_S} s, {bandwidth:g} allowed"
        )
    if entry.retry_after_honoured < entry.retry_after:
        missed = entry.retry_after - entry.retry_after_honoured
        said.append(f"{missed} of {entry.retry_after} Retry-After not waited for")
    return said


def limits_of(catalog: Catalog, run_id: str) -> dict[str, Any]:
    """The limits that a run had, as it noted them when it began; empty where it did not."""
    noted = catalog.root / "limits" / f"{run_id}.json"
    return json.loads(noted.read_text()) if noted.is_file() else {}


def politeness_lines(catalog: Catalog, *, run_id: str | None = None) -> list[str]:
    """The report for a terminal, run by run."""
    entries = manners(catalog, run_id=run_id)
    if not entries:
        which = f"run {run_id}" if run_id else "this catalog"
        return [f"No requests are logged for {which}."]
    head = (
        f"{'host':<28} {'kind':<5} {'requests':>8} {'retries':>7} {'403/429':>7} {'errors':>6} {'MB':>8} "
        f"{'in flight':>9} {'/min':>6} {'peak/min':>8} {'Mbit/s':>7} {'waited s':>9} {'Retry-After':>11}"
    )
    lines: list[str] = []
    for run in dict.fromkeys(entry.run_id for entry in entries):
        limits = limits_of(catalog, run)
        lines += [f"run {run}", head]
        broken: list[str] = []
        for e in (entry for entry in entries if entry.run_id == run):
            answered = f"{e.retry_after_honoured}/{e.retry_after}"
            lines.append(
                f"{e.host:<28} {e.kind:<5} {e.requests:>8,} {e.retries:>7,} {e.refused:>7,} {e.errors:>6,} "
                f"{e.bytes / 1e6:>8,.1f} {e.most_in_flight:>9} {e.requests_per_minute:>6.0f} "
                f"{e.most_in_minute:>8} {e.most_mbit_per_s:>7.1f} {e.waited_s:>9,.0f} {answered:>11}"
            )
            broken += [f"LIMIT EXCEEDED at {e.host}: {text}" for text in broken_limits(e, limits)]
        if not limits:
            lines.append("the limits of this run are not known")
        elif limits.get("local"):
            lines.append("a Commons of our own: rates do not apply")
        else:
            lines += broken or ["within its limits"]
        lines.append("")
    return lines[:-1]
