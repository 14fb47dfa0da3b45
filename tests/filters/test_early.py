"""The encoder in NumPy is the packaged network, and what is stored of it are the heads' log-odds."""

import json

import numpy as np
import pytest
import skimage.data

from filters.measures import Photo, _early, _layers, _lite0, load_measure

ASTRONAUT = skimage.data.astronaut()


def test_the_features_are_those_of_the_torch_model():
    torch = pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    from training.consistency.encoders.efficientnet_lite0 import load

    model = load(size_px=256).model
    for crop in (ASTRONAUT[:256, :256], ASTRONAUT[200:424, 100:260]):
        pixels = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            x = model._swish(model._bn0(model._conv_stem((pixels - 127) / 128)))
            for block in model._blocks[:8]:
                x = block(x)
        # Values go up to 40; single precision leaves a few 1e-5.
        np.testing.assert_allclose(_lite0.features(crop), x[0].numpy(), atol=5e-4)


def test_crops_are_three_apart_at_full_size_and_fit_the_network():
    found = _early.crops(ASTRONAUT)
    assert [c.shape for c in found] == [(256, 256, 3)] * 3
    assert len({c.tobytes() for c in found}) == 3
    assert [c.shape for c in _early.crops(ASTRONAUT[:100, :300])] == [(96, 256, 3)]
    # Smaller than one cell: mirrored, not refused.
    assert [c.shape for c in _early.crops(ASTRONAUT[:5, :7])] == [(32, 32, 3)]


def test_the_busiest_part_is_looked_at_and_blown_or_black_parts_are_not():
    image = np.full((600, 900, 3), 255, np.uint8)
    image[:, :300] = 0
    image[300:556, 500:756] = ASTRONAUT[:256, :256]
    first = _early.crops(image)[0]
    assert float(first.std()) > 40


def test_a_head_is_a_weighted_sum_of_standardized_features():
    photo = Photo(ASTRONAUT)
    raw = json.loads((_early.WEIGHTS / f"early-{_early.VERSION}.json").read_text())
    head = raw["heads"]["noise"]
    scaled = (_early.early_features(photo) - np.array(raw["mean"])) / np.array(raw["deviation"])
    wanted = float(np.clip(scaled, -4, 4) @ np.array(head["weights"]) + head["bias"])
    assert load_measure("early_noise").measure(photo) == pytest.approx(wanted)


def test_the_layers_hold_what_the_early_layer_holds_and_four_more():
    photo = Photo(ASTRONAUT)
    features = _layers.layer_features(photo)
    assert features.shape == (1088,)
    before = 2 * sum(len(seen) for seen in _lite0.maps(ASTRONAUT[:64, :64], _layers.BLOCKS)[:-2])
    assert features[before : before + 160].tolist() == _early.early_features(photo).tolist()
    # The largest over the crops is at least the mean.
    assert (features[:544] >= features[544:] - 1e-9).all()


def test_a_head_on_the_layers_is_a_weighted_sum_of_standardized_features():
    photo = Photo(ASTRONAUT)
    raw = json.loads((_early.WEIGHTS / f"layers-{_layers.VERSION}.json").read_text())
    head = raw["heads"]["jpeg"]
    scaled = (_layers.layer_features(photo) - np.array(raw["mean"])) / np.array(raw["deviation"])
    wanted = float(np.clip(scaled, -4, 4) @ np.array(head["weights"]) + head["bias"])
    assert load_measure("layers_jpeg").measure(photo) == pytest.approx(wanted)


def test_without_the_package_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(_lite0, "PACKAGE", "no_such_package_of_weights")
    _lite0.load.cache_clear()
    with pytest.raises(_lite0.NoEncoder, match="degradation-4-plain"):
        _lite0.load()
    _lite0.load.cache_clear()


def test_a_file_of_weights_with_code_in_it_is_refused():
    import pickle

    class Evil:
        def __reduce__(self):
            return (print, ("pwned",))

    content = b"".join(pickle.dumps(part) for part in (0, 1, {}, Evil(), []))
    with pytest.raises(pickle.UnpicklingError, match="does not belong"):
        _lite0.read_torch_pickle(content)
