from __future__ import annotations

from typing import Literal

import pytest
import torch
from clip_twin import clip_twin

from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import NEGATIVE, Hidden, Image, Present, TextFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.maps.channel_cam import channel_weights
from ovsskit.stages.network.explain_queries import ExplainQueries

close = torch.testing.assert_close
SCALE = 20.0


@pytest.fixture(scope="module", params=["embedded", clip_twin()], ids=["embedded", "twin"])
def backbone(request: pytest.FixtureRequest) -> Clip:
    return Clip(weights=request.param)


@pytest.fixture(scope="module")
def hidden(backbone: Clip) -> Hidden:
    image = Image(torch.rand(3, 48, 80, generator=torch.Generator().manual_seed(1)))
    [found] = backbone.hidden([image], (backbone.block_count - 1, backbone.block_count))
    return found


def texts_for(backbone: Clip) -> TextFeatures:
    """Return two texts of class 1, one each of 2 to 4, and three negatives."""
    width = backbone.visual.proj.shape[1]
    vectors = torch.randn(8, width, generator=torch.Generator().manual_seed(2))
    return TextFeatures(vectors, (1, 1, 2, 3, 4, NEGATIVE, NEGATIVE, NEGATIVE))


def class_by_class(
    backbone: Clip, hidden: Hidden, layer: int, texts: torch.Tensor, count: int
) -> torch.Tensor:
    """Go forward and back through open_clip's own blocks for every probability, as released."""
    rows = []
    for place in range(count):
        kept: list[torch.Tensor] = []

        def hold(module: object, given: object, out: torch.Tensor) -> None:
            kept.append(out.requires_grad_())  # noqa: B023 - called before the loop goes on

        blocks = vision.blocks_of(backbone.visual)[layer - 1 :]
        handle = blocks[0].ln_1.register_forward_hook(hold)
        tokens = hidden.entering(layer)[None].clone()
        for block in blocks:
            tokens = block(tokens)
        handle.remove()
        vector = (backbone.visual.ln_post(tokens) @ backbone.visual.proj)[0, 1:].mean(0)
        cosines = torch.nn.functional.cosine_similarity(vector[None], texts)
        (SCALE * cosines).softmax(0)[place].backward()
        gradient = kept[0].grad
        assert gradient is not None
        rows.append(gradient[0, 1:].mean(0))
    return torch.stack(rows)


@pytest.mark.parametrize("back", [1, 2])
@pytest.mark.parametrize("negatives", ["together", "apart"])
def test_one_product_for_each_text_gives_what_a_pass_for_each_class_gives(
    backbone: Clip, hidden: Hidden, back: int, negatives: Literal["together", "apart"]
) -> None:
    texts, layer = texts_for(backbone), backbone.block_count + 1 - back
    stage = ExplainQueries(layer=-back, scale=SCALE, negatives=negatives)
    with torch.no_grad():
        found = stage.run(hidden, texts, backbone)
    assert found.labels == (1, 1, 2, 3, 4, *[NEGATIVE] * (1 if negatives == "together" else 3))
    expected = class_by_class(backbone, hidden, layer, texts.data, 5)
    weights = channel_weights(found)[:5]
    close(weights, expected, atol=1e-8, rtol=1e-4)
    if back == 1:
        block = vision.blocks_of(backbone.visual)[-1]
        close(found.activations.flatten(1).T, block.ln_1(hidden.entering(layer))[1:])


def test_texts_of_present_classes_are_a_part_of_what_is_known_of_all(
    backbone: Clip, hidden: Hidden
) -> None:
    texts, stage = texts_for(backbone), ExplainQueries(scale=SCALE)
    whole = stage.run(hidden, texts, backbone)
    some = stage.run(hidden, texts, backbone, Present((4, 1)))
    assert some.labels == (4, 1, 1, NEGATIVE)
    rows = [4, 0, 1, 5]
    close(some.logits, whole.logits[rows])
    close(some.gradients, whole.gradients[rows], atol=1e-8, rtol=1e-4)
    close(some.logits[-1], stage.run(hidden, texts, backbone, Present(())).logits[0])


def test_without_negatives(backbone: Clip, hidden: Hidden) -> None:
    texts = TextFeatures(texts_for(backbone).data[:2], (1, 2))
    assert ExplainQueries().run(hidden, texts, backbone).labels == (1, 2)


def test_half_precision_loses_no_small_gradient(hidden: Hidden, backbone: Clip) -> None:
    half = Clip(weights=backbone.weights, precision="fp16")
    image = Image(torch.rand(3, 48, 80, generator=torch.Generator().manual_seed(1)))
    [rough] = half.hidden([image], (half.block_count,))
    texts, stage = texts_for(backbone), ExplainQueries(scale=SCALE)
    ours, theirs = stage.run(rough, texts, half), stage.run(hidden, texts, backbone)
    likeness = torch.nn.functional.cosine_similarity(ours.gradients, theirs.gradients)
    assert float(likeness.min()) > 0.999


def test_a_block_whose_input_was_not_kept(backbone: Clip, hidden: Hidden) -> None:
    with pytest.raises(BadValue, match=r"explain_queries\.layers asks for 1, and what enters"):
        ExplainQueries(layer=1).run(hidden, texts_for(backbone), backbone)
