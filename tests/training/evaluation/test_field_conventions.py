"""n of N in every cell, ranks over complete columns only, nothing fetched unasked, processes that change no digit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from filters.metrics import load_metric, load_reference_metric
from training.evaluation.aggregate import aggregate, measured_table
from training.evaluation.benchmarks import load_benchmark
from training.evaluation.methods import Method
from training.evaluation.metrics import NotRun, load_scorer, metric_spec
from training.evaluation.score import evaluate
from training.evaluation.scoring import How
from training.evaluation.tables import html_table, latex, markdown, ranks
from training.image_names import candidates

NAMES = ("one", "two", "three", "four")


@pytest.fixture
def four(tmp_path):
    """Four pairs, a method that managed all of them and one that managed two, better there."""
    chance = np.random.default_rng(0)
    for name in NAMES:
        hr = np.repeat(np.repeat(chance.integers(0, 256, (16, 16, 3)), 4, 0), 4, 1).astype(np.uint8)
        for kind, pixels in (("hr", hr), ("lr", hr[::4, ::4])):
            folder = tmp_path / "set" / kind
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{name}.png")
        for method, off, names in (("all", 20, NAMES), ("half", 2, NAMES[:2])):
            folder = tmp_path / method
            folder.mkdir(exist_ok=True)
            if name in names:
                shifted = np.clip(hr.astype(int) + off, 0, 255).astype(np.uint8)
                Image.fromarray(shifted).save(folder / f"{name}_out.png")
    return load_benchmark("mine", tmp_path / "set")


def table_of(four, tmp_path):
    methods = [
        Method(name="bicubic", kind="bicubic"),
        *(Method(name=n, kind="folder", folder=str(tmp_path / n)) for n in ("all", "half")),
    ]
    done = evaluate([four], methods, [metric_spec("PSNR")], tmp_path / "out")
    return measured_table(
        aggregate(done, {}),
        methods=["bicubic", "all", "half"],
        metrics=["PSNR"],
        not_run={},
        benchmarks=["mine"],
    )


def test_a_method_with_two_of_four_images_is_never_ranked_though_its_mean_is_the_best(
    four, tmp_path
):
    table = table_of(four, tmp_path)
    row = table.rows[0]
    by_name = {column.method: column for column in table.columns}
    assert row.cells[by_name["half"]].value > row.cells[by_name["all"]].value
    found = {column.method: rank for column, rank in ranks(row, table.columns).items()}
    assert "half" not in found and set(found.values()) == {"best", "second"}
    text, tex, page = markdown(table), latex(table), html_table(table)
    assert "[2/4]" in text and text.count("[4/4]") == 2
    assert "half has 2 of 4 images and is not ranked" in text and "half has 2 of 4" in tex
    assert r"{\scriptsize [2/4]}" in tex and "<small>2/4</small>" in page
    assert "2 of 4 images: not ranked" in page


def test_without_download_nothing_is_fetched_and_the_reason_is_short(monkeypatch):
    import urllib.request

    import torch.hub

    def reached(*args, **options):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(urllib.request, "urlopen", reached)
    monkeypatch.setattr(torch.hub, "urlopen", reached)
    monkeypatch.setattr("socket.create_connection", reached)
    monkeypatch.setenv("TORCH_HOME", "/nonexistent")
    load_metric.cache_clear()
    try:
        with pytest.raises(NotRun) as caught:
            load_scorer(metric_spec("CLIP-IQA+"))
    finally:
        load_metric.cache_clear()
        load_reference_metric.cache_clear()
    assert caught.value.short == "weights are not here; --download fetches them"


@pytest.mark.slow
def test_two_processes_score_what_one_scores_to_the_last_bit(four, tmp_path):
    methods = [
        Method(name="bicubic", kind="bicubic"),
        Method(name="all", kind="folder", folder=str(tmp_path / "all")),
    ]
    specs = [metric_spec("PIQE"), metric_spec("SSIM")]
    one = evaluate([four], methods, specs, tmp_path / "one")
    two = evaluate([four], methods, specs, tmp_path / "two", how=How(processes=2))
    assert one.scores.equals(two.scores)


def test_an_output_belongs_to_the_input_whose_name_it_has_before_any_other():
    wanted = {"a": ("a",), "a_1": ("a_1",), "b": ("b",)}
    found = candidates(wanted, ["a_1", "a_out", "b_x", "b_y"])
    assert found == {"a": ["a_out"], "a_1": ["a_1"], "b": ["b_x", "b_y"]}


def test_transparency_reads_the_same_wherever_a_picture_is_read(tmp_path):
    from training.consistency.images import read_image
    from training.pictures import read_pixels
    from training.restore import read_lr

    pixels = np.zeros((20, 24, 4), dtype=np.uint8)
    pixels[:, :12] = (200, 30, 60, 255)
    file = tmp_path / "clear.png"
    Image.fromarray(pixels).save(file)
    expected = read_pixels(file)
    assert expected[0, 0].tolist() == [200, 30, 60] and expected[0, -1].tolist() == [255] * 3
    for found in (read_lr(file, upright=True), read_image(file)):
        assert np.array_equal((found * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_options_of_the_command_line_reach_metric_and_method():
    from pipelines.commands.evaluating import _apply_options

    content = {"methods": [{"name": "tiny", "kind": "backbone"}], "metrics": ["PSNR"]}
    _apply_options(content, ["PSNR.border=4", "tiny.weights=w.safetensors"])
    assert content["metric_options"] == {"PSNR": {"border": 4}}
    assert content["methods"][0]["options"] == {"weights": "w.safetensors"}
    assert json.dumps(content)
