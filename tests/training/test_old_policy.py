from __future__ import annotations

import pytest
import torch

from tests.training.golden import golden
from training.old_policy import blend_, decay, ema_decay

pytestmark = pytest.mark.golden

NAMES = {"0": "copy", "1": "linear_to_0_5", "2": "delayed_linear_to_0_999"}


@pytest.mark.parametrize("kind", NAMES)
def test_decays_are_the_golden_ones(kind):
    wanted = golden()["old_policy_decay"]
    found = [decay(step, NAMES[kind]) for step in wanted["steps"]]
    assert found == pytest.approx(wanted["decay_by_type"][kind], abs=1e-12)


def test_the_average_grows_slower_up_to_its_cap():
    wanted = golden()["ema"]
    found = [ema_decay(step, cap=wanted["decay_cap"]) for step in wanted["steps"]]
    assert found == pytest.approx(wanted["decay"], abs=1e-12)


def test_following_a_parameter_is_the_golden_sequence():
    old = {"w": torch.tensor([1.0], dtype=torch.float64)}
    for step in golden()["old_policy_decay"]["example_type1"]:
        current = {"w": torch.tensor([step["current"]], dtype=torch.float64)}
        blend_(old, current, decay(step["step"], "linear_to_0_5"))
        assert old["w"].item() == pytest.approx(step["old_after"], abs=1e-9)


def test_a_decay_of_zero_copies_bit_for_bit():
    old, current = {"w": torch.rand(100)}, {"w": torch.rand(100)}
    blend_(old, current, decay(3, "copy"))
    assert old["w"].equal(current["w"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="same tensors"):
        blend_({"a": torch.zeros(1)}, {"b": torch.zeros(1)}, 0.5)
    with pytest.raises(ValueError, match="schedule"):
        decay(1, "sometimes")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValueError, match="from 0"):
        decay(-1, "copy")
