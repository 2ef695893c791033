"""Take images that are in memory already: arrays of NumPy and tensors of torch."""

from __future__ import annotations

from typing import Any

from ovsskit._lazy import Shaped, numpy, torch
from ovsskit.engine.rendering import Raster, Reading, render
from ovsskit.engine.values import Image
from ovsskit.errors import BadImage
from ovsskit.files.sizes import see_size

FORMS = "Allowed shapes are `h w` and `h w 3`; for tensors, `3 h w` as well."


def from_array(array: Any, reading: Reading) -> Image:
    """Return an image of an array or tensor.

    Bytes are colours; numbers of 16 bits become colours by the rendering; floating-point numbers
    are colours from 0 to 1.

    Raises:
        BadImage: its shape or its numbers are none of these, or it is too large.
    """
    numbers = _to_numpy(array)
    see_size(numbers.shape[1], numbers.shape[0], reading.max_pixels)
    if numbers.dtype.kind == "f":
        return _from_fractions(numbers)
    if numbers.dtype not in ("uint8", "uint16"):
        what = f"The numbers of the array are {numbers.dtype}."
        raise BadImage(what, fix="Give uint8, uint16, or floating point from 0 to 1.")
    white = float(numpy.iinfo(numbers.dtype).max)
    image, notes = render(Raster(numbers, white, colours=True), reading.rendering)
    data = torch.from_numpy(numpy.array(image)).permute(2, 0, 1).float().div(255).contiguous()
    return Image(data, "image", notes=notes)


def _to_numpy(array: Any) -> Shaped[numpy.ndarray, "h w band"]:
    """Return numbers of one band or three, the bands last."""
    is_tensor = not isinstance(array, numpy.ndarray)
    if is_tensor:
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    bands_first = array.ndim == 3 and (
        array.shape[0] in (1, 3) or (array.shape[0] == 4 and array.shape[2] not in (1, 3, 4))
    )
    if is_tensor and bands_first:
        array = numpy.moveaxis(array, 0, 2)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3 and array.shape[2] == 4:
        what = "The image has a fourth channel, and nothing says whether it is alpha."
        fix = "Leave it out, image[..., :3], or give a PIL image of mode RGBA."
        raise BadImage(what, fix=fix)
    if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        shape = " x ".join(map(str, array.shape))
        raise BadImage(f"The array has the shape {shape}.", there=FORMS)
    numbers: numpy.ndarray = array
    return numbers


def _from_fractions(numbers: Shaped[numpy.ndarray, "h w band"]) -> Image:
    least, most = float(numbers.min()), float(numbers.max())
    if not (least >= 0 and most <= 1):  # so that NaN is refused, too
        what = f"The values of the array go from {least:g} to {most:g}."
        raise BadImage(what, fix="Scale them: 0 is black and 1 white.")
    data = numpy.moveaxis(numbers.astype("float32"), 2, 0)
    data = numpy.array(numpy.broadcast_to(data, (3, *data.shape[1:])), order="C")
    return Image(torch.from_numpy(data), "image")
