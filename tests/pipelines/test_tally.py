"""What a running build has done so far, as a terminal and a log show it."""

import threading

from pipelines.progress import TerminalProgress
from pipelines.tally import MOST_SOURCES, Tally, told

HOSTILE = "category \x1b[2J Evil"


def half_way(now):
    tally = Tally({"a": "category A", "b": HOSTILE}, now=now)
    tally.note("a", listed=1000, passed=400, at_hand=100, media_bytes=250_000_000, kept=40)
    tally.note("b", listed=500)
    tally.to_fetch(300)
    return tally


def test_the_line_has_all_sources_together_with_rate_and_time_left():
    times = iter([100.0, 110.0])
    tally = half_way(lambda: next(times))
    for _ in range(20):
        tally.tried()
        tally.add("a", at_hand=1, media_bytes=1_000_000)
    # 20 of 300 in 10 s: 2 a second, 140 s for the others.
    assert tally.line() == (
        "listed 1,500, passed the gate 400, at hand 120 (0.27 GB), kept so far 40, 2.0 files/s, fetched in 2 min"
    )


def test_each_source_has_its_yield():
    first, second = half_way(lambda: 0.0).rows()
    assert (first["source"], first["kept"], first["yield"]) == ("category A", 40, "4.0%")
    assert (second["listed"], second["yield"]) == (500, "0.0%")
    assert Tally({"c": "C"}).rows()[0]["yield"] == "-"


def test_many_sources_take_few_lines():
    tally = Tally({str(n): f"source {n}" for n in range(30)})
    lines = tally.lines()
    assert len(lines) == MOST_SOURCES + 2
    assert "22 more sources" in lines[-1]


def test_counts_of_many_threads_are_all_there():
    tally = Tally({"a": "A"})

    def count():
        for _ in range(500):
            tally.add("a", at_hand=1)
            tally.tried()

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.rows()[0]["at hand"] == 4000


def test_a_log_has_the_state_beside_the_stage_and_obeys_no_title(capsys):
    progress = TerminalProgress(every_s=0.01)
    progress.state(half_way(lambda: 0.0))
    with progress.stage("download", 300) as advance:
        advance(1)
        threading.Event().wait(0.1)
    shown = capsys.readouterr().err
    assert "so far: listed 1,500" in shown
    assert "\x1b" not in shown


def test_a_terminal_shows_the_sources_under_the_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    progress = TerminalProgress()
    progress.console._force_terminal = True
    progress.state(half_way(lambda: 0.0))
    with progress.stage("download", 300) as advance:
        advance(10)
    shown = capsys.readouterr().err
    assert "category A: listed 1,000, passed 400, at hand 100, kept 40 (4.0%)" in shown
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J Evil" in shown


def test_times_are_told_in_the_unit_that_a_person_would_take():
    assert [told(4.23), told(185), told(7500)] == ["4.2 s", "3 min", "2 h 5 min"]
