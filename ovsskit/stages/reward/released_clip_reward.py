"""The reward of PnP-OVSS's released search: do highlights look like their word?"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.devices import in_float64
from ovsskit.engine.model import EncodesImageAndText
from ovsskit.engine.sending import pick, send
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Reward, Saliency, Vocabulary
from ovsskit.stages.refine.gaussian_blur import blur_matrix
from ovsskit.stages.reward._judge import agreement_with_words, compare, encode
from ovsskit.stages.reward._spline import resize_cubic

CONTRAST_SIZE = 24
"""Height and width that masks are resized to before their contrast is taken."""


class ReleasedClipReward(Stage, writes="reward"):
    """Mask the image by the maps of its classes, and count those that look like their word.

    A map is scaled to 0 to 1, cut at `at`, enlarged by cubic splines to the judge's size, blurred,
    scaled and cut again. The judge's probability of the word, among the words of the image's
    classes, is compared with that of a blank image. So an image of a single class never counts. A
    map without contrast hides everything; an image without maps has no reward.
    It reads the maps as they are where it stands in the recipe: to the letter, after
    `merge_tokens`, with one round. Source: PnP-OVSS, released code. There the images' range of
    values is not known; here what is hidden is black.

    Example:
        [[stage]]
        use = "released_clip_reward"
        at = 0.15
        contrast = true
    """

    at: Annotated[
        float, Field(ge=0, le=1, description="fraction of a map's range that is kept")
    ] = 0.15
    size: Annotated[
        int,
        Field(ge=8, description="height and width of the images that the judge sees, in pixels"),
    ] = 336
    sigma: Annotated[
        float,
        Field(ge=0, le=1, description="standard deviation of the blur, as a fraction of the size"),
    ] = 0.04
    form: Annotated[
        Literal["wins", "released_ratio"],
        Field(
            description="number of classes that win, or the mean of blank over masked probability "
            "with the sign turned"
        ),
    ] = "wins"
    contrast: Annotated[
        bool,
        Field(
            description="multiply by 1 minus how alike the classes' masks are at all pairs of "
            "places"
        ),
    ] = False
    scale: Annotated[
        float, Field(gt=0, description="what cosines are multiplied by before the softmax")
    ] = 100.0

    def run_batch(
        self,
        image: Batch[Image],
        scores: Batch[Saliency],
        vocabulary: Batch[Vocabulary],
        judge: EncodesImageAndText,
    ) -> Batch[Reward]:
        """Show the judge the masked images of all classes of all images together."""
        kept = [[place for place, label in enumerate(maps.labels) if label] for maps in scores]
        masks = [
            soft_masks(pick(maps.data, places), self.at, self.size, self.sigma)
            for maps, places in zip(scores, kept, strict=True)
        ]
        blank = replace(image[0], data=masks[0].new_zeros(3, self.size, self.size), hidden=None)
        images = [
            replace(one, data=masked, hidden=None)
            for one, some in zip(image, masks, strict=True)
            for masked in self._resized(one) * (some > self.at)[:, None]
        ]
        features = encode(judge, [blank, *images], len(image))
        nothing, rest = features[0], features[1:]
        found = []
        for maps, words, places, some in zip(scores, vocabulary, kept, masks, strict=True):
            mine, rest = rest[: len(places)], rest[len(places) :]
            if not places:
                found.append(Reward(some.new_full((), torch.nan)))
                continue
            names = [words.names[maps.labels[place] - 1] for place in places]
            texts = torch.nn.functional.normalize(judge.encode_text(names).float(), dim=-1)
            pairs = torch.stack([mine, nothing.expand_as(mine)])
            region, empty = agreement_with_words(
                pairs, texts, range(len(names)), "present", self.scale
            )
            values = compare(region, empty, self.form)
            total = values.sum() if self.form == "wins" else values.mean()
            found.append(Reward(total * (1 - contrast(some)[0]) if self.contrast else total))
        return found

    def _resized(self, image: Image) -> Float[torch.Tensor, "3 size size"]:
        data = image.data[None]
        if image.size != (self.size, self.size):
            data = torch.nn.functional.interpolate(
                data, (self.size, self.size), mode="bicubic", antialias=True
            ).clamp(0, 1)
        return data[0]


def soft_masks(
    maps: Float[torch.Tensor, "class rows cols"], at: float, size: int, sigma: float
) -> Float[torch.Tensor, "class size size"]:
    """Return the maps, cut, enlarged, blurred and scaled to 0 to 1; above `at` they show."""
    cut = (scaled(maps) > at).to(maps.dtype)
    blur = (
        send(blur_matrix(size, sigma * size, torch.device("cpu")).to(maps.dtype), maps.device)
        if sigma
        else torch.eye(size, device=maps.device, dtype=maps.dtype)
    )
    return scaled(blur @ resize_cubic(cut, size) @ blur.T)


def scaled(maps: Float[torch.Tensor, "class h w"]) -> Float[torch.Tensor, "class h w"]:
    """Scale every map to 0 to 1; one without contrast becomes zero."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low), 0)


def contrast(
    masks: Float[torch.Tensor, "class size size"],
) -> tuple[Float[torch.Tensor, ""], Float[torch.Tensor, ""]]:
    """Return mean and deviation, over all pairs of places, of the cosine of the masks there."""
    places = torch.nn.functional.normalize(
        in_float64(resize_cubic(masks, CONTRAST_SIZE)).flatten(1), dim=0
    )
    alike = places.T @ places
    mean, deviation = (
        one.to(masks.dtype).to(masks.device) for one in (alike.mean(), alike.std(correction=0))
    )
    return mean, deviation
