"""LucidFlux against golden values of the official code, through the code that `lucidlr lucidflux-check` runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from pipelines.cli import app
from tests.training.backbones.lucidflux_tiny import GOLDEN
from training.backbones import BackboneError
from training.backbones.lucidflux import golden
from training.backbones.lucidflux.closeness import (
    Finding,
    compared,
    last_place,
    worst,
    worst_drawn,
    worst_of_pieces,
)

pytestmark = pytest.mark.golden

WANTED = {"a": 2, "b": 4, "c": 6, "d": 19, "e": 40, "f": 4, "g": 11, "h": 7, "i": 22, "j": 14}
"""How many quantities of each piece the set holds."""


@pytest.mark.parametrize("piece", WANTED)
def test_every_quantity_of_the_official_code_is_reproduced_within_its_tolerance(piece: str) -> None:
    with torch.no_grad():
        found = list(golden.PIECES[piece](GOLDEN))
    assert len(found) >= WANTED[piece]
    assert [one for one in found if not one[1] <= one[2]] == []


def changed(folder: Path, name: str, tensor: str, by: float) -> None:
    """Adds to one number of a golden file."""
    from safetensors import safe_open

    with safe_open(folder / name, "pt") as file:
        meta = file.metadata()
    tensors = load_file(folder / name)
    flat = tensors[tensor].clone().flatten()
    flat[0] += by
    tensors[tensor] = flat.reshape(tensors[tensor].shape)
    save_file(tensors, folder / name, metadata=meta)


def test_the_command_prints_the_worst_difference_and_fails_beyond_the_tolerance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "PIECES", {"c": golden.PIECES["c"]})
    shutil.copy(GOLDEN / "c_modulation.safetensors", tmp_path)
    good = CliRunner().invoke(app, ["lucidflux-check", str(tmp_path)])
    assert good.exit_code == 0 and "BEYOND" not in good.stdout
    changed(tmp_path, "c_modulation.safetensors", "out.index5", 8e-6)
    bad = CliRunner().invoke(app, ["lucidflux-check", str(tmp_path)])
    assert bad.exit_code == 1
    for output in (bad.stdout, bad.stderr):
        beyond = [line for line in output.splitlines() if "BEYOND" in line]
        # 8e-6, more or less what our own last digits are off.
        assert len(beyond) == 1 and "index 5" in beyond[0]
        assert 7e-6 < float(beyond[0].split("worst ")[1].split()[0]) < 9e-6
    every = CliRunner().invoke(app, ["lucidflux-check", str(tmp_path), "--every"])
    assert [line for line in every.stdout.splitlines() if "index 18" in line]


def test_the_worst_of_a_piece_is_shown_by_its_tolerance_and_nan_is_the_worst() -> None:
    found = [
        Finding("h", "a", 1e-6, 1e-5),
        # A tenth and a half of what is allowed: the smaller number is the worse one.
        Finding("i", "a", 1e-1, 1.0),
        Finding("i", "b", 5e-6, 1e-5),
        Finding("j", "a", 1e-6, 1e-5),
        Finding("j", "b", float("nan"), 1e-5),
        Finding("j", "c", 0.0, 0.0),
        Finding("j", "d", 1e-7, 0.0),
    ]
    assert [one.piece + one.what for one in worst_of_pieces(found)] == ["ha", "ib", "jb", "jd"]
    assert [one.ok for one in found] == [True, True, True, True, False, True, False]


def test_a_tolerance_is_counted_in_last_places_of_the_largest_number() -> None:
    # Between 4 and 8 float32 steps by 2^-21, bfloat16 by 2^-5.
    values = torch.tensor([0.1, -5.0])
    assert last_place(values) == 2**-21
    assert last_place(values, torch.bfloat16) == 2**-5
    assert last_place(torch.zeros(3)) == 0.0
    near = torch.nextafter(values, torch.tensor(9.0))
    assert compared("x", near, values, 2) == ("x", 2**-21, 2 * 2**-21)


def test_a_random_number_in_bfloat16_may_be_rounded_either_way_and_no_farther() -> None:
    theirs = torch.tensor([1.0, -3.0], dtype=torch.bfloat16)
    next_one = theirs + torch.tensor([2**-7, 2**-6], dtype=torch.bfloat16)
    assert worst_drawn(next_one, theirs) == 0.0
    assert worst_drawn(next_one + 0.25, theirs) > 0.2
    assert worst_drawn(torch.tensor([1.0 + 2**-7]), torch.tensor([1.0])) == 2**-7


def test_noise_drawn_by_other_vector_code_is_near_and_its_digest_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with scalar logarithms and cosines (ATEN_CPU_CAPABILITY=default): a few last digits differ."""
    draw = golden.latents.noise

    def otherwise(shape, *, seed, dtype=torch.float32):
        drawn = draw(shape, seed=seed)
        return torch.nextafter(drawn, torch.full_like(drawn, 9.0)).to(dtype)

    monkeypatch.setattr(golden.latents, "noise", otherwise)
    found = list(golden.PIECES["g"](GOLDEN))
    assert [one for one in found if not one[1] <= one[2]] == []
    monkeypatch.setattr(
        golden.latents, "noise", lambda s, *, seed, dtype: draw(s, seed=seed + 1, dtype=dtype)
    )
    assert [one for one in golden.PIECES["g"](GOLDEN) if not one[1] <= one[2]]


def test_a_changed_weight_changes_the_verdict(tmp_path: Path) -> None:
    # Piece c tells the frequencies of the machine that made piece b.
    for piece in ("b_condition_branch", "c_modulation"):
        shutil.copy(GOLDEN / f"{piece}.safetensors", tmp_path)
    changed(tmp_path, "b_condition_branch.safetensors", "sd.controlnet_blocks.0.bias", 1e-3)
    found = {what: value for what, value, _ in golden.PIECES["b"](tmp_path)}
    assert found["output 0"] == pytest.approx(1e-3, rel=0.01) and found["output 1"] < 1e-5


def test_another_shape_is_an_infinite_difference_not_a_broadcast() -> None:
    assert worst(torch.zeros(1, 3), torch.zeros(2, 3)) == float("inf")


def test_a_folder_without_golden_files_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"a_transformer\.safetensors is missing"):
        list(golden.check(tmp_path))


AVX2 = """
import json, sys, torch
from pathlib import Path
from training.backbones.lucidflux import golden, networks
folder = Path(sys.argv[1])
def worst():
    with torch.no_grad():
        return [d for what, d, _ in golden.PIECES["h"](folder) if what.startswith("bfloat16")]
official = worst()
networks.official_rounding = lambda module: module
print(json.dumps([official, worst()]))
"""


@pytest.mark.slow
def test_in_bfloat16_the_loop_is_bit_equal_with_the_official_rounding_and_not_without() -> None:
    """The golden set was made on a CPU whose widest vectors are AVX2's; wider ones add up in another order."""
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("bit equality is for x86 with AVX2")
    limits = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", AVX2, str(GOLDEN)],
        env=os.environ | limits,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    official, stock = json.loads(run.stdout.splitlines()[-1])
    assert official == [0.0, 0.0]
    assert max(stock) > 0.01
