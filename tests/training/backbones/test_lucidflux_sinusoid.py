"""Times become the same sines and cosines on every CPU, and golden values of any CPU can be compared with."""

from __future__ import annotations

import decimal
import hashlib
import math
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from tests.training.backbones.lucidflux_tiny import GOLDEN
from training.backbones.lucidflux import golden, networks
from training.backbones.lucidflux.branches import Modulation
from training.backbones.lucidflux.closeness import steps_apart
from training.backbones.lucidflux.golden_set import frequencies_of
from training.backbones.lucidflux.latents import spaced
from training.backbones.lucidflux.sinusoid import (
    Sinusoid,
    frequencies,
    read_frequencies,
    same_everywhere,
    use_frequencies,
)
from training.backbones.lucidflux.sizes import FluxSizes

pytestmark = pytest.mark.golden

TIMES = torch.tensor([812.5, 300.0, 1000.0])


def exponents(count: int = 128) -> torch.Tensor:
    """As the official code computes them: float32."""
    return -math.log(10_000) * torch.arange(count, dtype=torch.float32) / count


def test_frequencies_are_the_nearest_float32_to_the_exponential_of_the_official_exponents() -> None:
    decimal.getcontext().prec = 40
    for exponent, ours in zip(exponents().tolist(), frequencies().tolist(), strict=True):
        exact = Fraction(decimal.Decimal(exponent).exp())
        below, above = (
            torch.nextafter(torch.tensor(ours), torch.tensor(towards)).item()
            for towards in (0.0, 2.0)
        )
        assert abs(exact - Fraction(ours)) < min(
            abs(exact - Fraction(below)), abs(exact - Fraction(above))
        )


def test_frequencies_are_the_same_bytes_everywhere() -> None:
    digest = hashlib.sha256(frequencies().numpy().tobytes()).hexdigest()
    assert digest[:16] == "59d6d1d0f7bc17fa"
    assert frequencies()[0] == 1.0 and frequencies().dtype == torch.float32


def test_they_are_within_a_step_or_two_of_what_this_machine_s_exponential_gives() -> None:
    assert steps_apart(torch.exp(exponents()), frequencies()) <= 2


def test_sines_and_cosines_are_those_of_diffusers_up_to_the_angle_s_last_places() -> None:
    from diffusers.models.embeddings import get_timestep_embedding

    theirs = get_timestep_embedding(TIMES, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
    # Two steps of a frequency below 1 are 1.2e-7, at t = 1000 an angle of 1.2e-4.
    torch.testing.assert_close(Sinusoid()(TIMES), theirs, atol=1.3e-4, rtol=0)


def test_no_network_takes_its_exponentials_from_the_machine() -> None:
    from diffusers.models.embeddings import Timesteps

    sizes = FluxSizes()
    for network in (networks.transformer(sizes), networks.branches(sizes)):
        kinds = [type(module) for module in network.modules()]
        assert Timesteps not in kinds and Sinusoid in kinds
        # Real numbers, although the network is on the meta device.
        for module in network.modules():
            if isinstance(module, Sinusoid):
                assert torch.equal(module.frequencies, frequencies())


def test_timesteps_of_another_kind_are_not_exchanged_silently() -> None:
    from diffusers.models.embeddings import Timesteps

    other = torch.nn.Sequential(Timesteps(256, flip_sin_to_cos=False, downscale_freq_shift=0))
    with pytest.raises(TypeError, match="not those of FLUX"):
        same_everywhere(other)


def off_by(places: dict[int, int]) -> torch.Tensor:
    """Frequencies of a machine that rounds some of them otherwise."""
    changed = frequencies().view(torch.int32).clone()
    for i, steps in places.items():
        changed[i] += steps
    return changed.view(torch.float32)


def test_frequencies_of_another_machine_are_read_off_its_sines_and_cosines() -> None:
    theirs = off_by({3: 1, 12: -1, 20: 2})
    found = read_frequencies(use_frequencies(Sinusoid(), theirs)(TIMES), TIMES)
    assert torch.equal(found, theirs)
    # What is too far off for any machine stays ours, and the comparison shows it.
    wrong = off_by({5: 9})
    assert torch.equal(
        read_frequencies(use_frequencies(Sinusoid(), wrong)(TIMES), TIMES), frequencies()
    )


def test_the_golden_set_s_machine_differs_from_ours_in_few_last_places() -> None:
    theirs = frequencies_of(GOLDEN)
    assert 1 <= int((theirs != frequencies()).sum()) <= 9
    assert steps_apart(theirs, frequencies()) == 1


def test_a_set_of_a_cpu_that_rounds_otherwise_is_reproduced_and_a_wrong_formula_is_not(
    tmp_path: Path,
) -> None:
    """Piece c as a processor would have made it that rounds 40 frequencies the other way."""
    from safetensors.torch import load_file, save_file

    path = tmp_path / "c_modulation.safetensors"
    shutil.copy(GOLDEN / path.name, path)
    meta = golden.Golden(tmp_path, "c_modulation")
    model = Modulation(meta.meta["dim"])
    golden.load_strictly(model, meta.state(), where="c")

    def made_with(given: torch.Tensor) -> list[tuple[str, float, float]]:
        use_frequencies(model, given)
        tensors = load_file(GOLDEN / path.name)
        t = tensors["timesteps"]
        with torch.no_grad():
            tensors["time_proj_of_t1000"] = model.sinusoid(t * 1000)
            for name in [name for name in tensors if name.startswith("out.index")]:
                tensors[name] = model(tensors["x"], t, int(name.removeprefix("out.index")))
            kept = {key: json_of(value) for key, value in meta.meta.items()}
            save_file(tensors, path, metadata=kept)
            return [one for one in golden.PIECES["c"](tmp_path) if not one[1] <= one[2]]

    assert made_with(off_by({i: (-1) ** i for i in range(0, 80, 2)})) == []
    # Exponents over 127 instead of 128 (downscale_freq_shift = 1).
    assert made_with(torch.exp(exponents() * 128 / 127)) != []


def json_of(value: object) -> str:
    import json

    return json.dumps(value)


@pytest.mark.parametrize("steps", [1, 4, 20, 24, 50])
def test_times_are_the_official_ones_to_the_bit_whatever_linspace_does_here(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch, "linspace")
    times = spaced(steps)
    exact = [1 - Fraction(i, steps) for i in range(steps + 1)]
    # Rounded twice, the step and the sum: from the nearer end at most a unit in the last place of 1.
    assert all(
        abs(Fraction(t) - e) <= Fraction(1, 2**23)
        for t, e in zip(times.tolist(), exact, strict=True)
    )
    assert times[0] == 1.0 and times[-1] == 0.0


def test_times_are_the_same_bytes_everywhere() -> None:
    times = torch.cat([spaced(steps) for steps in range(1, 400)])
    assert hashlib.sha1(times.numpy().tobytes()).hexdigest().startswith("a9e74364fd60d922")
