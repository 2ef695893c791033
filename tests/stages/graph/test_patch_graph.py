from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, diags, eye
from scipy.sparse.linalg import cg

from ovsskit.engine.values import Nodes, Tile
from ovsskit.stages.graph.patch_graph import PatchGraph
from ovsskit.testing import example


def spread(nodes: Nodes, stage: PatchGraph) -> np.ndarray:
    """Spread text by text, by scipy's sparse matrices."""
    unit = torch.nn.functional.normalize(nodes.vectors.double(), dim=1)
    cosines, count = unit @ unit.T, len(unit)
    nearest = cosines.argsort(dim=1, descending=True)[:, : min(stage.neighbours, count)]
    far = torch.cdist(nodes.places.double(), nodes.places.double()) ** stage.distance_power
    weights = cosines.clamp(min=0) ** stage.power * (-stage.distance_scale * far).exp()
    rows = torch.arange(count).repeat_interleave(nearest.shape[1])
    chosen = (weights.gather(1, nearest).flatten().numpy(), (rows.numpy(), nearest.flatten()))
    ties = csr_matrix(chosen, shape=(count, count))
    ties = ties + ties.T
    ties = ties - diags(ties.diagonal())
    degree = np.asarray(ties.sum(1)).ravel()
    root = diags(1 / np.sqrt(np.where(degree == 0, 1, degree)))
    laplacian = eye(count) - stage.alpha * root @ ties @ root
    columns = [
        cg(laplacian, one.double().numpy(), rtol=1e-6, maxiter=stage.iterations)[0]
        for one in nodes.data
    ]
    return np.stack(columns)


@pytest.mark.parametrize(
    "stage",
    [
        PatchGraph(),
        PatchGraph(neighbours=5, alpha=0.8, power=1.0),
        PatchGraph(neighbours=7, distance_scale=2e-4, distance_power=2.0, iterations=3),
    ],
    ids=str,
)
def test_against_scipy(stage: PatchGraph) -> None:
    nodes = example(Nodes)
    found = stage.run(nodes)
    np.testing.assert_allclose(found.data.numpy(), spread(nodes, stage), rtol=2e-4, atol=2e-5)
    assert replace(found, data=nodes.data).tiles == nodes.tiles


def test_without_spreading_scores_stay() -> None:
    nodes = example(Nodes)
    torch.testing.assert_close(PatchGraph(alpha=0.0).run(nodes).data, nodes.data)


def test_a_score_spreads_to_what_is_alike_in_another_window() -> None:
    """The first patch alone has a score; its like lies in the other tile."""
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]])
    scores = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    tiles = tuple(Tile((1, 2), box, box) for box in ((0, 8, 0, 16), (0, 8, 16, 32)))
    nodes = Nodes(scores, vectors, (1,), tiles, (8, 32))
    found = PatchGraph(neighbours=2).run(nodes).data[0]
    assert found[2] > 0.5
    assert found[[1, 3]].abs().max() < 1e-3


def test_the_order_of_nodes_does_not_matter() -> None:
    nodes = example(Nodes)
    vectors, scores = nodes.vectors, nodes.data
    stage = PatchGraph(neighbours=6, distance_scale=0.0)
    order = torch.randperm(len(vectors))
    found = stage.run(replace(nodes, data=scores[:, order], vectors=vectors[order]))
    torch.testing.assert_close(found.data, stage.run(nodes).data[:, order], atol=1e-4, rtol=1e-4)
