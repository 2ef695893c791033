"""Let a model judge: does a class's region look more like its word than the rest does?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Bool, torch
from ovsskit.engine.model import EncodesImageAndText
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Labels, Present, Reward, Vocabulary
from ovsskit.stages.presence.presence_by_similarity import PresenceBySimilarity
from ovsskit.stages.reward._judge import Among, Form, agreement_with_words, compare, encode


class ClipReward(Stage, writes="reward"):
    """Compare each class's region with the rest of the image by the class's word.

    The judge encodes both, masked, and the word. A class wins if its region agrees better with its
    word than the complementary or a blank image does; what is masked is black. A class without a
    pixel does not win; one that fills the image is compared with a blank one; an image that shows
    no class has no reward (not a number), and studies leave it out.
    The classes are those in the slot `present`, predicted or given; where a recipe has no such
    stage, the judge predicts them, as `presence_by_similarity` does. No label or mask is read.
    Source: PnP-OVSS, paper (known second-hand: complement, averages) and released code (blank,
    sums, among the classes of the image, of which a single one can never win); its own masks are
    those of `released_clip_reward`.

    Example:
        [[stage]]
        use = "clip_reward"
        form = "margin"
        among = "present"
    """

    form: Annotated[
        Form,
        Field(
            description="how region and rest are compared: 1 for the better one (`wins`), "
            "difference, region's share of both, or rest over region with the sign turned "
            "(`released_ratio`)"
        ),
    ] = "wins"
    against: Annotated[
        Literal["complement", "blank"],
        Field(description="compare with the rest of the image, or with a blank one (released)"),
    ] = "complement"
    among: Annotated[
        Among,
        Field(
            description="agreement with the word: the cosine alone, or its softmax among the words "
            "of the image's classes (released) or of all classes"
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

    @property
    def most(self) -> float:
        """Return the greatest reward; infinity for a sum or a released ratio."""
        return 1.0 if self.total == "mean" and self.form != "released_ratio" else math.inf

    def run_batch(
        self,
        image: Batch[Image],
        labels: Batch[Labels],
        vocabulary: Batch[Vocabulary],
        judge: EncodesImageAndText,
        present: Batch[Present | None],
    ) -> Batch[Reward]:
        """Show the judge the masked images of all classes of all images together."""
        classes = self._classes(image, vocabulary, judge, present)
        regions = [
            [region_of(found, words.ids[label], one.size) for label in shown]
            for one, found, words, shown in zip(image, labels, vocabulary, classes, strict=True)
        ]
        images = [self._masked(one, some) for one, some in zip(image, regions, strict=True)]
        features = encode(judge, [one for some in images for one in some], len(image))
        found = []
        for place, shown in enumerate(classes):
            count = len(images[place])
            mine, features = features[:count], features[count:]
            if not shown:
                found.append(Reward(image[place].data.new_full((), torch.nan)))
                continue
            texts = judge.encode_text([self.prompt + name for name in vocabulary[place].names])
            unit = torch.nn.functional.normalize(texts.float(), dim=-1)
            pairs = torch.stack(
                [mine[: len(shown)], mine[len(shown) :].expand_as(mine[: len(shown)])]
            )
            own = [label - 1 for label in shown]
            region, rest = agreement_with_words(pairs, unit, own, self.among, self.scale).unbind()
            values = compare(region, rest, self.form)
            if self.form == "wins":
                values = values * torch.stack([one.any() for one in regions[place]])
            found.append(Reward(values.mean() if self.total == "mean" else values.sum()))
        return found

    def _classes(
        self,
        image: Batch[Image],
        vocabulary: Batch[Vocabulary],
        judge: EncodesImageAndText,
        present: Batch[Present | None],
    ) -> list[tuple[int, ...]]:
        """Return the classes of every image: those present, else those that the judge predicts."""
        unknown = [place for place, one in enumerate(present) if one is None]
        asked = [image[place] for place in unknown], [vocabulary[place] for place in unknown]
        seen = iter(PresenceBySimilarity().run_batch(*asked, judge) if unknown else ())
        return [tuple(dict.fromkeys((one or next(seen)).labels)) for one in present]

    def _masked(self, image: Image, regions: Sequence[torch.Tensor]) -> list[Image]:
        """Return the image without all but each region; then what these are compared with."""
        rests = [~region for region in regions]
        if self.against == "blank":
            rests = [torch.zeros_like(region) for region in regions[:1]]
        return [replace(image, data=image.data * kept, hidden=None) for kept in (*regions, *rests)]


def region_of(labels: Labels, number: int, size: tuple[int, int]) -> Bool[torch.Tensor, "h w"]:
    """Return where a class was found, at the image's size."""
    region = labels.ids == number
    if tuple(region.shape) == size:
        return region
    return torch.nn.functional.interpolate(region[None, None].float(), size)[0, 0].bool()
