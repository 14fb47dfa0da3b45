"""`lucidlr evaluate` from the command line: the tiny benchmark, an outputs folder, a second run, the gate."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from catalog.errors import Expected
from pipelines.cli import app
from pipelines.evaluate_benchmarks import with_checkpoint
from pipelines.recipe import RecipeError
from pipelines.studies.evaluation import checked, load_evaluation, run_evaluation
from tests.prefect_server import ROOT, api, latest_artifacts, run_deployment

DEMO = ROOT / "pipelines" / "recipes" / "evaluate_demo.yaml"


def lucidlr(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


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
    assert first.exit_code == 0, first.stderr[-3000:]
    assert "12 computed, 0 kept from before; 6 outputs made" in first.stdout
    second = lucidlr(*call, "--metric", "PSNR", "--metric", "SSIM")
    assert "12 computed, 12 kept from before; 0 outputs made" in second.stdout
    assert "| mine | PSNR ↑ |" in (set_of_six / "out" / "tables" / "results.md").read_text()


def test_the_fingerprints_of_what_was_evaluated_catch_it_in_a_build(set_of_six):
    from filters.duplicates.hashing import hash_image
    from filters.duplicates.leakage import LeakagePolicy, nearest, read_index

    recipe = checked(
        {
            "name": "fingerprints",
            "benchmarks": [{"name": "mine", "folder": str(set_of_six / "set")}],
            "methods": [{"name": "bicubic", "kind": "bicubic"}],
            "metrics": ["PSNR"],
        }
    )
    run_evaluation(recipe, set_of_six / "out")
    index = read_index(set_of_six / "out" / "fingerprints.parquet")
    assert index.num_rows == 12
    assert set(index.column("benchmark").to_pylist()) == {"mine"}
    # A mirrored copy of the third HR.
    with Image.open(set_of_six / "set" / "hr" / "2.png") as image:
        found = hash_image(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    names = ("phash", "dhash", "phash_mirror", "dhash_mirror")
    hashes = {name: np.array([getattr(found, name)], dtype=np.uint64) for name in names}
    spread = np.array([found.spread])
    distance, row = nearest(index, **hashes, spread=spread, policy=LeakagePolicy())
    assert distance[0] <= 2
    assert index.column("name")[int(row[0])].as_py() == "hr/2"


def test_a_bad_word_on_the_command_line_is_one_message(tmp_path):
    wrong = lucidlr("evaluate", "--out", tmp_path, "--benchmark", f"RealSR={tmp_path / 'none'}")
    assert wrong.exit_code == 1
    assert isinstance(wrong.exception, Expected)
    assert "there is no folder" in str(wrong.exception)
    assert "\n" not in str(wrong.exception)
    wrong = lucidlr("evaluate", "--out", tmp_path, "--metric", "MUSIK", "--benchmark", "tiny")
    assert isinstance(wrong.exception, Expected)
    assert "did you mean 'MUSIQ'" in str(wrong.exception)
    assert lucidlr("evaluate", "--method", "nonsense").exit_code == 2


def test_the_gate_fails_a_run_that_lost_what_it_tracks(set_of_six):
    recipe = checked(
        {
            "name": "gated",
            "benchmarks": [{"name": "mine", "folder": str(set_of_six / "set")}],
            "methods": [{"name": "theirs", "kind": "folder", "folder": str(set_of_six / "theirs")}],
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
    from training.evaluation.metrics import PAPER

    assert list(load_evaluation(DEMO).metrics[:10]) == [spec.name for spec in PAPER]


@pytest.mark.slow
def test_the_demo_is_evaluated_with_nothing_downloaded_and_the_rest_is_not_run(tmp_path):
    done = lucidlr("evaluate", "--out", tmp_path)
    assert done.exit_code == 0, done.stderr[-3000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["benchmarks"]["tiny"]["images"] == 12
    assert {"PSNR", "SSIM", "PIQE"} <= set(summary["metrics"]) - set(summary["not_run"])
    assert "needs the projection head" in summary["not_run"]["LucidConsistency"]
    scores = pq.read_table(tmp_path / "scores.parquet")
    assert scores.column("value").null_count == 0


@pytest.fixture(scope="module")
def trained_tiny(tmp_path_factory):
    """A narrow, untrained tiny network, and two epochs of NFT on it: the machinery, not the quality."""
    from safetensors.torch import save_file

    from tests.training.small import photographs, small_config
    from training.backbones import tiny
    from training.rewards import load_reward
    from training.train_config import RewardSpec
    from training.train_nft import main

    folder = tmp_path_factory.mktemp("trained")
    backbone = tiny.untrained(width=8)
    weights = folder / "tiny.safetensors"
    save_file(backbone.net.state_dict(), weights)
    names = ("lr_faithfulness", "coherent_edges")
    config = small_config(
        folder / "run",
        epochs=2,
        checkpoint_every=1,
        learning_rate=1e-2,
        rewards=tuple(RewardSpec(name=name) for name in names),
    )
    rewards = [load_reward(name) for name in names]
    main(config, backbone=tiny.load(weights=weights), rewards=rewards, lrs=photographs())
    return weights, folder / "run"


def test_bicubic_a_folder_and_the_tiny_backbone_before_and_after_nft(set_of_six, trained_tiny):
    weights, run = trained_tiny
    content = {
        "name": "all four",
        "benchmarks": [{"name": "mine", "folder": str(set_of_six / "set")}],
        "methods": [
            {"name": "bicubic", "kind": "bicubic"},
            {"name": "theirs", "kind": "folder", "folder": str(set_of_six / "theirs")},
            {
                "name": "tiny",
                "kind": "backbone",
                "backbone": "tiny",
                "options": {"weights": str(weights)},
                "steps": 2,
            },
        ],
        "metrics": ["PSNR"],
    }
    recipe = with_checkpoint(checked(content), str(run), "tiny")
    assert [m.name for m in recipe.methods] == ["bicubic", "theirs", "tiny", "tiny(+LucidNFT)"]
    out = set_of_six / "out"
    first = run_evaluation(recipe, out)
    assert first.done.problems == []
    assert (first.done.made, first.done.computed) == (18, {"PSNR": 24})
    means = {row["method"]: row for row in first.results.means.to_pylist()}
    assert means["theirs"]["mean"] > means["bicubic"]["mean"]
    assert means["tiny(+LucidNFT)"]["base"] == "tiny"
    assert means["tiny(+LucidNFT)"]["delta"] != 0, "training moved the outputs"
    again = run_evaluation(recipe, out)
    assert (again.done.made, again.done.computed) == (0, {"PSNR": 0})
    more = run_evaluation(checked(recipe.model_dump() | {"metrics": ["PSNR", "SSIM"]}), out)
    assert (more.done.made, more.done.computed) == (0, {"PSNR": 0, "SSIM": 24})


def test_a_checkpoint_of_another_backbone_is_refused_and_the_rest_evaluated(
    set_of_six, trained_tiny
):
    weights, run = set_of_six / "wider.safetensors", set_of_six / "run"
    shutil.copytree(trained_tiny[1], run)
    from safetensors.torch import save_file

    from training.backbones import tiny

    save_file(tiny.untrained(width=16).net.state_dict(), weights)
    content = {
        "name": "misfit",
        "benchmarks": [{"name": "mine", "folder": str(set_of_six / "set")}],
        "methods": [
            {"name": "bicubic", "kind": "bicubic"},
            {
                "name": "misfit",
                "kind": "backbone",
                "backbone": "tiny",
                "options": {"weights": str(weights)},
                "checkpoint": str(run),
                "steps": 1,
            },
        ],
        "metrics": ["PSNR"],
    }
    done = run_evaluation(checked(content), set_of_six / "out").done
    assert "give the options that training had" in str(done.problems[0])
    assert done.computed == {"PSNR": 6}
    (run / "weights.safetensors").unlink()
    done = run_evaluation(checked(content), set_of_six / "out").done
    assert "does not fit tiny" in str(done.problems[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)  # four flows, each in a process that loads torch
def test_build_precompute_train_and_evaluate_run_through_the_deployments(prefect_server, tmp_path):
    url, _, _ = prefect_server
    build, run = tmp_path / "build", tmp_path / "run"
    dataset = f"dataset={build / 'dataset'}"
    # A third of the demo's files; the whole demo is built through this deployment by test_prefect.py.
    demo = yaml.safe_load((ROOT / "pipelines" / "recipes" / "demo.yaml").read_text())
    demo["corpus"] |= {"files": 80, "seed": 7}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(demo))
    run_deployment(
        prefect_server, "build-lucidlr/demo", f"recipe={tmp_path / 'demo.yaml'}", f"out={build}"
    )
    small = {"epochs": 2, "groups": 3, "group_size": 4, "rollout_steps": 3, "eval_lrs": 4}
    changes = json.dumps({"epochs": 1, "groups": 2})
    run_deployment(
        prefect_server, "precompute-rewards/precompute-demo", dataset, f"changes={changes}"
    )
    recipe = tmp_path / "train.yaml"
    content = yaml.safe_load((ROOT / "pipelines" / "recipes" / "train_demo.yaml").read_text())
    recipe.write_text(yaml.safe_dump({"train": content["train"] | small}))
    # Training ends with the subflow evaluate-benchmarks on its checkpoint.
    run_deployment(
        prefect_server, "train-lucidnft/train-demo", f"recipe={recipe}", f"out={run}", dataset
    )
    runs = api(url, "/flow_runs/filter", {})
    subflows = [r for r in runs if r["parent_task_run_id"] and r["state_type"] == "COMPLETED"]
    assert {r["parameters"]["checkpoint"] for r in subflows} >= {str(run)}
    means = pq.read_table(run / "evaluation" / "aggregate.parquet").to_pylist()
    psnr = {row["method"]: row for row in means if row["metric"] == "PSNR"}
    assert {"bicubic", "tiny", "tiny(+LucidNFT)"} <= set(psnr)
    assert psnr["tiny(+LucidNFT)"]["base"] == "tiny"
    gallery = (run / "evaluation" / "gallery" / "index.html").read_text()
    assert "LucidLR (this build)" in gallery, "the dataset is measured in the table of datasets"
    assert 'id="training"' in gallery, "the run's curves are on the page"
    # Then the deployment by itself: everything was scored.
    run_deployment(
        prefect_server,
        "evaluate-benchmarks/evaluate-demo",
        f"out={run / 'evaluation'}",
        f"checkpoint={run}",
    )
    summary = json.loads((run / "evaluation" / "summary.json").read_text())
    assert sum(summary["computed"].values()) == 0
    found = latest_artifacts(url)
    assert {"evaluation-results", "evaluation-deltas", "evaluation-summary"} <= set(found)
    assert "| tiny | CLIP-IQA+ ↑ |" in found["evaluation-results"]["data"]


ONE_STEP = ROOT / "pipelines" / "recipes" / "evaluate_one_step.yaml"


@pytest.mark.slow
def test_one_step_models_are_run_by_their_own_commands_or_say_what_is_missing(set_of_six):
    """The recipe with its commented methods switched on, as somebody with the checkouts would have it."""
    lines = ONE_STEP.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if "- name: OSEDiff" in line)
    switched = [
        line.replace("  # ", "  ", 1)
        if i >= first and line.startswith(("  # - ", "  #   "))
        else line
        for i, line in enumerate(lines)
    ]
    content = yaml.safe_load("\n".join(switched))
    assert [m["name"] for m in content["methods"]][-2:] == ["OSEDiff", "SinSR"]
    content["benchmarks"] = [{"name": "six", "folder": str(set_of_six / "set")}]
    content["metrics"] = ["PSNR"]
    found = run_evaluation(checked(content), set_of_six / "out")
    made = {method for (_, method), names in found.done.outputs.items() if names}
    assert made == {"bicubic", "tiny, 8 steps", "tiny, one step"}
    told = [p.what for p in found.done.problems if "run_in" in p.what]
    assert told == [
        f"{name}: there is no folder checkouts/{name} (its `run_in`) to run its command in."
        for name in ("OSEDiff", "SinSR")
    ]
