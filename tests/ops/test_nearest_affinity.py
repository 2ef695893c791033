from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, diags

from ovsskit.ops.nearest_affinity import nearest_affinity, normalise_degrees


def plain(
    vectors: torch.Tensor,
    places: torch.Tensor,
    neighbours: int,
    power: float,
    scale: float,
    distance_power: float,
) -> torch.Tensor:
    """Choose and weigh neighbour by neighbour."""
    unit, count = torch.nn.functional.normalize(vectors, dim=1), len(vectors)
    cosines = unit @ unit.T
    weights = torch.zeros(count, count, dtype=vectors.dtype)
    for node in range(count):
        for other in cosines[node].argsort(descending=True)[:neighbours].tolist():
            far = math.dist(places[node].tolist(), places[other].tolist()) ** distance_power
            weight = max(float(cosines[node, other]), 0.0) ** power * math.exp(-scale * far)
            weights[node, other] += weight
            weights[other, node] += weight
    return weights


@pytest.mark.parametrize("neighbours", [1, 4, 30, 99])
@pytest.mark.parametrize(
    ("power", "scale", "distance_power"), [(3.0, 0.01, 1.0), (1.0, 0.0, 1.0), (0.5, 2e-4, 2.0)]
)
def test_against_a_plain_loop(
    neighbours: int,
    power: float,
    scale: float,
    distance_power: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ovsskit.ops.nearest_affinity.AT_ONCE", 100)  # several blocks of rows
    vectors, places = torch.randn(30, 5).double(), torch.rand(30, 2).double() * 99
    expected = plain(vectors, places, neighbours, power, scale, distance_power)
    found = nearest_affinity(
        vectors,
        places,
        neighbours=neighbours,
        power=power,
        distance_scale=scale,
        distance_power=distance_power,
    )
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found, found.T)


def test_an_edge_that_both_ends_chose_counts_twice() -> None:
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.5]])
    ties = nearest_affinity(vectors, torch.zeros(3, 2), neighbours=2)
    cosines = torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=2)
    # the third chose the second, which chose the first, which chose it
    assert ties[0, 1] == pytest.approx(2 * float(cosines[0, 1]))
    assert ties[1, 2] == pytest.approx(float(cosines[1, 2]))
    assert ties[0, 2] == 0


def test_the_normalisation_is_scipys_and_leaves_out_the_diagonal() -> None:
    ties = nearest_affinity(torch.randn(20, 4).double(), torch.rand(20, 2).double(), neighbours=5)
    matrix = csr_matrix(ties.numpy())
    matrix = matrix - diags(matrix.diagonal())
    root = diags(1 / np.sqrt(np.asarray(matrix.sum(1)).ravel()))
    expected = (root @ matrix @ root).toarray()
    np.testing.assert_allclose(normalise_degrees(ties).numpy(), expected, atol=1e-12)


def test_a_node_without_ties_stays_without() -> None:
    ties = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
    expected = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(normalise_degrees(ties), expected)


@pytest.mark.parametrize("alike", [0, 1])
def test_no_eigenvalue_of_normalised_ties_exceeds_1(alike: int) -> None:
    """So that I - alpha S is positive definite, as conjugate gradients need it."""
    vectors = torch.randn(40, 6).double() + 3 * alike
    ties = nearest_affinity(vectors, torch.rand(40, 2).double(), neighbours=8, power=3.0)
    assert torch.linalg.eigvalsh(normalise_degrees(ties)).abs().max() <= 1 + 1e-9
