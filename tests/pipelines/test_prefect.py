"""Through a real Prefect server and worker, as docs/prefect.md says."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.pipelines.builds import dataset_hash

ROOT = Path(__file__).parents[2]
PREFECT = [str(Path(sys.executable).with_name("prefect"))]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def api(url, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url + path, data=data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory):
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "LUCIDLR_HOME": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
    }
    log = (home / "server.log").open("w")
    server = subprocess.Popen(
        [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    worker = None
    try:
        deadline = time.monotonic() + 150
        while True:
            try:
                api(url, "/health")
                break
            except OSError:
                assert server.poll() is None, (home / "server.log").read_text()[-2000:]
                assert time.monotonic() < deadline, "the Prefect server did not start in 150 s"
                time.sleep(0.5)
        run = {"env": environment, "cwd": ROOT, "check": True, "capture_output": True, "text": True}
        subprocess.run([*PREFECT, "work-pool", "create", "lucidlr", "--type", "process"], **run)
        subprocess.run([*PREFECT, "--no-prompt", "deploy", "--all"], **run)
        worker = subprocess.Popen(
            [*PREFECT, "worker", "start", "--pool", "lucidlr"],
            env=environment,
            cwd=home,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        yield url, environment, home
    finally:
        for process in (worker, server):
            if process is not None:
                process.terminate()
                process.wait(30)
        log.close()


def run_deployment(prefect_server, name, *parameters):
    """`prefect deployment run ... --watch`, which must complete."""
    _, environment, home = prefect_server
    given = [part for parameter in parameters for part in ("-p", parameter)]
    run = subprocess.run(
        [*PREFECT, "deployment", "run", name, *given, "--watch"],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + (home / "server.log").read_text()[-3000:]
    assert "Completed" in run.stdout + run.stderr


@pytest.mark.slow
def test_the_demo_deployments_complete_with_their_artifacts_and_the_hash_of_the_command_line(
    prefect_server, tmp_path
):
    url, _, _ = prefect_server
    run_deployment(prefect_server, "build-lucidlr/demo", f"out={tmp_path / 'flow'}")
    run_deployment(prefect_server, "refresh-lucidlr/refresh-demo", f"out={tmp_path / 'flow'}")
    artifacts = {artifact["key"]: artifact for artifact in api(url, "/artifacts/filter", {})}
    assert {"build-summary", "build-failures", "build-report", "build-measure"} <= set(artifacts)
    refreshed = json.loads(artifacts["refresh-summary"]["data"])
    # Nothing changes on the embedded Commons.
    assert [row["what"] for row in refreshed] == ["asked again", "not due"]
    assert refreshed[0]["files"] > 100
    direct = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "demo", "--out", str(tmp_path / "direct")],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert direct.returncode == 0, direct.stderr[-3000:]
    assert dataset_hash(tmp_path / "flow") == dataset_hash(tmp_path / "direct")


@pytest.mark.slow
def test_everything_in_prefect_yaml_is_deployed_and_the_schedule_sleeps(prefect_server):
    url, _, _ = prefect_server
    deployed = {d["name"]: d for d in api(url, "/deployments/filter", {})}
    assert set(deployed) == {"build-lucidlr", "demo", "refresh-lucidlr", "refresh-demo"}
    schedules = deployed["build-lucidlr"]["schedules"]
    assert [(s["schedule"]["cron"], s["active"]) for s in schedules] == [("0 3 * * 1", False)]
    schedules = deployed["refresh-lucidlr"]["schedules"]
    assert [(s["schedule"]["cron"], s["active"]) for s in schedules] == [("30 1 * * *", False)]
    assert all(d["global_concurrency_limit"]["limit"] == 1 for d in deployed.values())
    steps = json.dumps([d["pull_steps"] for d in deployed.values()])
    assert str(ROOT) not in steps, "a folder of the deploying machine is baked in"


def test_the_deployments_name_recipes_that_exist_and_a_pool_that_the_docs_create():
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    docs = (ROOT / "docs" / "prefect.md").read_text()
    for deployment in content["deployments"]:
        assert (ROOT / deployment["parameters"]["recipe"]).is_file()
        assert f"work-pool create {deployment['work_pool']['name']} " in docs
        assert re.search(r"\.py:\w+$", deployment["entrypoint"])


def test_the_container_files_are_well_formed():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(services) == {"database", "server", "worker"}
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), f"the Dockerfile copies {name}, which is not there"
