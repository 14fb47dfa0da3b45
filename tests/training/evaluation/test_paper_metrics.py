"""The paper's metrics by its names: the real classes of the pinned pyiqa, with only the weights files stubbed.

Random weights of the right shapes are saved under the names, and in the caches, that each class looks in; everything
else (class, variant, prompts, preprocessing) is the real thing, loaded through our code. The values mean nothing.

niqe_pris_params.npz in tests/golden are NIQE's published parameters as BasicSR ships them (Apache-2.0).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from filters.degradation.synthesis import gaussian_blur, jpeg
from filters.measures import Photo
from filters.metrics import load_metric, load_reference_metric
from filters.metrics.pyiqa_adapter import weights_hash
from training.evaluation.metrics import PAPER, REFERENCE, SPECS, NotRun, load_scorer, metric_spec

GOLDEN = Path(__file__).parents[2] / "golden"
CAT = Photo(np.ascontiguousarray(data.chelsea()[:256, :288]))


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """An empty cache for torch.hub, pyiqa and the model hub, and no way out."""
    from huggingface_hub import constants
    from pyiqa.utils import download_util

    def unreachable(*args, **options):
        raise OSError("no network in this test")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(download_util, "DEFAULT_CACHE_DIR", str(tmp_path / "torch/hub/pyiqa"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    load_metric.cache_clear()
    load_reference_metric.cache_clear()
    (tmp_path / "torch/hub/pyiqa").mkdir(parents=True)
    yield tmp_path
    load_metric.cache_clear()
    load_reference_metric.cache_clear()


def pyiqa_file(caches, name):
    return caches / "torch/hub/pyiqa" / name


def timm_weights(caches, model_name):
    """Random weights of a timm model where its hub cache would hold them."""
    import timm
    from safetensors.torch import save_file

    model = timm.create_model(model_name, pretrained=False)
    hub_id = model.pretrained_cfg["hf_hub_id"]
    folder = caches / "hub" / f"models--{hub_id.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(model.state_dict(), snapshot / "model.safetensors")


def scorer_of(name):
    spec = metric_spec(name)
    return spec, load_scorer(spec)


def scored(name):
    """Class name of the network and one score, both through our code."""
    _, scorer = scorer_of(name)
    assert len(scorer.weights_sha256) == 64
    return type(scorer.metric.model.net).__name__, scorer.score(CAT, lr=None, hr=None)


def test_every_metric_of_the_paper_that_is_pyiqas_names_a_variant_that_the_pinned_pyiqa_has():
    import pyiqa

    known = {mode: set(pyiqa.list_models(metric_mode=mode)) for mode in ("NR", "FR")}
    variants = {spec.name: spec.scorer.rpartition(":")[2] for spec in (*PAPER, *REFERENCE)}
    assert variants["MANIQA"] == "maniqa", "KonIQ, not maniqa-pipal"
    for spec in (*PAPER, *REFERENCE):
        if "pyiqa:" in spec.scorer:
            mode = "FR" if spec.scorer.startswith("reference:") else "NR"
            assert variants[spec.name] in known[mode], spec.name
            lower = pyiqa.default_model_configs.DEFAULT_CONFIGS[variants[spec.name]]
            assert lower.get("lower_better", False) == spec.lower_better, spec.name


@pytest.mark.slow
def test_musiq_is_built_with_koniq_weights(caches):
    from pyiqa.archs.musiq_arch import MUSIQ

    state = MUSIQ(pretrained=False, num_class=1).state_dict()
    torch.save(state, pyiqa_file(caches, "musiq_koniq_ckpt-e95806b9.pth"))
    kind, value = scored("MUSIQ")
    assert (kind, np.isfinite(value)) == ("MUSIQ", True)


@pytest.mark.slow
def test_maniqa_is_built_with_koniq_weights_and_looks_at_20_crops(caches):
    from pyiqa.archs.maniqa_arch import MANIQA
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    timm_weights(caches, "vit_base_patch8_224")
    options = {k: v for k, v in DEFAULT_CONFIGS["maniqa"]["metric_opts"].items() if k != "type"}
    assert options["train_dataset"] == "koniq"
    torch.save(
        MANIQA(**options, pretrained=False).state_dict(), pyiqa_file(caches, "ckpt_koniq10k.pt")
    )
    _, scorer = scorer_of("MANIQA")
    net = scorer.metric.model.net
    assert (type(net).__name__, net.test_sample) == ("MANIQA", 20)
    # Twenty crops through a ViT take a minute on one core; one shows that the parts fit.
    net.test_sample = 1
    assert np.isfinite(scorer.score(CAT, lr=None, hr=None))


@pytest.mark.slow
def test_nima_is_inception_resnet_on_ava(caches):
    from pyiqa.archs.nima_arch import NIMA

    timm_weights(caches, "inception_resnet_v2")
    state = NIMA("inception_resnet_v2", pretrained=False).state_dict()
    torch.save({"params": state}, pyiqa_file(caches, "NIMA_InceptionV2_ava-b0c77c00.pth"))
    kind, value = scored("NIMA")
    assert kind == "NIMA"
    assert 1 <= value <= 10, "the mean of a distribution over 1 to 10"


class Holder(torch.nn.Module):
    """Nothing but tensors by name."""

    def forward(self) -> int:
        return 0


def archive(state):
    """A module whose state is `state`, to be saved as the kind of archive that CLIP's weights come in."""
    root = Holder()
    for key, value in state.items():
        *path, name = key.split(".")
        place = root
        for step in path:
            if not hasattr(place, step):
                place.add_module(step, Holder())
            place = getattr(place, step)
        if value.is_floating_point():
            place.register_parameter(name, torch.nn.Parameter(value))
        else:
            place.register_buffer(name, value)
    return root


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_clip_iqa_averages_five_pairs_of_prompts_and_clip_iqa_plus_learned_its_own(
    caches, monkeypatch
):
    from pyiqa.archs import clip_model

    torch.manual_seed(0)
    # ResNet-50 as CLIP has it. The file has the official form; that its checksum is another is what is stubbed.
    state = clip_model.CLIP(1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12).state_dict()
    file = caches / "RN50.pt"
    torch.jit.script(archive(state)).save(file)
    monkeypatch.setattr(clip_model, "_download", lambda url, root: str(file))
    kind, value = scored("CLIP-IQA")
    assert (kind, 0 <= value <= 1) == ("CLIPIQA", True)
    _, plain = scorer_of("CLIP-IQA")
    assert len(plain.metric.model.net.prompt_pairs) == 10
    # The network is kept in a list, out of sight of state_dict; the hash must see it all the same.
    before = plain.weights_sha256
    with torch.no_grad():
        plain.metric.model.net.clip_model[0].visual.conv1.weight[0, 0, 0, 0] += 1
    assert weights_hash(plain.metric.model) != before
    prompts = torch.randn(2, 16, 512)
    # pyiqa names the file as its address spells it.
    torch.save(prompts, pyiqa_file(caches, "CLIP-IQA%2B_learned_prompts-603f3273.pth"))
    kind, value = scored("CLIP-IQA+")
    assert (kind, 0 <= value <= 1) == ("CLIPIQA", True)
    _, learned = scorer_of("CLIP-IQA+")
    assert learned.metric.model.net.prompt_learner.ctx.equal(prompts)


@pytest.fixture
def niqe_parameters(caches):
    from scipy.io import savemat

    found = np.load(GOLDEN / "niqe_pris_params.npz")
    savemat(
        pyiqa_file(caches, "niqe_modelparameters.mat"),
        {"mu_prisparam": found["mu_pris_param"], "cov_prisparam": found["cov_pris_param"]},
    )


@pytest.mark.golden
def test_niqe_with_its_real_parameters_is_pyiqas_and_orders_damage(niqe_parameters):
    import pyiqa

    spec, scorer = scorer_of("NIQE")
    assert spec.lower_better
    sharp = data.chelsea()[:288, :384]
    values = [
        scorer.score(Photo(np.ascontiguousarray(pixels)), lr=None, hr=None)
        for pixels in (sharp, gaussian_blur(sharp, 2), jpeg(sharp, 10))
    ]
    assert values[0] < values[1] and values[0] < values[2]
    image = torch.from_numpy(sharp.copy()).permute(2, 0, 1)[None] / 255
    assert values[0] == pytest.approx(float(pyiqa.create_metric("niqe", device="cpu")(image)))
    # Its parameters are plain attributes; a score must carry their hash.
    net = scorer.metric.model.net
    net.mu_pris_param = net.mu_pris_param + 1
    assert weights_hash(scorer.metric.model) != scorer.weights_sha256


def vision_weights(caches, name, build):
    folder = caches / "torch/hub/checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(build(weights=None).state_dict(), folder / name)


@pytest.mark.slow
def test_lpips_and_dists_compare_with_the_hr_and_are_zero_for_equal_images(caches):
    from pyiqa.archs.lpips_arch import LPIPS
    from torchvision.models import alexnet, vgg16

    vision_weights(caches, "alexnet-owt-7be5be79.pth", alexnet)
    vision_weights(caches, "vgg16-397923af.pth", vgg16)
    lins = LPIPS(pretrained=False, pnet_rand=True, net="alex").state_dict()
    lins = {key: value.abs() for key, value in lins.items() if key.startswith("lin")}
    torch.save(lins, pyiqa_file(caches, "LPIPS_v0.1_alex-df73285e.pth"))
    torch.save(
        {"alpha": torch.rand(1, 1475, 1, 1), "beta": torch.rand(1, 1475, 1, 1)},
        pyiqa_file(caches, "DISTS_weights-f5e65c96.pth"),
    )
    other = Photo(gaussian_blur(CAT.rgb, 2))
    for name in ("LPIPS", "DISTS"):
        _, scorer = scorer_of(name)
        assert scorer.score(CAT, lr=None, hr=CAT) == pytest.approx(0, abs=1e-5)
        assert scorer.score(other, lr=None, hr=CAT) > 0
        assert scorer.score(CAT, lr=None, hr=None) is None


@pytest.mark.parametrize("name", ["MUSIQ", "CLIP-IQA", "CLIP-IQA+", "NIQE", "LPIPS", "DISTS"])
def test_without_weights_a_metric_is_not_run_and_says_why(caches, name):
    with pytest.raises(NotRun, match="needs weights that are not on this machine"):
        load_scorer(SPECS[name])


def test_q_align_is_not_run_offline(caches):
    # Its code comes from a hub, and pyiqa does not ask for all the packages that this code needs.
    with pytest.raises(NotRun, match=r"needs (weights|the package)"):
        load_scorer(SPECS["Q-Align"])


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("UniPercept IQA", "UniPercept runs as a server"),
        ("LucidConsistency", "needs the projection head"),
    ],
)
def test_the_metrics_that_are_rewards_say_what_they_need(name, needs):
    # A server that is being started is asked again for a quarter of a minute; not here.
    options = {"retries": 0} if "server" in needs else {}
    with pytest.raises(NotRun, match=needs):
        load_scorer(replace(SPECS[name], options={**SPECS[name].options, **options}))


class Told:
    """A reward that answers what it was told."""

    version, weights_sha256 = "1", None

    def __init__(self, value):
        self.value = value

    def prepare(self, lr):
        return {}

    def score(self, sr, lr, shared):
        assert sr.shape == (1, 3, 256, 288)
        return torch.tensor([self.value])


def test_a_reward_is_put_on_the_papers_scale_and_no_number_is_an_error(monkeypatch):
    monkeypatch.setattr(
        "training.evaluation.metrics.load_reward", lambda name, **options: Told(0.7093)
    )
    scorer = load_scorer(SPECS["UniPercept IQA"])
    assert scorer.score(CAT, lr=None, hr=None) == pytest.approx(70.93)
    monkeypatch.setattr(
        "training.evaluation.metrics.load_reward", lambda name, **options: Told(float("nan"))
    )
    with pytest.raises(ValueError, match="gave no number"):
        load_scorer(SPECS["VisualQuality-R1"]).score(CAT, lr=None, hr=None)


def test_a_pair_of_different_sizes_is_refused_and_not_resized():
    _, scorer = scorer_of("PSNR")
    with pytest.raises(ValueError, match="The image is 288x256, its reference 144x128"):
        scorer.score(CAT, lr=None, hr=Photo(CAT.rgb[::2, ::2].copy()))
