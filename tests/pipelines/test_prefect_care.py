"""A run whose process was killed: Prefect learns it by itself, or by one command, and the next run starts."""

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
from tests.prefect_server import ROOT, api

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
