from __future__ import annotations

from typing import Any

import pytest
import torch
from clip_twin import clip_twin

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Image, Regions
from ovsskit.errors import BadValue
from ovsskit.stages.regions.region_tokens import RegionTokens


def masked_through_all_blocks(clip: Clip, image: Image, inside: torch.Tensor) -> torch.Tensor:
    """Return the copies after blocks in which all tokens stand in one row, and a mask decides."""
    [hidden] = clip.hidden([image], [1])
    tokens = hidden.entering(1)
    count, all_tokens = len(inside), len(tokens)
    hides = torch.zeros(count + all_tokens, count + all_tokens, dtype=torch.bool)
    hides[:, :count] = True  # nobody sees a copy
    hides[:count, count + 1 :] = ~inside
    row = torch.cat([tokens[:1].expand(count, -1), tokens])[None]
    with torch.no_grad():
        for block in clip.visual.transformer.resblocks:
            seen = block.ln_1(row)
            mixed, _ = block.attn(seen, seen, seen, attn_mask=hides, need_weights=False)
            row = row + block.ls_1(mixed)
            row = row + block.ls_2(block.mlp(block.ln_2(row)))
    found: torch.Tensor = row[0, :count]
    return found


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip(weights=clip_twin(), model="")


def image_for(clip: Clip, rows: int, columns: int) -> Image:
    patch = clip.visual.patch_size[0]
    generator = torch.Generator().manual_seed(4)
    return Image(torch.rand(3, rows * patch, columns * patch, generator=generator))


def test_against_copies_in_one_row_with_all_tokens(clip: Clip) -> None:
    image, regions = image_for(clip, 3, 4), torch.tensor([[5, 5, 2, 2], [5, 0, 0, 2], [9, 9, 9, 2]])
    layers = tuple(range(1, clip.block_count + 1))
    [hidden] = clip.hidden([image], layers)
    found = RegionTokens(layers=layers).run(hidden, Regions(regions), clip)
    numbers = regions.unique()
    expected = masked_through_all_blocks(clip, image, regions.flatten() == numbers[:, None])
    for number, vector in zip(numbers, expected, strict=True):
        inside = found.vectors[regions.flatten() == number]
        torch.testing.assert_close(inside, vector.expand_as(inside), atol=1e-4, rtol=1e-4)
    assert found.layer == clip.block_count


def test_a_region_that_vanishes_on_the_grid_of_tokens_gets_its_neighbours(clip: Clip) -> None:
    regions = torch.ones(6, 8).long()
    regions[1, 1] = 2  # between the places that are taken
    regions[:, 4:] = 3
    [hidden] = clip.hidden([image_for(clip, 3, 4)], [clip.block_count])
    found = RegionTokens().run(hidden, Regions(regions), clip)
    assert found.grid == (6, 8)
    assert torch.equal(found.data[:, 1, 1], found.data[:, 0, 0])
    assert not torch.allclose(found.data[:, 0, 4], found.data[:, 0, 0])


def test_blocks_between_may_not_be_left_out(clip: Clip) -> None:
    [hidden] = clip.hidden([image_for(clip, 2, 2)], tuple(range(1, clip.block_count + 1)))
    stage: Any = RegionTokens(layers=(1, -1))
    if clip.block_count > 2:
        with pytest.raises(BadValue, match="run through all that follow"):
            stage.run(hidden, Regions(torch.ones(2, 2).long()), clip)
    with pytest.raises(BadValue, match="run through all that follow"):
        RegionTokens(layers=(1,)).run(hidden, Regions(torch.ones(2, 2).long()), clip)
