from __future__ import annotations

import torch

from ovsskit.ops.boxes import inside_boxes
from ovsskit.stages.presence._patch_votes import boxes_of, count_votes, refine, vote

close = torch.testing.assert_close


def attention(layers: int, patches: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(layers, patches, patches, generator=generator) ** 3


def test_enough_blocks_must_agree_on_a_pair() -> None:
    given, mean = attention(5, 6), attention(1, 6)[0]
    counted = torch.zeros(6, 6)
    for one in given:
        for row in range(6):
            for column in range(6):
                counted[row, column] += float(one[row, column] > one.mean())
    assert torch.equal(count_votes(given), counted)
    for votes in range(7):
        found = vote(given, mean, votes)
        assert torch.equal(found == 0, counted < votes)
        assert torch.equal(found[counted >= votes], mean[counted >= votes])


def test_boxes_lie_around_what_is_above_a_map_s_mean() -> None:
    maps = attention(3, 6)
    for found, one in zip(boxes_of(maps), maps, strict=True):
        scaled = (one - one.min()) / (one.max() - one.min())
        assert torch.equal(found, inside_boxes(scaled[None], [float(scaled.mean())])[0])
    assert not boxes_of(torch.ones(1, 3, 3)).any()


def test_coarse_maps_are_taken_in_again_from_the_boxes() -> None:
    weights, coarse = attention(1, 12)[0], torch.rand(3, 3, 4)
    found = refine(weights, coarse)
    for one, map_ in zip(found, coarse, strict=True):
        first = weights @ map_.flatten()
        scaled = (first - first.min()) / (first.max() - first.min())
        box = inside_boxes(scaled.view(1, 3, 4), [float(scaled.mean())]).flatten()
        masked = weights.clone()
        masked[:, ~box] = 0
        close(one.flatten(), masked @ map_.flatten())


def test_a_grid_with_one_row_has_no_boxes() -> None:
    assert not refine(attention(1, 5)[0], torch.rand(2, 1, 5)).any()
