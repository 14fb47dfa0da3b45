"""Nothing that a stranger wrote is obeyed by a terminal."""

import pytest

from catalog.errors import Missing
from catalog.release.credits import plain
from pipelines import cli
from pipelines.terminal import echo, printable
from tests.cases import every

OBEYED = [
    "\x1b[2J",
    "\x9b31m",
    "\r",
    "\b",
    "\x07",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u061c",
    "\ud800",
    "\x85",
    "\u2028",
]


@pytest.mark.parametrize("bad", OBEYED, ids=ascii)
def test_what_a_terminal_obeys_is_shown_not_sent(bad, capsys):
    echo(f"File:A{bad}.jpg")
    shown = capsys.readouterr().out
    assert bad[0] not in shown
    assert ascii(bad[0])[1:-1] in shown


def test_letters_tabs_and_lines_stay_as_they_are():
    text = "File:Größe 東京 ñ é ü العربية 😀\tx\ny"
    assert printable(text) == text


def test_an_error_that_quotes_a_title_is_harmless_too(monkeypatch, capsys):
    def fails():
        raise Missing("There is no File:\x1b]0;owned\x07.jpg")

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit):
        cli.main()
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "\\x1b]0;owned\\x07" in told


@every("code", [0x1B, *range(0x80, 0x85), *range(0x86, 0xA0)])
def test_no_control_character_reaches_the_credits(code):
    assert plain(f"A{chr(code)}B", markup=False) == "AB"


def test_the_next_line_sign_is_white_space_to_the_credits():
    assert plain("A\x85B", markup=False) == "A B"


def test_every_command_prints_through_it():
    from tests.test_house import HOME

    for module in (HOME / "pipelines" / "commands").glob("*.py"):
        assert "typer.echo" not in module.read_text("utf-8"), module
