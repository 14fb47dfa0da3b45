"""The Python API of own photographs."""

import io

import numpy as np
import pytest
from skimage import data

from catalog.errors import Missing
from pipelines.photos.api import find_twins, label_pictures, open_release, score_pairs
from pipelines.progress import LineProgress


def test_arrays_are_labelled_and_compared_without_files():
    cat = data.chelsea()
    table = label_pictures([cat, cat[:, ::-1], data.coffee(), b"no picture"])
    assert table.column("file").to_pylist() == ["000000", "000001", "000002", "000003"]
    # Equal in all that counts: the first stays.
    assert table.column("twin_of").to_pylist() == [None, "000000", None, None]
    assert table.column("error").to_pylist()[3].startswith("The bytes do not decode")


def test_twins_of_arrays_are_pairs_of_positions():
    found = find_twins([data.coffee(), data.chelsea(), data.coffee()[::2, ::2], b"x"])
    assert [(pair.first, pair.second) for pair in found] == [(0, 2)]
    assert found[0].phash_bits <= 12 and found[0].dhash_bits <= 12


def test_an_array_of_another_kind_says_what_is_wanted():
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\]"):
        find_twins([data.chelsea().astype(np.float32)])


def test_faithfulness_by_hand_and_as_the_reward_has_it():
    lr = np.zeros((2, 2, 3), dtype=np.uint8)
    sr = np.full((4, 4, 3), 51, dtype=np.uint8)
    # 51 / 255 = 0.2 everywhere, times -10.
    assert score_pairs([(lr, sr)])[0]["faithfulness"] == pytest.approx(-2.0)
    assert score_pairs([(lr, np.zeros((4, 4, 3), dtype=np.uint8))])[0]["faithfulness"] == 0.0
    with pytest.raises(ValueError, match="whole multiple"):
        score_pairs([(lr, np.zeros((3, 4, 3), dtype=np.uint8))])
    torch = pytest.importorskip("torch")
    from training.rewards.lr_faithfulness import load

    rng = np.random.default_rng(0)
    lr, sr = (rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (8, 32))
    both = [torch.from_numpy(x.transpose(2, 0, 1).copy())[None].float() / 255 for x in (sr, lr)]
    assert score_pairs([(lr, sr)])[0]["faithfulness"] == pytest.approx(
        float(load().score(*both, {})[0]), abs=1e-5
    )


def test_a_metric_is_a_score_of_the_sr():
    pair = (data.coffee()[::2, ::2], data.coffee())
    assert score_pairs([pair], ["piqe"])[0]["piqe"] > 0


def test_no_release_is_a_sentence(tmp_path):
    with pytest.raises(Missing, match=r"manifest\.json"):
        open_release(tmp_path)


def test_a_notebook_sees_one_line_that_grows():
    stream = io.StringIO()
    with LineProgress(stream, every_s=0).stage("pictures", 2) as advance:
        advance(1)
        advance(1)
    lines = stream.getvalue().split("\r")
    assert "1/2" in lines[1] and "2/2" in lines[-1] and lines[-1].endswith("\n")
    assert lines[1].count("█") == 15 and lines[-1].count("█") == 30
