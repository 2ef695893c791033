"""Look at an image in several ways, and average what is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, kornia, torch
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.stage import S, Wrapper, Wraps
from ovsskit.engine.values import Image

View = Literal[
    "identity",
    "grey",
    "blur",
    "vertical_flip",
    "horizontal_flip",
    "rotate_90",
    "rotate_180",
    "rotate_270",
    "scale_50",
    "scale_75",
    "scale_125",
    "scale_150",
    "scale_175",
]  # what `alter` knows: colours, those of `TURNS`, and those of `SCALES`
Channels = tuple[float, float, float]

GREY = (0.2989, 0.587, 0.114)
BLUR_SIZE, BLUR_SIGMA = 11, 5.0
SCALES = {"scale_50": 0.5, "scale_75": 0.75, "scale_125": 1.25, "scale_150": 1.5, "scale_175": 1.75}


class Views(Wrapper, writes="scores"):
    """Run the inner chain on altered images, undo in the maps what moved pixels, and average.

    Each view belongs to one of two groups; the result is the mean of `same`, times `same_weight`,
    plus the mean of `altered` times the rest. Flips and rotations are undone in both. Grey is the
    luma of the channels as the network sees them, normalised; blur is a Gaussian of 11 pixels and
    standard deviation 5, mirrored at the border. Scaled views (in per cent) are smaller or larger
    images, whose maps are resized to those of the first view; patches that are hidden are not
    hidden in them. The scales are those of MMSegmentation's test-time augmentation.
    Source: ITACLIP, released code ("image engineering"), which averages the first group's features
    instead of their maps:
    as similarity is linear in features, the maps are the same.

    Example:
        [[stage]]
        use = "views"
        same = ["identity", "grey"]
        altered = ["horizontal_flip"]
          [[stage.inner]]
          use = "encode_hidden"
    """

    neutral: ClassVar[dict[str, Any]] = {"same": ("identity",), "altered": ()}
    places: ClassVar[Literal["kept", "cut", "moved"]] = "moved"

    same: Annotated[
        tuple[View, ...],
        Field(
            min_length=1,
            description="views of the first group, in ITACLIP those that move no pixel",
        ),
    ] = ("identity", "grey", "blur")
    altered: Annotated[
        tuple[View, ...],
        Field(description="views of the second group; if empty, the first has all the weight"),
    ] = (
        "vertical_flip",
        "horizontal_flip",
    )
    same_weight: Annotated[float, Field(ge=0, le=1, description="weight of the first group")] = 0.75
    mean: Annotated[
        Channels, Field(description="what the network subtracts from each channel, for grey")
    ] = (
        0.48145466,
        0.4578275,
        0.40821073,
    )
    deviation: Annotated[
        Channels, Field(description="what the network divides each channel by, for grey")
    ] = (
        0.26862954,
        0.26130258,
        0.27577711,
    )

    def run(self, image: Image) -> Wraps[S]:
        """Return the weighted mean of the maps of all views."""
        views = (*self.same, *self.altered)
        outs = yield [{"image": self.alter(image, view)} for view in views]
        maps = [undo(out["scores"].data, view) for view, out in zip(views, outs, strict=True)]
        maps = [fit(one, maps[0].shape[1:]) for one in maps]
        same, altered = maps[: len(self.same)], maps[len(self.same) :]
        merged = average(same)
        if altered:
            merged = self.same_weight * merged + (1 - self.same_weight) * average(altered)
        scores: S = outs[0]["scores"]
        return scores.with_data(merged)

    def alter(self, image: Image, view: View) -> Image:
        """Return the image as one of the views shows it."""
        if view == "grey":
            return replace(image, data=grey(image.data, self.mean, self.deviation))
        if view == "blur":
            return replace(image, data=blur(image.data))
        if view in SCALES:
            return replace(image, data=scale(image.data, SCALES[view]), hidden=None)
        turn, _ = TURNS[view]
        return replace(
            image,
            data=turn(image.data),
            hidden=None if image.hidden is None else turn(image.hidden),
        )


def undo(
    maps: Float[torch.Tensor, "class rows cols"], view: View
) -> Float[torch.Tensor, "class h w"]:
    """Bring maps of a view back to how the image lies."""
    return TURNS[view][1](maps) if view in TURNS else maps


def fit(
    maps: Float[torch.Tensor, "class rows cols"], size: Sequence[int]
) -> Float[torch.Tensor, "class h w"]:
    """Resize maps to another grid, unless they lie on it."""
    if maps.shape[1:] == size:
        return maps
    resized: torch.Tensor = torch.nn.functional.interpolate(
        maps[None], size, mode="bilinear", antialias=True
    )[0]
    return resized


def scale(image: Float[torch.Tensor, "3 h w"], factor: float) -> Float[torch.Tensor, "3 rows cols"]:
    """Return a smaller or larger image; less than a pixel's side is lost or added at its border."""
    size = [max(1, round(side * factor)) for side in image.shape[1:]]
    resized: torch.Tensor = torch.nn.functional.interpolate(
        image[None], size, mode="bilinear", antialias=True
    )[0]
    return resized


def average(maps: Sequence[Float[torch.Tensor, "class h w"]]) -> Float[torch.Tensor, "class h w"]:
    """Return the mean of the maps of several views."""
    return maps[0] if len(maps) == 1 else sum(maps[1:], start=maps[0]) / len(maps)


def grey(
    image: Float[torch.Tensor, "3 h w"], mean: Channels, deviation: Channels
) -> Float[torch.Tensor, "3 h w"]:
    """Return an image whose normalised channels all are the luma of the normalised channels."""
    weights, middle, spread = (
        send_numbers(values, image)[:, None, None] for values in (GREY, mean, deviation)
    )
    return (weights * (image - middle) / spread).sum(0) * spread + middle


def blur(image: Float[torch.Tensor, "3 h w"]) -> Float[torch.Tensor, "3 h w"]:
    """Blur an image; where it is too small to be mirrored so far, its border repeats."""
    border = "reflect" if min(image.shape[1:]) > BLUR_SIZE // 2 else "replicate"
    size, sigma = (BLUR_SIZE, BLUR_SIZE), (BLUR_SIGMA, BLUR_SIGMA)
    blurred: torch.Tensor = kornia.filters.gaussian_blur2d(
        image[None], size, sigma, border_type=border
    )[0]
    return blurred


def rotate(quarters: int) -> Callable[[Any], Any]:
    """Return a function that rotates the last two axes by this many quarter turns."""
    return lambda tensor: torch.rot90(tensor, quarters, (-2, -1))


TURNS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "identity": (rotate(0), rotate(0)),
    "vertical_flip": (lambda tensor: tensor.flip(-2), lambda tensor: tensor.flip(-2)),
    "horizontal_flip": (lambda tensor: tensor.flip(-1), lambda tensor: tensor.flip(-1)),
    "rotate_90": (rotate(1), rotate(3)),
    "rotate_180": (rotate(2), rotate(2)),
    "rotate_270": (rotate(3), rotate(1)),
}
"""What is done to an image in views that move pixels, and what undoes it in maps."""
