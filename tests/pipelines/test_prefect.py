"""Through a real Prefect server and worker, as docs/prefect.md says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipelines.builds import dataset_hash
from tests.prefect_server import ROOT, api, latest_artifacts, run_deployment

DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.slow
def test_the_demo_deployments_complete_with_their_artifacts_and_the_hash_of_the_command_line(
    prefect_server, tmp_path
):
    url, _, _ = prefect_server
    run_deployment(prefect_server, "build-lucidlr/demo", f"out={tmp_path / 'flow'}")
    run_deployment(prefect_server, "refresh-lucidlr/refresh-demo", f"out={tmp_path / 'flow'}")
    artifacts = latest_artifacts(url)
    assert {"build-summary", "build-failures", "build-report", "build-measure"} <= set(artifacts)
    # What was done so far, source by source, as it was at the last stage.
    state = json.loads(artifacts["build-state"]["data"])
    assert sum(row["listed"] for row in state) > 100
    assert all(row["at hand"] <= row["passed"] <= row["listed"] for row in state)
    assert artifacts["build-state"]["description"].startswith("listed ")
    refreshed = json.loads(artifacts["refresh-summary"]["data"])
    # Nothing changes on the embedded Commons.
    assert [row["what"] for row in refreshed] == ["asked again", "not due"]
    assert refreshed[0]["files"] > 100
    direct = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "demo", "--out", str(tmp_path / "direct")],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert direct.returncode == 0, direct.stderr[-3000:]
    assert dataset_hash(tmp_path / "flow") == dataset_hash(tmp_path / "direct")


@pytest.mark.slow
def test_everything_in_prefect_yaml_is_deployed_and_the_schedules_sleep(prefect_server):
    url, _, _ = prefect_server
    deployed = {d["name"]: d for d in api(url, "/deployments/filter", {})}
    assert set(deployed) == {d["name"] for d in DEPLOYMENTS}
    for asked in DEPLOYMENTS:
        found = [(s["schedule"]["cron"], s["active"]) for s in deployed[asked["name"]]["schedules"]]
        assert found == [(s["cron"], False) for s in asked.get("schedules", [])]
    assert deployed["build-lucidlr"]["schedules"], "the build is scheduled, though inactive"
    # One run at a time for what holds no lock of a catalog; see docs/prefect.md.
    limits = {n: (d["global_concurrency_limit"] or {}).get("limit") for n, d in deployed.items()}
    assert limits == {d["name"]: d.get("concurrency_limit") for d in DEPLOYMENTS}
    steps = json.dumps([d["pull_steps"] for d in deployed.values()])
    assert str(ROOT) not in steps, "a folder of the deploying machine is baked in"


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["name"])
def test_a_deployment_names_a_flow_a_recipe_and_a_pool_that_are_there(deployment):
    docs = (ROOT / "docs" / "prefect.md").read_text()
    file, _, flow = deployment["entrypoint"].partition(":")
    assert re.search(rf"^def {flow}\(", (ROOT / file).read_text(), re.MULTILINE)
    recipe = deployment["parameters"].get("recipe")
    assert recipe is None or (ROOT / recipe).is_file()
    assert f"work-pool create {deployment['work_pool']['name']} " in docs


@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", "Dockerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
    ],
    ids=lambda command: command[0],
)
def test_the_linters_find_nothing_in_the_container_files(command):
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_container_files_name_what_is_there():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(services) == {"database", "server", "worker"}
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), f"the Dockerfile copies {name}, which is not there"
