"""The remote reward against a real server on loopback: batches, retries, versions, and images that fail."""

import base64
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import training.rewards
from tests.prefect_server import free_port
from training.rewards import RewardError, load_reward
from training.rewards.servers.reward_server import Scorer, make_server

SERVERS = Path(training.rewards.__file__).parent / "servers"
SR = torch.stack([torch.full((3, 8, 8), k / 10) for k in range(7)])
LR = SR[:, :, :2, :2]
EXPECTED = (SR[:, 0, 0, 0] * 255).round() / 255


def brightness(image):
    """Mean of an image, 0 to 1; refuses black ones, as a model may refuse an image."""
    value = float(np.asarray(image).mean()) / 255
    if value == 0:
        raise ValueError("black")
    return value


@contextmanager
def running(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scorer(**changes):
    values = {
        "name": "brightness",
        "version": "b-1",
        "weights_sha256": "ab" * 32,
        "range": (0.0, 1.0),
        "score": brightness,
        "largest_batch": 3,
    }
    return Scorer(**{**values, **changes})


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("training.rewards.remote._FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_scores_come_back_row_by_row_in_batches_and_a_refused_image_is_nan():
    sizes = []

    def score(image):
        sizes.append(image.size)
        return brightness(image)

    with running(make_server(scorer(score=score), "127.0.0.1", 0)) as url:
        reward = load_reward("remote", url=url, name="bright", expect="brightness", factor=2.0)
        rewards = reward.score(SR, LR, {})
        assert reward.name == "bright"
        assert reward.range == (0.0, 2.0)
        assert reward.version == "b-1, +2"
        assert reward.weights_sha256 == "ab" * 32
        assert reward.batch_size == 3
    assert torch.isnan(rewards[0])
    torch.testing.assert_close(rewards[1:], 2 * EXPECTED[1:], rtol=0, atol=1e-6)
    assert len(sizes) == 7


def test_a_rollout_that_is_not_finite_is_not_sent(tmp_path):
    broken = SR.clone()
    broken[3, 0, 0, 0] = torch.inf
    with running(make_server(scorer(), "127.0.0.1", 0)) as url:
        rewards = load_reward("remote", url=url, connections=2).score(broken, LR, {})
    assert torch.isnan(rewards).nonzero()[:, 0].tolist() == [0, 3]
    torch.testing.assert_close(rewards[4:], EXPECTED[4:], rtol=0, atol=1e-6)


class Stumbling(BaseHTTPRequestHandler):
    """Fails as real servers do: the connection cut, then 503, then 429, then an answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(
            {
                "name": "s",
                "version": "1",
                "weights_sha256": None,
                "range": [0, 1],
                "largest_batch": 9,
            }
        )

    def do_POST(self):
        images = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["images"]
        self.server.asked += 1
        if self.server.asked == 1:
            self.close_connection = True
            self.connection.close()
            return
        if self.server.asked in (2, 3):
            self.answer({}, 503 if self.server.asked == 2 else 429)
            return
        self.answer({"scores": [0.5] * len(images), "version": self.server.version})

    def answer(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def stumbling(version="1"):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stumbling)
    server.daemon_threads = True
    server.asked, server.version = 0, version
    return server


def test_a_cut_connection_a_503_and_a_429_are_tried_again():
    server = stumbling()
    with running(server) as url:
        rewards = load_reward("remote", url=url, retries=3).score(SR[:2], LR[:2], {})
    assert rewards.tolist() == [0.5, 0.5]
    assert server.asked == 4


def test_when_retries_are_used_up_training_stops_with_what_to_do():
    with running(stumbling()) as url:
        reward = load_reward("remote", url=url, retries=2)
        with pytest.raises(RewardError, match=r"after 3 tries \(status 429\)\. Start its server"):
            reward.score(SR[:1], LR[:1], {})


def test_another_version_in_the_middle_of_a_training_is_an_error():
    server = stumbling(version="2")
    server.asked = 5
    with running(server) as url, pytest.raises(RewardError, match="is now '2', it was '1'"):
        load_reward("remote", url=url).score(SR[:1], LR[:1], {})


def test_several_servers_share_the_work_and_have_to_be_one_scorer(monkeypatch):
    asked: dict[str, list[float]] = {"a": [], "b": []}

    def counting(which):
        def score(image):
            asked[which].append(brightness(image))
            return asked[which][-1]

        return make_server(scorer(score=score, largest_batch=2), "127.0.0.1", 0)

    with running(counting("a")) as one, running(counting("b")) as two:
        reward = load_reward("remote", url=[one, two])
        # Seven images in batches of two: 0-1 and 4-5 go to the first, 2-3 and 6 to the second.
        torch.testing.assert_close(reward.score(SR, LR, {})[1:], EXPECTED[1:], rtol=0, atol=1e-6)
        assert (len(asked["a"]), len(asked["b"])) == (3, 3)  # the black one is refused, not scored
        # Another process of the training begins with the other server.
        monkeypatch.setenv("RANK", "1")
        reward.score(SR[1:3], LR[1:3], {})
        assert (len(asked["a"]), len(asked["b"])) == (3, 5)
        with (
            running(make_server(scorer(version="b-2"), "127.0.0.1", 0)) as other,
            pytest.raises(RewardError, match="are not the same scorer: version differ"),
        ):
            load_reward("remote", url=[one, other])
    with pytest.raises(RewardError, match="names no server"):
        load_reward("remote", url=[])


def test_a_server_that_is_not_there_and_one_that_serves_something_else():
    with pytest.raises(RewardError, match=r"unipercept_server\.py says how"):
        load_reward("unipercept_iqa", url=f"http://127.0.0.1:{free_port()}", retries=1)
    with running(make_server(scorer(), "127.0.0.1", 0)) as url:
        with pytest.raises(RewardError, match="serves 'brightness', not 'unipercept_iqa'"):
            load_reward("unipercept_iqa", url=url)
        with pytest.raises(RewardError, match="is no address to ask"):
            load_reward("remote", url="nowhere", retries=0)
        with pytest.raises(RewardError, match="at least 1"):
            load_reward("remote", url=url, connections=0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "images"),
        (b'{"images": ["%%%"]}', "images"),
        (b"not json", "images"),
        (b'{"images": ["", "", "", ""]}', "At most 3 images"),
    ],
)
def test_the_server_refuses_what_it_cannot_read(body, message):
    with running(make_server(scorer(), "127.0.0.1", 0)) as url:
        request = urllib.request.Request(f"{url}/score", data=body)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        with refused.value as answer:
            assert answer.code == 400
            assert message in json.load(answer)["error"]


def test_bytes_that_are_no_image_are_null_and_the_next_keeps_its_score():
    from PIL import Image

    sink = io.BytesIO()
    Image.new("RGB", (4, 4), (51, 51, 51)).save(sink, "PNG")
    images = [base64.b64encode(content).decode() for content in (b"no image", sink.getvalue())]
    body = json.dumps({"images": images}).encode()
    with running(make_server(scorer(), "127.0.0.1", 0)) as url:
        request = urllib.request.Request(f"{url}/score", data=body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer) == {"scores": [None, pytest.approx(0.2)], "version": "b-1"}


FAKE_PACKAGE = """
import numpy as np
from PIL import Image

class Net:
    def score(self, device, tokenizer, pixels, settings, task):
        assert task == "quality" and settings == {"do_sample": False}
        return [float(pixels.mean()) * 100]

class UniPerceptRewardInferencer:
    def __init__(self, model_path, device):
        self.model, self.device, self.tokenizer = Net(), device, None
        self.gen_cfg = {"do_sample": False}

    def preprocess_image(self, path):
        return np.asarray(Image.open(path)) / 255
"""


def test_the_unipercept_server_runs_as_a_script_and_its_score_is_divided_by_a_hundred(tmp_path):
    # The package and its 16 GB are not here; in its place stands one with the same two calls. The script, the
    # server, the wire and the reward are the real ones.
    package = tmp_path / "unipercept_reward"
    package.mkdir()
    (package / "__init__.py").write_text(FAKE_PACKAGE)
    info = tmp_path / "unipercept_reward-1.0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: unipercept-reward\nVersion: 1.0.3\n"
    )
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"weights")
    port = free_port()
    command = [sys.executable, str(SERVERS / "unipercept_server.py")]
    command += ["--model", str(weights), "--device", "cpu", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    server = subprocess.Popen(command, env=environment, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                reward = load_reward("unipercept_iqa", url=f"http://127.0.0.1:{port}", retries=0)
                break
            except RewardError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
        torch.testing.assert_close(reward.score(SR, LR, {}), EXPECTED, rtol=0, atol=1e-6)
        assert reward.range == (0.0, 1.0)
        assert reward.version == "unipercept-reward-1.0.3, +0.01"
        assert len(reward.weights_sha256) == 64
    finally:
        server.terminate()
        server.wait(10)


def raw(url, head, body=b"", *, wait_s=20):
    """What a server answers to these bytes; empty where it hangs up."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=wait_s) as client:
        client.sendall(head + b"\r\n\r\n" + body)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer


@pytest.mark.parametrize(
    "length", ["", "-1", "x", "0", "999999999999", "1e3", "٣".encode().decode("latin-1")]
)
def test_a_request_of_no_or_absurd_length_is_refused_before_it_is_read(length):
    with running(make_server(scorer(), "127.0.0.1", 0)) as url:
        head = f"POST /score HTTP/1.1\r\nContent-Length: {length}".encode("latin-1")
        assert raw(url, head).startswith(b"HTTP/1.1 400 ")


def test_a_request_that_drips_is_left(monkeypatch):
    monkeypatch.setattr("training.rewards.servers.reward_server.ARRIVES_S", 0.5)
    with running(make_server(scorer(), "127.0.0.1", 0)) as url:
        answer = raw(url, b"POST /score HTTP/1.1\r\nContent-Length: 5000", b'{"images"')
    assert answer.startswith(b"HTTP/1.1 408 ")


def png(width, height):
    sink = io.BytesIO()
    Image.new("1", (width, height)).save(sink, "PNG")
    return sink.getvalue()


@pytest.mark.parametrize("kind", ["bomb", "eps", "gif", "text"])
def test_what_is_no_png_of_a_bounded_size_is_not_decoded(kind):
    gif = io.BytesIO()
    Image.new("L", (4, 4), 200).save(gif, "GIF")
    content = {
        # 30 megapixels in 4 kB.
        "bomb": png(6000, 5000),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "gif": gif.getvalue(),
        "text": b"hello",
    }[kind]
    fine = io.BytesIO()
    Image.new("L", (4, 4), 255).save(fine, "PNG")
    images = [base64.b64encode(one).decode() for one in (content, fine.getvalue())]
    body = json.dumps({"images": images}).encode()
    with running(make_server(scorer(), "127.0.0.1", 0)) as url:
        request = urllib.request.Request(url + "/score", data=body)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["scores"] == [None, 1.0]


def test_more_connections_than_it_serves_are_closed(monkeypatch):
    monkeypatch.setattr("training.rewards.servers.reward_server.MOST_AT_ONCE", 2)
    with running(make_server(scorer(), "127.0.0.1", 0)) as url:
        host, port = url.removeprefix("http://").split(":")
        held = [socket.create_connection((host, int(port)), timeout=20) for _ in range(2)]
        for client in held:
            client.sendall(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert raw(url, b"GET /info HTTP/1.1\r\nHost: x") == b""
        for client in held:
            client.close()
