"""Ask patches which classes an image shows, and look at each of them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.model import EncodesRegions
from ovsskit.engine.sending import pick
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import (
    Image,
    PatchAttention,
    Present,
    Probabilities,
    TextFeatures,
    Vocabulary,
)
from ovsskit.errors import BadValue
from ovsskit.ops.boxes import rectangle_of, scale
from ovsskit.stages.attention._layers import Layers, layer_numbers, refuse_missing
from ovsskit.stages.presence._patch_votes import refine, vote

HALF = 0.5
"""Share of a map's range above which a patch belongs to what is looked at again."""


@dataclass(frozen=True)
class Look:
    """Hold a part of an image that is looked at again, and for which text."""

    text: int
    crop: Image
    region: Bool[torch.Tensor, "rows cols"]


class PresenceByPatches(Stage, writes="present"):
    """Take the classes of which patches are sure, after they asked those that they attend to.

    Every patch's probabilities are averaged over the patches that it attends to, where enough
    blocks agree on that, and again over those of them in the boxes around what was found. A class
    scores by its best patch. A class above a fraction of the range of all scores is looked at
    again: what its box shows goes through the network, whose image token sees only the patches of
    the class, and the probability that comes of it is averaged with the score. Classes are taken
    above that fraction of the range of their scores, or the best one if none is. Maps of another
    grid than the attention's are resized to it first.
    Source: Lin et al. 2024, TagCLIP, released code (linyq2117/TagCLIP c32b640), which ends the
    second look at the first class whose box is empty.

    Example:
        [[stage]]
        use = "presence_by_patches"
        reads = { image = "resized" }
        layers = [9, 10, 11]
        votes = 4
    """

    waits: ClassVar[str] = "boxes are found on the processor, and the classes are a list"

    layers: Layers = (-1,)
    votes: Annotated[
        int,
        Field(
            ge=0, description="of how many blocks of `patch_attention` patches must be agreed on"
        ),
    ] = 4
    fraction: Annotated[
        float,
        Field(ge=0, lt=1, description="share of the range of scores that a class must exceed"),
    ] = 0.5
    scale: Annotated[
        float,
        Field(gt=0, description="what cosines are multiplied by when a part is looked at again"),
    ] = 100.0
    second_look: Annotated[
        bool, Field(description="look again at each class that seems present")
    ] = True
    empty_box: Annotated[
        Literal["skip", "stop"],
        Field(description="pass over a class with an empty box, or end there, as released"),
    ] = "skip"

    def run_batch(
        self,
        image: Batch[Image],
        scores: Batch[Probabilities],
        patch_attention: Batch[PatchAttention],
        text_features: Batch[TextFeatures],
        vocabulary: Batch[Vocabulary],
        backbone: EncodesRegions,
    ) -> Batch[Present]:
        """Return the labels of classes that are sure enough, in the vocabulary's order.

        Raises:
            BadValue: the attention does not hold a block, or the image is not the one whose patches
                these are.
        """
        refined = [self.refine(*pair) for pair in zip(scores, patch_attention, strict=True)]
        labels = [one.labels for one in scores]
        peaks = [maps.amax((1, 2)) for maps in refined]
        looks = [
            list(self.looks(*each)) if self.second_look else []
            for each in zip(image, refined, labels, strict=True)
        ]
        every = [look for some in looks for look in some]
        if every:
            vectors = iter(
                backbone.encode_regions(
                    [look.crop for look in every], [look.region for look in every]
                )
            )
            for peak, some, texts in zip(peaks, looks, text_features, strict=True):
                for look in some:
                    peak[look.text] = (peak[look.text] + self.sure(next(vectors), texts, look)) / 2
        return [self.choose(*each) for each in zip(peaks, labels, vocabulary, strict=True)]

    def refine(
        self, scores: Probabilities, attention: PatchAttention
    ) -> Float[torch.Tensor, "text rows cols"]:
        """Return every text's map after patches have asked each other.

        Raises:
            BadValue: the attention does not hold such a block.
        """
        layers = layer_numbers(self.address, self.layers, attention)
        refuse_missing(self.address, layers, attention)
        mean = attention.of(layers).mean(0)
        return refine(vote(attention.data, mean, self.votes), attention.on_grid(scores.data))

    def looks(
        self,
        image: Image,
        maps: Float[torch.Tensor, "text rows cols"],
        labels: tuple[int, ...],
    ) -> Iterator[Look]:
        """Yield what is looked at again, in the order of texts.

        Raises:
            BadValue: the image is not the one whose patches these are.
        """
        rows, columns = maps.shape[1:]
        if image.size[0] % rows or image.size[1] % columns:
            what = (
                f"{self.address} reads an image of {image.size[1]} x {image.size[0]} pixels, and "
                f"scores of {columns} x {rows} patches, which are not parts of it."
            )
            fix = 'Stretch it first, and read that: reads = { image = "resized" }.'
            raise BadValue(what, fix=fix)
        height, width = image.size[0] // rows, image.size[1] // columns
        *highest, least = torch.cat([maps.amax((1, 2)), above(maps, self.fraction)[None]]).tolist()
        regions = scale(maps) > HALF
        seen = regions.cpu()
        for text, label in enumerate(labels):
            if label < 1 or highest[text] <= least:
                continue
            tall, wide = rectangle_of(seen[text])
            if tall.stop <= tall.start or wide.stop <= wide.start:
                if self.empty_box == "stop":
                    return
                continue
            crop = image.data[
                :, tall.start * height : tall.stop * height, wide.start * width : wide.stop * width
            ]
            yield Look(text, Image(crop, image.name), regions[text, tall, wide])

    def sure(
        self, vector: Float[torch.Tensor, " width"], texts: TextFeatures, look: Look
    ) -> Float[torch.Tensor, ""]:
        """Return the probability, among all texts, of the one that was looked at."""
        unit = torch.nn.functional.normalize(vector.float(), dim=0)
        words = torch.nn.functional.normalize(texts.data.float(), dim=-1)
        return (self.scale * (words @ unit)).softmax(0)[look.text]

    def choose(
        self, peaks: Float[torch.Tensor, " text"], labels: tuple[int, ...], vocabulary: Vocabulary
    ) -> Present:
        """Return the classes whose best text is sure enough."""
        classes = range(1, len(vocabulary.names) + 1)
        best = torch.stack(
            [
                pick(peaks, [row for row, label in enumerate(labels) if label == one]).amax()
                for one in classes
            ]
        )
        *values, least = torch.cat([best, above(best, self.fraction)[None]]).tolist()
        taken = [place for place, value in enumerate(values) if value > least]
        first = max(range(len(values)), key=values.__getitem__)
        note = "" if taken else f"no class stands out: `{vocabulary.names[first]}` is taken"
        found = tuple(place + 1 for place in taken or [first])
        return Present(found, tuple(values), note)


def above(values: Float[torch.Tensor, "*places"], fraction: float) -> Float[torch.Tensor, ""]:
    """Return the value at a fraction of the range of all values."""
    low, high = values.aminmax()
    return low + fraction * (high - low)
