"""Look at crops of an image one by one, and make maps of what each of them scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import send
from ovsskit.engine.stage import S, Wrapper, Wraps
from ovsskit.engine.values import Image, Window
from ovsskit.stages.wrap._windows import spans


class CropGrid(Wrapper, writes="scores"):
    """Run the inner chain on square crops of several sizes, and average the maps of the sizes.

    The crops of a size cover the image; the last of each row and column is moved back inside. What
    a crop scores is one number for each map (the mean, if the inner maps have more places); these
    numbers lie on a grid, which is enlarged bilinearly to the image's size. The grid's places are
    the crops' centres (`centred`), or those of a grid that covers the image edge to edge
    (`stretched`), which lie further out. Maps of a lone crop are enlarged as they are.
    Source: Wysoczanska et al. 2024, CLIP-DIY (sizes 256, 128 and 64 of an image of 256 x 256
    pixels; stretched).

    Example:
        [[stage]]
        use = "crop_grid"
        sizes = [256, 128, 64]
          [[stage.inner]]
          use = "classify"
    """

    neutral: ClassVar[dict[str, Any]] = {"sizes": (0,)}
    places: ClassVar[Literal["kept", "cut", "moved"]] = "cut"

    sizes: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(min_length=1, description="sides of the crops, in pixels; 0: the whole image"),
    ] = (256, 128, 64)
    step: Annotated[
        float,
        Field(gt=0, le=1, description="from one crop to the next, as a share of the crop's side"),
    ] = 0.5
    place: Annotated[
        Literal["centred", "stretched"],
        Field(description="where the crops' scores lie; `stretched` as released"),
    ] = "centred"

    def run(self, image: Image) -> Wraps[S]:
        """Return the mean of the maps of all sizes, at the size of the image."""
        grids = [self._grid(image.size, size) for size in self.sizes]
        boxes = [box for rows, columns in grids for box in product(rows, columns)]
        outs = yield [Window(image.size, row, column) for row, column in boxes]
        scores: S = outs[0]["scores"]
        total = scores.data.new_zeros(len(scores.data), *image.size)
        start = 0
        for rows, columns in grids:
            count = len(rows) * len(columns)
            maps = [out["scores"].data for out in outs[start : start + count]]
            total += self._lay_out(maps, rows, columns, image.size)
            start += count
        return scores.with_data(total / len(grids))

    def _grid(self, size: tuple[int, int], side: int) -> tuple[list[slice], list[slice]]:
        """Return the rows and columns of pixels that the crops of a size show."""
        side = side or max(size)
        stride = max(1, int(side * self.step))
        rows, columns = (spans(length, side, stride) for length in size)
        return rows, columns

    def _lay_out(
        self,
        maps: Sequence[Float[torch.Tensor, "class rows cols"]],
        rows: Sequence[slice],
        columns: Sequence[slice],
        size: tuple[int, int],
    ) -> Float[torch.Tensor, "class h w"]:
        """Return maps of the image of what the crops of a size score."""
        if len(maps) == 1:
            enlarged: torch.Tensor = torch.nn.functional.interpolate(
                maps[0][None], size, mode="bilinear"
            )[0]
            return enlarged
        grid = torch.stack([one.mean((1, 2)) for one in maps], 1)
        down, along = (
            send(between(self._places(crops, length), length), grid.device).to(grid)
            for crops, length in zip((rows, columns), size, strict=True)
        )
        planes: torch.Tensor = grid.unflatten(1, (len(rows), len(columns)))
        return down @ planes @ along.T

    def _places(self, crops: Sequence[slice], length: int) -> Float[torch.Tensor, " crop"]:
        """Return where along a side of the image the crops' scores lie, in pixels."""
        if self.place == "stretched":
            return (torch.arange(len(crops)) + 0.5) * length / len(crops)
        return torch.tensor([(one.start + one.stop) / 2 for one in crops])


def between(
    places: Float[torch.Tensor, " place"], length: int
) -> Float[torch.Tensor, "pixel place"]:
    """Return how much each place counts for the middle of each pixel: linear, constant outside."""
    pixels = (torch.arange(length) + 0.5).clamp(places[0], places[-1])
    if len(places) == 1:
        return torch.ones(length, 1)
    before = (torch.searchsorted(places, pixels, right=True) - 1).clamp(max=len(places) - 2)
    share = (pixels - places[before]) / (places[before + 1] - places[before])
    weights = torch.zeros(length, len(places))
    weights.scatter_(1, before[:, None], 1 - share[:, None])
    return weights.scatter_(1, before[:, None] + 1, share[:, None])
