from __future__ import annotations

import pytest
import torch
from sampling import bilinear

from ovsskit.engine.values import (
    Confidences,
    ForegroundMap,
    Logits,
    Probabilities,
    Saliency,
    Scores,
)
from ovsskit.stages.maps.gate_background import GateBackground
from ovsskit.testing import example

ROW = ForegroundMap(torch.tensor([[0.0, 0.25, 1.0]]))


def row(*maps: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(maps)[:, None]


def test_classes_are_multiplied_by_the_foreground_and_the_background_by_the_rest() -> None:
    scores = Logits(row((0.3, 0.2, 0.1), (0.2, 0.4, 0.3), (0.1, 0.0, 0.2)), (1, 0, 2))
    found = GateBackground().run(scores, ROW)
    expected = row((0.0, 0.05, 0.1), (0.2, 0.3, 0.0), (0.0, 0.0, 0.2))
    torch.testing.assert_close(found.data, expected)
    assert found.labels == (1, 0, 2)


@pytest.mark.parametrize("kind", [Saliency, Logits, Confidences])
@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_without_a_map_of_it_the_background_wins_where_it_is_likelier(
    kind: type[Scores], scale: float
) -> None:
    foreground = ForegroundMap(torch.tensor([[0.1, 0.49, 0.51, 0.9]]))
    scores = kind(scale * row((0.3, 0.2, 0.1, 0.9), (0.2, 0.4, 0.3, 0.1)), (3, 1))
    found = GateBackground().run(scores, foreground)
    assert type(found) is kind
    assert found.labels == (0, 3, 1)
    winners = [found.labels[index] for index in found.data.argmax(0)[0].tolist()]
    assert winners == [0, 0, 1, 3]


def test_probabilities_sum_to_one_again() -> None:
    scores = example(Probabilities)
    foreground = ForegroundMap(torch.rand(scores.data.shape[1:]) * 0.9)
    for found in (
        GateBackground().run(scores, foreground),
        GateBackground().run(Probabilities(scores.data, (0, 1, 2)), foreground),
    ):
        assert isinstance(found, Probabilities)
        torch.testing.assert_close(found.data.sum(0), torch.ones(scores.data.shape[1:]))
    # where nothing is foreground, nothing but background is left
    nothing = GateBackground().run(scores, ForegroundMap(torch.zeros(2, 2)))
    torch.testing.assert_close(nothing.data[0], torch.ones(scores.data.shape[1:]))


def test_scores_below_zero_do_not_turn_the_gate_round_unless_as_released() -> None:
    """Where nothing is foreground, a class that is less than nothing wins as released."""
    scores = Logits(row((-0.1, -0.1), (-0.2, 0.3)), (0, 1))
    foreground = ForegroundMap(torch.tensor([[0.0, 1.0]]))
    released = GateBackground(negative="released").run(scores, foreground)
    torch.testing.assert_close(released.data, row((-0.1, 0.0), (0.0, 0.3)))
    raised = GateBackground().run(scores, foreground)
    torch.testing.assert_close(raised.data, row((0.1, 0.0), (0.0, 0.4)))


def test_scores_above_zero_are_left_as_they_are() -> None:
    scores, foreground = example(Saliency), example(ForegroundMap)
    found = GateBackground().run(scores, foreground)
    as_released = GateBackground(negative="released").run(scores, foreground)
    assert torch.equal(found.data, as_released.data)


def test_the_foreground_is_brought_to_the_size_of_the_maps_edges_on_edges() -> None:
    plane = torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    scores = Saliency(torch.ones(1, 9, 17), (1,))
    found = GateBackground().run(scores, ForegroundMap(plane))
    torch.testing.assert_close(found.data[1].double(), bilinear(plane, (9, 17)))
