"""From scores to files: means, deltas with their marks, tables, what was not run."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from training.evaluation.aggregate import AGGREGATE, aggregate
from training.evaluation.benchmarks import load_benchmark
from training.evaluation.methods import Method
from training.evaluation.metrics import metric_spec
from training.evaluation.results import write_results
from training.evaluation.score import evaluate

METRICS = ("PSNR", "LucidConsistency")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Twelve pairs; one method is the HR with a little noise, the other with more."""
    folder = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    for i in range(12):
        hr = rng.integers(40, 215, (32, 32, 3)).astype(np.uint8)
        for side, pixels in (("lr", hr[::4, ::4]), ("hr", hr)):
            (folder / "set" / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / "set" / side / f"{i}.png")
        for name, sigma in (("mild", 3), ("noisy", 6)):
            (folder / name).mkdir(exist_ok=True)
            noisy = np.clip(hr + rng.normal(0, sigma, hr.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / name / f"{i}.png")
    (folder / "noisy" / "11.png").unlink()
    methods = [Method(name=n, kind="folder", folder=str(folder / n)) for n in ("noisy", "mild")]
    specs = [metric_spec(name) for name in METRICS]
    done = evaluate(
        [load_benchmark("RealSR", folder / "set", protocol="full", partial=True)],
        methods,
        specs,
        folder / "out",
    )
    results = write_results(
        done,
        folder / "out",
        name="try",
        methods=["noisy", "mild"],
        metrics=METRICS,
        deltas={"mild": "noisy"},
    )
    return done, results


def test_the_aggregate_is_the_mean_of_the_images_and_the_delta_is_paired(run):
    done, results = run
    rows = {row["method"]: row for row in results.means.to_pylist()}
    assert results.means.schema.equals(AGGREGATE)
    values = {
        name: {r["image"]: r["value"] for r in done.scores.to_pylist() if r["method"] == name}
        for name in ("noisy", "mild")
    }
    assert rows["mild"]["mean"] == pytest.approx(np.mean(list(values["mild"].values())))
    assert (rows["noisy"]["images"], rows["noisy"]["of"], rows["mild"]["images"]) == (11, 12, 12)
    both = [values["mild"][i] - values["noisy"][i] for i in values["noisy"]]
    assert rows["mild"]["delta"] == pytest.approx(np.mean(both))
    assert rows["mild"]["independent"] == 11
    # Half the noise is 6 dB: clear on eleven images.
    assert rows["mild"]["delta_low"] < 20 * np.log10(2) < rows["mild"]["delta_high"] + 0.5
    assert rows["mild"]["resolved"] is True
    assert rows["noisy"]["base"] is None


def test_a_difference_on_few_images_is_never_called_resolved(run):
    done, _ = run
    few = done.scores.filter(
        [image in {"0", "1", "2"} for image in done.scores.column("image").to_pylist()]
    )
    (row,) = [
        row
        for row in aggregate(
            type(done)(**{**vars(done), "scores": few}), {"mild": "noisy"}
        ).to_pylist()
        if row["base"]
    ]
    assert row["p"] < 0.01
    assert row["resolved"] is False


def test_the_files_say_what_was_measured_published_and_not_run(run):
    done, results = run
    text = (results.folder / "tables" / "results.md").read_text()
    assert "| ResShift (published) |" in text
    assert "| noisy (measured) | mild (measured) |" in text
    assert "Not run: LucidConsistency: LucidConsistency needs the projection head" in text
    assert "*)" in text, "the resolved delta carries its mark"
    # The published MUSIQ of RealSR stands there; nothing was measured beside it.
    musiq = next(line for line in text.splitlines() if "MUSIQ" in line)
    assert "**70.5625** (+2.6663) | – | – |" in musiq
    deltas = (results.folder / "tables" / "deltas.md").read_text()
    assert "| RealSR | PSNR | mild | noisy | +" in deltas
    assert deltas.rstrip().endswith("| better* |")
    latex = (results.folder / "tables" / "results.tex").read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    summary = json.loads((results.folder / "summary.json").read_text())
    assert summary["computed"] == {"PSNR": 23, "LucidConsistency": 0}
    assert summary["benchmarks"]["RealSR"]["images"] == 12
    assert any("11: no output of noisy" in problem for problem in summary["problems"])
    assert pq.read_table(results.folder / "scores.parquet").equals(done.scores)
