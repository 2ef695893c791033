"""The first half of `attend`: with the second it is the whole, and it can gather elsewhere."""

from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Attention, Gathered, Hidden, PatchFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.attention.attend import Attend
from ovsskit.stages.attention.gather_values import GatherValues
from ovsskit.stages.attention.project_patches import ProjectPatches
from ovsskit.testing import ToyBackbone, example

TOY = ToyBackbone()


def patches_only(attention: Attention) -> Attention:
    return Attention(attention.data[..., 1:, 1:], attention.layers, attention.grid)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("feed_forward", [True, False])
@pytest.mark.parametrize("with_class_token", [True, False])
def test_both_halves_are_the_whole(
    residual: bool, feed_forward: bool, with_class_token: bool
) -> None:
    hidden, attention = example(Hidden), example(Attention)
    if not with_class_token:
        attention = patches_only(attention)
    gathered = GatherValues(residual=residual).run(hidden, attention, TOY)
    assert (gathered.layer, gathered.grid) == (12, hidden.grid)
    found = ProjectPatches(feed_forward=feed_forward).run(gathered, TOY)
    whole = Attend(residual=residual, feed_forward=feed_forward).run(hidden, attention, TOY)
    torch.testing.assert_close(found.data, whole.data)


def test_patches_alone_gather_nothing_of_the_class_token() -> None:
    hidden = example(Hidden)
    attention = patches_only(example(Attention))
    other = Hidden(hidden.data.clone(), hidden.layers, hidden.grid)
    other.data[:, 0] += 5
    one, two = (GatherValues().run(tokens, attention, TOY) for tokens in (hidden, other))
    assert torch.equal(one.data, two.data)


def test_values_are_brought_to_the_grid_of_the_attention() -> None:
    hidden = example(Hidden)
    rows, columns = (2 * side for side in hidden.grid)
    weights = torch.rand(1, 1, rows * columns, rows * columns).softmax(-1)
    found = GatherValues().run(hidden, Attention(weights, (12,), (rows, columns)), TOY)
    assert found.grid == (rows, columns)
    values = TOY.project(hidden, 12)[2][:, 1:]
    for patch in (0, 37, rows * columns - 1):
        gathered = torch.zeros(values.shape[0], values.shape[2])
        for head, mine in enumerate(values):
            maps = mine.T.reshape(1, -1, *hidden.grid)
            large = torch.nn.functional.interpolate(maps, (rows, columns), mode="bilinear")
            for other in range(rows * columns):
                place = divmod(other, columns)
                gathered[head] += weights[0, 0, patch, other] * large[0, :, place[0], place[1]]
        expected = TOY.join_heads(12, gathered[:, None])[0]
        place = divmod(patch, columns)
        torch.testing.assert_close(found.data[:, place[0], place[1]], expected, atol=1e-5, rtol=0)


def test_attention_of_a_block_whose_input_was_not_kept() -> None:
    other = Attention(example(Attention).data, (3, 12), example(Attention).grid)
    with pytest.raises(BadValue, match="attention of block 3; the tokens of block 11, 12"):
        GatherValues().run(example(Hidden), other, TOY)


def test_what_was_gathered_is_no_kind_that_texts_are_compared_with() -> None:

    assert not isinstance(example(Gathered), PatchFeatures)
