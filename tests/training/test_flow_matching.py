from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.training.golden import f64, golden
from training.flow_matching import (
    euler_step,
    flux_mu,
    linear_schedule,
    noised,
    sde_step,
    shifted_schedule,
    solve,
    trajectory,
)

pytestmark = pytest.mark.golden

SOLVERS = golden()["solvers"]
MU = torch.tensor(SOLVERS["mu"])


def delta_target(z: Tensor, t: Tensor) -> Tensor:
    return (z - MU.to(z)) / t.clamp(min=1e-6)[:, None]


def nonlinear(z: Tensor, t: Tensor) -> Tensor:
    return z.tanh() * (0.5 + t[:, None]) - 0.3 * MU.to(z)


FIELDS = {"delta_target": delta_target, "nonlinear": nonlinear}
NAMES = {"flow": "euler", "ddim": "ddim", "dpm1": "dpm1", "dpm2": "dpm2"}


@pytest.mark.parametrize("name", SOLVERS["trajectory"])
def test_trajectories_are_the_golden_ones(name):
    field, solver = name.split("/")
    found = trajectory(
        FIELDS[field],
        torch.tensor(SOLVERS["z0"]),
        f64(SOLVERS["sigmas"]),
        solver=NAMES[solver],
    )
    wanted = torch.tensor(SOLVERS["trajectory"][name])
    torch.testing.assert_close(torch.stack(found), wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(found[-1], torch.tensor(SOLVERS["final"][name]), rtol=0, atol=1e-6)


def test_one_stochastic_step_is_the_golden_one():
    step = SOLVERS["flow_sde_step"]
    z, v = torch.tensor(SOLVERS["z0"]), torch.tensor(step["model_output"])
    t, t_next = (SOLVERS["sigmas"][step["index"] + i] for i in (0, 1))
    wanted_sample = torch.tensor(step["prev_sample"])
    noise_std = step["noise_std"]
    noise = (wanted_sample - torch.tensor(step["prev_sample_mean"])) / noise_std
    found = sde_step(z, v, t, t_next, noise=noise, eta=step["eta"], t_of_std=t)
    assert found.std == pytest.approx(noise_std, abs=1e-6)
    torch.testing.assert_close(
        found.mean, torch.tensor(step["prev_sample_mean"]), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(found.sample, wanted_sample, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        found.log_prob, torch.tensor(step["log_prob_mean_per_sample"]), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("seq", [64, 4096])
def test_the_schedule_of_flux_is_the_golden_one(seq):
    schedules = SOLVERS["flux_schedule"]
    wanted = next(schedules[name] for name in schedules if name.startswith(f"seq{seq}"))
    assert flux_mu(seq) == pytest.approx(wanted["mu"], abs=1e-12)
    found = shifted_schedule(len(wanted["sigmas"]) - 1, flux_mu(seq))
    torch.testing.assert_close(found, torch.tensor(wanted["sigmas"]), rtol=0, atol=1e-6)


def test_without_a_shift_the_schedule_is_linear():
    torch.testing.assert_close(shifted_schedule(8, 0.0), linear_schedule(8))


@pytest.mark.parametrize("solver", ["euler", "ddim", "dpm1", "dpm2"])
def test_every_solver_finds_the_one_image_of_a_field_that_points_at_it(solver):
    z = torch.randn(3, 4, dtype=torch.float64)
    found = solve(delta_target, z, linear_schedule(4), solver=solver)
    torch.testing.assert_close(found, MU.double().expand(3, 4), rtol=0, atol=1e-9)


def test_the_second_order_solver_is_nearer_to_the_fine_solution_than_the_first():
    z = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fine = solve(nonlinear, z, linear_schedule(2000))
    coarse = {s: solve(nonlinear, z, linear_schedule(12), solver=s) for s in ("euler", "dpm2")}
    error = {s: (x - fine).abs().mean().item() for s, x in coarse.items()}
    assert error["dpm2"] < error["euler"] / 2


def test_halving_the_step_halves_the_error_of_euler_and_quarters_that_of_the_multistep_solver():
    z = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # From 0.9 to 0.1: the ends, where log(a/s) is infinite, are steps of first order.
    times = [0.9 - 0.8 * torch.arange(n + 1, dtype=torch.float64) / n for n in (32, 64, 4096)]
    for solver, low, high in (("euler", 1.7, 2.3), ("dpm2", 3.0, 5.0)):
        coarse, finer, fine = (solve(nonlinear, z, t, solver=solver) for t in times)
        ratio = (coarse - fine).abs().mean() / (finer - fine).abs().mean()
        assert low < ratio < high, solver


def test_without_noise_the_stochastic_sampler_is_euler():
    z = torch.randn(3, 4, dtype=torch.float64)
    found = solve(
        nonlinear, z, linear_schedule(6), solver="sde", eta=0.0, noises=lambda _: torch.randn(3, 4)
    )
    torch.testing.assert_close(found, solve(nonlinear, z, linear_schedule(6)))


def test_the_stochastic_sampler_keeps_the_spread_of_a_gaussian():
    # x0 ~ N(0, s^2): the exact velocity is z (t - (1-t) s^2) / ((1-t)^2 s^2 + t^2). Many small noisy steps still end in
    # a spread of s, which is what the score term of the drift is for.
    s2, chance = 0.25, torch.Generator().manual_seed(0)

    def exact(z: Tensor, t: Tensor) -> Tensor:
        t = t[:, None]
        return z * (t - (1 - t) * s2) / ((1 - t) ** 2 * s2 + t**2)

    z = torch.randn(20_000, 1, dtype=torch.float64, generator=chance)

    def noises(_: int) -> Tensor:
        return torch.randn(20_000, 1, dtype=torch.float64, generator=chance)

    found = solve(exact, z, linear_schedule(200), solver="sde", eta=0.5, noises=noises)
    assert found.std().item() == pytest.approx(math.sqrt(s2), rel=0.03)


def test_the_forward_process_runs_from_the_image_to_the_noise():
    x0, noise = torch.rand(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    found = noised(x0, noise, torch.tensor([0.0, 1.0, 0.25]))
    assert found[0].equal(x0[0])
    assert found[1].equal(noise[1])
    torch.testing.assert_close(found[2], 0.75 * x0[2] + 0.25 * noise[2])
    # With the true velocity, one Euler step from any time back to 0 is the image.
    torch.testing.assert_close(euler_step(found[2], noise[2] - x0[2], 0.25, 0.0), x0[2])


def test_bad_input_is_refused():
    z = torch.zeros(1, 4)
    with pytest.raises(ValueError, match="no solver"):
        solve(nonlinear, z, linear_schedule(2), solver="heun")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValueError, match="noises"):
        solve(nonlinear, z, linear_schedule(2), solver="sde")
    with pytest.raises(ValueError, match="fall"):
        solve(nonlinear, z, torch.tensor([0.0, 0.5, 1.0]))
    with pytest.raises(ValueError, match="at least one step"):
        linear_schedule(0)
