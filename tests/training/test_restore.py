"""Restoring images and folders: names, seeds, resuming, and what is in the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from pipelines.cli import app, main
from tests.training.backbones.lucidflux_tiny import GOLDEN, tiny, tiny_weights
from training.backbones import OwnSettings
from training.backbones.lucidflux.golden_set import Golden
from training.backbones.tiny import Tiny, untrained
from training.data import to_bytes
from training.restore import (
    RestoreError,
    Settings,
    image_seed,
    plan,
    read_lr,
    restore,
    settings_for,
)

FAST = Settings(steps=2)


def photographs(folder: Path) -> Path:
    """Three crops of scikit-image's cat, two of which differ after their first dot only, one in a subfolder."""
    (folder / "sub").mkdir(parents=True)
    cat = Image.fromarray(data.chelsea())
    cat.crop((100, 50, 124, 66)).save(folder / "cat.1.png")
    cat.crop((130, 50, 154, 66)).save(folder / "cat.2.png")
    cat.crop((160, 50, 184, 66)).save(folder / "sub" / "cat.1.png")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_every_image_of_a_folder_gets_a_png_of_its_own_at_its_own_place(tmp_path: Path) -> None:
    done = restore(photographs(tmp_path / "in"), tmp_path / "out", untrained(), FAST)
    assert set(contents(tmp_path / "out")) == {
        "cat.1.png.png",
        "cat.2.png.png",
        "sub/cat.1.png.png",
    }
    assert len(done.made) == 3 and not done.kept and not done.failed
    with Image.open(done.made[0]) as image:
        assert (image.format, image.size) == ("PNG", (96, 64))
        entry = json.loads(image.info["lucidlr"])
    assert (
        entry["backbone"] == "tiny" and entry["steps"] == "2" and entry["license"] == "Apache-2.0"
    )


def test_a_run_that_is_killed_goes_on_where_it_was_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photographs(tmp_path / "in")
    restore(source, tmp_path / "undisturbed", untrained(), FAST)
    calls = 0
    write = Image.Image.save

    def killed(self: Image.Image, file: Path, **options: object) -> None:
        nonlocal calls
        calls += 1
        write(self, file, **options)
        if calls == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        restore(source, tmp_path / "out", untrained(), FAST)
    assert set(contents(tmp_path / "out")) == {"cat.1.png.png"}
    again = restore(source, tmp_path / "out", untrained(), FAST)
    assert [len(again.kept), len(again.made)] == [1, 2]
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_a_result_made_in_another_way_is_not_replaced_unasked(tmp_path: Path) -> None:
    source = photographs(tmp_path / "in")
    restore(source, tmp_path / "out", untrained(), FAST)
    before = contents(tmp_path / "out")
    other = Settings(steps=3)
    with pytest.raises(RestoreError, match=r"3 files are there already .* --overwrite"):
        restore(source, tmp_path / "out", untrained(), other)
    assert contents(tmp_path / "out") == before
    done = restore(source, tmp_path / "out", untrained(), other, overwrite=True)
    assert len(done.made) == 3 and contents(tmp_path / "out") != before


def test_another_image_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    source = photographs(tmp_path / "in")
    restore(source, tmp_path / "out", untrained(), FAST)
    (source / "cat.1.png").write_bytes((source / "cat.2.png").read_bytes())
    with pytest.raises(RestoreError, match=r"1 files are there already .*cat\.1\.png\.png"):
        restore(source, tmp_path / "out", untrained(), FAST)


def test_seeds_per_image_follow_the_image_not_its_name_and_constant_ones_nothing(
    tmp_path: Path,
) -> None:
    source = photographs(tmp_path / "in")
    (source / "copy.png").write_bytes((source / "cat.1.png").read_bytes())

    def made(folder: str, settings: Settings) -> dict[str, tuple[str, np.ndarray]]:
        restore(source, tmp_path / folder, untrained(), settings)
        found = {}
        for path in (tmp_path / folder).glob("*.png"):
            with Image.open(path) as image:
                found[path.name] = json.loads(image.info["lucidlr"])["seed"], np.asarray(image)
        return found

    per_image = made("a", FAST)
    assert per_image["copy.png.png"][0] == per_image["cat.1.png.png"][0]
    assert np.array_equal(per_image["copy.png.png"][1], per_image["cat.1.png.png"][1])
    assert per_image["cat.2.png.png"][0] != per_image["cat.1.png.png"][0]
    constant = made("b", Settings(steps=2, seed=7, seeds="constant"))
    assert {seed for seed, _ in constant.values()} == {"7"}
    assert 0 <= image_seed(7, "ab") < 2**63 and image_seed(7, "ab") != image_seed(8, "ab")


def test_an_image_that_cannot_be_read_is_told_and_the_others_are_restored(tmp_path: Path) -> None:
    source = photographs(tmp_path / "in")
    whole = (source / "cat.2.png").read_bytes()
    (source / "cat.2.png").write_bytes(whole[: len(whole) // 2])
    (source / "empty.jpg").touch()
    done = restore(source, tmp_path / "out", untrained(), FAST)
    assert {path.name for path, _ in done.failed} == {"cat.2.png", "empty.jpg"}
    assert len(done.made) == 2


def test_what_cannot_be_done_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    source = photographs(tmp_path / "in")
    with pytest.raises(RestoreError, match="There is no image or folder"):
        plan(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(RestoreError, match="lies in"):
        plan(source, source / "out")
    with pytest.raises(RestoreError, match="is the image itself"):
        plan(source / "cat.1.png", source / "cat.1.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RestoreError, match="holds no image"):
        plan(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(RestoreError, match="at least 1"):
        Settings(steps=0)
    with pytest.raises(RestoreError, match="there are euler, ddim"):
        Settings(solver="sde")


def test_one_image_goes_into_a_folder_or_under_the_name_given(tmp_path: Path) -> None:
    image = photographs(tmp_path / "in") / "cat.1.png"
    assert plan(image, tmp_path / "x.png") == [(image, tmp_path / "x.png")]
    assert plan(image, tmp_path / "x") == [(image, tmp_path / "x" / "cat.1.png.png")]


def test_eight_bits_are_made_as_the_official_code_makes_them() -> None:
    # 255 * 0.5 + 0.5 = 128; 0.49 * 255 = 124.95, + 0.5 cut off: 125; beyond [0, 1] the ends.
    image = torch.tensor([0.5, 0.49, -1.0, 2.0]).reshape(1, 1, 4).expand(3, 1, 4)
    assert to_bytes(image)[0, :, 0].tolist() == [128, 125, 0, 255]


def test_photographs_are_turned_upright_only_where_that_is_asked_for(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    Image.new("RGBA", (8, 4)).convert("RGB").save(tmp_path / "a.jpg", exif=exif)
    assert read_lr(tmp_path / "a.jpg", upright=True).shape == (3, 8, 4)
    assert read_lr(tmp_path / "a.jpg", upright=False).shape == (3, 4, 8)


@pytest.mark.golden
def test_lucidflux_restores_a_file_to_the_official_bytes(tmp_path: Path) -> None:
    """Piece j of the golden values, as a user would run it: a PNG in, a PNG out."""
    golden = Golden(GOLDEN, "j_end_to_end")
    Image.fromarray(golden["lr_uint8_hwc"].numpy()).save(tmp_path / "lr.png")
    weights = tiny_weights(tmp_path / "weights")
    result = CliRunner().invoke(
        app,
        [
            "restore",
            str(tmp_path / "lr.png"),
            str(tmp_path / "sr.png"),
            "--backbone",
            "lucidflux",
            "--weights",
            str(weights),
            "--size",
            "128x64",
            "--dtype",
            "float32",
            "--steps",
            "3",
            "--device",
            "cpu",
        ],
    )
    assert result.exit_code == 0, result.output
    assert "1 restored" in result.stdout and "Non-Commercial License" in result.stderr
    with Image.open(tmp_path / "sr.png") as image:
        ours = torch.from_numpy(np.array(image)).int()
        entry = json.loads(image.info["lucidlr"])
    assert (ours - golden["final_uint8_hwc"].int()).abs().max() <= 1
    assert entry["seed"] == "123456789" and entry["license"].startswith("LicenseRef-FLUX-1-dev")
    model = tiny(weights)
    assert entry["weights_sha256"] == model.weights_sha256
    # A folder that was begun before options became general is still resumed: the same words tell results apart.
    told = {key: entry[key] for key in entry if key in {"size", "dtype", "corrected", "upright"}}
    assert told == {"size": "128x64", "dtype": "float32", "corrected": "False", "upright": "False"}
    assert {"width", "height", "weights", "device"}.isdisjoint(entry)


def test_a_backbone_s_own_settings_yield_to_what_was_asked_for_and_others_note_their_options() -> (
    None
):
    plain = settings_for(untrained(), {"weights": Path("x"), "device": "cpu", "scale": 2})
    assert (plain.seed, plain.seeds, plain.upright) == (0, "per-image", True)
    # Where weights lie and on what they run changes no result: their hash stands in the entry.
    assert plain.notes == (("scale", "2"),)

    class Own(Tiny):
        own_settings = OwnSettings(
            seed=9, seeds="constant", upright=False, notes={"dtype": "float32"}
        )

    own = Own(untrained().net, weights_sha256="x")
    found = settings_for(own, {"scale": 2}, seed=3, seeds="per-image", steps=5, solver="dpm2")
    assert (found.seed, found.seeds, found.upright, found.steps) == (3, "per-image", False, 5)
    assert found.notes == (("dtype", "float32"),)
    assert settings_for(own, {}).seed == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--backbone", "lucidflux"],
            "needs the option weights. A LucidFlux from a weights folder",
        ),
        (["--backbone", "lucidflux", "--weights", "x", "--size", "1024"], "write WIDTHxHEIGHT"),
        (["--backbone", "lucidflux", "--weights", "x", "--size", "1000x64"], "multiples of 64"),
        (["--backbone", "lucidflux", "--weights", "x"], "There is no weights folder"),
        (["--backbone", "tinny"], "did you mean 'tiny'"),
        (["--adapter", "x"], "The backbone tiny has no option 'adapter'"),
        (["--option", "wieghts=x"], "did you mean 'weights'"),
        (["--option", "scale 2"], "write KEY=VALUE"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = photographs(tmp_path / "in")
    argv = ["lucidlr", "restore", str(source), str(tmp_path / "out"), *options]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("lucidlr: ") and said in error
