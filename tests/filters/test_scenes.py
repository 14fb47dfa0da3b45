"""Scenes by an encoder's vectors, and the cap on them."""

import numpy as np
import pytest

from filters.sampling import Accepted, SamplingPolicy, draw
from filters.scenes import scenes
from pipelines.recipe import Recipe, load_recipe


def vector(*values):
    """As embeddings are kept: unit length, float16, little-endian."""
    found = np.array(values, dtype=np.float64)
    return (found / np.linalg.norm(found)).astype("<f2").tobytes()


def test_pictures_near_the_first_of_a_scene_join_it_whatever_the_order():
    # Page 1 begins a scene; 2 is at cosine .8 to it; 3 is at right angles; 5 is near 3.
    held = {1: vector(1, 0), 2: vector(0.8, 0.6), 3: vector(0, 1), 4: None, 5: vector(0.1, 1)}
    expected = {1: 1, 2: 1, 3: 3, 4: None, 5: 3}
    for order in ([1, 2, 3, 4, 5], [5, 3, 4, 2, 1]):
        found = scenes(np.array(order), [held[n] for n in order], 0.7)
        assert dict(zip(order, found, strict=True)) == expected
    # .6 from the picture 2 to the picture 3 is not asked: only the first of a scene counts.
    assert scenes(np.array([1, 2, 3]), [held[1], held[2], held[3]], 0.9) == [1, 2, 3]
    assert scenes(np.array([7]), [None], 0.5) == [None]


def test_a_cap_on_scenes_leaves_the_unknown_alone():
    accepted = [Accepted(page_id=n, scene=1) for n in range(5)]
    accepted += [Accepted(page_id=10 + n, scene=2) for n in range(2)]
    accepted += [Accepted(page_id=20 + n) for n in range(3)]
    drawn = draw(accepted, seed=0, policy=SamplingPolicy(caps={"scene": 2}))
    assert len(drawn.page_ids & set(range(5))) == 2
    assert {10, 11, 20, 21, 22} <= drawn.page_ids
    assert set(drawn.reasons.values()) == {"cap:scene"} and len(drawn.reasons) == 3


def test_a_cap_on_scenes_without_an_encoder_is_a_sentence():
    content = load_recipe("demo").model_dump()
    content["sampling"] = {"caps": {"scene": 3}}
    with pytest.raises(ValueError, match=r"add dedupe\.embedding"):
        Recipe.model_validate(content)
    content["dedupe"] = {"embedding": {"encoder": "efficientnet_lite0"}}
    assert Recipe.model_validate(content).sampling.caps == {"scene": 3}
