from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch

from ovsskit.engine.values import Image, Logits, TextFeatures
from ovsskit.stages.refine.edge_graph import EdgeGraph, average_cells

GREY = (0.299 / 68.501, 0.587 / 66.632, 0.114 / 70.323)


def by_hand(stage: EdgeGraph, scores: Logits, photo: Image, features: TextFeatures) -> torch.Tensor:
    """Write the system of equations out, cell by cell, and solve it at once."""
    logits, image, texts = (one.data.double() for one in (scores, photo, features))
    count, (rows, columns) = len(logits), logits.shape[1:]
    share = (logits * stage.scale).softmax(0)
    alike = (texts @ texts.T / stage.temperature).softmax(1) + 10 * torch.eye(count).double()
    alike = alike / (alike.sum(1, keepdim=True) + 1e-6)
    gate = (alike + alike.T) / 2 if stage.gate == "full" else alike.diag().diag()

    def agreement(one: tuple[int, int], other: tuple[int, int]) -> float:
        found = share[:, one[0], one[1]] @ gate @ share[:, other[0], other[1]]
        return min(max(float(found), 0.0), 1.0)

    grey = sum(255 * part * channel for part, channel in zip(GREY, image, strict=True))
    matrix = torch.zeros(rows * columns, rows * columns).double()
    right = torch.zeros(count, rows * columns).double()
    for cell in product(range(rows), range(columns)):
        sure = max(stage.least, float(share[:, cell[0], cell[1]].max()))
        weight, place = sure**2 * (1 + agreement(cell, cell)), cell[0] * columns + cell[1]
        matrix[place, place] += weight
        right[:, place] = weight * logits[:, cell[0], cell[1]]
    for step in ((0, 1), (1, 0)):
        pairs = [
            (cell, (cell[0] + step[0], cell[1] + step[1]))
            for cell in product(range(rows - step[0]), range(columns - step[1]))
        ]
        heights = [abs(float(grey[one] - grey[other])) for one, other in pairs]
        for (one, other), height in zip(pairs, heights, strict=True):
            plain = math.exp(-stage.contrast * height / (sum(heights) / len(heights) + 1e-6))
            tie = min(1.0, plain * (1 + agreement(one, other)))
            places = [cell[0] * columns + cell[1] for cell in (one, other)]
            matrix[places, places] += tie
            matrix[places, places[::-1]] -= tie
    return torch.linalg.solve(matrix, right, left=False).view(count, rows, columns)


def inputs(rows: int = 6, columns: int = 7) -> tuple[Logits, Image, TextFeatures]:
    texts = torch.nn.functional.normalize(torch.randn(4, 8))
    return (
        Logits(torch.randn(4, rows, columns), (1, 2, 2, 3)),
        Image(torch.rand(3, rows, columns)),
        TextFeatures(texts, (1, 2, 2, 3)),
    )


@pytest.mark.parametrize("gate", ["diagonal", "full"])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_many_steps_solve_the_equations(gate: str, scale: float) -> None:
    scores, image, texts = inputs()
    stage = EdgeGraph(iterations=300, gate=gate, scale=scale, contrast=2.0, least=0.3)
    found = stage.run(scores, image, texts)
    expected = by_hand(stage, scores, image, texts)
    torch.testing.assert_close(found.data, expected.float(), atol=1e-4, rtol=1e-4)
    assert found.labels == scores.labels


def test_gates_differ() -> None:
    scores, image, texts = inputs()
    texts = replace(texts, data=texts.data.abs())
    one, other = (
        EdgeGraph(gate=gate).run(scores, image, texts).data for gate in ("full", "diagonal")
    )
    assert not torch.allclose(one, other)


def test_cells_are_means_and_round_half_to_even() -> None:
    maps = torch.rand(2, 10, 21)
    found = average_cells(maps, 4)  # 10 / 4 and 21 / 4: cells of 2 x 5, one column is left out
    torch.testing.assert_close(
        found, maps[:, :, :20].unflatten(2, (4, 5)).unflatten(1, (5, 2)).mean((2, 4))
    )
    torch.testing.assert_close(average_cells(maps, 80), maps)


def test_scores_do_not_cross_an_edge() -> None:
    """Left and right half differ in colour; what the left half says stays there."""
    photo = torch.zeros(3, 8, 8)
    photo[:, :, 4:] = 1
    logits = torch.zeros(2, 8, 8)
    logits[0, :, :4], logits[1, 4, 2] = 1.0, 5.0
    texts = TextFeatures(torch.eye(2), (1, 2))
    found = EdgeGraph(contrast=20.0).run(Logits(logits, (1, 2)), Image(photo), texts).data
    assert found[0, :, :4].mean() > 0.9
    assert found[0, :, 4:].abs().max() < 0.05
    assert found[1, 4, 2] < 2.5, "a lone score is smoothed away"


def test_without_steps_only_cells_are_averaged() -> None:
    scores, image, texts = inputs(40, 30)
    found = EdgeGraph(iterations=0, cells=10).run(scores, image, texts)
    cells = torch.nn.functional.avg_pool2d(scores.data[None], (4, 3))
    expected = torch.nn.functional.interpolate(cells, (40, 30), mode="bilinear")[0]
    torch.testing.assert_close(found.data, expected)


def test_the_image_is_brought_to_the_size_of_the_maps() -> None:
    scores, _, texts = inputs(12, 14)
    image = Image(torch.rand(3, 6, 7))
    large = torch.nn.functional.interpolate(image.data[None], (12, 14), mode="bilinear")[0]
    found, expected = (EdgeGraph().run(scores, one, texts) for one in (image, Image(large)))
    torch.testing.assert_close(found.data, expected.data, atol=1e-3, rtol=0)


def test_a_class_of_several_texts_has_their_mean() -> None:
    scores, image, texts = inputs()
    merged = Logits(scores.data, (0, 1, 2, 3))
    mean = texts.data[1:3].mean(0)
    one_each = torch.stack([torch.zeros(8), texts.data[0], mean, texts.data[3]])
    stage = EdgeGraph(gate="full")
    found = stage.run(merged, image, texts)
    expected = stage.run(merged, image, TextFeatures(one_each, merged.labels))
    torch.testing.assert_close(found.data, expected.data)
