"""Names of images: outputs of `lucidlr restore` find their inputs again."""

from pathlib import PurePath

import pytest

from training.consistency.scoring import pairs_of
from training.image_names import image_stem, is_image


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.jpg", "a"),
        ("a.v2.jpg", "a.v2"),
        ("a.v2.jpg.png", "a.v2"),
        ("A.JPEG", "A"),
        ("png.png", "png"),
        (".png", ".png"),
    ],
)
def test_all_image_suffixes_go_and_nothing_else(name, stem):
    assert image_stem(PurePath("folder") / name) == stem


@pytest.mark.parametrize(
    ("name", "image"), [("a.jpg", True), ("a.TIFF", True), ("a.txt", False), ("._a.jpg", False)]
)
def test_images_are_told_by_their_suffix_and_hidden_files_are_none(name, image):
    assert is_image(PurePath(name)) is image


def test_restored_images_pair_with_what_they_were_made_from(tmp_path):
    for name in ("lr/deep/a.v2.jpg", "lr/b.png", "sr/deep/a.v2.jpg.png", "sr/b.png.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = pairs_of(tmp_path / "lr", tmp_path / "sr")
    assert [(a.name, b.name) for a, b in found] == [
        ("b.png", "b.png.png"),
        ("a.v2.jpg", "a.v2.jpg.png"),
    ]
