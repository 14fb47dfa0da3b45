"""Was the crawl polite? The request log of a run against the limits that it had, host by host.

Computed from the log alone, so it also judges the door that wrote it: windows are counted over the times of the
attempts, and a Retry-After counts as honoured unless something was surely sent to that host before it was over.

The log has whole seconds, and attempts may have begun before another's answer was read. So a window of a minute may
count a second's requests too many, and what began less than two seconds after the answer, or less than two before the
wait was over, may go unseen: a Retry-After under two seconds is always called honoured. A body that broke off stands
in the log with the status of its head, so it is no error here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog import sums
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
    failed: str
    """What attempts ended with, other than an answer to use, and how often: `429 3, maxlag 1`."""
    answers_403: int
    answers_429: int
    maxlag: int
    """Refusals of an API whose replicas lag."""
    errors: int
    """No answer, or one of 500 and above."""
    bytes: int
    span_s: float
    """From the first attempt to the end of the last."""
    busy_s: float
    """The same between the first and the last beginning, without what pauses had beyond a minute; at least 1."""
    waited_s: float
    """Spent on limits and Retry-After."""
    most_in_minute: int
    most_in_flight: int
    most_mbit_per_s: float
    """Over 10 seconds, each answer's bytes spread evenly over its time."""
    mean_mbit_per_s: float
    """Over those spells of 10 seconds in which anything came."""
    retry_after: int
    """Answers with Retry-After."""
    retry_after_honoured: int

    @property
    def refused(self) -> int:
        """Answers 403 and 429."""
        return self.answers_403 + self.answers_429

    @property
    def requests_per_minute(self) -> float:
        """Over the whole span."""
        return self.requests * 60 / max(self.span_s, 1.0)

    def share_of_rate(self, limits: Mapping[str, Any]) -> float | None:
        """Of the allowed API rate, used while requests were made; None for media and where no rate was kept."""
        if self.kind != "api" or limits.get("local") or not limits.get("api_per_minute"):
            return None
        return round(self.requests * 60 / self.busy_s / limits["api_per_minute"], 4)


def manners(catalog: Catalog, *, run_id: str | None = None) -> list[HostManners]:
    """One entry per run, host and kind, oldest run first; of one run where `run_id` is given."""
    where = "" if run_id is None else "WHERE run_id = ?"
    query = (
        "SELECT run_id, host, kind, epoch(started_at)::BIGINT AS began, size_bytes, seconds, waited_s, "
        "coalesce(retry_after_s, -1) AS retry_after_s, in_flight, attempt, coalesce(status, 0) AS status, outcome "
        f"FROM requests {where} ORDER BY run_id, host, kind, began"
    )
    with opened(catalog, "requests") as connection:
        rows = connection.sql(query, params=[] if run_id is None else [run_id]).to_arrow_table()
    found: list[HostManners] = []
    for (run, host, kind), group in _groups(rows, ("run_id", "host", "kind")):
        found.append(_manners(run, host, kind, group))
    return sorted(found, key=lambda m: (m.run_id, m.kind, m.host))


def politeness(
    catalog: Catalog, *, run_id: str | None = None, limits: Mapping[str, float] | None = None
) -> pa.Table:
    """The entries of `manners` as a table, with `requests_per_minute` and `share_of_rate`.

    Args:
        limits: fields of crawler.limits.Limits; without them each run's own, as it noted them.
    """
    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    target = pa.schema(
        [
            *((field.name, kinds[str(field.type)]) for field in fields(HostManners)),
            ("requests_per_minute", pa.float64()),
            ("share_of_rate", pa.float64()),
        ]
    )
    rows: list[dict[str, Any]] = []
    for entry in manners(catalog, run_id=run_id):
        had = limits_of(catalog, entry.run_id) if limits is None else limits
        derived = {
            "requests_per_minute": entry.requests_per_minute,
            "share_of_rate": entry.share_of_rate(had),
        }
        rows.append({**asdict(entry), **derived})
    return pa.Table.from_pylist(rows, schema=target)


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
    ended = {
        str(e["values"]): int(e["counts"])
        for e in rows.column("outcome").value_counts().to_pylist()
    }
    failed = {outcome: count for outcome, count in sorted(ended.items()) if not _usable(outcome)}
    most, mean = _megabits(began, seconds, size)
    return HostManners(
        run_id=run,
        host=host,
        kind=kind,
        requests=rows.num_rows,
        retries=int((numbers("attempt") > 1).sum()),
        failed=", ".join(f"{outcome} {count}" for outcome, count in failed.items()),
        answers_403=int((status == 403).sum()),
        answers_429=int((status == 429).sum()),
        maxlag=ended.get("maxlag", 0),
        errors=int(((status == 0) | (status >= 500)).sum()),
        bytes=int(size.sum()),
        span_s=float((began + seconds).max() - began.min()),
        busy_s=max(1.0, float(np.minimum(np.diff(began), MINUTE_S).sum())),
        waited_s=round(float(numbers("waited_s").sum()), 3),
        most_in_minute=_most_within(began, MINUTE_S),
        most_in_flight=int(numbers("in_flight").max()),
        most_mbit_per_s=round(most, 3),
        mean_mbit_per_s=round(mean, 3),
        retry_after=int((after >= 0).sum()),
        retry_after_honoured=_honoured(began, seconds, after),
    )


def _usable(outcome: str) -> bool:
    return outcome == "redirect" or (outcome.isdecimal() and outcome < "400")


def _most_within(began: NDArray[np.float64], window_s: float) -> int:
    """Most attempts that began in a window, its end excluded; `began` ascends."""
    ends = np.searchsorted(began, began + window_s, side="left")
    return int((ends - np.arange(len(began))).max())


def _megabits(
    began: NDArray[np.float64], seconds: NDArray[np.float64], size: NDArray[np.float64]
) -> tuple[float, float]:
    """Megabits a second over 10 seconds: the most that begin with a second of the log, the mean of the busy ones."""
    first = began.min()
    # A whole number of windows, so that a run shorter than one is not judged by its best second.
    span = (int((began + seconds).max() - first) // MEDIA_WINDOW_S + 2) * MEDIA_WINDOW_S
    # Bytes that came in each second: every answer adds a step up and a step down.
    slope = np.zeros(span + 1)
    lasting = np.maximum(np.ceil(seconds), 1.0)
    start = (began - first).astype(np.int64)
    np.add.at(slope, start, size / lasting)
    np.add.at(slope, start + lasting.astype(np.int64), -size / lasting)
    per_second = np.cumsum(slope)[:span]
    summed = np.concatenate([[0.0], np.cumsum(per_second)])
    most = float((summed[MEDIA_WINDOW_S:] - summed[:-MEDIA_WINDOW_S]).max())
    busy = np.unique((np.flatnonzero(per_second > 0.5)) // MEDIA_WINDOW_S)
    scale = 8 / 1e6 / MEDIA_WINDOW_S
    return most * scale, float(size.sum()) * scale / max(len(busy), 1)


def _honoured(
    began: NDArray[np.float64], seconds: NDArray[np.float64], after: NDArray[np.float64]
) -> int:
    """Answers with Retry-After between whose reading and end no attempt surely began; `began` ascends.

    What the log calls second b began in [b, b + 1), and an answer noted at a came in [a, a + 1): so an attempt surely
    came after it when b >= a + 1, and surely before the end of the wait when b + 1 <= a + after.
    """
    told = after >= 0
    answered = (began + seconds)[told]
    following = np.searchsorted(began, answered + 1.0, side="left")
    # The first that surely came after decides: what follows it began no earlier.
    first = np.append(began, np.inf)[following]
    return int((first + 1.0 > answered + after[told]).sum())


def broken_limits(entry: HostManners, limits: Mapping[str, Any]) -> list[str]:
    """What of the limits (fields of crawler.limits.Limits) a run did not keep; empty: all kept."""
    slots = limits.get(f"{entry.kind}_in_flight")
    # Towards a Commons of our own the door keeps slots and waits, but no rates.
    rates: Mapping[str, Any] = {} if limits.get("local") else limits
    said: list[str] = []
    if slots is not None and entry.most_in_flight > slots:
        said.append(f"{entry.most_in_flight} requests at a time, {slots} allowed")
    if entry.kind == "api" and rates.get("api_per_minute") is not None:
        # The bucket lets a burst of as many as may be in flight go first; a second more by the log's clock.
        allowed = rates["api_per_minute"] * (MINUTE_S + 1) / MINUTE_S + (slots or 0)
        if entry.most_in_minute > allowed:
            per_minute = rates["api_per_minute"]
            said.append(f"{entry.most_in_minute} requests in a minute, {per_minute:g} allowed")
    bandwidth = rates.get("media_mbit_per_s")
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


def _near(entry: HostManners, limits: Mapping[str, Any]) -> list[str]:
    """What is above a configured rate, yet within the burst and the rounding that `broken_limits` allows for."""
    if limits.get("local") or broken_limits(entry, limits):
        return []
    worst, rate = {
        "api": (entry.most_in_minute, limits.get("api_per_minute")),
        "media": (entry.most_mbit_per_s, limits.get("media_mbit_per_s")),
    }[entry.kind]
    if rate is None or worst <= rate:
        return []
    unit = "requests in a minute" if entry.kind == "api" else f"Mbit/s over {MEDIA_WINDOW_S} s"
    return [f"{worst:g} {unit}, {rate:g} configured: no more than burst and rounding explain"]


def limits_of(catalog: Catalog, run_id: str) -> dict[str, Any]:
    """The limits that a run had, as it noted them when it began; empty where it did not, or only half."""
    noted = catalog.root / "limits" / f"{run_id}.json"
    # A full disk or a kill under an older version left a torn file, and no later build may fail over it.
    return json.loads(noted.read_text(encoding="utf-8")) if sums.is_whole(noted) else {}


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
        told: list[str] = []
        for e in (entry for entry in entries if entry.run_id == run):
            answered = f"{e.retry_after_honoured}/{e.retry_after}"
            lines.append(
                f"{e.host:<28} {e.kind:<5} {e.requests:>8,} {e.retries:>7,} {e.refused:>7,} {e.errors:>6,} "
                f"{e.bytes / 1e6:>8,.1f} {e.most_in_flight:>9} {e.requests_per_minute:>6.0f} "
                f"{e.most_in_minute:>8} {e.most_mbit_per_s:>7.1f} {e.waited_s:>9,.0f} {answered:>11}"
            )
            broken += [f"LIMIT EXCEEDED at {e.host}: {text}" for text in broken_limits(e, limits)]
            used = e.share_of_rate(limits)
            told += [f"{e.host}: {used:.0%} of the allowed rate used"] if used is not None else []
            told += [f"{e.host}: {e.kind} ended with {e.failed}"] if e.failed else []
            told += [f"{e.host}: {text}" for text in _near(e, limits)]
        if not limits:
            lines.append("the limits of this run are not known")
        elif limits.get("local"):
            lines += ["a Commons of our own: rates do not apply", *broken]
        else:
            lines += broken or ["within its limits"]
        lines += [*told, ""]
    return lines[:-1]
