"""The official files from the Hugging Face Hub into a weights folder: `lucidlr lucidflux-download`.

Every file comes at a fixed commit and with its SHA-256 checked. Where the commit is known it stands in `ASSETS`; where
it is not, the first download takes the newest, and `sources.json` in the folder notes commit and SHA-256 for all later
ones. Copy `sources.json` into an empty folder to fetch exactly the same files elsewhere.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from catalog import files
from training.backbones import BackboneError
from training.backbones.lucidflux.checksums import file_sha256
from training.backbones.lucidflux.folder import (
    AUTOENCODER,
    LUCIDFLUX,
    PROMPT,
    SIGLIP,
    SWINIR,
    TRANSFORMER,
)

if TYPE_CHECKING:
    from huggingface_hub.file_download import HfFileMetadata

SOURCES = "sources.json"
SCRATCH = ".download"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file of the hub and where it goes."""

    repo: str
    path: str
    target: str
    revision: str | None = None
    """The commit; None where it is not known to us."""
    sha256: str | None = None


class Noted(TypedDict):
    """An entry of sources.json, by target."""

    repo: str
    path: str
    revision: str
    sha256: str
    bytes: int


FLUX = "black-forest-labs/FLUX.1-dev"
FLUX_REVISION = "3de623fc3c33e44ffbe2bad470d0f45bccf2eb21"
SIGLIP_REPO = "google/siglip2-so400m-patch16-512"
SIGLIP_REVISION = "ceea1cba8130d8271436da4828633198c176a775"

ASSETS = (
    Asset(
        repo=FLUX,
        path="flux1-dev.safetensors",
        target=TRANSFORMER,
        revision=FLUX_REVISION,
        sha256="4610115bb0c89560703c892c59ac2742fa821e60ef5871b33493ba544683abd7",
    ),
    Asset(
        repo=FLUX,
        path="ae.safetensors",
        target=AUTOENCODER,
        revision=FLUX_REVISION,
        sha256="afc8e28272cd15db3919bacdb6918ce9c1ed22e96cb12c4d5ed0fba823529e38",
    ),
    Asset(repo="W2GenAI/LucidFlux", path="lucidflux.pth", target=LUCIDFLUX),
    Asset(repo="W2GenAI/LucidFlux", path="prompt_embeddings.pt", target=PROMPT),
    Asset(repo="lxq007/DiffBIR", path="general_swinir_v1.ckpt", target=SWINIR),
    Asset(
        repo=SIGLIP_REPO,
        path="config.json",
        target="siglip/config.json",
        revision=SIGLIP_REVISION,
    ),
    Asset(repo=SIGLIP_REPO, path="model.safetensors", target=SIGLIP, revision=SIGLIP_REVISION),
)
ADAPTER_ASSETS = tuple(
    Asset(repo="W2GenAI/LucidNFT", path=f"{kind}/{name}", target=f"lucidnft/{kind}/{name}")
    for kind in ("lora_dit", "lora_condition")
    # The configuration comes last: without it the folder is no adapter.
    for name in ("adapter_model.safetensors", "adapter_config.json")
)


@dataclass(frozen=True)
class Fetch:
    """What was or would be done about one asset."""

    asset: Asset
    state: Literal["there", "fetched", "to fetch", "refused"]
    bytes: int
    revision: str
    why: str = ""
    """Of a refusal, in a dry run."""


def download(
    folder: Path,
    assets: tuple[Asset, ...] = ASSETS,
    *,
    dry_run: bool = False,
    endpoint: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Fetch]:
    """Fetches what is missing; a killed download is continued by the same call. A dry run asks for sizes only,
    and tells what would be refused instead of raising.

    Args:
        endpoint: address of the hub; default: HF_ENDPOINT or the public one.
        say: told of every file.

    Raises:
        BackboneError: gated repository, missing token, no connection, no space, or another file than was pinned.
    """
    noted = _read_sources(folder)
    fetches: list[Fetch] = []
    for asset in assets:
        known = noted.get(asset.target)
        if known and _is_there(folder / asset.target, known):
            fetches.append(Fetch(asset, "there", known["bytes"], known["revision"]))
            say(f"{asset.target}: there")
            continue
        try:
            about = _ask(asset, known, endpoint)
        except BackboneError as error:
            if not dry_run:
                raise
            # A dry run tells all that is in the way, not only the first.
            fetches.append(Fetch(asset, "refused", 0, "", str(error)))
            say(f"{asset.target}: {error}")
            continue
        commit, size = about.commit_hash or "", about.size or 0
        if dry_run:
            fetches.append(Fetch(asset, "to fetch", size, commit))
            say(f"{asset.target}: {size / 1e9:.2f} GB from {asset.repo} at {commit[:12]}")
            continue
        say(f"{asset.target}: fetching {size / 1e9:.2f} GB from {asset.repo} at {commit[:12]}")
        noted[asset.target] = _fetch(folder, asset, about, known, endpoint)
        _write_sources(folder, noted)
        fetches.append(Fetch(asset, "fetched", size, commit))
    if not dry_run:
        files.delete(folder / SCRATCH)
    return fetches


def _is_there(path: Path, known: Noted) -> bool:
    # Its SHA-256 was checked before it got its name; the size tells a file that was cut later.
    return path.is_file() and path.stat().st_size == known["bytes"]


def _ask(asset: Asset, known: Noted | None, endpoint: str | None) -> HfFileMetadata:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    revision = known["revision"] if known else asset.revision
    url = hf_hub_url(asset.repo, asset.path, revision=revision, endpoint=endpoint)
    with _Explained(asset, endpoint):
        about = get_hf_file_metadata(url)
    pinned = known["sha256"] if known else asset.sha256
    hub_says = about.etag if re.fullmatch(r"[0-9a-f]{64}", about.etag or "") else None
    if pinned and hub_says and pinned != hub_says:
        raise BackboneError(
            f"{asset.repo}/{asset.path} on the hub has SHA-256 {hub_says}, pinned is {pinned}: not fetched"
        )
    return about


def _fetch(
    folder: Path, asset: Asset, about: HfFileMetadata, known: Noted | None, endpoint: str | None
) -> Noted:
    from huggingface_hub import hf_hub_download

    size, commit = about.size or 0, about.commit_hash or ""
    scratch = folder / SCRATCH / asset.repo.replace("/", "--")
    files.make_folder(scratch)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise BackboneError(
            f"{asset.path} needs {size / 1e9:.1f} GB; {folder} has {free / 1e9:.1f} GB free"
        )
    with _Explained(asset, endpoint):
        got = Path(
            hf_hub_download(
                asset.repo, asset.path, revision=commit, local_dir=scratch, endpoint=endpoint
            )
        )
    digest = file_sha256(got)
    hub_says = about.etag if re.fullmatch(r"[0-9a-f]{64}", about.etag or "") else None
    wanted = known["sha256"] if known else asset.sha256 or hub_says
    if wanted and digest != wanted:
        files.delete(got)
        raise BackboneError(
            f"{asset.repo}/{asset.path}: what arrived has SHA-256 {digest}, not {wanted}; deleted, try again"
        )
    target = folder / asset.target
    files.adopt(got, target)
    return Noted(
        repo=asset.repo,
        path=asset.path,
        revision=commit,
        sha256=digest,
        bytes=target.stat().st_size,
    )


class _Explained:
    """Turns the hub client's errors into one sentence that says what to do."""

    def __init__(self, asset: Asset, endpoint: str | None) -> None:
        from huggingface_hub import constants

        self.asset = asset
        self.page = f"{endpoint or constants.ENDPOINT}/{asset.repo}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from huggingface_hub import errors, get_token

        name = f"{self.asset.repo}/{self.asset.path}"
        login = "log in (`hf auth login`) or set HF_TOKEN"
        if isinstance(error, errors.GatedRepoError):
            if get_token() is None:
                raise BackboneError(
                    f"{self.asset.repo} is gated and there is no token: accept its license at {self.page}, "
                    f"then {login}"
                ) from error
            raise BackboneError(
                f"{self.asset.repo} is gated and your account has no access: accept its license at "
                f"{self.page} with the account that the token belongs to"
            ) from error
        if isinstance(error, errors.RepositoryNotFoundError):
            raise BackboneError(
                f"The hub does not show {self.asset.repo} to you: it is gone, or private; if private, {login}"
            ) from error
        if isinstance(error, errors.RevisionNotFoundError):
            raise BackboneError(
                f"{name}: the pinned commit is gone; remove the file's entry from {SOURCES} to take the newest"
            ) from error
        if isinstance(error, errors.EntryNotFoundError):
            raise BackboneError(f"The hub has no {name} at the pinned commit") from error
        if isinstance(error, errors.HfHubHTTPError):
            raise BackboneError(f"{name}: the hub answered {error}; try again later") from error
        import httpx2

        if isinstance(error, OSError | httpx2.HTTPError):
            raise BackboneError(
                f"{name} could not be fetched ({error}); is there a connection? The same command continues"
            ) from error


def _read_sources(folder: Path) -> dict[str, Noted]:
    path = folder / SOURCES
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BackboneError(f"{path} is no JSON ({error}): delete it to fetch anew") from error


def _write_sources(folder: Path, noted: dict[str, Noted]) -> None:
    files.put(folder / SOURCES, json.dumps(noted, indent=1, sort_keys=True) + "\n")
