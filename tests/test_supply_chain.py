"""What comes from outside is pinned to the byte, and nothing is started with a password that everybody knows."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-core.lock")


def pins(name):
    """Package -> (version, how many hashes)."""
    found = {}
    for block in re.split(r"\n(?=\S)", (ROOT / name).read_text(encoding="utf-8")):
        pin = re.match(r"([A-Za-z0-9_.-]+)==(\S+)", block)
        assert pin, f"{name}: {block[:60]!r} is no pin"
        found[pin[1]] = (pin[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_a_version_and_hashes(name):
    held = pins(name)
    assert len(held) > 50
    assert [package for package, (_, hashes) in held.items() if hashes == 0] == []


def test_the_locks_and_the_constraints_name_the_same_versions():
    full, core = (pins(name) for name in LOCKS)
    assert core.items() <= full.items()
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert dict(line.split("==") for line in lines) == {k: v for k, (v, _) in full.items()}
    # The light core has no torch; what builds the project is in both.
    assert "torch" in full and "torch" not in core
    assert {"hatchling", "editables"} <= core.keys()


def test_make_and_the_image_install_nothing_unchecked():
    for name in ("Makefile", "Dockerfile"):
        text = (ROOT / name).read_text(encoding="utf-8")
        installs = re.findall(r"pip install ([^\n&]*)", text)
        assert len(installs) == 2, name
        for given in installs:
            checked = "--require-hashes" in given
            ours = "--no-deps" in given and "--no-build-isolation" in given
            assert checked or ours, f"{name}: pip install {given}"


def test_the_containers_ask_for_a_password_and_digests_and_listen_on_loopback():
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    for asked in ("PREFECT_DB_PASSWORD", "PYTHON_IMAGE", "POSTGRES_IMAGE"):
        assert set(re.findall(rf"\$\{{{asked}(.{{2}})", text)) == {":?"}, asked
    services = yaml.safe_load(text)["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} listens on {port}"
