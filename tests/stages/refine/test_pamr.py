from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from sampling import bilinear

from ovsskit.engine.values import Image, Logits
from ovsskit.stages.refine import pamr
from ovsskit.stages.refine.pamr import Pamr, affinity, gather, shift


def by_hand(
    maps: torch.Tensor, image: torch.Tensor, dilations: tuple[int, ...], steps: int
) -> torch.Tensor:
    """Gather every neighbour of every pixel by its index, in float64."""
    height, width = image.shape[1:]
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")

    def gather(data: torch.Tensor, with_centre: bool) -> torch.Tensor:
        found = [
            data[:, (down + y * step).clamp(0, height - 1), (right + x * step).clamp(0, width - 1)]
            for step in dilations
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
            if with_centre or y or x
        ]
        return torch.stack(found, 1)

    image, maps = image.double(), maps.double()
    scale = 1e-8 + 0.1 * gather(image, True).std(1, keepdim=True)
    weights = (-(gather(image, False) - image[:, None]).abs() / scale).mean(0).softmax(0)
    for _ in range(steps):
        maps = (gather(maps, False) * weights).sum(1)
    return maps


@pytest.mark.parametrize("dilations", [(8, 16), (1,), (1, 2, 5)])
@pytest.mark.parametrize("size", [(21, 34), (1, 7), (5, 1)])
def test_against_gathered_neighbours(dilations: tuple[int, ...], size: tuple[int, int]) -> None:
    maps, image = torch.rand(3, *size), torch.rand(3, *size)
    refined = Pamr(steps=4, dilations=dilations).run(Logits(maps, (1, 2, 3)), Image(image))
    torch.testing.assert_close(refined.data, by_hand(maps, image, dilations, 4).float())


@pytest.mark.parametrize("way", [gather, shift])
@pytest.mark.parametrize("size", [(21, 34), (1, 7), (40, 33)])
def test_both_ways_in_blocks(way: Callable[..., torch.Tensor], size: tuple[int, int]) -> None:
    maps, image = torch.rand(7, *size), torch.rand(3, *size)
    weights = affinity(image, (2, 8))
    expected = by_hand(maps, image, (2, 8), 5).float()
    for block in (1, 3, 7, 20):
        torch.testing.assert_close(way(maps, weights, (2, 8), 5, block), expected)


@pytest.mark.parametrize(("nbytes", "block"), [(299_999, 4), (300_000, 5), (60_000, 1), (1, 1)])
def test_as_many_maps_are_shifted_at_a_time_as_fit(
    nbytes: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map that is too large alone is shifted alone."""
    blocks: list[int] = []
    monkeypatch.setattr(pamr, "BLOCK_BYTES", nbytes)
    monkeypatch.setattr(pamr, "shift", lambda *given: blocks.append(given[-1]) or shift(*given))
    maps = torch.rand(2, 5, 3000)  # of 60 000 bytes each
    Pamr(steps=1).run(Logits(maps, (1, 2)), Image(torch.rand(3, 5, 3000)))
    assert blocks == [block]


@pytest.mark.parametrize(("width", "way"), [(60, "gather"), (3000, "shift")])
def test_wide_images_are_shifted(width: int, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("gather", "shift"):
        plain = getattr(pamr, name)
        monkeypatch.setattr(
            pamr, name, lambda *given, name=name, plain=plain: asked.append(name) or plain(*given)
        )
    maps, image = torch.rand(2, 5, width), torch.rand(3, 5, width)
    refined = Pamr(steps=2).run(Logits(maps, (1, 2)), Image(image)).data
    torch.testing.assert_close(refined, by_hand(maps, image, (8, 16), 2).float())
    assert asked == [way]


def test_a_constant_map_stays() -> None:
    refined = (
        Pamr().run(Logits(torch.full((1, 30, 40), 0.3), (1,)), Image(torch.rand(3, 30, 40))).data
    )
    torch.testing.assert_close(refined, torch.full((1, 30, 40), 0.3))


def test_an_image_of_one_colour_gives_plain_means() -> None:
    maps = torch.rand(1, 9, 9)
    refined = (
        Pamr(steps=1, dilations=(1,))
        .run(Logits(maps, (1,)), Image(torch.full((3, 9, 9), 0.5)))
        .data
    )
    centre = (maps[:, 3:6, 3:6].sum() - maps[:, 4, 4]) / 8
    torch.testing.assert_close(refined[0, 4, 4], centre[0])


def test_sizes() -> None:
    maps, image = torch.rand(2, 10, 15), torch.rand(3, 24, 35)
    scores = Logits(maps, (1, 2))
    assert Pamr().run(scores, Image(image)).data.shape == maps.shape
    assert Pamr(at="image").run(scores, Image(image)).data.shape == (2, 24, 35)
    assert torch.equal(Pamr(steps=0).run(scores, Image(image)).data, maps)


@pytest.mark.parametrize("size", [(10, 15), (20, 15), (10, 30)])
def test_maps_and_image_may_differ_in_one_side_alone(size: tuple[int, int]) -> None:
    scores, image = Logits(torch.rand(2, 10, 15), (1, 2)), Image(torch.rand(3, *size))
    assert Pamr(steps=1).run(scores, image).data.shape == (2, 10, 15)
    assert Pamr(steps=1, at="image").run(scores, image).data.shape == (2, *size)


def test_maps_of_the_size_of_the_image_are_not_copied() -> None:
    scores, image = Logits(torch.rand(2, 10, 15), (1, 2)), Image(torch.rand(3, 10, 15))
    assert Pamr(steps=0, at="image").run(scores, image).data is scores.data


@pytest.mark.parametrize("align", ["edges", "corners"])
def test_image_is_brought_to_the_maps_as_is_said(align: Literal["edges", "corners"]) -> None:
    maps, image = torch.rand(2, 9, 12), torch.rand(3, 20, 31)
    stage = Pamr(steps=3, dilations=(1, 2), align=align)
    found = stage.run(Logits(maps, (1, 2)), Image(image))
    small = bilinear(image, (9, 12), corners=align == "corners")
    expected = by_hand(maps, small, (1, 2), 3).float()
    torch.testing.assert_close(found.data, expected, atol=1e-5, rtol=1e-4)
