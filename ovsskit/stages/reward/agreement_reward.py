"""Take a result for good that comes out the same when the image is altered."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ovsskit._lazy import Int, torch
from ovsskit.engine.devices import in_float64
from ovsskit.engine.stage import Rerun, Wraps
from ovsskit.engine.values import Image, Labels, Present, Reward, Vocabulary
from ovsskit.stages.wrap.views import TURNS

Alteration = Literal[
    "horizontal_flip", "vertical_flip", "rotate_180", "brighter", "darker", "smaller"
]
GAIN = {"brighter": 0.7, "darker": 1.4}
"""The exponent that the image is raised to."""
SMALLER = 0.75


class AgreementReward(Rerun, writes="reward"):
    """Run all stages before it again on altered images, and measure how well the labels agree.

    Labels are brought back to how the image lies; the reward is the mean IoU of the two, over the
    classes of the slot `present` or, where the recipe has no such slot, over those that either
    found; then over alterations. Neither the background nor a class that is found nowhere counts
    for agreement: a result without any class has reward 0. An image whose slot `present` holds no
    class has none (not a number). One class all over the image agrees with itself:
    this reward alone does not see that.

    Example:
        [[stage]]
        use = "agreement_reward"
        alterations = ["horizontal_flip", "darker"]
    """

    alterations: Annotated[
        tuple[Alteration, ...],
        Field(
            min_length=1,
            description="flips and a half turn; brighter and darker (gamma of 0.7 and 1.4); "
            "smaller (three quarters as wide)",
        ),
    ] = ("horizontal_flip", "darker", "smaller")

    def run(
        self, image: Image, labels: Labels, vocabulary: Vocabulary, present: Present | None = None
    ) -> Wraps[Reward]:
        """Return the reward of one image."""
        nothing = present is not None and not present.labels
        outs = yield [] if nothing else [{"image": alter(image, name)} for name in self.alterations]
        if nothing:
            return Reward(image.data.new_full((), torch.nan))
        ids = (
            [vocabulary.ids[label] for label in dict.fromkeys(present.labels)] if present else None
        )
        pairs = zip(self.alterations, outs, strict=True)
        agreed = [
            agreement(labels.ids, restore(out["labels"].ids, name, labels.ids.shape), ids)
            for name, out in pairs
        ]
        return Reward(image.data.new_full((), sum(agreed) / len(agreed)))


def alter(image: Image, name: str) -> Image:
    """Return an image as an alteration shows it."""
    if name in GAIN:
        return replace(image, data=image.data ** GAIN[name])
    if name == "smaller":
        height, width = (max(1, round(SMALLER * size)) for size in image.size)
        data = torch.nn.functional.interpolate(
            image.data[None], (height, width), mode="bilinear", antialias=True
        )[0]
        return replace(image, data=data.clamp(0, 1))
    return replace(image, data=TURNS[name][0](image.data))


def restore(
    labels: Int[torch.Tensor, "rows cols"], name: str, size: Any
) -> Int[torch.Tensor, "h w"]:
    """Bring the labels of an altered image back to how the plain one lies."""
    turned: torch.Tensor = TURNS[name][1](labels) if name in TURNS else labels
    if turned.shape == size:
        return turned
    enlarged = torch.nn.functional.interpolate(in_float64(turned)[None, None], tuple(size))[0, 0]
    return enlarged.to(labels.dtype).to(labels.device)


def agreement(
    one: Int[torch.Tensor, "h w"], other: Int[torch.Tensor, "h w"], ids: list[int] | None
) -> float:
    """Return the mean IoU of two label maps over classes, or all found but 0; 0 if none are."""
    numbers = (
        ids
        if ids is not None
        else [number for number in torch.cat([one, other]).unique().tolist() if number]
    )
    shares = []
    for number in numbers:
        either = ((one == number) | (other == number)).sum()
        shares.append(
            float(((one == number) & (other == number)).sum() / either) if either else 0.0
        )
    return sum(shares) / len(shares) if shares else 0.0
