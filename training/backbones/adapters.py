"""The policies `default`, `old` and the reference on top of one set of weights; what a Backbone's `use` switches.

- `FullCopies`: three copies of small modules, all parameters trained;
- `LoraAdapters`: PEFT LoRA in any number of modules (transformer, condition branch); the reference is the modules with
  adapters disabled.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from training.backbones import Adapter
from training.data import derived_seed


class FullCopies:
    """Every parameter is trained; memory for the weights three times."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        """The modules given become `default`; `old` and the reference begin as their copies."""
        self._default = {name: module.requires_grad_(True) for name, module in modules.items()}
        self._old = {n: copy.deepcopy(m).requires_grad_(False) for n, m in modules.items()}
        self._reference = {n: copy.deepcopy(m).requires_grad_(False) for n, m in modules.items()}
        self._used: Mapping[str, nn.Module] = self._default

    def __getitem__(self, name: str) -> nn.Module:
        """The module of that name under the adapter in use."""
        return self._used[name]

    def trainable_modules(self) -> Mapping[str, nn.Module]:
        """Those of `default`."""
        return self._default

    def parameters(self, adapter: Adapter) -> dict[str, nn.Parameter]:
        """By name, `<module>.<parameter>`."""
        modules = self._default if adapter == "default" else self._old
        return {
            f"{m}.{p}": value
            for m, module in modules.items()
            for p, value in module.named_parameters()
        }

    @contextmanager
    def use(self, adapter: Adapter | None) -> Generator[None]:
        """Within: another copy."""
        before = self._used
        choice = {"default": self._default, "old": self._old, None: self._reference}
        self._used = choice[adapter]
        try:
            yield
        finally:
            self._used = before


class LoraAdapters:
    """PEFT LoRA adapters `default` and `old`, injected in place into one module or several."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        *,
        targets: Mapping[str, Sequence[str] | str],
        rank: int = 32,
        alpha: int = 64,
        dropout: float = 0.0,
        init: bool | str = "gaussian",
        ranks: Mapping[str, Mapping[str, int]] | None = None,
        alphas: Mapping[str, Mapping[str, float]] | None = None,
        seed: int = 0,
    ) -> None:
        """`targets` names the layers per module, as PEFT's target_modules; other parameters are frozen.

        `ranks` and `alphas` name those of layers that differ, per module. `old` starts equal to `default`, and both, B
        being zero, equal to the reference. Adapters are float32 also in a module of half precision: AdamW's steps are
        too small for it. What is random about them comes from `seed`, see `draw`.

        Raises:
            ValueError: modules and targets do not have the same names, or a target is in no layer (PEFT's message).
        """
        from peft import LoraConfig, inject_adapter_in_model

        if modules.keys() != targets.keys():
            raise ValueError(
                f"every module needs its targets: {sorted(modules)} against {sorted(targets)}."
            )
        self._modules = dict(modules)
        self.configs: dict[str, Any] = {}
        for name, module in self._modules.items():
            module.requires_grad_(False)
            wanted = targets[name]
            config = LoraConfig(
                r=rank,
                lora_alpha=alpha,
                lora_dropout=dropout,
                init_lora_weights=init,  # pyright: ignore[reportArgumentType]  # PEFT takes the words as well
                target_modules=wanted if isinstance(wanted, str) else list(wanted),
                rank_pattern=dict((ranks or {}).get(name, {})),
                alpha_pattern=dict((alphas or {}).get(name, {})),
            )
            self.configs[name] = config
            with warnings.catch_warnings():
                # That a second adapter is meant is what PEFT cannot know.
                warnings.filterwarnings("ignore", message="Already found a `peft_config`")
                for adapter in ("default", "old"):
                    inject_adapter_in_model(config, module, adapter_name=adapter)
        old = self.parameters("old")
        for name, value in self.parameters("default").items():
            for parameter in (value, old[name]):
                if parameter.dtype in (torch.bfloat16, torch.float16):
                    parameter.data = parameter.data.float()
        self._init = init
        self.random = init in (True, "gaussian")
        """Whether the adapters began at random; whoever loads some sets it to False."""
        self.draw(seed)
        self._used: Adapter | None = "default"
        self._switch("default")

    def draw(self, seed: int) -> None:
        """lora_A as PEFT draws it, but each by its name and the seed alone, and lora_B zero; `old` becomes `default`.

        Neither what was drawn before nor which process this is makes a difference. Adapters that were loaded, or whose
        initialisation is no random one (pissa, ...), stay as they are.
        """
        old = self.parameters("old")
        with torch.no_grad():
            for name, value in self.parameters("default").items():
                if self.random and ".lora_" in name:
                    value.copy_(_initial(name, value, self._init, seed))
                old[name].copy_(value)

    def trainable_modules(self) -> Mapping[str, nn.Module]:
        """Base weights and adapters."""
        return self._modules

    def parameters(self, adapter: Adapter) -> dict[str, nn.Parameter]:
        """By name, without the adapter's own name in it: the same names and order for both."""
        found: dict[str, nn.Parameter] = {}
        for prefix, module in self._modules.items():
            for name, value in module.named_parameters():
                if f".{adapter}." in f"{name}.":
                    found[f"{prefix}.{name.replace(f'.{adapter}', '')}"] = value
        return found

    def state_dict(
        self, module: str, values: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """One module's adapter in PEFT's layout (adapter_model.safetensors); `values` replace those of `default`."""
        from peft import get_peft_model_state_dict

        wanted = self.parameters("default") if values is None else values
        with borrowed(self.parameters("default"), wanted):
            state = get_peft_model_state_dict(self._modules[module], adapter_name="default")
            return {f"base_model.model.{name}": value.clone() for name, value in state.items()}

    @contextmanager
    def use(self, adapter: Adapter | None) -> Generator[None]:
        """Within: another adapter, or none."""
        before = self._used
        self._switch(adapter)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, adapter: Adapter | None) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        self._used = adapter
        for module in self._modules.values():
            for layer in module.modules():
                if isinstance(layer, BaseTunerLayer):
                    layer.enable_adapters(enabled=adapter is not None)
                    if adapter is not None:
                        layer.set_adapter(adapter)
        # PEFT lets whatever is active be trained; `default` always is, `old` never, whichever is in use.
        _require_grad(self.parameters("default").values(), True)
        _require_grad(self.parameters("old").values(), False)


def _initial(name: str, value: Tensor, init: bool | str, seed: int) -> Tensor:
    """PEFT's start: A normal with deviation 1/r (gaussian) or uniform within 1/sqrt(inputs); B zero.

    Of an embedding it is the other way round: its A is zero, its B normal.
    """
    embedding = ".lora_embedding_" in name
    if (".lora_embedding_A" if embedding else ".lora_B") in name:
        return torch.zeros_like(value)
    chance = torch.Generator().manual_seed(derived_seed("adapter", seed, name))
    if embedding:
        return torch.randn(value.shape, generator=chance)
    if init == "gaussian":
        return torch.randn(value.shape, generator=chance) / value.shape[0]
    bound = value[0].numel() ** -0.5
    return (2 * torch.rand(value.shape, generator=chance) - 1) * bound


def _require_grad(parameters: Iterable[nn.Parameter], wanted: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(wanted)


@contextmanager
def borrowed(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> Generator[None]:
    """Within: the parameters hold other values (the average, for evaluation); afterwards their own, bit for bit."""
    kept = {name: value.detach().clone() for name, value in parameters.items()}
    try:
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(values[name])
        yield
    finally:
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(kept[name])
