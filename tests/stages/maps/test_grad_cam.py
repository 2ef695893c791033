from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ovsskit.engine.model.cross_attends import ToyCrossAttends
from ovsskit.engine.values import END, PADDING, PROMPT, CrossAttention
from ovsskit.stages.maps.attention_maps import AttentionMaps
from ovsskit.stages.maps.grad_cam import GradCam, without_gradient
from ovsskit.testing import example


def test_against_numpy() -> None:
    attention = example(CrossAttention)
    rows, columns = attention.grid
    product = attention.probability.numpy() * np.maximum(attention.gradient.numpy(), 0)
    expected = product.sum((0, 1))[1:, 1:].reshape(-1, rows, columns)
    found = GradCam().run(attention)
    np.testing.assert_allclose(found.data.numpy(), expected, rtol=1e-5)
    assert found.positions.tolist() == attention.positions[1:].tolist()
    plain = AttentionMaps().run(attention).data.numpy()
    np.testing.assert_allclose(
        plain,
        attention.probability.numpy().sum((0, 1))[1:, 1:].reshape(-1, rows, columns),
        rtol=1e-5,
    )


def test_the_first_token_of_every_caption_goes_and_padding_is_zero() -> None:
    attention, positions = (
        example(CrossAttention),
        torch.tensor([PROMPT, 0, END, PADDING, PROMPT, 1, END]),
    )
    two = CrossAttention(
        attention.probability,
        attention.gradient.abs(),
        positions,
        attention.layers,
        attention.heads,
        attention.grid,
        (4, 3),
    )
    found = GradCam().run(two)
    assert found.positions.tolist() == [0, END, PADDING, 1, END]
    assert found.lengths == (3, 2)
    assert [bool(one.any()) for one in found.data] == [True, True, False, True, True]


class FourLayers(ToyCrossAttends):
    """Have four layers, of which the last reads the first token alone."""

    reads_first_token: Any = True

    def known_layer_count(self) -> int | None:
        return 4


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (1, None),
        (3, None),
        (
            4,
            "after the last layer `four_layers` reads only the first token, so words of classes "
            "get no gradient there",
        ),
        (5, "`four_layers` has 4 layers with cross-attention"),
    ],
)
def test_layers_without_a_gradient_are_told_before_running(layer: int, said: str | None) -> None:
    assert without_gradient(FourLayers(), layer) == (said and (said, "1 to 3"))


def test_nothing_is_said_of_layers_where_weights_must_tell() -> None:
    assert ToyCrossAttends().layers_with_gradient() is None
    assert without_gradient(ToyCrossAttends(), 99) is None
