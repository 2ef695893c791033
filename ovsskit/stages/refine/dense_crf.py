"""Let the image's edges and colours decide where classes end."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, UInt8, numpy, torch
from ovsskit.engine.devices import place_of_float64
from ovsskit.engine.memo import remember
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences, Image, Probabilities
from ovsskit.errors import MissingExtra
from ovsskit.ops.mean_field import mean_field

CLIP = 1e-5
"""Lowest probability before the logarithm, as in pydensecrf's `unary_from_softmax`."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of red, green and blue, which ReCo's images are normalised with."""
MEAN_BGR = (104.008, 116.669, 122.675)
"""Blue, green and red that Caffe's networks subtract, to 255."""


class DenseCrf(Stage, writes="scores"):
    """Refine confidences by mean field in a fully connected CRF over the image's pixels.

    They need not sum to 1: what they are in proportion to each other counts.
    `auto` is the torch engine: it agrees with pydensecrf, needs no compiler, and runs on a GPU.
    Maps with a value that is not a number are returned as they are; an image larger than the maps
    is reduced to their size.
    Source: Kraehenbuehl & Koltun 2011; parameters of PnP-OVSS, released code; `bgr` as IFSeg's
    notebook; `bgr_wrapped` as CLIP-ES's, TagCLIP's and CaR's released code, where a byte less than
    the mean that is subtracted becomes a high one; `bgr_cut` as ReCo's, where many bytes become one
    less.

    Example:
        [[stage]]
        use = "dense_crf"
        steps = 5
        bilateral_weight = 4.0
    """

    waits: ClassVar[str] = "a lattice has as many vertices as the image's colours need"
    version: ClassVar[int] = 2

    steps: Annotated[int, Field(ge=0, description="iterations of mean field")] = 10
    gaussian_sigma: Annotated[
        float, Field(ge=0.5, description="reach of the smoothness term, in pixels")
    ] = 3.0
    gaussian_weight: Annotated[float, Field(ge=0, description="weight of the smoothness term")] = (
        7.0
    )
    bilateral_sigma: Annotated[
        float, Field(ge=0.5, description="reach of the appearance term, in pixels")
    ] = 50.0
    bilateral_colour_sigma: Annotated[
        float, Field(ge=0.5, description="likeness of colours in the appearance term, 0 to 255")
    ] = 5.0
    bilateral_weight: Annotated[float, Field(ge=0, description="weight of the appearance term")] = (
        10.0
    )
    channels: Annotated[
        Literal["rgb", "bgr", "bgr_wrapped", "bgr_cut"],
        Field(
            description=(
                "in which order the lattice takes the colours: it only approximates the "
                "appearance term, not symmetrically; `bgr_wrapped`: less a mean, modulo 256; "
                "`bgr_cut`: after a normalisation that is undone, cut to whole numbers"
            )
        ),
    ] = "rgb"
    engine: Annotated[
        Literal["auto", "torch", "pydensecrf"],
        Field(description="`pydensecrf` needs the package pydensecrf2 and a compiler"),
    ] = "auto"

    def run(self, image: Image, scores: Confidences) -> Probabilities:
        """Return probabilities.

        Raises:
            MissingExtra: the pydensecrf engine is asked for, and it is not installed.
        """
        if not bool(scores.data.isfinite().all()):
            return Probabilities(scores.data, scores.labels)
        # A lattice has to be exact, with float64 and large whole numbers: where the first is
        # missing, the second is in doubt.
        place = place_of_float64(scores.data.device)
        infer = self._pydensecrf if self.engine == "pydensecrf" else self._torch
        refined = infer(
            scores.data.to(place), self._pixels(image.to(place), *scores.data.shape[1:])
        )
        return Probabilities(refined.to(scores.data.device), scores.labels)

    def _pixels(self, image: Image, height: int, width: int) -> UInt8[torch.Tensor, "h w 3"]:
        """Return the image's pixels at the size of the maps, colours in the order asked for."""
        if image.size != (height, width):
            data = torch.nn.functional.interpolate(
                image.data[None], (height, width), mode="bilinear", antialias=True
            )
            image = Image(data[0].clamp(0, 1))
        if self.channels == "rgb":
            return image.pixels
        if self.channels == "bgr_cut":
            return cut_bytes(image.pixels).flip(-1)
        pixels = image.pixels.flip(-1)
        return pixels if self.channels == "bgr" else wrap_bytes(pixels)

    def _torch(
        self, probabilities: Float[torch.Tensor, "class h w"], pixels: UInt8[torch.Tensor, "h w 3"]
    ) -> Float[torch.Tensor, "class h w"]:
        settings: dict[str, Any] = {
            "steps": self.steps,
            "gaussian_sigma": self.gaussian_sigma,
            "gaussian_weight": self.gaussian_weight,
            "bilateral_sigma": self.bilateral_sigma,
            "bilateral_colour_sigma": self.bilateral_colour_sigma,
            "bilateral_weight": self.bilateral_weight,
        }
        key = ("mean field", probabilities, pixels, *settings.values())
        return remember(key, partial(mean_field, probabilities, pixels, **settings))

    def _pydensecrf(
        self, probabilities: Float[torch.Tensor, "class h w"], pixels: UInt8[torch.Tensor, "h w 3"]
    ) -> Float[torch.Tensor, "class h w"]:
        try:
            from pydensecrf.densecrf import DenseCRF2D
        except ImportError as error:
            fix = 'pip install "ovsskit[crf]", or dense_crf.engine = "torch".'
            raise MissingExtra(
                "The engine pydensecrf of dense_crf is not installed.", fix=fix
            ) from error
        classes, height, width = probabilities.shape
        field: Any = DenseCRF2D(width, height, classes)
        unary = -probabilities.detach().cpu().float().clamp(CLIP, 1).log()
        field.setUnaryEnergy(numpy.ascontiguousarray(unary.flatten(1).numpy()))
        field.addPairwiseGaussian(sxy=self.gaussian_sigma, compat=self.gaussian_weight)
        field.addPairwiseBilateral(
            sxy=self.bilateral_sigma,
            srgb=self.bilateral_colour_sigma,
            rgbim=pixels.cpu().numpy(),
            compat=self.bilateral_weight,
        )
        marginals = numpy.array(field.inference(self.steps), dtype=numpy.float32)
        return torch.from_numpy(marginals).view(classes, height, width).to(probabilities.device)


def wrap_bytes(pixels: UInt8[torch.Tensor, "h w 3"]) -> UInt8[torch.Tensor, "h w 3"]:
    """Return blue, green and red less their mean, cut to whole numbers towards 0, modulo 256."""
    colours = pixels.float()
    return (colours - send_numbers(MEAN_BGR, colours)).trunc().int().remainder(256).to(torch.uint8)


def cut_bytes(pixels: UInt8[torch.Tensor, "h w 3"]) -> UInt8[torch.Tensor, "h w 3"]:
    """Return what is left of bytes when ImageNet's normalisation is undone in single precision."""
    colours = pixels.float()
    mean, deviation = (send_numbers(values, colours) for values in IMAGENET)
    normalised = (colours / 255 - mean) / deviation
    return ((normalised * deviation + mean) * 255).to(torch.uint8)
