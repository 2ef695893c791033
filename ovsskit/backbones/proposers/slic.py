"""SLIC: pieces of even colour, by k-means over colours and places, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import numpy, skimage, torch
from ovsskit.engine.model import Backbone, ProposesMasks
from ovsskit.engine.values import Image, Masks


class Slic(Backbone, ProposesMasks):
    """Cut an image into pieces of even colour (superpixels): no weights, offline, no labels.

    The pieces cover the image, do not overlap and hang together; each has the score 1. They follow
    edges of colour, not things: a thing has many pieces.
    Source: Achanta et al. 2012, SLIC; scikit-image.
    """

    pieces: Annotated[
        int, Field(ge=1, description="about how many pieces an image is cut into")
    ] = 100
    compactness: Annotated[
        float,
        Field(gt=0, description="what places count for beside colours; more gives rounder pieces"),
    ] = 10.0
    sigma: Annotated[
        float, Field(ge=0, description="standard deviation of the blur before, in pixels")
    ] = 0.0

    def propose_masks(self, images: Sequence[Image]) -> list[Masks]:
        """Return the pieces of every image."""
        return [self._cut(image) for image in images]

    def _cut(self, image: Image) -> Masks:
        numbers = skimage.segmentation.slic(
            image.pixels.cpu().numpy(),
            n_segments=self.pieces,
            compactness=self.compactness,
            sigma=self.sigma,
            start_label=0,
        )
        count = int(numbers.max()) + 1
        places = torch.from_numpy(numbers.astype(numpy.int64)).to(image.data.device)
        data = places == torch.arange(count, device=places.device)[:, None, None]
        return Masks(data, torch.ones(count, device=places.device))
