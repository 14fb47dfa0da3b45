"""`lucidlr consistency` as a person uses it."""

import csv
import sys

import pytest
from PIL import Image
from skimage import data

from filters.synthesis import downscale
from pipelines.cli import main


@pytest.fixture
def lucidlr(monkeypatch, capsys):
    """The entry point in this process (torch is loaded once): (exit code, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lucidlr", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def folders(tmp_path):
    """LR and SR of two photographs, and an SR folder in which the two are swapped."""
    photos = {"a": data.astronaut()[::2, ::2].copy(), "b": data.coffee()[::2, ::2].copy()}
    for name, swapped in (("a", "b"), ("b", "a")):
        for folder, pixels in (
            ("lr", downscale(photos[name], 4.0)),
            ("sr", photos[name]),
            ("swapped", photos[swapped]),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    return tmp_path / "lr", tmp_path / "sr", tmp_path / "swapped"


def test_two_folders_are_scored_pair_by_pair_and_the_right_pairs_score_higher(tmp_path, lucidlr):
    lr, sr, swapped = folders(tmp_path)
    table = tmp_path / "scores" / "scores.csv"
    code, said, problem = lucidlr("consistency", lr, sr, "--to", table)
    assert code == 0, problem
    assert "baseline, no head" in said
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["lr"] for row in rows] == [str(lr / "a.png"), str(lr / "b.png")]
    right = float(said.splitlines()[-1].split()[0])
    _, said, _ = lucidlr("consistency", lr, swapped)
    assert right > float(said.splitlines()[-1].split()[0])


def test_a_missing_partner_and_a_missing_head_are_errors_that_say_what_to_do(tmp_path, lucidlr):
    lr, sr, _ = folders(tmp_path)
    (sr / "b.png").unlink()
    code, _, problem = lucidlr("consistency", lr, sr)
    assert code == 1
    assert "no partner in the other folder: b" in problem
    one = (lr / "a.png", sr / "a.png")
    code, _, problem = lucidlr("consistency", *one, "--head", tmp_path / "none.pt")
    assert code == 1
    assert "lucidlr consistency-train" in problem
