"""Ask patches which classes an image shows, and look at each of them again."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
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
from ovsskit.stages.attention._layers import Layers, layer_numbers, refuse_missing
from ovsskit.stages.presence._patch_votes import refine, vote
from ovsskit.stages.presence._second_look import (
    EmptyBox,
    Look,
    above,
    look_again,
    refuse_other_image,
)


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
        EmptyBox,
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
        looks = [self.looks(*each) for each in zip(image, refined, labels, strict=True)]
        every = [look for some in looks for look in some]
        if every:
            vectors = iter(
                backbone.encode_regions(
                    [look.crop for look in every], [look.region for look in every]
                )
            )
            for peak, some, texts in zip(peaks, looks, text_features, strict=True):
                for look in some:
                    seen = look.sure(next(vectors), texts, self.scale)
                    peak[look.text] = (peak[look.text] + seen) / 2
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
    ) -> list[Look]:
        """Return what is looked at again, in the order of texts.

        Raises:
            BadValue: the image is not the one whose patches these are.
        """
        if not self.second_look:
            return []
        refuse_other_image(self.address, image, (maps.shape[1], maps.shape[2]))
        return list(look_again(image, maps, labels, self.fraction, self.empty_box))

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
