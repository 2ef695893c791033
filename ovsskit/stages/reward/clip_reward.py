"""Let a model that knows images and words judge: does a class's region look more like its word than the rest does?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Bool, torch
from ovsskit.engine.model import EncodesImageAndText
from ovsskit.engine.stage import Slots, Stage
from ovsskit.engine.values import Image, Labels, Present, Reward, Vocabulary
from ovsskit.stages.presence.presence_by_similarity import PresenceBySimilarity
from ovsskit.stages.reward._judge import Among, Form, agreement_with_words, compare, encode


class ClipReward(Stage, writes="reward"):
    """Compare, for every class of the image, the image masked to the class's region with the rest, by the class's word.

    The judge encodes both and the word. A class wins if its region agrees better with its word than the complementary or a
    blank image does; what is masked is black. A class without a pixel does not win; one that fills the image is
    compared with a blank one; an image that shows no class has no reward (not a number), and studies leave it out.
    The classes are those in the slot `present`, predicted or given; where a recipe has no such stage, the judge predicts
    them, as `presence_by_similarity` does. No label or mask is read.
    Source: PnP-OVSS, paper (known second-hand: complement, averages) and released code (blank, sums, among the classes of
    the image, of which a single one can never win); its own masks are those of `released_clip_reward`.
    """

    network = True

    form: Annotated[
        Form,
        Field(
            description="how region and rest are compared: 1 for the better one (`wins`), difference, region's share of both, "
            "or rest over region with the sign turned (`released_ratio`)"
        ),
    ] = "wins"
    against: Annotated[
        Literal["complement", "blank"],
        Field(description="compare with the rest of the image, or with a blank one (released)"),
    ] = "complement"
    among: Annotated[
        Among,
        Field(
            description="agreement with the word: the cosine alone, or its softmax among the words of the image's classes "
            "(released) or of all classes"
        ),
    ] = "none"
    scale: Annotated[
        float, Field(gt=0, description="what cosines are multiplied by before a softmax")
    ] = 100.0
    total: Annotated[
        Literal["mean", "sum"], Field(description="mean over the classes, or their sum (released)")
    ] = "mean"
    prompt: Annotated[
        str, Field(description="words before the name of the class; none in the released code")
    ] = ""

    def run(
        self,
        image: Image,
        labels: Labels,
        vocabulary: Vocabulary,
        judge: EncodesImageAndText,
        present: Present | None = None,
    ) -> Reward:
        """Return the reward of one image."""
        slots = {
            "image": image,
            "labels": labels,
            "vocabulary": vocabulary,
            "judge": judge,
            "present": present,
        }
        [found] = self.run_many([slots])
        return found

    def run_many(self, many: Sequence[Slots]) -> list[Reward]:
        """Show the judge the masked images of all classes of all images together."""
        judge: EncodesImageAndText = many[0]["judge"]
        unknown = [slots for slots in many if slots["present"] is None]
        seen = iter(
            PresenceBySimilarity().run_many([{**slots, "backbone": judge} for slots in unknown])
            if unknown
            else ()
        )
        classes = [tuple(dict.fromkeys((slots["present"] or next(seen)).labels)) for slots in many]
        images = [self._masked(slots, shown) for slots, shown in zip(many, classes, strict=True)]
        features = encode(judge, [image for some in images for image in some], len(many))
        found = []
        for slots, shown, some in zip(many, classes, images, strict=True):
            mine, features = features[: len(some)], features[len(some) :]
            if not shown:
                found.append(Reward(slots["image"].data.new_tensor(torch.nan)))
                continue
            texts = judge.encode_text([self.prompt + name for name in slots["vocabulary"].names])
            unit = torch.nn.functional.normalize(texts.float(), dim=-1)
            pairs = torch.stack(
                [mine[: len(shown)], mine[len(shown) :].expand_as(mine[: len(shown)])]
            )
            own = [label - 1 for label in shown]
            region, rest = agreement_with_words(pairs, unit, own, self.among, self.scale).unbind()
            values = compare(region, rest, self.form)
            values = values * self._has_pixels(slots, shown) if self.form == "wins" else values
            found.append(Reward(values.mean() if self.total == "mean" else values.sum()))
        return found

    def _masked(self, slots: Slots, shown: Sequence[int]) -> list[Image]:
        """Return the image without all but one class, for every class; then what these are compared with."""
        image: Image = slots["image"]
        regions = [
            region_of(slots["labels"], slots["vocabulary"].ids[label], image.size)
            for label in shown
        ]
        rests = [~region for region in regions]
        if self.against == "blank":
            rests = [torch.zeros_like(region) for region in regions[:1]]
        return [replace(image, data=image.data * kept, hidden=None) for kept in (*regions, *rests)]

    def _has_pixels(self, slots: Slots, shown: Sequence[int]) -> Bool[torch.Tensor, " class"]:
        ids = [slots["vocabulary"].ids[label] for label in shown]
        return torch.stack(
            [region_of(slots["labels"], number, slots["image"].size).any() for number in ids]
        )


def region_of(labels: Labels, number: int, size: tuple[int, int]) -> Bool[torch.Tensor, "h w"]:
    """Return where a class was found, at the image's size."""
    region = labels.data == number
    if tuple(region.shape) == size:
        return region
    return torch.nn.functional.interpolate(region[None, None].float(), size)[0, 0].bool()
