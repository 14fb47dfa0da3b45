"""Pages asked for again: when they are due, and what counts as a change."""

from datetime import UTC, datetime, timedelta

import pytest

from catalog.records import FileRecord
from crawler.recheck import RefreshPolicy, changes_between

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FILE = FileRecord(page_id=7, title="File:A.jpg", sha1="a" * 40, artist="A", revision_id=1)


def days(count):
    return timedelta(days=count)


@pytest.mark.parametrize(
    ("age_days", "seen_days_ago", "gone", "due"),
    [
        (3, 0.5, False, False),
        (3, 1, False, True),
        (30, 1, False, True),
        (31, 1, False, False),
        (31, 7, False, True),
        (400, 7, False, False),
        (400, 30, False, True),
        (3, 1, True, False),
        (3, 30, True, True),
    ],
)
def test_young_files_are_due_daily_settling_ones_weekly_old_and_deleted_ones_monthly(
    age_days, seen_days_ago, gone, due
):
    asked = RefreshPolicy().due(
        uploaded_at=NOW - days(age_days), checked_at=NOW - days(seen_days_ago), gone=gone, now=NOW
    )
    assert asked == due


def test_a_clock_that_was_set_back_does_not_keep_a_file_from_being_asked_for():
    tomorrow = NOW + days(1)
    policy = RefreshPolicy()
    assert policy.due(uploaded_at=NOW - days(400), checked_at=tomorrow, gone=False, now=NOW)


def test_a_file_of_unknown_age_is_asked_for_like_an_old_one():
    policy = RefreshPolicy()
    assert not policy.due(uploaded_at=None, checked_at=NOW - days(10), gone=False, now=NOW)


def test_periods_of_no_time_are_refused():
    with pytest.raises(ValueError, match="more than 0 days"):
        RefreshPolicy(young_every_days=0)


def changed(**fields):
    return FileRecord(**{**{n: getattr(FILE, n) for n in FILE.__dataclass_fields__}, **fields})


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (changed(), ()),
        (changed(revision_id=2), ()),
        (changed(artist="B"), ("edited",)),
        (changed(sha1="b" * 40), ("overwritten",)),
        (changed(title="File:B.jpg"), ("moved",)),
        (changed(title="File:B.jpg", sha1="b" * 40), ("overwritten", "moved")),
        (changed(state="missing", sha1=None), ("deleted",)),
        (changed(state="no_file", sha1=None), ("deleted",)),
        (changed(state="hidden", sha1=None), ("hidden",)),
    ],
)
def test_what_became_of_a_page(now, changes):
    assert changes_between(FILE, now) == changes


def test_a_page_that_was_gone_and_is_there_is_restored_and_one_still_gone_is_no_news():
    gone = changed(state="missing", sha1=None)
    assert changes_between(gone, FILE) == ("restored",)
    assert changes_between(gone, gone) == ()
