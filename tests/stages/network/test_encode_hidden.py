from __future__ import annotations

import pytest
import torch

from ovsskit.engine.plan import settle
from ovsskit.engine.values import Image
from ovsskit.errors import BadValue
from ovsskit.stages.attention.attend import Attend
from ovsskit.stages.attention.identity_attention import IdentityAttention
from ovsskit.stages.attention.self_similarity import SelfSimilarity
from ovsskit.stages.network.encode_hidden import EncodeHidden
from ovsskit.stages.wrap.salience_dropout import SalienceDropout
from ovsskit.testing import ToyBackbone, example

TOY = ToyBackbone()


def test_what_enters_the_asked_blocks_is_kept() -> None:
    image = example(Image)
    [expected] = TOY.hidden([image], (3, 12))
    found = EncodeHidden(layers=(-1, 3)).run(image, TOY)
    assert found.layers == (3, 12)
    torch.testing.assert_close(found.data, expected.data)
    assert EncodeHidden().run(image, TOY).layers == (12,)


def test_blocks_are_those_that_later_stages_name_inside_wrappers_too() -> None:
    stages = (
        EncodeHidden(),
        SelfSimilarity(layers=(7, -1)),
        SalienceDropout(inner=(IdentityAttention(layers=(8,)),)),
        Attend(),
    )
    assert isinstance(settled := settle(stages)[0], EncodeHidden)
    assert settled.layers == (-1, 7, 8)
    kept = settle((EncodeHidden(layers=(2,)), *stages[1:]))[0]
    assert isinstance(kept, EncodeHidden)
    assert kept.layers == (2,)
    alone = settle((EncodeHidden(), Attend()))[0]
    assert isinstance(alone, EncodeHidden)
    assert alone.layers == "selected"


def test_blocks_that_the_model_has_not() -> None:
    with pytest.raises(
        BadValue, match=r"encode_hidden.layers asks for 13, -14; the image encoder has 12 blocks"
    ):
        EncodeHidden(layers=(13, -14, 2)).run(example(Image), TOY)
    with pytest.raises(ValueError, match="count from 1"):
        EncodeHidden(layers=(0,))
