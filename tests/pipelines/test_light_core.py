"""The light core: a dataset without torch, pyiqa, transformers and Prefect, and one sentence where they are missing."""

import json
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from pipelines.extras import EXTRAS, extra_of
from tests.light_venv import ROOT, core_packages, make_light_venv, run_in
from tests.pipelines.builds import FILES, SEED, dataset_hash
from tests.pipelines.test_recipe import DEMO

HEAVY = ("torch", "torchvision", "transformers", "pyiqa", "prefect", "diffusers", "accelerate")


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    python = make_light_venv(tmp_path_factory.mktemp("light") / "venv")
    code = f"import importlib.util as u; print([m for m in {HEAVY} if u.find_spec(m)])"
    assert run_in(python, "-c", code).stdout.strip() == "[]"
    done = run_in(python, "-c", "import torch")
    assert "No module named 'torch'" in done.stderr
    return python


@pytest.fixture(scope="module")
def light_build(light, tmp_path_factory):
    out = tmp_path_factory.mktemp("build") / "demo"
    done = lucidlr(light, "demo", "--out", out, "--files", FILES, "--seed", SEED)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def lucidlr(python, *arguments, **options):
    return run_in(python, "-m", "pipelines.cli", *arguments, **options)


def test_the_core_asks_for_nothing_heavy():
    assert not core_packages() & {*HEAVY, "fastapi", "peft", "spandrel", "tensorboard"}


def test_every_package_of_an_extra_is_named_by_the_table_of_modules():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    modules = {"setuptools": None}
    for extra, lines in extras.items():
        if extra in ("dev", "all"):
            continue
        for line in lines:
            name = Requirement(line).name
            if name in ("lucidlr", "setuptools"):
                continue
            module = modules.get(name, name.replace("-", "_"))
            assert extra_of(module) is not None, (
                f"{name} of {extra} is missing in pipelines/extras.py"
            )
    for extra in EXTRAS:
        assert extra in extras, f"pyproject.toml has no extra {extra!r}"
    everything = {e for line in extras["all"] for e in Requirement(line).extras}
    assert everything == {"iqa", "flows", "train", "review"}
    assert "all" in Requirement(extras["dev"][0]).extras


def test_modules_of_the_core_and_ours_have_no_extra():
    assert extra_of("numpy") is None
    assert extra_of("pipelines.nothing") is None
    assert extra_of(None) is None
    assert extra_of("torch.nn") == "train"


@pytest.mark.slow
class TestWithoutTorch:
    def test_the_same_dataset_as_with_everything(self, light_build, small_build):
        assert dataset_hash(light_build) == dataset_hash(small_build)
        run = json.loads(next((light_build / "catalog" / "runs").glob("*.json")).read_text())
        versions = json.loads(run["versions"])
        assert "numpy" in versions
        assert not set(versions) & set(HEAVY), "only what is installed has a version"

    @pytest.mark.parametrize(
        "command",
        [
            "explain e",
            "whatif degraded.min=0.7 piqe.max=60",
            "failures",
            "politeness",
            "verify",
            "refilter demo --limit 50 --to {tmp}/beside",
            "relink",
        ],
    )
    def test_looking_and_deciding_work(self, light, light_build, tmp_path, command):
        words = command.format(tmp=tmp_path).split()
        done = lucidlr(light, *words, "--out", light_build)
        # Every title has the letter, so that the answer is a list to choose from.
        several = command == "explain e"
        assert done.returncode == (1 if several else 0), done.stderr[-2000:]
        assert ("candidates have 'e' in their title" in done.stderr) == several
        assert "Traceback" not in done.stderr

    def test_a_file_is_explained(self, light, light_build):
        (first, *_) = json.loads(
            run_in(
                light,
                "-c",
                "import duckdb, json, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
                "print(json.dumps(c.execute('SELECT page_id FROM samples').fetchone()))",
                light_build / "lucidlr.duckdb",
            ).stdout
        )
        done = lucidlr(light, "explain", first, "--labels", "--out", light_build)
        assert done.returncode == 0, done.stderr[-2000:]
        # Times come out of the catalog with their zone.
        assert "kept" in done.stdout and " UTC" in done.stdout

    def test_near_duplicates_work(self, light, tmp_path):
        done = lucidlr(light, "dedup-report", ROOT / "docs" / "training", cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]

    def test_a_push_gets_as_far_as_the_hub(self, light, light_build):
        done = lucidlr(
            light,
            *("push", "lab/set", "--dry-run", "--out", light_build),
            HF_ENDPOINT="http://127.0.0.1:9",
            HF_HUB_OFFLINE="0",
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr, done.stderr[-2000:]
        assert "The connection to the Hub failed" in done.stderr
        assert "[Errno" not in done.stderr

    @pytest.mark.parametrize(
        ("command", "extra"),
        [
            ("train tiny --dataset {out}/dataset --out {tmp}/run", "train"),
            ("precompute tiny_consistency --dataset {out}/dataset", "train"),
            ("restore {tmp} {tmp}/restored", "train"),
            ("consistency {tmp} {tmp}", "train"),
            ("evaluate --out {tmp}/evaluation", "train"),
            ("separability --out {tmp}/separability", "train"),
            ("demo-train --out {tmp}/demo-train", "train"),
            ("lucidflux-memory", "train"),
            ("build {tmp}/musiq.yaml --out {tmp}/musiq", "iqa"),
            ("build {tmp}/crops.yaml --out {tmp}/crops", "train"),
        ],
    )
    def test_what_needs_an_extra_names_it_in_one_sentence(
        self, light, light_build, tmp_path, command, extra
    ):
        recipe = yaml.safe_load(DEMO.read_text())
        (tmp_path / "musiq.yaml").write_text(yaml.safe_dump({**recipe, "scores": ["pyiqa:musiq"]}))
        crops = {"dedupe": {"embedding": {"encoder": "efficientnet_lite0"}}}
        (tmp_path / "crops.yaml").write_text(yaml.safe_dump({**recipe, **crops}))
        (tmp_path / "image.png").write_bytes(
            (ROOT / "docs/consistency/similarity.png").read_bytes()
        )
        done = lucidlr(light, *command.format(tmp=tmp_path, out=light_build).split())
        assert done.returncode == 1, done.stdout
        assert f"pip install 'lucidlr[{extra}]'" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_flow_without_prefect_names_the_extra(self, light):
        done = run_in(light, "-c", "import pipelines.build_lucidlr")
        assert done.returncode == 1
        assert "pip install 'lucidlr[flows]'" in done.stderr
