"""Artificial images: grids of class words, in every size up to that of the patches."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Float, Int, torch

STRIDE = 16


@dataclass(frozen=True)
class Artificial:
    """Hold which class each patch shows, and each pixel; the edges of the two need not coincide."""

    patches: Int[torch.Tensor, "image side side"]
    pixels: Int[torch.Tensor, "image size size"]


def draw_grids(
    generator: torch.Generator, count: int, classes: int, side: int
) -> list[Int[torch.Tensor, "_ _"]]:
    """Draw grids of 1 to `side` rows and columns, every cell of a class, all equally likely."""
    grids = []
    for _ in range(count):
        rows, columns = torch.randint(1, side + 1, (2,), generator=generator).tolist()
        grids.append(torch.randint(classes, (rows, columns), generator=generator))
    return grids


def enlarge(grids: list[Int[torch.Tensor, "_ _"]], side: int) -> Artificial:
    """Enlarge grids to patches and, independently, to pixels: each place takes its cell's value."""
    maps = [torch.stack([_nearest(grid, size) for grid in grids]) for size in (side, side * STRIDE)]
    return Artificial(maps[0], maps[1])


def _nearest(grid: Int[torch.Tensor, "rows cols"], size: int) -> Int[torch.Tensor, "size size"]:
    found: Float[torch.Tensor, "size size"] = torch.nn.functional.interpolate(
        grid[None, None].float(), (size, size)
    )[0, 0]
    return found.long()
