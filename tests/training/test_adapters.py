from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.small import SmallBackbone
from training.backbones.adapters import FullCopies, LoraAdapters, borrowed


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(4, 4)
        self.to_out = nn.ModuleList([nn.Linear(4, 4), nn.Dropout(0.0)])

    def forward(self, x):
        return self.to_out[0](self.to_q(x).tanh())


def lora() -> tuple[LoraAdapters, dict[str, nn.Module]]:
    torch.manual_seed(0)
    modules: dict[str, nn.Module] = {"transformer": Block(), "branch": Block()}
    targets = {"transformer": ["to_q", "to_out.0"], "branch": ["to_q"]}
    return LoraAdapters(modules, targets=targets, rank=2, alpha=4), modules


def changed(adapters, adapter):
    with torch.no_grad():
        for value in adapters.parameters(adapter).values():
            value.add_(0.3)


X = torch.linspace(-1, 1, 12).view(3, 4)


def test_three_policies_live_in_several_modules_and_switch_together():
    adapters, modules = lora()
    reference = {n: m(X).detach() for n, m in modules.items()}
    changed(adapters, "default")
    for adapter, same in (("old", True), (None, True), ("default", False)):
        with adapters.use(adapter):
            for name, module in modules.items():
                assert torch.allclose(module(X), reference[name]) == same, (adapter, name)
    for name, module in modules.items():  # afterwards default is in use again
        assert not torch.allclose(module(X), reference[name])


def test_parameters_of_both_adapters_have_the_same_names_in_the_same_order():
    adapters, _ = lora()
    default, old = adapters.parameters("default"), adapters.parameters("old")
    assert list(default) == list(old)
    assert len(default) == 6  # A and B of two layers in one module, of one in the other
    assert all(default[name].equal(old[name]) for name in default)
    assert not {id(p) for p in default.values()} & {id(p) for p in old.values()}


def test_default_asks_for_gradients_and_nothing_else_does_whichever_is_in_use():
    adapters, modules = lora()
    for adapter in ("old", None, "default"):
        with adapters.use(adapter):
            wanted = {id(p) for p in adapters.parameters("default").values()}
            asking = {id(p) for m in modules.values() for p in m.parameters() if p.requires_grad}
            assert asking == wanted


def test_uses_may_be_nested_and_end_where_they_began():
    adapters, modules = lora()
    changed(adapters, "old")
    with adapters.use("old"):
        old = modules["branch"](X)
        with adapters.use(None):
            assert not torch.allclose(modules["branch"](X), old)
        assert modules["branch"](X).equal(old)


def test_the_adapter_is_saved_as_peft_loads_it():
    from peft import get_peft_model, set_peft_model_state_dict

    adapters, modules = lora()
    changed(adapters, "default")
    state = adapters.state_dict("transformer")
    assert all(name.startswith("base_model.model.") for name in state)
    fresh = Block()
    fresh.load_state_dict(
        {
            n.replace(".base_layer", ""): p
            for n, p in modules["transformer"].state_dict().items()
            if "lora" not in n
        }
    )
    model = get_peft_model(fresh, adapters.configs["transformer"])
    set_peft_model_state_dict(model, state)
    torch.testing.assert_close(model(X), modules["transformer"](X))


def test_modules_and_targets_have_to_fit():
    with pytest.raises(ValueError, match="targets"):
        LoraAdapters({"a": Block()}, targets={"b": ["to_q"]})
    with pytest.raises(ValueError, match="nowhere"):
        LoraAdapters({"a": Block()}, targets={"a": ["nowhere"]})


def test_full_copies_start_equal_and_go_their_own_ways():
    copies = SmallBackbone().copies
    z, t, up = torch.randn(2, 3, 8, 8), torch.rand(2), torch.rand(2, 3, 8, 8)
    start = copies["net"](z, t, up)
    with torch.no_grad():
        for value in copies.parameters("default").values():
            value.add_(0.1)
    assert not torch.allclose(copies["net"](z, t, up), start)
    for adapter in ("old", None):
        with copies.use(adapter):
            assert copies["net"](z, t, up).equal(start)
            assert not copies["net"](z, t, up).requires_grad
    assert list(copies.parameters("default")) == list(copies.parameters("old"))


def test_borrowed_values_go_back_bit_for_bit_even_after_an_error():
    copies = FullCopies({"net": nn.Linear(3, 3)})
    parameters = copies.parameters("default")
    before = {n: p.detach().clone() for n, p in parameters.items()}
    with (
        pytest.raises(KeyError),
        borrowed(parameters, {n: torch.zeros_like(p) for n, p in before.items()}),
    ):
        assert not copies["net"](torch.ones(1, 3)).any()
        raise KeyError
    assert all(p.equal(before[n]) for n, p in parameters.items())
