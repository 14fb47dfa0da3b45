"""A real Prefect server with a worker and everything of prefect.yaml deployed, one for all tests of flows."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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


def settings(home, url):
    """The environment of a server, its workers and its clients."""
    return {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "LUCIDLR_HOME": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
    }


def start_server(environment, port, log):
    """A server in a process group of its own: it has children."""
    return subprocess.Popen(
        [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def answering(url, server, home):
    """Waits until the server answers."""
    deadline = time.monotonic() + 150
    while True:
        try:
            return api(url, "/health")
        except OSError:
            assert server.poll() is None, (home / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the Prefect server did not start in 150 s"
            time.sleep(0.5)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory):
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = settings(home, url)
    log = (home / "server.log").open("w")
    worker, server = None, start_server(environment, port, log)
    try:
        answering(url, server, home)
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
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    # A worker on a busy machine may take longer to say goodbye; the server must end all the same.
                    process.kill()
                    process.wait()
        log.close()


def latest_artifacts(url):
    """By key. The server is shared, so a key may have versions of several tests; the newest is that of the last run."""
    return {artifact["key"]: artifact for artifact in api(url, "/artifacts/latest/filter", {})}


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
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + (home / "server.log").read_text()[-3000:]
    assert "Completed" in run.stdout + run.stderr
