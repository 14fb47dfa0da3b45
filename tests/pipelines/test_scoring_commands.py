"""`lucidlr consistency` as a person uses it."""

import csv
import re
import sys

import pytest
from PIL import Image
from skimage import data

from filters.degradation.synthesis import downscale
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


def mean_of(said):
    """The number before `mean of N (encoder)`."""
    return float(re.search(r"(\S+)  mean of", said).group(1))


def test_two_folders_are_scored_pair_by_pair_and_the_right_pairs_score_higher(tmp_path, lucidlr):
    lr, sr, swapped = folders(tmp_path)
    table = tmp_path / "scores" / "scores.csv"
    code, said, problem = lucidlr("consistency", lr, sr, "--to", table)
    assert code == 0, problem
    assert "bicubic" in said and "mismatched" in said
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["lr"] for row in rows] == [str(lr / "a.png"), str(lr / "b.png")]
    _, wrong, _ = lucidlr("consistency", lr, swapped)
    assert mean_of(said) > mean_of(wrong)


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


@pytest.mark.slow
def test_a_head_is_trained_reported_and_then_used_to_score(tmp_path, lucidlr):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("astronaut", "coffee", "rocket"):
        Image.fromarray(getattr(data, name)()).save(photos / f"{name}.png")
    out = tmp_path / "out"
    asked = ("--out", out, "--contents", 2, "--steps", 3)
    code, said, problem = lucidlr("consistency-train", photos, *asked)
    assert code == 0, problem
    assert "| paired |" in said
    assert said.splitlines()[0] in (out / "results.md").read_text()
    with (out / "results.csv").open(newline="") as opened:
        rows = {(row["arm"], row["measure"]): row for row in csv.DictReader(opened)}
    for arm in ("baseline", "pairs", "pools"):
        assert (
            -1 <= float(rows[arm, "mismatched"]["mean"]) < float(rows[arm, "paired"]["mean"]) <= 1
        )
        assert 0 <= float(rows[arm, "patch: AUC pooled"]["mean"]) <= 1
    assert (out / "similarity.png").stat().st_size > 5000
    again = lucidlr("consistency-train", photos, *asked)
    assert again[1] == said
    lr, sr, _ = folders(tmp_path)
    code, said, problem = lucidlr("consistency", lr, sr, "--head", out / "head.safetensors")
    assert code == 0, problem
    assert "mean of 2 (efficientnet_lite0)" in said


def test_a_folder_without_photographs_says_what_to_do(tmp_path, lucidlr):
    code, _, problem = lucidlr("consistency-train", tmp_path / "nowhere")
    assert code == 1
    assert "make photos" in problem
