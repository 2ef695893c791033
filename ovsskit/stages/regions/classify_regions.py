"""Compare every region, cut out of the image, with texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Bool, scipy, torch
from ovsskit.engine.model import EncodesImageAndText
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Logits, Regions, TextFeatures, Window

REGIONS_AT_ONCE = 32
"""How many regions go through the image encoder in one pass."""


class ClassifyRegions(Stage, writes="scores"):
    """Give every pixel the cosines of its region's crop with all texts.

    The crop is a square around the region; what is outside the region has one colour there, or is
    kept. Pixels in no region are looked at together, as a region. `softmax` makes probabilities of
    the cosines.
    Source: Liang et al. 2023, OVSeg, and Yilmaz et al. 2024, OpenDAS, which classify masked crops
    of proposals; how these lie in their crops is ours.

    Example:
        [[stage]]
        use = "classify_regions"
        margin = 0.1
    """

    waits: ClassVar[str] = "for the regions that there are, each of which is cut out"

    margin: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            description="what is added on each side of a region, as a share of its longer side",
        ),
    ] = 0.0
    outside: Annotated[
        Literal["fill", "keep"],
        Field(description="what becomes of the image outside the region: one colour, or kept"),
    ] = "fill"
    colour: Annotated[
        tuple[float, float, float],
        Field(description="that colour, and what is outside the image: red, green, blue, to 255"),
    ] = (122.77, 116.75, 104.09)

    def run_batch(
        self,
        image: Batch[Image],
        regions: Batch[Regions],
        text_features: Batch[TextFeatures],
        backbone: EncodesImageAndText,
    ) -> Batch[Logits]:
        """Return one map per text, at the image's size."""
        found = []
        for one, parts, texts in zip(image, regions, text_features, strict=True):
            _, members = parts.resized(one.size).data.unique(return_inverse=True)
            crops = self.crops(one, members)
            vectors = [
                backbone.encode_image(crops[first : first + REGIONS_AT_ONCE]).float()
                for first in range(0, len(crops), REGIONS_AT_ONCE)
            ]
            unit = torch.nn.functional.normalize(torch.cat(vectors), dim=-1)
            maps = (texts.data.float() @ unit.T)[:, members]
            found.append(Logits(maps, texts.labels))
        return found

    def crops(self, image: Image, members: torch.Tensor) -> list[Image]:
        """Return a square for each region; `members` says which region each pixel is in, from 0."""
        boxes = scipy.ndimage.find_objects(members.cpu().numpy() + 1)
        return [self._crop(image, members == number, box) for number, box in enumerate(boxes)]

    def _crop(self, image: Image, inside: Bool[torch.Tensor, "h w"], box: Sequence[slice]) -> Image:
        if self.outside == "fill":
            colour = send_numbers(self.colour, image.data)[:, None, None] / 255
            image = Image(torch.where(inside, image.data, colour), image.name)
        longer = max(span.stop - span.start for span in box)
        side = longer + 2 * round(self.margin * longer)
        spans, margins = [], []
        for span, length in zip(box, image.size, strict=True):
            start = (span.start + span.stop - side) // 2
            kept = slice(max(0, start), min(length, start + side))
            spans.append(kept)
            margins += [kept.start - start, start + side - kept.stop]
        row, column = spans
        top, bottom, left, right = margins
        around = (top, bottom, left, right)
        return image.crop(Window(image.size, row, column, around, self.colour))
