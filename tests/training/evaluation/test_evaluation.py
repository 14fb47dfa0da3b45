"""Everything is scored once: the counts say so. What goes wrong is told, and the rest is evaluated."""

import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from filters.measures import open_photo
from training.evaluation import metrics
from training.evaluation.methods import Method, fingerprint, outputs_of
from training.evaluation.metrics import metric_spec
from training.evaluation.outputs import MethodError
from training.evaluation.score import evaluate
from training.evaluation.tiny_benchmark import tiny_benchmark

BICUBIC = Method(name="bicubic", kind="bicubic")
PSNR, SSIM = metric_spec("PSNR"), metric_spec("SSIM")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_benchmark(tmp_path_factory.mktemp("tiny"), crops=1, hr_px=96)


@pytest.fixture
def outputs(tiny, tmp_path):
    """A folder of outputs that somebody else made: the HR, a little noisy."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for item in tiny.items:
        pixels = np.array(Image.open(item.hr), dtype=float)
        noisy = np.clip(pixels + rng.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{item.name}.png")
    return folder


def values(done, method, metric):
    rows = done.scores.to_pylist()
    return {r["image"]: r["value"] for r in rows if (r["method"], r["metric"]) == (method, metric)}


def test_a_second_run_computes_nothing_and_a_new_metric_or_method_only_what_is_new(
    tiny, outputs, tmp_path
):
    out = tmp_path / "out"
    first = evaluate([tiny], [BICUBIC], [PSNR], out)
    assert (first.made, first.computed, first.reused) == (3, {"PSNR": 3}, 0)
    again = evaluate([tiny], [BICUBIC], [PSNR], out)
    assert (again.made, again.computed, again.reused) == (0, {"PSNR": 0}, 3)
    assert again.scores.equals(first.scores)
    metric = evaluate([tiny], [BICUBIC], [PSNR, SSIM], out)
    assert (metric.computed, metric.reused) == ({"PSNR": 0, "SSIM": 3}, 3)
    theirs = Method(name="theirs", kind="folder", folder=str(outputs))
    method = evaluate([tiny], [BICUBIC, theirs], [PSNR, SSIM], out)
    assert (method.made, method.computed) == (0, {"PSNR": 3, "SSIM": 3})
    # Noise of 5 grey levels on each channel is 10 log10(255^2 / 25) = 34.2 dB on RGB, and some more on Y.
    assert all(34 < value < 40 for value in values(method, "theirs", "PSNR").values())


def test_outputs_of_two_methods_with_the_same_bytes_are_scored_once(tiny, outputs, tmp_path):
    shutil.copytree(outputs, tmp_path / "copy")
    both = [
        Method(name="theirs", kind="folder", folder=str(outputs)),
        Method(name="copy", kind="folder", folder=str(tmp_path / "copy")),
    ]
    done = evaluate([tiny], both, [PSNR], tmp_path / "out")
    assert done.computed == {"PSNR": 3}
    assert values(done, "theirs", "PSNR") == values(done, "copy", "PSNR")


def test_a_row_says_what_was_scored_by_what(tiny, tmp_path):
    done = evaluate([tiny], [BICUBIC], [metric_spec("PIQE"), PSNR], tmp_path)
    row = done.scores.to_pylist()[0]
    assert row["metric_version"].startswith("pyiqa-0.1.")
    assert row["preprocessing"] == metric_spec("PIQE").preprocessing
    assert len(row["image_sha256"]) == 64
    assert row["reference_sha256"] is None
    assert row["lower_better"] is True
    assert done.scores.to_pylist()[-1]["reference_sha256"] is not None


def test_scores_are_those_of_pyiqa_called_directly(tiny, tmp_path):
    import pyiqa
    import torch

    done = evaluate([tiny], [BICUBIC], [PSNR, SSIM, metric_spec("PIQE")], tmp_path)
    ycbcr = {"test_y_channel": True, "color_space": "ycbcr"}
    for name, variant, options in (
        ("PSNR", "psnr", ycbcr),
        ("SSIM", "ssim", ycbcr),
        ("PIQE", "piqe", {}),
    ):
        model = pyiqa.create_metric(variant, device="cpu", **options)
        for case in done.cases["tiny"]:
            sr = done.outputs["tiny", "bicubic"][case.name]
            pair = [
                torch.from_numpy(np.array(Image.open(f))).permute(2, 0, 1)[None] / 255
                for f in (sr, case.hr)
            ]
            direct = model(pair[0]) if variant == "piqe" else model(*pair)
            assert values(done, "bicubic", name)[case.name] == pytest.approx(
                float(direct), abs=1e-4
            )


def test_missing_wrong_and_unreadable_outputs_are_told_and_the_rest_is_scored(
    tiny, outputs, tmp_path
):
    names = [item.name for item in tiny.items]
    (outputs / f"{names[0]}.png").unlink()
    (outputs / f"{names[1]}.png").write_bytes(b"\x89PNG cut")
    theirs = Method(name="theirs", kind="folder", folder=str(outputs))
    done = evaluate([tiny], [theirs], [PSNR], tmp_path / "out")
    assert list(values(done, "theirs", "PSNR")) == [names[2]]
    told = "\n".join(str(problem) for problem in done.problems)
    assert f"tiny: theirs: {names[0]}: no output of theirs" in told
    assert f"{names[1]}: {names[1]}.png cannot be read" in told
    Image.new("RGB", (10, 10)).save(outputs / f"{names[0]}.png")
    more = evaluate([tiny], [theirs], [PSNR], tmp_path / "out")
    assert "is 10x10, 96x96 was asked for" in "\n".join(str(p) for p in more.problems)


def test_a_method_without_its_folder_stops_no_other(tiny, tmp_path):
    lost = Method(name="lost", kind="folder", folder=str(tmp_path / "nowhere"))
    done = evaluate([tiny], [lost, BICUBIC], [PSNR], tmp_path / "out")
    assert done.computed == {"PSNR": 3}
    assert "there is no folder" in str(done.problems[0])


class Choosy:
    """A metric that crashes on one image, as real ones do on odd sizes."""

    name, version, lower_better, license, weights_sha256 = "choosy", "1", False, "none", None

    def __init__(self, victim):
        self.victim, self.calls = victim, 0

    def score(self, photo):
        self.calls += 1
        if photo.rgb.shape == self.victim.shape and (photo.rgb == self.victim).all():
            raise RuntimeError("a size that it cannot take")
        return float(photo.rgb.mean())


def test_a_metric_that_crashes_on_one_image_is_a_row_with_the_error(tiny, tmp_path, monkeypatch):
    done = evaluate([tiny], [BICUBIC], [PSNR], tmp_path)
    victim = next(iter(done.outputs["tiny", "bicubic"].values()))
    choosy = Choosy(open_photo(victim.read_bytes()).rgb)
    monkeypatch.setattr(metrics, "load_metric", lambda name: choosy)
    spec = metric_spec("metric:choosy")
    done = evaluate([tiny], [BICUBIC], [spec, PSNR], tmp_path)
    rows = [row for row in done.scores.to_pylist() if row["metric"] == spec.name]
    assert [row["error"] for row in rows].count(None) == 2
    assert "RuntimeError: a size that it cannot take" in [row["error"] for row in rows]
    assert len(values(done, "bicubic", "PSNR")) == 3
    # What failed is neither lost nor tried for ever; with retry it is tried once more.
    assert choosy.calls == 3
    evaluate([tiny], [BICUBIC], [spec], tmp_path)
    assert choosy.calls == 3
    evaluate([tiny], [BICUBIC], [spec], tmp_path, retry=True)
    assert choosy.calls == 4


def test_a_metric_without_weights_is_not_run_and_says_why(tiny, tmp_path):
    lucid = metric_spec("LucidConsistency")
    done = evaluate([tiny], [BICUBIC], [lucid, PSNR], tmp_path)
    assert "needs the projection head" in done.not_run["LucidConsistency"]
    assert done.computed == {"LucidConsistency": 0, "PSNR": 3}
    assert values(done, "bicubic", "LucidConsistency") == {}


def test_scores_that_came_with_the_folder_are_used_where_the_metric_cannot_be_loaded(
    tiny, tmp_path, monkeypatch
):
    first = evaluate([tiny], [BICUBIC], [PSNR], tmp_path)

    def missing(name):
        raise metrics.WeightsMissing("not here")

    monkeypatch.setattr(metrics, "load_reference_metric", missing)
    again = evaluate([tiny], [BICUBIC], [PSNR], tmp_path)
    assert again.not_run == {}
    assert again.scores.equals(first.scores)


def test_a_kill_costs_at_most_the_last_part(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("training.evaluation.score.PART_ROWS", 1)
    killed = Choosy(np.zeros((1, 1, 3), dtype=np.uint8))

    def dying(photo):
        killed.calls += 1
        if killed.calls == 3:
            raise KeyboardInterrupt
        return 1.0

    killed.score = dying
    monkeypatch.setattr(metrics, "load_metric", lambda name: killed)
    spec = metric_spec("metric:choosy")
    with pytest.raises(KeyboardInterrupt):
        evaluate([tiny], [BICUBIC], [spec], tmp_path)
    done = evaluate([tiny], [BICUBIC], [spec], tmp_path)
    assert done.computed == {"metric:choosy": 1}
    assert not list(tmp_path.rglob("*.part"))


COPY = (
    "import sys, pathlib, shutil; [shutil.copy(f, pathlib.Path(sys.argv[2], f.stem + '_out.png'))\
 for f in pathlib.Path(sys.argv[1]).iterdir()]"
)


def test_a_command_is_run_once_for_what_is_missing(tiny, tmp_path):
    command = f'{sys.executable} -c "{COPY}" {{lr}} {{out}}'
    method = Method(name="copies", kind="command", command=command)
    cases = evaluate([tiny], [BICUBIC], [PSNR], tmp_path).cases["tiny"]
    found = outputs_of(method, "tiny", cases, tmp_path)
    assert (found.made, sorted(found.files)) == (3, sorted(case.name for case in cases))
    next(iter(found.files.values())).unlink()
    assert outputs_of(method, "tiny", cases, tmp_path).made == 1
    assert outputs_of(method, "tiny", cases, tmp_path).made == 0


def test_a_command_that_fails_says_what_it_said(tiny, tmp_path):
    cases = evaluate([tiny], [BICUBIC], [PSNR], tmp_path).cases["tiny"]
    wrong = f"{sys.executable} -c \"import sys; sys.exit('no checkpoint')\" {{lr}} {{out}}"
    with pytest.raises(MethodError, match=r"ended with 1: no checkpoint \(see .*x\.log\)"):
        outputs_of(Method(name="x", kind="command", command=wrong), "tiny", cases, tmp_path)
    with pytest.raises(MethodError, match="cannot be run"):
        outputs_of(
            Method(name="x", kind="command", command="no-such-program {lr} {out}"),
            "tiny",
            cases,
            tmp_path,
        )
    with pytest.raises(MethodError, match=r"needs {lr} and {out}"):
        outputs_of(Method(name="x", kind="command", command="run"), "tiny", cases, tmp_path)


def test_another_option_or_another_checkpoint_is_another_folder_of_outputs(tmp_path):
    checkpoint = tmp_path / "weights.bin"
    checkpoint.write_bytes(b"1")
    method = Method(
        name="m", kind="backbone", backbone="tiny", options={"weights": str(checkpoint)}
    )
    before = fingerprint(method)
    assert fingerprint(replace(method, steps=9)) != before
    checkpoint.write_bytes(b"2")
    assert fingerprint(method) != before


@pytest.mark.parametrize(
    "name",
    [
        "Canon_001_LR4.png",
        "Canon_001.png",
        "Canon_001_LR4_out.png",
        "Canon_001_x4.jpg",
        "Canon_001_LR4.png.png",  # as `lucidlr restore` names them
    ],
)
def test_outputs_may_be_named_like_the_lr_or_the_pair_with_an_ending(tmp_path, name):
    folder = tmp_path / "theirs"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / name)
    Image.new("RGB", (8, 8)).save(folder / "Canon_0011.png")
    case = SimpleNamespace(name="Canon_001", source="Canon_001_LR4")
    method = Method(name="m", kind="folder", folder=str(folder))
    assert outputs_of(method, "b", [case], tmp_path).files == {"Canon_001": folder / name}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "folder"}, "kind folder needs `folder`"),
        ({"kind": "command", "run_in": "/code"}, "kind command needs `command`"),
        ({"kind": "backbone", "steps": 4}, "kind backbone needs `backbone`"),
        ({"kind": "bicubic", "folder": "/out"}, "`folder` means nothing to kind bicubic"),
        (
            {"kind": "folder", "folder": "/o", "run_in": "/c"},
            "`run_in` means nothing to kind folder",
        ),
    ],
)
def test_a_method_without_what_its_kind_needs_or_with_another_kinds_is_refused(fields, said):
    with pytest.raises(MethodError, match=said):
        Method(name="mine", **fields)
