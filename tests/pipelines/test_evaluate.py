"""`lucidlr evaluate` from the command line: the tiny benchmark, an outputs folder, a second run, the gate."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.evaluation import checked, load_evaluation, run_evaluation
from pipelines.recipe import RecipeError

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "pipelines" / "recipes" / "evaluate_demo.yaml"


def lucidlr(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


@pytest.fixture
def set_of_six(tmp_path):
    """Six pairs, and outputs that are the HR with a little noise."""
    rng = np.random.default_rng(1)
    for i in range(6):
        hr = rng.integers(40, 215, (64, 64, 3)).astype(np.uint8)
        out = np.clip(hr + rng.normal(0, 4, hr.shape), 0, 255).astype(np.uint8)
        for folder, pixels in (("set/lr", hr[::4, ::4]), ("set/hr", hr), ("theirs", out)):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    return tmp_path


def test_evaluate_makes_tables_and_a_second_run_computes_nothing(set_of_six):
    call = (
        "evaluate",
        "--out",
        set_of_six / "out",
        "--benchmark",
        f"mine={set_of_six / 'set'}",
        "--method",
        "bicubic",
        "--method",
        f"theirs={set_of_six / 'theirs'}",
        "--delta",
        "theirs=bicubic",
        "--no-gallery",
    )
    first = lucidlr(*call, "--metric", "PSNR")
    assert first.returncode == 0, first.stderr[-3000:]
    assert "12 computed, 0 kept from before; 6 outputs made" in first.stdout
    second = lucidlr(*call, "--metric", "PSNR", "--metric", "SSIM")
    assert "12 computed, 12 kept from before; 0 outputs made" in second.stdout
    assert "| mine | PSNR ↑ |" in (set_of_six / "out" / "tables" / "results.md").read_text()


def test_a_bad_word_on_the_command_line_is_one_message(tmp_path):
    wrong = lucidlr("evaluate", "--out", tmp_path, "--benchmark", f"RealSR={tmp_path / 'none'}")
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1
    assert "there is no folder" in wrong.stderr
    wrong = lucidlr("evaluate", "--out", tmp_path, "--metric", "MUSIK", "--benchmark", "tiny")
    assert "did you mean 'MUSIQ'" in wrong.stderr
    assert lucidlr("evaluate", "--method", "nonsense").returncode == 2


def test_the_gate_fails_a_run_that_lost_what_it_tracks(set_of_six):
    recipe = checked(
        {
            "name": "gated",
            "benchmarks": [{"name": "mine", "folder": str(set_of_six / "set")}],
            "methods": [{"name": "theirs", "kind": "folder", "path": str(set_of_six / "theirs")}],
            "metrics": ["PSNR"],
            "gate": {"track": ["PSNR"]},
        }
    )
    out = set_of_six / "out"
    assert run_evaluation(recipe, out).regressions == ()
    assert run_evaluation(recipe, out).regressions == (), "nothing changed"
    for file in (set_of_six / "theirs").iterdir():
        pixels = np.array(Image.open(file)).astype(float)
        noise = np.random.default_rng(2).normal(0, 12, pixels.shape)
        Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(file)
    (fallen,) = run_evaluation(recipe, out).regressions
    assert (fallen.method, fallen.metric) == ("theirs", "PSNR")
    assert fallen.drop.high < 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metods": []}, "metods"),
        ({"deltas": {"bicubic": "nobody"}}, "deltas name 'nobody'"),
        ({"methods": [{"name": "a", "kind": "bicubic"}] * 2}, "two methods are named 'a'"),
        ({"metric_options": {"Q": {}}}, "metric_options name 'Q'"),
        ({"methods": [{"name": "a", "kind": "magic"}]}, "methods.0.kind"),
    ],
)
def test_a_bad_recipe_says_where(change, told):
    content = {
        "name": "x",
        "benchmarks": [{"name": "tiny"}],
        "methods": [{"name": "bicubic", "kind": "bicubic"}],
    }
    checked(content)
    with pytest.raises(RecipeError, match=told):
        checked(content | change)


def test_the_demo_recipe_has_the_papers_ten_metrics_in_order():
    from training.metrics import PAPER

    assert list(load_evaluation(DEMO).metrics[:10]) == [spec.name for spec in PAPER]


@pytest.mark.slow
def test_the_demo_is_evaluated_with_nothing_downloaded_and_the_rest_is_not_run(tmp_path):
    done = lucidlr("evaluate", "--out", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["benchmarks"]["tiny"]["images"] == 12
    assert {"PSNR", "SSIM", "PIQE"} <= set(summary["metrics"]) - set(summary["not_run"])
    assert "needs the projection head" in summary["not_run"]["LucidConsistency"]
    scores = pq.read_table(tmp_path / "scores.parquet")
    assert scores.column("value").null_count == 0
