"""Copies of benchmarks that are complete, and the many ways in which they are not."""

import numpy as np
import pytest
from PIL import Image

from training.evaluation.benchmarks import (
    PROTOCOLS,
    SPECS,
    BenchmarkError,
    known_spec,
    load_benchmark,
    pair_key,
)
from training.evaluation.inputs import prepare
from training.evaluation.tiny_benchmark import tiny_benchmark


def image(path, size, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def realsr(folder, count=50, lr=(8, 6), hr=(32, 24)):
    for camera in ("Canon", "Nikon"):
        for i in range(count):
            image(folder / f"{camera}/Test/4/{camera}_{i:03}_LR4.png", lr, seed=i)
            image(folder / f"{camera}/Test/4/{camera}_{i:03}_HR.png", hr, seed=i)
            image(folder / f"{camera}/Test/2/{camera}_{i:03}_LR2.png", lr, seed=i)


def test_the_original_layout_of_realsr_is_recognised_with_its_100_pairs(tmp_path):
    realsr(tmp_path)
    found = load_benchmark("RealSR", tmp_path)
    assert len(found.items) == 100
    assert found.protocol == "resize1024"
    assert found.items[0].name == "Canon_000"
    assert found.items[0].hr.name == "Canon_000_HR.png"
    assert found.problems == ()


def test_a_lower_count_is_an_error_that_says_what_was_found_and_where_to_get_the_files(tmp_path):
    realsr(tmp_path, count=2)
    with pytest.raises(BenchmarkError) as raised:
        load_benchmark("RealSR", tmp_path)
    text = str(raised.value)
    assert "should have 100 images with their HR" in text
    assert "has 4 that can be used" in text
    assert "Canon and Nikon, Test/4" in text
    partial = load_benchmark("RealSR", tmp_path, partial=True)
    assert len(partial.items) == 4
    assert partial.problems == ("4 of 100 images: compares with nobody's results",)


def test_no_folder_and_an_empty_folder_say_where_the_files_come_from(tmp_path):
    with pytest.raises(BenchmarkError, match=r"there is no folder .*DreamClear"):
        load_benchmark("RealLQ250", tmp_path / "nowhere")
    with pytest.raises(BenchmarkError, match="no image file in any known place"):
        load_benchmark("DRealSR", tmp_path)


def test_reallq250_is_found_in_lq_256(tmp_path):
    for i in range(250):
        image(tmp_path / f"lq_256/{i:03}.png", (4, 4))
    found = load_benchmark("RealLQ250", tmp_path)
    assert (len(found.items), found.paired) == (250, False)


def test_mismatched_pairs_wrong_sizes_and_unreadable_files_are_told_and_the_rest_is_kept(tmp_path):
    for name in ("good", "lonely", "small", "broken"):
        image(tmp_path / f"lr/{name}.png", (8, 8))
    for name in ("good", "orphan"):
        image(tmp_path / f"hr/{name}.png", (32, 32))
    image(tmp_path / "hr/small.png", (30, 32))
    (tmp_path / "hr/broken.png").write_bytes(b"not an image")
    found = load_benchmark("mine", tmp_path)
    assert [item.name for item in found.items] == ["good"]
    told = "\n".join(found.problems)
    assert "lonely.png: no HR belongs to it" in told
    assert "orphan.png: no LR belongs to it" in told
    assert "small: HR is 30x32, 4 times the LR would be 32x32" in told
    assert "broken: cannot be read" in told


def test_any_folder_of_images_is_a_benchmark_without_hr(tmp_path):
    image(tmp_path / "a/x.jpg", (8, 8))
    image(tmp_path / "b/x.png", (8, 8))
    found = load_benchmark("mine", tmp_path)
    assert [item.name for item in found.items] == ["a__x_jpg", "b__x_png"]
    assert not found.paired


@pytest.mark.parametrize(
    ("stem", "key"),
    [
        ("Canon_001_LR4", "Canon_001"),
        ("Canon_001_HR", "Canon_001"),
        ("0000001x4", "0000001"),
        ("DSC_1286_x1", "DSC_1286"),
        ("DSC_1286_x4", "DSC_1286"),
        ("photo", "photo"),
        ("_LR", "_LR"),
    ],
)
def test_pairs_are_found_by_what_their_names_have_in_common(stem, key):
    assert pair_key(stem) == key


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_gives_lr_hr_and_the_size_of_outputs(tmp_path, protocol):
    image(tmp_path / "set/lr/x.png", (160, 132))
    image(tmp_path / "set/hr/x.png", (640, 528))
    benchmark = load_benchmark("mine", tmp_path / "set", protocol=protocol)
    (case,), problems = prepare(benchmark, tmp_path / "out")
    assert problems == []
    lr, hr = Image.open(case.lr).size, Image.open(case.hr).size
    expected = {
        "full": ((160, 132), (640, 528)),
        "resize1024": ((160, 132), (1024, 1024)),
        "crop128": ((128, 128), (512, 512)),
    }[protocol]
    assert (lr, hr) == expected
    assert case.size == hr


def test_the_centre_crop_keeps_lr_and_hr_in_step(tmp_path):
    # Every LR pixel becomes a block of 4 x 4 equal HR pixels; after cropping it must still be so.
    rng = np.random.default_rng(0)
    lr = rng.integers(0, 255, (131, 150, 3), dtype=np.uint8)
    for side, pixels in (("lr", lr), ("hr", lr.repeat(4, 0).repeat(4, 1))):
        (tmp_path / side).mkdir()
        Image.fromarray(pixels).save(tmp_path / side / "x.png")
    benchmark = load_benchmark("mine", tmp_path, protocol="crop128")
    (case,), _ = prepare(benchmark, tmp_path / "out")
    low, high = np.array(Image.open(case.lr)), np.array(Image.open(case.hr))
    np.testing.assert_array_equal(low.repeat(4, 0).repeat(4, 1), high)


def test_preparing_twice_writes_nothing_and_a_changed_image_is_prepared_anew(tmp_path):
    image(tmp_path / "lr/x.png", (8, 8), seed=1)
    image(tmp_path / "hr/x.png", (32, 32), seed=1)
    benchmark = load_benchmark("mine", tmp_path)
    (first,), _ = prepare(benchmark, tmp_path / "out")
    stamp = first.lr.stat().st_mtime_ns
    (again,), _ = prepare(benchmark, tmp_path / "out")
    assert again == first
    assert again.lr.stat().st_mtime_ns == stamp
    image(tmp_path / "lr/x.png", (8, 8), seed=2)
    (changed,), _ = prepare(benchmark, tmp_path / "out")
    assert changed.lr_sha256 != first.lr_sha256


def test_an_unknown_benchmark_names_the_nearest():
    with pytest.raises(BenchmarkError, match="did you mean 'DRealSR'"):
        known_spec("DrealSR")


def test_the_specs_have_the_counts_of_the_project_page():
    assert {name: spec.images for name, spec in SPECS.items() if spec.images} == {
        "RealSR": 100,
        "DRealSR": 93,
        "RealLQ250": 250,
    }
    assert [spec.paired for spec in SPECS.values()] == [False, True, True, True]


def test_the_tiny_benchmark_is_the_same_every_time_and_its_lr_is_a_degraded_hr(tmp_path):
    first, second = tiny_benchmark(tmp_path / "a"), tiny_benchmark(tmp_path / "b")
    assert len(first.items) == first.spec.images == 12
    assert {item.cluster for item in first.items} == {"camera", "chelsea", "flower"}
    for one, two in zip(first.items, second.items, strict=True):
        assert one.lr.read_bytes() == two.lr.read_bytes()
        low, high = Image.open(one.lr), Image.open(one.hr)
        assert (low.size, high.size) == ((32, 32), (128, 128))
        reduced = np.array(high.resize(low.size, Image.Resampling.BOX), dtype=float)
        assert 0 < np.abs(reduced - np.array(low)).mean() < 40
