"""Serves UniPercept's quality score, 0 to 100, from an environment of its own (it pins torch 2.8, transformers 4.49).

    python3.11 -m venv .venv-unipercept
    .venv-unipercept/bin/pip install -r training/rewards/servers/unipercept_requirements.txt
    .venv-unipercept/bin/python training/rewards/servers/unipercept_server.py --port 8765

The model is fetched from the Hugging Face Hub (Thunderbolt215215/UniPercept) unless --model names a folder. The package
scores three tasks per image and hides errors; only `quality` is asked for here, by the same two calls that its own
`reward` makes, which is a third of the work.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

# As a script, the folder of this file is on the path; the project is not.
from reward_server import Scorer, serve  # pyright: ignore[reportMissingImports]  # see above

if TYPE_CHECKING:
    from PIL import Image

TASK = "quality"
REPOSITORY = "Thunderbolt215215/UniPercept"


def folder_of(model: str) -> Path:
    """A folder stays one; a name is looked up on the hub, so that the hash below is of what is loaded."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model))


def hash_of(folder: Path) -> str:
    """SHA-256 over names and contents of the weights files."""
    digest = hashlib.sha256()
    files = [f for f in sorted(folder.iterdir()) if f.suffix in (".safetensors", ".bin")]
    for file in files:
        with file.open("rb") as opened:
            inner = hashlib.file_digest(opened, "sha256").hexdigest()
        digest.update(f"{file.name} {inner}\n".encode())
    return digest.hexdigest()


def main() -> None:
    """Loads the model, then serves."""
    parser = argparse.ArgumentParser(description="Serves UniPercept's quality score.")
    parser.add_argument("--model", default=REPOSITORY, help="folder, or name on the hub")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    given = parser.parse_args()
    from unipercept_reward import (  # pyright: ignore[reportMissingImports]  # its own environment
        UniPerceptRewardInferencer,
    )

    folder = folder_of(given.model)
    model = UniPerceptRewardInferencer(model_path=str(folder), device=given.device)

    def score(image: Image.Image) -> float:
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            image.save(file, "PNG")
            file.flush()
            pixels = model.preprocess_image(file.name)
        value = model.model.score(model.device, model.tokenizer, pixels, model.gen_cfg, TASK)
        value = value[0] if isinstance(value, (list, tuple)) else value
        return float(value)

    scorer = Scorer(
        name="unipercept_iqa",
        version=f"unipercept-reward-{metadata.version('unipercept-reward')}",
        weights_sha256=hash_of(folder),
        range=(0.0, 100.0),
        score=score,
    )
    serve(scorer, given.host, given.port)


if __name__ == "__main__":
    main()
