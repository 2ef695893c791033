"""Share what rewards by a judge need: encode images in parts, compare with words, count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesImage
from ovsskit.engine.sending import pick, send_places
from ovsskit.engine.values import Image

Among = Literal["none", "present", "all"]
Form = Literal["wins", "margin", "share", "released_ratio"]
PER_IMAGE = 8
"""Masked images that the judge sees at once per image; most have four classes or fewer."""


def encode(
    judge: EncodesImage, images: Sequence[Image], batch: int
) -> Float[torch.Tensor, "image width"]:
    """Return a unit vector for every image; the judge sees a bounded number of images at once.

    On a processor more take longer, one by one, since what a block writes leaves its cache.
    """
    is_on_cpu = all(image.data.device.type == "cpu" for image in images)
    size = PER_IMAGE * (1 if is_on_cpu else batch)
    parts = [
        judge.encode_image(images[start : start + size]) for start in range(0, len(images), size)
    ]
    return (
        torch.nn.functional.normalize(torch.cat(parts).float(), dim=-1)
        if parts
        else torch.zeros(0, 1)
    )


def agreement_with_words(
    images: Float[torch.Tensor, "*kind class width"],
    texts: Float[torch.Tensor, "text width"],
    own: Sequence[int],
    among: Among,
    scale: float,
) -> Float[torch.Tensor, "*kind class"]:
    """Return from 0 to 1 how well each class's image agrees with its word, `texts[own[class]]`.

    That is the word's probability among those of the classes, or among all texts; with `none`, the
    cosine, from -1..1 to 0..1.
    All vectors have unit length.
    """
    places = torch.arange(len(own), device=images.device)
    similarity = images @ (texts if among == "all" else pick(texts, own)).T
    column = send_places(own, images.device) if among == "all" else places
    values = (similarity + 1) / 2 if among == "none" else (scale * similarity).softmax(-1)
    return values[..., places, column]


def compare(
    region: Float[torch.Tensor, " class"], rest: Float[torch.Tensor, " class"], form: Form
) -> Float[torch.Tensor, " class"]:
    """Return for every class how much better its region fits its word than the comparison does."""
    if form == "wins":
        return (region > rest).float()
    if form == "margin":
        return region - rest
    return (region / (region + rest)).nan_to_num(0.5) if form == "share" else -(rest / region)
