"""A run whose process was killed: Prefect learns it by itself, or by one command, and the next run starts."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.prefect_care import HEARTBEAT_S, SILENT_S
from tests.counts import LONG
from tests.prefect_server import PREFECT, ROOT, answering, api, free_port, settings, start_server

pytestmark = pytest.mark.slow

FLOW = """
import time
from prefect import flow

@flow
def sleeper():
    print("started", flush=True)
    time.sleep(600)

sleeper()
"""


@contextmanager
def hook():
    """A URL, and what was posted to it."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *given):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", posted
    finally:
        server.shutdown()
        server.server_close()


def care(environment, *given):
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.prefect_care", *given],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def killed_run(environment, folder):
    """A flow run whose process was killed while it slept."""
    script = folder / "sleeper.py"
    script.write_text(FLOW)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert "started" in process.stdout.readline()
    # A heartbeat goes out when a run starts; the next one is due.
    time.sleep(HEARTBEAT_S / 3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def runs(url):
    return {
        run["state"]["type"]
        for run in api(url, "/flow_runs/filter", {"sort": "START_TIME_DESC"})
        if run["flow_id"]
        in {f["id"] for f in api(url, "/flows/filter", {}) if f["name"] == "sleeper"}
    }


def test_a_killed_run_is_crashed_by_itself_within_three_minutes_and_somebody_is_told(
    prefect_server, tmp_path
):
    url, environment, _ = prefect_server
    environment = {**environment, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S)}
    with hook() as (notify, posted):
        for _ in range(2):
            made = care(environment, "automations", "--notify", notify)
        assert made.count("made: ") == 2
        assert len(api(url, "/automations/filter", {})) == 2
        killed_run(environment, tmp_path)
        assert runs(url) == {"RUNNING"}
        ends = time.monotonic() + 3 * 60 + SILENT_S
        while runs(url) != {"CRASHED"} and time.monotonic() < ends:
            time.sleep(2)
        assert runs(url) == {"CRASHED"}
        while not posted and time.monotonic() < ends:
            time.sleep(1)
    assert "Crashed" in json.loads(posted[0])["title"]


DEPLOYED = """
import os, time
from pathlib import Path
from prefect import flow

@flow
def held():
    print(os.getpid())
    Path(os.environ["STARTED"]).open("a").write(f"{os.getpid()}\\n")
    time.sleep(600)
"""


class House:
    """A server and a worker of their own, to be killed."""

    def __init__(self, home):
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.started = home / "started.txt"
        self.environment = {
            **settings(home, self.url),
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
            "STARTED": str(self.started),
        }
        self.log = (home / "server.log").open("a")
        self.server = self.worker = None

    def start_server(self):
        self.server = start_server(self.environment, self.port, self.log)
        answering(self.url, self.server, self.home)

    def start_worker(self):
        self.worker = subprocess.Popen(
            [*PREFECT, "worker", "start", "--pool", "lucidlr"],
            env=self.environment,
            cwd=self.home,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def prefect(self, *words):
        subprocess.run(
            [*PREFECT, "--no-prompt", *words],
            env=self.environment,
            cwd=self.home,
            check=True,
            capture_output=True,
            timeout=120,
        )

    def pids(self):
        """Of the runs that began, in order."""
        return self.started.read_text().split() if self.started.exists() else []

    def wait_for(self, runs, seconds):
        """How long it took until so many runs had begun; None: longer."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            if len(self.pids()) >= runs:
                return time.monotonic() - began
            time.sleep(1)
        return None

    def kill(self, *what):
        for name in what:
            if name == "run":
                os.kill(int(self.pids()[-1]), signal.SIGKILL)
                continue
            process = getattr(self, name)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def states(self):
        return [
            r["state"]["type"]
            for r in api(self.url, "/flow_runs/filter", {"sort": "START_TIME_ASC"})
        ]


@pytest.fixture
def own(tmp_path):
    made = House(tmp_path)
    (tmp_path / "held.py").write_text(DEPLOYED)
    try:
        made.start_server()
        made.prefect("work-pool", "create", "lucidlr", "--type", "process")
        made.prefect(
            "deploy",
            "held.py:held",
            "--name",
            "one",
            "--pool",
            "lucidlr",
            "--concurrency-limit",
            "1",
        )
        care(made.environment, "automations")
        made.start_worker()
        yield made
    finally:
        for process in (made.worker, made.server):
            if process is not None and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for pid in made.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        made.log.close()


@pytest.mark.skipif(not LONG, reason="minutes of waiting: LUCIDLR_LONG=1")
@pytest.mark.parametrize("by_hand", [False, True], ids=["by itself", "by the command"])
@pytest.mark.parametrize(
    "what", [("run", "worker"), ("run", "server"), ("run", "worker", "server")], ids="+".join
)
def test_after_worker_or_server_were_killed_the_next_run_of_a_deployment_for_one_starts(
    own, what, by_hand
):
    own.prefect("deployment", "run", "held/one")
    assert own.wait_for(1, 120) is not None
    time.sleep(HEARTBEAT_S / 3)
    own.kill(*what)
    if "server" in what:
        own.start_server()
    if "worker" in what:
        own.start_worker()
    began = time.monotonic()
    if by_hand:
        care(own.environment, "after-crash")
    own.prefect("deployment", "run", "held/one")
    took = own.wait_for(2, 240)
    assert took is not None, own.states()
    sys.stderr.write(f"{'+'.join(what)}, by hand {by_hand}: {time.monotonic() - began:.0f} s\n")
    assert time.monotonic() - began < (60 if by_hand else 180) + 30, "30 s for a busy machine"
