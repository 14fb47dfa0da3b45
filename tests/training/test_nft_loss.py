from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.counts import rounds
from tests.training.golden import golden
from training.nft_loss import NFTLoss, nft_loss

pytestmark = pytest.mark.golden

CASES = {case["name"]: case for case in golden()["nft_loss"]}
FIELDS = {
    "loss": "total_loss",
    "policy": "policy_loss",
    "kl": "kl_div_loss",
    "unweighted": "unweighted_policy_loss",
    "old_deviation": "old_deviate",
    "old_kl": "old_kl_div",
    "r": "r",
    "positive": "positive_loss",
    "negative": "negative_loss",
    "positive_weight": "positive_weight",
    "negative_weight": "negative_weight",
}


def of_case(case: dict, dtype: torch.dtype) -> tuple[NFTLoss, Tensor]:
    """The loss and its gradient with respect to v."""
    given_ = {name: torch.tensor(value, dtype=dtype) for name, value in case["inputs"].items()}
    v = given_["forward_prediction"].requires_grad_()
    found = nft_loss(
        x0=given_["x0"],
        noise=given_["noise"],
        t=given_["t"],
        v=v,
        v_old=given_["old_prediction"],
        v_ref=given_["ref_prediction"],
        advantages=given_["advantages"],
        **case["config"],
    )
    (gradient,) = torch.autograd.grad(found.loss, v)
    return found, gradient


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("dtype", "relative", "absolute"), [(torch.float64, 0.0, 1e-9), (torch.float32, 1e-4, 1e-7)]
)
def test_the_loss_and_its_gradient_are_the_golden_ones(name, dtype, relative, absolute):
    case = CASES[name]
    found, gradient = of_case(case, dtype)
    wanted = {**{f: case["expected"][g] for f, g in FIELDS.items()}}
    for field, value in wanted.items():
        torch.testing.assert_close(
            getattr(found, field).detach().double(),
            torch.tensor(value, dtype=torch.float64),
            rtol=relative,
            atol=absolute,
            msg=lambda text, field=field: f"{field}: {text}",
        )
    torch.testing.assert_close(
        gradient.double(),
        torch.tensor(case["expected"]["grad_forward_prediction"], dtype=torch.float64),
        rtol=relative,
        atol=absolute,
    )


def batch(seed: int, rows: int = 4) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(seed)

    def normal() -> Tensor:
        return torch.randn(rows, 2, 3, 3, dtype=torch.float64, generator=chance)

    return {
        "x0": normal(),
        "noise": normal(),
        "t": torch.rand(rows, dtype=torch.float64, generator=chance),
        "v": normal(),
        "v_old": normal(),
        "v_ref": normal(),
        "advantages": torch.randn(rows, dtype=torch.float64, generator=chance),
    }


@settings(max_examples=rounds(300), deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 2.0))
def test_at_the_old_policy_an_advantage_of_zero_has_no_policy_gradient(seed, beta):
    given_ = batch(seed)
    v = given_["v_old"].clone().requires_grad_()
    advantages = torch.zeros(4, dtype=torch.float64)
    found = nft_loss(**{**given_, "v": v, "advantages": advantages}, beta=beta)
    (gradient,) = torch.autograd.grad(found.policy, v)
    assert gradient.abs().max() < 1e-12


@settings(max_examples=rounds(300), deadline=None)
@given(st.integers(0, 10_000), st.floats(-4.0, 4.0))
def test_at_the_old_policy_the_gradient_is_1_minus_2r_times_the_residual(seed, advantage):
    given_ = batch(seed, rows=1)
    v = given_["v_old"].clone().requires_grad_()
    advantages = torch.tensor([advantage], dtype=torch.float64)
    found = nft_loss(**{**given_, "v": v, "advantages": advantages}, beta=1.0)
    (gradient,) = torch.autograd.grad(found.policy, v)
    # grad_v = (c/B) 2t/D [-r (x+ - x0)/w+ + (1-r)(x- - x0)/w-], and x+ = x- here: (1 - 2r) of one residual.
    t, residual = given_["t"].item(), given_["t"].item() * (given_["noise"] - given_["x0"] - v)
    w = max(residual.abs().mean().item(), 1e-5)
    r = advantage / 10 + 0.5
    wanted = 5 * 2 * t / v.numel() * (1 - 2 * r) * residual.detach() / w
    torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-12)


def test_a_rollout_without_advantage_is_as_if_it_were_not_there():
    given_ = batch(1)
    rest = {name: value[[0, 1, 3]] for name, value in given_.items()}
    gradients = {}
    for name, inputs in (("masked", given_), ("left out", rest)):
        v = inputs["v"].clone().requires_grad_()
        advantages = inputs["advantages"].clone()
        if name == "masked":
            advantages[2] = math.nan
        found = nft_loss(**{**inputs, "v": v, "advantages": advantages}, beta=0.5)
        (gradients[name],) = torch.autograd.grad(found.loss, v)
    assert gradients["masked"][2].abs().max() == 0
    torch.testing.assert_close(gradients["masked"][[0, 1, 3]], gradients["left out"])


def test_a_batch_in_which_every_reward_failed_asks_for_nothing():
    given_ = batch(2)
    v = given_["v"].clone().requires_grad_()
    nothing = torch.full((4,), math.nan, dtype=torch.float64)
    found = nft_loss(**{**given_, "v": v, "advantages": nothing}, beta=1.0)
    (gradient,) = torch.autograd.grad(found.loss, v)
    assert found.loss == 0
    assert gradient.abs().max() == 0


def test_the_rows_add_up_to_the_loss():
    given_ = batch(3)
    whole = nft_loss(**given_, beta=0.1)
    first = nft_loss(**{n: x[:1] for n, x in given_.items()}, beta=0.1)
    second = nft_loss(**{n: x[1:] for n, x in given_.items()}, beta=0.1)
    pieces = (first.each.sum() + second.each.sum()) / 4
    torch.testing.assert_close(pieces, whole.loss)


def test_the_logged_policy_loss_has_no_kl_in_it():
    given_ = batch(4)
    with_kl, without = (
        nft_loss(**given_, beta=1.0, kl_beta=3.0),
        nft_loss(**{**given_, "v_ref": None}, beta=1.0, kl_beta=0.0),
    )
    assert with_kl.policy == without.policy == without.loss
    assert with_kl.loss == with_kl.policy + 3.0 * with_kl.kl


def test_velocities_of_half_precision_are_taken_to_the_precision_of_the_image():
    given_ = {name: value.float() for name, value in batch(5).items()}
    halves = {n: given_[n].bfloat16() for n in ("v", "v_old", "v_ref")}
    found = nft_loss(**{**given_, **halves}, beta=1.0)
    assert found.loss.dtype == torch.float32
    wanted = nft_loss(**{**given_, **{n: h.float() for n, h in halves.items()}}, beta=1.0)
    assert found.loss == wanted.loss


def test_bad_options_are_refused():
    given_ = batch(6)
    with pytest.raises(ValueError, match="beta"):
        nft_loss(**given_, beta=0.0)
    with pytest.raises(ValueError, match="v_ref"):
        nft_loss(**{**given_, "v_ref": None}, beta=1.0)
    with pytest.raises(ValueError, match="shape"):
        nft_loss(**{**given_, "v": given_["v"][:2]}, beta=1.0)
